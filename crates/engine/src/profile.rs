//! A profile: which plugins are asked at each point, in which order, with which weights.

use std::sync::Arc;

use plimsoll_framework::cluster_event::{Actions, ClusterEvent, EventResource, Registration};
use plimsoll_framework::extensions::*;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::point::Point;
use plimsoll_framework::read::Groups;
use plimsoll_framework::table::View;
use plimsoll_framework::topology::CounterSpec;

use crate::extender::{EXTENDER, Extenders};
use crate::memo::Plan;
use crate::sight::Sight;

/// A plugin at one point.
pub struct At<T: ?Sized> {
    /// Its name.
    pub name: &'static str,
    /// What is called.
    pub plugin: Arc<T>,
}

impl<T: ?Sized> Clone for At<T> {
    fn clone(&self) -> Self {
        Self { name: self.name, plugin: Arc::clone(&self.plugin) }
    }
}

/// A plugin at Score.
#[derive(Clone)]
pub struct Scorer {
    /// Its name.
    pub name: &'static str,
    /// What is called.
    pub plugin: Arc<dyn ScoreDyn>,
    /// What its score is multiplied by, at least 1.
    pub weight: i64,
}

/// What a plugin wants to hear of.
#[derive(Clone)]
pub struct Listener {
    /// The plugin.
    pub plugin: &'static str,
    /// Its registration.
    pub registration: Registration,
    /// Whom to ask; `None` where every event leads to another attempt.
    pub ask: Option<Arc<dyn EnqueueDyn>>,
}

/// One profile, as [`ProfileBuilder::build`] made it.
#[allow(missing_docs, reason = "one field for each point, under its name")]
pub struct Profile {
    /// The `schedulerName` of its pods.
    pub name: Istr,
    pub pre_enqueue: Vec<At<dyn PreEnqueueDyn>>,
    pub queue_sort: Arc<dyn QueueSortDyn>,
    pub pre_filter: Vec<At<dyn PreFilterDyn>>,
    pub filter: Vec<At<dyn FilterDyn>>,
    pub post_filter: Vec<At<dyn PostFilterDyn>>,
    pub pre_score: Vec<At<dyn PreScoreDyn>>,
    pub score: Vec<Scorer>,
    pub reserve: Vec<At<dyn ReserveDyn>>,
    pub permit: Vec<At<dyn PermitDyn>>,
    pub pre_bind: Vec<At<dyn PreBindDyn>>,
    pub bind: Vec<At<dyn BindDyn>>,
    pub post_bind: Vec<At<dyn PostBindDyn>>,
    /// The share of the nodes, in percent, after which enough feasible ones have been found; 100 looks at all.
    pub percentage_of_nodes_to_score: u8,
    /// What its plugins want to hear of.
    pub listeners: Vec<Listener>,
    /// Everything its filters read, of a node and of the cluster as a whole.
    pub filter_groups: Groups,
    /// Annotations its plugins read.
    pub annotation_keys: Vec<Istr>,
    /// Further kinds its plugins read.
    pub kinds: Vec<plimsoll_framework::object::KindRef>,
    /// What each of its plugins has to see.
    pub sights: Vec<Sight>,
    /// Which of its plugins' answers are kept from one decision to the next.
    pub(crate) plan: Plan,
    /// The services outside that have a say.
    pub extenders: Option<Extenders>,
}

/// Why plugins do not make a profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// A plugin was enabled at a point it does not extend.
    #[error("plugin {plugin} does not extend {point}")]
    DoesNotExtend {
        /// The plugin.
        plugin: &'static str,
        /// The point.
        point: Point,
    },
    /// Exactly one plugin gives the order of the queue.
    #[error("profile {profile} needs exactly one QueueSort plugin, not {count}")]
    QueueSort {
        /// The profile.
        profile: Istr,
        /// How many there were.
        count: usize,
    },
    /// Somebody has to bind.
    #[error("profile {profile} needs at least one Bind plugin")]
    NoBind {
        /// The profile.
        profile: Istr,
    },
}

/// A profile being put together, plugin by plugin in the order of the configuration.
pub struct ProfileBuilder {
    profile: Profile,
    queue_sorts: Vec<Arc<dyn QueueSortDyn>>,
    seen: Vec<&'static str>,
}

struct Unsorted;
impl QueueSortDyn for Unsorted {
    fn less(&self, _: plimsoll_framework::plugin::Queued<'_>, _: plimsoll_framework::plugin::Queued<'_>) -> bool {
        false
    }
    fn rank(&self, _: plimsoll_framework::plugin::Queued<'_>) -> Option<u128> {
        None
    }
}

impl ProfileBuilder {
    /// A profile of this `schedulerName`, without plugins.
    pub fn new(name: Istr) -> Self {
        let profile = Profile {
            name,
            pre_enqueue: Vec::new(),
            queue_sort: Arc::new(Unsorted),
            pre_filter: Vec::new(),
            filter: Vec::new(),
            post_filter: Vec::new(),
            pre_score: Vec::new(),
            score: Vec::new(),
            reserve: Vec::new(),
            permit: Vec::new(),
            pre_bind: Vec::new(),
            bind: Vec::new(),
            post_bind: Vec::new(),
            percentage_of_nodes_to_score: 100,
            listeners: Vec::new(),
            filter_groups: Groups::NONE,
            annotation_keys: Vec::new(),
            kinds: Vec::new(),
            sights: Vec::new(),
            plan: Plan::default(),
            extenders: None,
        };
        Self { profile, queue_sorts: Vec::new(), seen: Vec::new() }
    }

    /// Looks for feasible nodes only until this share of all nodes, in percent, is feasible. 0 and all above 100 mean
    /// all of them.
    pub fn percentage_of_nodes_to_score(&mut self, percentage: i32) {
        let share = u8::try_from(percentage).ok().filter(|p| (1..100).contains(p));
        self.profile.percentage_of_nodes_to_score = share.unwrap_or(100);
    }

    /// Asks `plugin` at `point`, after those enabled there before. `weight` counts at Score; 0 means 1.
    pub fn enable(&mut self, point: Point, plugin: &Extensions, weight: i64) -> Result<(), ProfileError> {
        fn push<T: ?Sized>(list: &mut Vec<At<T>>, name: &'static str, plugin: &Option<Arc<T>>) -> bool {
            if let Some(plugin) = plugin {
                list.push(At { name, plugin: Arc::clone(plugin) });
            }
            plugin.is_some()
        }
        let (p, name) = (&mut self.profile, plugin.name);
        let extends = match point {
            Point::PreEnqueue => push(&mut p.pre_enqueue, name, &plugin.pre_enqueue),
            Point::QueueSort => {
                self.queue_sorts.extend(plugin.queue_sort.clone());
                plugin.queue_sort.is_some()
            }
            Point::PreFilter => {
                let groups = plugin.pre_filter.as_ref().map_or(Groups::NONE, |f| f.groups());
                p.filter_groups = p.filter_groups.union(groups);
                push(&mut p.pre_filter, name, &plugin.pre_filter)
            }
            Point::Filter => {
                let groups = plugin.filter.as_ref().map_or(Groups::NONE, |f| f.groups());
                p.filter_groups = p.filter_groups.union(groups);
                push(&mut p.filter, name, &plugin.filter)
            }
            Point::PostFilter => push(&mut p.post_filter, name, &plugin.post_filter),
            Point::PreScore => push(&mut p.pre_score, name, &plugin.pre_score),
            Point::Score => {
                let scorer = plugin.score.clone().map(|plugin| Scorer { name, plugin, weight: weight.max(1) });
                let extends = scorer.is_some();
                p.score.extend(scorer);
                extends
            }
            Point::Reserve => push(&mut p.reserve, name, &plugin.reserve),
            Point::Permit => push(&mut p.permit, name, &plugin.permit),
            Point::PreBind => push(&mut p.pre_bind, name, &plugin.pre_bind),
            Point::Bind => push(&mut p.bind, name, &plugin.bind),
            Point::PostBind => push(&mut p.post_bind, name, &plugin.post_bind),
            Point::PlacementGenerate | Point::PlacementScore => false,
        };
        if !extends {
            return Err(ProfileError::DoesNotExtend { plugin: name, point });
        }
        if !self.seen.contains(&name) {
            self.seen.push(name);
            p.annotation_keys.extend(plugin.annotation_keys.iter().cloned());
            p.kinds.extend(plugin.kinds.iter().copied());
            let (kinds, waits) = (plugin.kinds.clone(), Arc::clone(&plugin.sight));
            p.sights.push(Sight { plugin: name, kinds, waits });
        }
        // One that forbids pods to go for others says what may change that, if it says anything.
        let listens = rejects(point) || (point == Point::PostFilter && plugin.enqueue.is_some());
        if listens && !p.listeners.iter().any(|l| l.plugin == name) {
            p.listeners.extend(listeners(plugin));
        }
        Ok(())
    }

    /// Ends the profile.
    pub fn build(mut self) -> Result<Profile, ProfileError> {
        let profile = self.profile.name.clone();
        let [queue_sort] = self.queue_sorts.as_slice() else {
            return Err(ProfileError::QueueSort { profile, count: self.queue_sorts.len() });
        };
        self.profile.queue_sort = Arc::clone(queue_sort);
        if self.profile.bind.is_empty() {
            return Err(ProfileError::NoBind { profile });
        }
        self.profile.plan = Plan::of(&self.profile);
        Ok(self.profile)
    }
}

/// The points at which a pod can be turned away.
fn rejects(point: Point) -> bool {
    matches!(point, Point::PreEnqueue | Point::PreFilter | Point::Filter | Point::Reserve | Point::Permit)
}

/// What a plugin hears of (reference section 2.3).
fn listeners(plugin: &Extensions) -> Vec<Listener> {
    let name = plugin.name;
    let Some(enqueue) = &plugin.enqueue else {
        // Who does not say what could help hears of everything.
        let others = plugin.kinds.iter().map(|k| EventResource::Other(k.event_name()));
        return [EventResource::Pod, EventResource::Node]
            .into_iter()
            .chain(others)
            .map(|resource| Listener {
                plugin: name,
                registration: Registration::always(resource, Actions::ALL),
                ask: None,
            })
            .collect();
    };
    let mut registrations = enqueue.registrations();
    let node = |r: &Registration, actions| r.resource == EventResource::Node && r.actions.intersects(actions);
    // A node may be added tainted and only become usable when the taint goes; upstream keeps this even where the plugin
    // does not look at taints.
    if registrations.iter().any(|r| node(r, Actions::ADD))
        && !registrations.iter().any(|r| node(r, Actions::UPDATE_NODE_TAINT))
    {
        registrations.push(Registration::always(EventResource::Node, Actions::UPDATE_NODE_TAINT));
    }
    let listen = |registration: Registration| {
        let ask = registration.ask.then(|| Arc::clone(enqueue));
        Listener { plugin: name, registration, ask }
    };
    registrations.into_iter().map(listen).collect()
}

impl Profile {
    /// Has these extenders asked. Nobody knows what they read, so pods that they turned away hear of every change.
    pub fn set_extenders(&mut self, extenders: Extenders) {
        self.listeners.retain(|l| l.plugin != EXTENDER);
        self.listeners.extend(extenders.wakes.iter().map(|resource| Listener {
            plugin: EXTENDER,
            registration: Registration::always(resource.clone(), Actions::ALL),
            ask: None,
        }));
        self.extenders = Some(extenders);
    }

    /// Whether extenders have a say in where the pod goes.
    pub fn asks_about(&self, pod: &PodInfo) -> bool {
        self.extenders.as_ref().is_some_and(|e| (e.interested)(pod))
    }

    /// Whether extenders have a say in which pods go for this one.
    pub fn asks_who_goes(&self, pod: &PodInfo) -> bool {
        self.extenders.as_ref().is_some_and(|e| (e.preempts)(pod))
    }

    /// What its filters and scorers will have counted by topology domain when they are prepared for the pod.
    pub fn counters(&self, pod: &PodInfo, view: &View) -> Vec<CounterSpec> {
        let filters = self.filter.iter().flat_map(|f| f.plugin.counters(pod, view));
        filters.chain(self.score.iter().flat_map(|s| s.plugin.counters(pod, view))).collect()
    }

    /// What those of its filters and scorers read that have something counted by topology domain.
    pub(crate) fn groups_of_counting(&self) -> Groups {
        let filters = self.filter.iter().map(|f| f.plugin.groups());
        let counting = filters.chain(self.score.iter().map(|s| s.plugin.groups())).filter(|g| g.reads_other_rows());
        counting.fold(Groups::NONE, Groups::union)
    }

    /// Whether everything that this plugin says of a node follows from the node and the pod: then nothing that happens
    /// to another node changes it.
    pub fn looks_at_one_node(&self, plugin: &str) -> bool {
        let far = |groups: Groups| groups.reads_other_rows() || groups.reads_cluster();
        let mut filters = self.filter.iter().filter(|f| f.name == plugin);
        filters.next().is_some_and(|f| !far(f.plugin.groups()))
            && self.pre_filter.iter().all(|f| f.name != plugin || !far(f.plugin.groups()))
            && !self.turns_away_otherwise(plugin)
    }

    /// Whether this plugin turns pods away for their spec alone, so that it says the same of all that have it in common.
    pub fn looks_at_spec(&self, plugin: &str) -> bool {
        let mut filters = self.filter.iter().filter(|f| f.name == plugin);
        filters.next().is_some_and(|f| f.plugin.spec_only())
            && self.pre_filter.iter().all(|f| f.name != plugin || f.plugin.spec_only())
            && !self.turns_away_otherwise(plugin)
    }

    /// Whether this plugin has a say only in which pods go for others.
    pub fn only_preempts(&self, plugin: &str) -> bool {
        self.post_filter.iter().any(|p| p.name == plugin && p.plugin.only_preempts())
    }

    /// Whether PostFilter may be of use to a pod where no pod has a priority below the usual 0.
    pub fn may_clear_nodes_for(&self, pod: &PodInfo) -> bool {
        !self.post_filter.is_empty() && !pod.spec.never_preempts && pod.priority() > 0
    }

    /// Whether a plugin can turn pods away at a point other than PreFilter and Filter.
    fn turns_away_otherwise(&self, plugin: &str) -> bool {
        self.pre_enqueue.iter().any(|p| p.name == plugin)
            || self.reserve.iter().any(|p| p.name == plugin)
            || self.permit.iter().any(|p| p.name == plugin)
    }

    /// Whether any of its plugins wants to hear of this event.
    pub fn hears(&self, event: &ClusterEvent) -> bool {
        event.resource == EventResource::Wildcard
            || self.listeners.iter().any(|l| event.heard_by(&l.registration.resource, l.registration.actions))
    }
}
