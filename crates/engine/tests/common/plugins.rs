//! Small plugins, each true to the contract.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll_framework::assume::Assumption;
use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, QueueingHint, Registration};
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSelector;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::{KindRef, ObjectKey, ObjectKind, Objects};
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::*;
use plimsoll_framework::pod::{PodInfo, PodSpecInfo, Uid};
use plimsoll_framework::ports::HostPort;
use plimsoll_framework::read::{
    Allocatable, Labels, ObjectsOf, Ports, Requested, Spec, Taints, TopologyDomains, Uncached, WholePod,
};
use plimsoll_framework::resources::Resources;
use plimsoll_framework::table::Row;
use plimsoll_framework::toleration::{Taint, Toleration, tolerated};
use plimsoll_framework::topology::{Counted, CounterSpec, Domains, NodeFilter, PodMatcher, Topology};
use plimsoll_framework::verdict::{Code, PluginError, Rejection, Verdict};

macro_rules! named {
    ($($plugin:ty = $name:literal),* $(,)?) => {$(
        impl Plugin for $plugin { const NAME: &'static str = $name; }
    )*};
}

named! {
    Priority = "PrioritySort", Binder = "Binder", Gates = "Gates", Fit = "Fit", HostPorts = "HostPorts",
    Tainted = "Tainted", Apart = "Apart", Crowd = "Crowd", MostFree = "MostFree", First = "First", Second = "Second",
    Nominator = "Nominator", Licensed = "Licensed", Pinned = "Pinned",
}

fn queue_if(worth: bool) -> QueueingHint {
    if worth { QueueingHint::Queue } else { QueueingHint::Skip }
}

fn is_self(pod: &PodInfo, change: &Change<'_>) -> bool {
    change.pods().1.is_some_and(|new| new.key.uid == pod.key.uid)
}

/// Higher priority first, then whoever came first.
pub(crate) struct Priority;
impl QueueSort for Priority {
    fn less(&self, a: Queued<'_>, b: Queued<'_>) -> bool {
        let (p, q) = (a.pod.priority(), b.pod.priority());
        p > q || (p == q && a.timestamp < b.timestamp)
    }
    fn rank(&self, pod: Queued<'_>) -> Option<u128> {
        let below = u128::from(i32::MAX.abs_diff(pod.pod.priority()));
        Some(below << 96 | pod.timestamp.as_duration().as_nanos())
    }
}

/// Binds everything.
pub(crate) struct Binder;
impl Bind for Binder {
    fn bind(&self, _: &PodInfo, _: &Istr) -> BindVerdict {
        BindVerdict::Binding
    }
}

/// Keeps gated pods out.
pub(crate) struct Gates;
impl PreEnqueue for Gates {
    fn pre_enqueue(&self, pod: &PodInfo) -> Result<(), Rejection> {
        if pod.spec.scheduling_gates.is_empty() { Ok(()) } else { Err(Rejection::unresolvable("gated")) }
    }
}
impl EnqueueExtensions for Gates {
    fn registrations(&self) -> Vec<Registration> {
        let eliminated = Actions::UPDATE_POD_SCHEDULING_GATES_ELIMINATED;
        vec![Registration::new(EventResource::UnschedulablePod, eliminated)]
    }
    fn hint(&self, pod: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        queue_if(is_self(pod, change))
    }
}

/// CPU, memory and the number of pods.
pub(crate) struct Fit;
impl Filter for Fit {
    type Pod = Spec;
    type Cluster = ();
    type Node = (Allocatable, Requested);
    type State = Resources;
    fn prepare(&self, spec: &PodSpecInfo, (): ()) -> Option<Resources> {
        Some(spec.requests.filter.clone())
    }
    fn filter(
        &self,
        asked: &Resources,
        (has, used): (plimsoll_framework::read::Amounts<'_>, plimsoll_framework::read::Amounts<'_>),
    ) -> Verdict {
        let short = [
            used.pods + 1 > has.pods,
            asked.milli_cpu > 0 && used.milli_cpu + asked.milli_cpu > has.milli_cpu,
            asked.memory_bytes > 0 && used.memory_bytes + asked.memory_bytes > has.memory_bytes,
        ];
        let reasons = short.iter().rev().fold(0, |bits, short| bits << 1 | u32::from(*short));
        if reasons == 0 { Verdict::FITS } else { Verdict::unschedulable(reasons) }
    }
    fn reasons(&self, _: &Resources, reasons: u32) -> Vec<String> {
        let texts = ["Too many pods", "Insufficient cpu", "Insufficient memory"];
        let set = texts.iter().enumerate().filter(|(i, _)| reasons >> i & 1 == 1);
        set.map(|(_, text)| (*text).to_owned()).collect()
    }
}
impl EnqueueExtensions for Fit {
    fn registrations(&self) -> Vec<Registration> {
        let node = Actions::ADD.or(Actions::UPDATE_NODE_ALLOCATABLE);
        let pod = Actions::DELETE.or(Actions::UPDATE_POD_SCALE_DOWN);
        vec![Registration::new(EventResource::Node, node), Registration::new(EventResource::Pod, pod)]
    }
    /// As kube-scheduler's: a pod that goes matters only if it had, or was about to have, a place.
    fn hint(&self, pod: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        match (change.nodes().1, change.pods()) {
            (Some(node), _) => {
                queue_if(node.allocatable_pods >= 1 && !pod.spec.requests.filter.exceeds(&node.allocatable))
            }
            (None, (Some(gone), None)) => queue_if(gone.node_name.is_some() || gone.nominated_node_name.is_some()),
            (None, (_, Some(new))) => queue_if(new.key.uid == pod.key.uid || new.node_name.is_some()),
            _ => QueueingHint::Queue,
        }
    }
}

/// Host ports.
pub(crate) struct HostPorts;
impl Filter for HostPorts {
    type Pod = Spec;
    type Cluster = ();
    type Node = Ports;
    type State = Box<[HostPort]>;
    fn prepare(&self, spec: &PodSpecInfo, (): ()) -> Option<Box<[HostPort]>> {
        (!spec.host_ports.is_empty()).then(|| spec.host_ports.clone())
    }
    fn filter(&self, asked: &Box<[HostPort]>, used: plimsoll_framework::read::UsedPorts<'_>) -> Verdict {
        let taken = used.iter().any(|u| asked.iter().any(|a| a.conflicts(u)));
        if taken { Verdict::unschedulable(1) } else { Verdict::FITS }
    }
    fn reasons(&self, _: &Box<[HostPort]>, _: u32) -> Vec<String> {
        vec!["node(s) didn't have free ports for the requested pod ports".to_owned()]
    }
}
impl EnqueueExtensions for HostPorts {
    fn registrations(&self) -> Vec<Registration> {
        vec![
            Registration::new(EventResource::AssignedPod, Actions::DELETE),
            Registration::always(EventResource::Node, Actions::ADD),
        ]
    }
    fn hint(&self, _: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        let had_ports = |p: &PodInfo| !p.spec.host_ports.is_empty();
        let had_place = |p: &PodInfo| p.node_name.is_some() || p.nominated_node_name.is_some();
        queue_if(change.pods().0.is_some_and(|gone| had_ports(gone) && had_place(gone)))
    }
}

/// Taints.
pub(crate) struct Tainted;
impl Filter for Tainted {
    type Pod = Spec;
    type Cluster = ();
    type Node = Taints;
    type State = Box<[Toleration]>;
    fn prepare(&self, spec: &PodSpecInfo, (): ()) -> Option<Box<[Toleration]>> {
        Some(spec.tolerations.clone())
    }
    fn filter(&self, own: &Box<[Toleration]>, taints: &[Taint]) -> Verdict {
        let repelled = taints.iter().any(|t| t.effect.is_hard() && !tolerated(own, t));
        if repelled { Verdict::unresolvable(1) } else { Verdict::FITS }
    }
    fn reasons(&self, _: &Box<[Toleration]>, _: u32) -> Vec<String> {
        vec!["node(s) had untolerated taint(s)".to_owned()]
    }
}
impl EnqueueExtensions for Tainted {
    fn registrations(&self) -> Vec<Registration> {
        let node = Actions::ADD.or(Actions::UPDATE_NODE_TAINT);
        vec![
            Registration::new(EventResource::Node, node),
            Registration::new(EventResource::UnschedulablePod, Actions::UPDATE_POD_TOLERATION),
        ]
    }
    fn hint(&self, pod: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        let open = |taints: &[Taint]| taints.iter().all(|t| !t.effect.is_hard() || tolerated(&pod.spec.tolerations, t));
        queue_if(change.nodes().1.map_or_else(|| is_self(pod, change), |node| open(&node.taints)))
    }
}

fn zone_of(labels: &plimsoll_framework::labels::LabelSet) -> Option<&Istr> {
    labels.get(&"zone".into())
}

/// No two pods with the same value of the label `apart` in one zone, counted by domain.
pub(crate) struct Apart;
impl Filter for Apart {
    type Pod = WholePod;
    type Cluster = ();
    type Node = (Labels, TopologyDomains);
    type State = LabelSelector;
    fn prepare(&self, pod: &PodInfo, (): ()) -> Option<LabelSelector> {
        let value = pod.labels.get(&"apart".into())?;
        let json = format!(r#"{{"matchLabels":{{"apart":"{value}"}}}}"#);
        LabelSelector::compile(&serde_json::from_str(&json).ok()?).ok()
    }
    fn counters(&self, selector: &LabelSelector) -> Vec<CounterSpec> {
        let matcher = PodMatcher {
            selector: Some(selector.clone()),
            namespaces: Box::new(["default".into()]),
            namespace_selector: None,
        };
        vec![CounterSpec {
            counted: Counted::Pods(Box::new([matcher])),
            topology: Topology::Label("zone".into()),
            nodes: NodeFilter::default(),
            live_only: false,
        }]
    }
    fn filter(
        &self,
        _: &LabelSelector,
        (labels, domains): (&plimsoll_framework::labels::LabelSet, Domains<'_>),
    ) -> Verdict {
        let taken = zone_of(labels).is_some() && domains.count(0).is_some_and(|n| n > 0);
        if taken { Verdict::unschedulable(1) } else { Verdict::FITS }
    }
    fn reasons(&self, _: &LabelSelector, _: u32) -> Vec<String> {
        vec!["node(s) didn't satisfy apart".to_owned()]
    }
}
impl EnqueueExtensions for Apart {
    fn registrations(&self) -> Vec<Registration> {
        topology_registrations()
    }
}

fn topology_registrations() -> Vec<Registration> {
    let pod = Actions::DELETE.or(Actions::UPDATE_POD_LABEL);
    let node = Actions::ADD.or(Actions::DELETE).or(Actions::UPDATE_NODE_LABEL);
    vec![Registration::always(EventResource::Pod, pod), Registration::always(EventResource::Node, node)]
}

/// How many pods with the label `crowd` may be in one zone.
pub(crate) const CROWD: usize = 2;

/// At most [`CROWD`] pods with the label `crowd` in one zone, counted anew every time.
pub(crate) struct Crowd;
impl Filter for Crowd {
    type Pod = WholePod;
    type Cluster = ();
    type Node = Uncached;
    type State = ();
    fn prepare(&self, pod: &PodInfo, (): ()) -> Option<()> {
        pod.labels.get(&"crowd".into()).map(|_| ())
    }
    fn filter(&self, (): &(), here: plimsoll_framework::read::AnyView<'_>) -> Verdict {
        let zone = |node: plimsoll_framework::read::NodeView<'_>| node.node().and_then(|n| zone_of(&n.labels).cloned());
        let own = zone(here.here());
        let crowded = |p: &&PodInfo| p.labels.get(&"crowd".into()).is_some();
        let nodes = here.nodes().filter(|n| zone(*n) == own);
        let there: usize =
            nodes.map(|n| n.get::<plimsoll_framework::read::Pods>().iter().filter(crowded).count()).sum();
        if there >= CROWD { Verdict::unschedulable(1) } else { Verdict::FITS }
    }
    fn reasons(&self, (): &(), _: u32) -> Vec<String> {
        vec!["node(s) are in a crowded zone".to_owned()]
    }
}
impl EnqueueExtensions for Crowd {
    fn registrations(&self) -> Vec<Registration> {
        topology_registrations()
    }
}

/// The share of CPU that is free, in percent.
pub(crate) struct MostFree;
impl Score for MostFree {
    type Pod = Spec;
    type Cluster = ();
    type Node = (Allocatable, Requested);
    type State = i64;
    fn prepare(&self, spec: &PodSpecInfo, (): ()) -> Option<i64> {
        Some(spec.requests.filter.milli_cpu)
    }
    fn score(
        &self,
        asked: &i64,
        (has, used): (plimsoll_framework::read::Amounts<'_>, plimsoll_framework::read::Amounts<'_>),
    ) -> i64 {
        free_percent(has.milli_cpu, used.milli_cpu + asked)
    }
}

/// The score of [`MostFree`].
pub(crate) fn free_percent(has: i64, used: i64) -> i64 {
    if has <= 0 { 0 } else { (has - used).max(0) * 100 / has }
}

/// What the plugins after the decision were asked, in order.
pub(crate) type Log = Arc<Mutex<Vec<String>>>;

/// A plugin after the decision that does what the pod's label of its name says: `reserve=refuse`, `reserve=error`,
/// `permit=wait`, `permit=refuse`, `permit=error`, `permit=release` (lets every held pod go), `permit=turn-away`,
/// `permit=activate-NAME` (has that pod tried at once),
/// `prebind=error`.
pub(crate) struct First(pub(crate) Log);
/// The same once more, to tell their order.
pub(crate) struct Second(pub(crate) Log);

/// How long `permit=wait` holds a pod.
pub(crate) const HOLD: Duration = Duration::from_secs(90);

fn wish<'p>(pod: &'p PodInfo, plugin: &str, point: &str) -> Option<&'p str> {
    let key = format!("{point}-{plugin}");
    pod.labels.get(&key.as_str().into()).map(|v| &**v)
}

macro_rules! after_the_decision {
    ($($plugin:ident),*) => {$(
        impl $plugin {
            fn note(&self, what: &str, pod: &PodInfo) {
                self.0.lock().expect("no test panics with the log").push(format!("{what} {} {}", Self::NAME, pod.key.name));
            }
        }
        impl Reserve for $plugin {
            type Cluster = ();
            fn reserve(&self, pod: &PodInfo, _: &NodeInfo, (): ()) -> Result<Vec<Assumption>, Refusal> {
                self.note("reserve", pod);
                match wish(pod, Self::NAME, "reserve") {
                    Some("refuse") => Err(Refusal::Rejected(Rejection::unschedulable("nothing left"))),
                    Some("error") => Err(Refusal::Failed(PluginError { message: "broken".to_owned() })),
                    _ => Ok(Vec::new()),
                }
            }
            fn unreserve(&self, pod: &PodInfo, _: &Istr) {
                self.note("unreserve", pod);
            }
        }
        impl Permit for $plugin {
            fn permit(&self, pod: &PodInfo, _: &Istr, waiting: &[&PodInfo]) -> PermitAnswer {
                let mut answer = PermitAnswer::only(PermitVerdict::Allow);
                match wish(pod, Self::NAME, "permit") {
                    Some("wait") => answer.verdict = PermitVerdict::Wait(HOLD),
                    Some("refuse") => {
                        answer.verdict = PermitVerdict::Refuse(Refusal::Rejected(Rejection::unschedulable("not now")));
                    }
                    Some("error") => {
                        let error = PluginError { message: "broken".to_owned() };
                        answer.verdict = PermitVerdict::Refuse(Refusal::Failed(error));
                    }
                    Some(other) if other.starts_with("activate-") => {
                        answer.activate.push(Uid::new(&other.replace("activate-", "uid-")));
                    }
                    Some("release") => answer.allow = waiting.iter().map(|p| p.key.uid.clone()).collect(),
                    Some("turn-away") => {
                        answer.reject = waiting.iter().map(|p| (p.key.uid.clone(), "turned away".to_owned())).collect();
                    }
                    _ => {}
                }
                answer
            }
        }
        impl PreBind for $plugin {
            type Cluster = ();
            type Awaited = ();
            fn pre_bind(
                &self,
                pod: &PodInfo,
                _: &NodeInfo,
                _: &[Assumption],
                (): (),
            ) -> Result<PreBindAnswer<()>, PluginError> {
                match wish(pod, Self::NAME, "prebind") {
                    Some("error") => Err(PluginError { message: "broken".to_owned() }),
                    _ => Ok(PreBindAnswer::nothing()),
                }
            }
        }
        impl PostBind for $plugin {
            fn post_bind(&self, pod: &PodInfo, _: &Istr) {
                self.note("postbind", pod);
            }
        }
    )*};
}
after_the_decision!(First, Second);

/// Nominates the node that the pod's label `nominate` names, and counts how often it was asked.
pub(crate) struct Nominator(pub(crate) Log);
impl PostFilter for Nominator {
    fn post_filter(&self, pod: &PodInfo, _: &PostFilterContext<'_>) -> Result<PostFilterVerdict, PluginError> {
        self.0.lock().expect("no test panics with the log").push(format!("postfilter {}", pod.key.name));
        Ok(match pod.labels.get(&"nominate".into()) {
            Some(node) => PostFilterVerdict::Nominate { node: node.clone(), victims: Vec::new() },
            None => PostFilterVerdict::Reject {
                rejection: Rejection::unschedulable("preemption: no victims."),
                clears_nomination: false,
            },
        })
    }
    /// It sends nobody away at all, and says the same at every attempt.
    fn only_preempts(&self) -> bool {
        true
    }
}

/// Clears the first node, by name, that would do without pods of lower priority: as few of them as may be, the least
/// important ones. Where budgets are strict, pods that have the label `guarded` go only while there is a licence. Stands
/// for the plugin whose name it has.
pub(crate) struct Evictor;
impl Plugin for Evictor {
    const NAME: &'static str = "DefaultPreemption";
    fn kinds(&self) -> Vec<KindRef> {
        vec![KindRef::of::<Licence>()]
    }
}
impl EnqueueExtensions for Evictor {
    fn registrations(&self) -> Vec<Registration> {
        let licence = EventResource::Other(KindRef::of::<Licence>().event_name());
        vec![
            Registration::new(EventResource::AssignedPod, Actions::DELETE),
            Registration::always(licence, Actions::ADD),
        ]
    }
    fn hint(&self, _: &PodInfo, _: &ClusterEvent, _: &Change<'_>) -> QueueingHint {
        QueueingHint::Skip
    }
}
impl PreEnqueue for Evictor {
    fn pre_enqueue(&self, _: &PodInfo) -> Result<(), Rejection> {
        Ok(())
    }
}
impl PostFilter for Evictor {
    fn post_filter(&self, pod: &PodInfo, context: &PostFilterContext<'_>) -> Result<PostFilterVerdict, PluginError> {
        let reject = |text: &str, clears_nomination| {
            let rejection = Rejection::unschedulable(format!("preemption: {text}"));
            Ok(PostFilterVerdict::Reject { rejection, clears_nomination })
        };
        let view = context.view;
        // Whoever waits for one to go looks for no other.
        let leaving = |p: &Arc<PodInfo>| p.terminating && p.priority() < pod.priority();
        let own = |row: &Row| view.node(*row).is_some_and(|n| Some(&n.name) == pod.nominated_node_name.as_ref());
        if view.rows().filter(own).any(|row| view.pods(row).iter().any(leaving)) {
            return reject("not eligible.", false);
        }
        let (candidates, forbidden) = match context.extenders {
            ExtendersSay::Left([]) => return reject("none left.", false),
            ExtendersSay::Left(left) => (left.to_vec(), false),
            ExtendersSay::Failed(message) => return Err(PluginError { message: format!("preemption: {message}") }),
            ExtendersSay::Nothing | ExtendersSay::NotAsked => evictable(pod, context),
        };
        if matches!(context.extenders, ExtendersSay::NotAsked) && !candidates.is_empty() {
            return Ok(PostFilterVerdict::Ask(candidates));
        }
        match candidates.into_iter().next() {
            Some(Candidate { node, victims, .. }) => Ok(PostFilterVerdict::Nominate { node, victims }),
            None if forbidden => Ok(PostFilterVerdict::Forbid(Rejection::unschedulable("preemption: no victims."))),
            None => reject("no victims.", true),
        }
    }
    fn only_preempts(&self) -> bool {
        true
    }
}

/// The nodes that would do without pods of lower priority, by name, and as few of these as may be.
fn evictable(pod: &PodInfo, context: &PostFilterContext<'_>) -> (Vec<Candidate>, bool) {
    let view = context.view;
    let licences: Objects<Licence> = view.cluster().objects();
    let strict = context.policy.strict_budgets && licences.get(&licence().namespace, &licence().name).is_none();
    let mut forbidden = false;
    let mut rows: Vec<_> = view.rows().filter_map(|row| view.node(row).map(|n| (n.name.clone(), row))).collect();
    rows.sort();
    let mut candidates = Vec::new();
    for (node, row) in rows.into_iter().filter(|(_, row)| (context.code)(*row) == Some(Code::Unschedulable)) {
        let may_go = |p: &&Arc<PodInfo>| p.priority() < pod.priority() && context.policy.allows(p);
        let mut lower: Vec<Arc<PodInfo>> = view.pods(row).iter().filter(may_go).cloned().collect();
        lower.sort_by_key(|p| (-p.priority(), p.key.name.clone()));
        let mut overlay = Overlay::default();
        lower.iter().for_each(|p| overlay.remove(view, row, Arc::clone(p)));
        if lower.is_empty() || (context.passes)(row) || (context.fits)(row, &overlay).is_err() {
            continue;
        }
        let mut victims = Vec::new();
        for back in lower {
            overlay.add(view, row, Arc::clone(&back));
            if (context.fits)(row, &overlay).is_err() {
                overlay.remove(view, row, Arc::clone(&back));
                victims.push(back);
            }
        }
        if strict && victims.iter().any(|p| p.labels.get(&"guarded".into()).is_some()) {
            forbidden = true;
            continue;
        }
        candidates.push(Candidate { node, victims, pdb_violations: 0 });
    }
    (candidates, forbidden)
}

/// A kind of object that names a node.
pub(crate) struct Licence;
impl ObjectKind for Licence {
    const GROUP: &'static str = "test";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "licences";
    const KIND: &'static str = "Licence";
    type Object = String;
    fn decode(json: &serde_json::Value) -> Result<String, String> {
        json.as_str().map(str::to_owned).ok_or_else(|| "no text".to_owned())
    }
}

/// The one licence there is.
pub(crate) fn licence() -> ObjectKey {
    ObjectKey { namespace: Istr::default(), name: "licence".into() }
}

/// Lets pods go anywhere as long as there is a licence.
pub(crate) struct Licensed;
impl Filter for Licensed {
    type Pod = Spec;
    type Cluster = ObjectsOf<Licence>;
    type Node = ();
    type State = bool;
    fn prepare(&self, _: &PodSpecInfo, objects: Objects<Licence>) -> Option<bool> {
        Some(objects.get(&licence().namespace, &licence().name).is_some())
    }
    fn filter(&self, licensed: &bool, (): ()) -> Verdict {
        if *licensed { Verdict::FITS } else { Verdict::unresolvable(1) }
    }
    fn reasons(&self, _: &bool, _: u32) -> Vec<String> {
        vec!["there is no licence".to_owned()]
    }
}

/// Lets pods go only where the licence says.
pub(crate) struct Pinned;
impl PreFilter for Pinned {
    type Pod = Spec;
    type Cluster = ObjectsOf<Licence>;
    fn pre_filter(&self, _: &PodSpecInfo, objects: Objects<Licence>) -> PreFilterVerdict {
        PreFilterVerdict::Only(
            objects.get(&licence().namespace, &licence().name).map(|node| node.as_str().into()).into_iter().collect(),
        )
    }
}

/// The plugins that decide, and those without which there is no profile.
pub(crate) fn deciding() -> Vec<Extensions> {
    vec![
        Extensions::of(Priority).queue_sort().done(),
        Extensions::of(Gates).enqueue().pre_enqueue().done(),
        Extensions::of(Tainted).enqueue().filter().done(),
        Extensions::of(HostPorts).enqueue().filter().done(),
        Extensions::of(Fit).enqueue().filter().done(),
        Extensions::of(Apart).enqueue().filter().done(),
        Extensions::of(Crowd).enqueue().filter().done(),
        Extensions::of(MostFree).score().done(),
        Extensions::of(Binder).bind().done(),
    ]
}

/// Those and the plugins around the decision, which write into `log`.
pub(crate) fn all(log: &Log) -> Vec<Extensions> {
    let mut plugins = deciding();
    plugins.push(Extensions::of(Nominator(Arc::clone(log))).post_filter().done());
    plugins.push(Extensions::of(First(Arc::clone(log))).reserve().permit().pre_bind().post_bind().done());
    plugins.push(Extensions::of(Second(Arc::clone(log))).reserve().permit().pre_bind().post_bind().done());
    plugins
}
