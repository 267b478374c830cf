//! PostFilter: what can be done for a pod that fits nowhere (reference section 9.3).

use std::cell::RefCell;
use std::sync::Arc;

use hashbrown::HashMap;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::{
    Candidate, EvictionPolicy, ExtendersSay, PostFilterContext, PostFilterVerdict, RejectedBy,
};
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::{Row, View};
use plimsoll_framework::verdict::Code;

use super::dry_run::{ByRows, Known, TakenRows};
use super::joined::Joined;
use super::{PreFiltered, Prepared, Scratch, Worker};
use crate::extender::{Answer, NodeAnswer};
use crate::profile::Profile;

/// What came of PostFilter.
#[derive(Clone, Debug, PartialEq)]
pub struct PostFiltered {
    /// `Success` when a node is to be cleared for the pod.
    pub code: Code,
    /// That node.
    pub nominated_node: Option<Istr>,
    /// The pods that have to leave it, those included that are leaving it already; the most important one first.
    pub victims: Vec<Arc<PodInfo>>,
    /// The text that joins the pod's message; empty when a node is to be cleared.
    pub message: String,
    /// Whether the node that was being cleared for the pod, if any, is of no use to it any more.
    pub clears_nomination: bool,
    /// The plugin that found pods that could make room, and that may not go.
    pub forbidden_by: Option<&'static str>,
}

impl PostFiltered {
    fn nominated(node: Istr, victims: Vec<Arc<PodInfo>>) -> Self {
        let (code, message) = (Code::Success, String::new());
        Self { code, nominated_node: Some(node), victims, message, clears_nomination: false, forbidden_by: None }
    }

    fn rejected(code: Code, message: String, clears_nomination: bool) -> Self {
        Self { code, nominated_node: None, victims: Vec::new(), message, clears_nomination, forbidden_by: None }
    }
}

impl Worker {
    /// Asks the profile's PostFilter plugins about a pod that fits nowhere on `view`; `None` where it has none, or where
    /// there is no node at all. `lowest_priority` is that of the pods on nodes. `known` is what extenders said; who has to be asked about candidates of which plugin is
    /// the error.
    pub(crate) fn post_filter(
        &mut self,
        profile: &Profile,
        view: &View,
        pod: &PodInfo,
        draw: u64,
        known: Option<&Answer>,
        lowest_priority: Option<i32>,
    ) -> Option<Result<Arc<PostFiltered>, Question>> {
        if !has_a_say(profile, view) {
            return None;
        }
        let nobody_could_go = lowest_priority.is_none_or(|lowest| lowest >= pod.priority())
            && profile.post_filter.iter().all(|point| point.plugin.only_preempts());
        let extenders = Extension { known, ask: profile.asks_who_goes(pod) };
        let done = if nobody_could_go && known.is_none() && !extenders.ask {
            Some(Ok(self.post_filter_in_vain(profile, view, pod, draw)))
        } else {
            self.post_filter_on(profile, view, pod, draw, extenders).map(|done| done.map(Arc::new))
        };
        self.put_away(profile, view, pod);
        done
    }

    /// The same whatever the pods on nodes are, and as if there were no extenders.
    pub(super) fn post_filter_alone(
        &mut self,
        profile: &Profile,
        view: &View,
        pod: &PodInfo,
        draw: u64,
    ) -> Option<PostFiltered> {
        self.post_filter_on(profile, view, pod, draw, Extension::default())?.ok()
    }

    /// By the rows of the pod's class, or else after every node was asked.
    fn post_filter_on(
        &mut self,
        profile: &Profile,
        view: &View,
        pod: &PodInfo,
        draw: u64,
        extenders: Extension<'_>,
    ) -> Option<Result<PostFiltered, Question>> {
        if !has_a_say(profile, view) {
            return None;
        }
        if let Some(done) = self.post_filter_by_rows(profile, view, pod, draw, extenders) {
            return Some(done);
        }
        let base = Overlay::default();
        let asked = self.asked(profile, view, &base, pod);
        self.post_filter_by(&asked, profile, (view, &base), (pod, draw), extenders)
    }

    /// By the rows of the pod's class; `None` where others have a say in which nodes turn it away.
    fn post_filter_by_rows(
        &mut self,
        profile: &Profile,
        view: &View,
        pod: &PodInfo,
        draw: u64,
        extenders: Extension<'_>,
    ) -> Option<Result<PostFiltered, Question>> {
        let (base, audits) = (Overlay::default(), self.memo.audits_next());
        let Self { memo, asked, scratch, taken, policy, seed, .. } = self;
        let class = memo.class(profile, view, &base, pod)?;
        asked.ask_filters(profile, class, view, &base, pod)?;
        if !asked.filters.is_empty() {
            return None;
        }
        asked.find_nominated(view, pod);
        scratch.close_nominated(asked, profile, class, (view, &base), pod);
        if class.has_failed() {
            return None;
        }
        if audits && let Some((kept, fresh)) = scratch.other_codes(profile, class, view, pod) {
            self.found_wrong(profile, pod, kept, fresh);
            return None;
        }
        let mut clearings = std::mem::take(&mut class.clearings);
        let by_rows = ByRows {
            class,
            clearings: RefCell::new(clearings.of(pod.priority(), view)),
            alone: extenders.known.is_none(),
        };
        let run = PreFiltered::Run(asked.all(profile, class).0);
        let desk = Desk { scratch, taken, policy, seed: *seed, by_sums: true, audits };
        let (done, wrong) = desk.post_filter_by(&run, Some(&by_rows), profile, (view, &base), (pod, draw), extenders);
        drop(run);
        class.clearings = clearings;
        if let Some((kept, fresh)) = wrong {
            self.found_wrong(profile, pod, kept, fresh);
        }
        done
    }

    /// The same where nobody could be made to go: what is said then is kept for the pods of a template.
    fn post_filter_in_vain(&mut self, profile: &Profile, view: &View, pod: &PodInfo, draw: u64) -> Arc<PostFiltered> {
        let kept = self.rejected_by_class(profile, view, pod).and_then(|(quiet, version)| {
            quiet.post_filtered.as_ref().filter(|(of, _)| *of == version).map(|(_, done)| Arc::clone(done))
        });
        if let Some(kept) = &kept
            && !self.memo.audits_now()
        {
            return Arc::clone(kept);
        }
        let base = Overlay::default();
        let asked = self.asked(profile, view, &base, pod);
        let done = self.post_filter_after(&asked, profile, view, &base, pod, draw);
        let done = done.unwrap_or_else(|| PostFiltered::rejected(Code::Unschedulable, String::new(), true));
        let Some(kept) = kept else {
            let done = Arc::new(done);
            if let Some((quiet, version)) = self.rejected_by_class(profile, view, pod) {
                quiet.post_filtered = Some((version, Arc::clone(&done)));
            }
            return done;
        };
        if *kept == done {
            return kept;
        }
        self.found_wrong(profile, pod, format!("{kept:?}"), format!("{done:?}"));
        Arc::new(done)
    }

    /// The same through an overlay and without extenders: what it takes away from the view is gone already, what it adds
    /// is there.
    pub(super) fn post_filter_through(
        &mut self,
        profile: &Profile,
        view: &View,
        base: &Overlay,
        pod: &PodInfo,
        draw: u64,
    ) -> Option<PostFiltered> {
        let asked = self.asked(profile, view, base, pod);
        self.post_filter_after(&asked, profile, view, base, pod, draw)
    }

    /// The same after PreFilter and, where it let the pod pass, after every node was asked.
    pub(super) fn post_filter_after(
        &mut self,
        asked: &PreFiltered<'_>,
        profile: &Profile,
        view: &View,
        base: &Overlay,
        pod: &PodInfo,
        draw: u64,
    ) -> Option<PostFiltered> {
        self.post_filter_by(asked, profile, (view, base), (pod, draw), Extension::default())?.ok()
    }

    /// Asks PreFilter and, where it lets the pod pass, every node.
    fn asked<'p>(&mut self, profile: &'p Profile, view: &View, base: &Overlay, pod: &PodInfo) -> PreFiltered<'p> {
        let asked = Prepared::for_pod(profile, view, base, pod);
        if let PreFiltered::Run(prepared) = &asked {
            self.scratch.filter(prepared, view, base, pod);
        }
        asked
    }

    fn post_filter_by(
        &mut self,
        asked: &PreFiltered<'_>,
        profile: &Profile,
        (view, base): (&View, &Overlay),
        (pod, draw): (&PodInfo, u64),
        extenders: Extension<'_>,
    ) -> Option<Result<PostFiltered, Question>> {
        if !has_a_say(profile, view) {
            return None;
        }
        let (audits, by_sums) = (self.memo.audits_now(), !self.memo.distrusts(profile));
        let Self { scratch, taken, policy, seed, .. } = self;
        let desk = Desk { scratch, taken, policy, seed: *seed, by_sums, audits };
        let (done, wrong) = desk.post_filter_by(asked, None, profile, (view, base), (pod, draw), extenders);
        if let Some((kept, fresh)) = wrong {
            self.found_wrong(profile, pod, kept, fresh);
        }
        done
    }
}

/// What a worker needs for PostFilter.
struct Desk<'a> {
    scratch: &'a mut Scratch,
    taken: &'a mut TakenRows,
    policy: &'a EvictionPolicy,
    seed: u64,
    /// Whether something may be told of nodes from sums.
    by_sums: bool,
    /// Whether shortcuts are compared with the long way, and not gone.
    audits: bool,
}

/// What was kept, and what is right.
type Wrong = Option<(String, String)>;

impl Desk<'_> {
    /// Asks after PreFilter and every node were asked; `by_rows` has the answers of nodes, where these are not in the
    /// scratch memory.
    fn post_filter_by(
        self,
        asked: &PreFiltered<'_>,
        by_rows: Option<&ByRows<'_>>,
        profile: &Profile,
        (view, base): (&View, &Overlay),
        (pod, draw): (&PodInfo, u64),
        extenders: Extension<'_>,
    ) -> (Option<Result<PostFiltered, Question>>, Wrong) {
        let (prepared, everywhere) = match asked {
            PreFiltered::Run(prepared) => (Some(prepared), None),
            // Turned away before any node was looked at: the same holds of all of them.
            PreFiltered::Reject(rejected) => (rejected.prepared.as_ref(), Some(&rejected.by)),
            PreFiltered::Fail(_) => return (None, None),
        };
        let last = everywhere.filter(|by| by.code == Code::UnschedulableAndUnresolvable);
        let asked = last.and_then(|by| profile.pre_filter.iter().position(|point| point.name == by.plugin));
        let not_asked: Vec<&'static str> =
            asked.map_or(&[][..], |at| &profile.pre_filter[at + 1..]).iter().map(|point| point.name).collect();
        // A plugin asks about nodes one at a time, through a shared reference.
        let scratch = RefCell::new(self.scratch);
        let joined = RefCell::new(Joined::new(view, base));
        let known = Known {
            view,
            pod,
            policy: self.policy,
            prepared: prepared.filter(|_| self.by_sums && base.is_empty()),
            by_rows,
            everywhere: everywhere.is_some(),
            scratch: &scratch,
            taken: RefCell::new(self.taken),
            audits: self.audits,
            wrong: RefCell::default(),
        };
        let of_plugins = |row: Row| match (everywhere, by_rows) {
            (Some(by), _) => view.node(row).map(|_| by.code),
            (None, Some(rows)) => rows.code(view, row),
            (None, None) => scratch.borrow().code(view, row),
        };
        let code = |row: Row| of_plugins(row).or_else(|| extenders.refusal(view, row));
        let passes = |row: Row| view.node(row).is_some() && of_plugins(row).is_none();
        let fits = |row: Row, overlay: &Overlay| match prepared {
            Some(prepared) if base.is_empty() => scratch.borrow_mut().fits(prepared, view, overlay, pod, row),
            Some(prepared) => {
                let mut joined = joined.borrow_mut();
                scratch.borrow_mut().fits(prepared, view, joined.with(overlay), pod, row)
            }
            None => Err(RejectedBy { plugin: "", code: Code::UnschedulableAndUnresolvable, reasons: Vec::new() }),
        };
        let context = PostFilterContext {
            view,
            not_asked: &not_asked,
            code: &code,
            passes: &passes,
            fits: &fits,
            shortcuts: &known,
            draw: self.seed ^ draw,
            policy: self.policy,
            extenders: ExtendersSay::Nothing,
        };
        let done = ask(profile, pod, &context, extenders);
        (Some(done), known.wrong.take())
    }
}

/// The PostFilter plugin whose candidates extenders have to be asked about, and these.
pub(crate) type Question = (&'static str, Vec<Candidate>);

/// What extenders have to do with it.
#[derive(Clone, Copy, Default)]
struct Extension<'a> {
    /// What they said in this attempt.
    known: Option<&'a Answer>,
    /// Whether they have a say in who goes.
    ask: bool,
}

impl Extension<'_> {
    /// With which code they turned the pod away from the node of a row; `None` where they did not.
    fn refusal(&self, view: &View, row: Row) -> Option<Code> {
        match self.known?.of(&view.node(row)?.name)? {
            NodeAnswer::Passed(_) => None,
            NodeAnswer::Failed { code, .. } => Some(*code),
            NodeAnswer::LeftOut => Some(Code::UnschedulableAndUnresolvable),
        }
    }
}

/// Of candidates that extenders left those that hold now, with the victims that are still there.
fn still_hold(pod: &PodInfo, context: &PostFilterContext<'_>, left: &[Candidate]) -> Vec<Candidate> {
    let view = context.view;
    let rows: HashMap<&Istr, Row> = view.rows().filter_map(|row| Some((&view.node(row)?.name, row))).collect();
    let holds = |candidate: &Candidate| {
        let row = *rows.get(&candidate.node)?;
        let named = |p: &&Arc<PodInfo>| candidate.victims.iter().any(|victim| victim.key.uid == p.key.uid);
        let victims: Vec<Arc<PodInfo>> = view.pods(row).iter().filter(named).cloned().collect();
        let may_go = |p: &Arc<PodInfo>| p.priority() < pod.priority() && context.policy.allows(p);
        if victims.is_empty() || !victims.iter().all(may_go) {
            return None;
        }
        let mut overlay = Overlay::default();
        victims.iter().for_each(|victim| overlay.remove(view, row, Arc::clone(victim)));
        (context.fits)(row, &overlay).ok()?;
        Some(Candidate { victims, ..candidate.clone() })
    };
    left.iter().filter_map(holds).collect()
}

/// Whether somebody is to be asked, about at least one node.
fn has_a_say(profile: &Profile, view: &View) -> bool {
    view.node_count() > 0 && !profile.post_filter.is_empty()
}

fn ask(
    profile: &Profile,
    pod: &PodInfo,
    context: &PostFilterContext<'_>,
    extenders: Extension<'_>,
) -> Result<PostFiltered, Question> {
    let (mut said, mut clears, mut forbidden_by) = (Vec::new(), false, None);
    for point in &profile.post_filter {
        let shrunk = extenders.known.and_then(|known| known.shrunk(point.name));
        let left = shrunk.and_then(|shrunk| shrunk.as_ref().ok()).map(|left| still_hold(pod, context, left));
        let extenders = match (&left, shrunk) {
            (Some(left), _) => ExtendersSay::Left(left),
            (None, Some(Err(message))) => ExtendersSay::Failed(message),
            _ if extenders.ask => ExtendersSay::NotAsked,
            _ => ExtendersSay::Nothing,
        };
        match point.plugin.post_filter(pod, &PostFilterContext { extenders, ..*context }) {
            Ok(PostFilterVerdict::Nominate { node, victims }) => return Ok(PostFiltered::nominated(node, victims)),
            Ok(PostFilterVerdict::Ask(candidates)) => {
                if matches!(extenders, ExtendersSay::NotAsked) && !candidates.is_empty() {
                    return Err((point.name, candidates));
                }
                if let Some(first) = candidates.into_iter().next() {
                    return Ok(PostFiltered::nominated(first.node, first.victims));
                }
            }
            Ok(PostFilterVerdict::Reject { rejection, clears_nomination }) => {
                clears |= clears_nomination;
                // Any other code is the last word.
                if rejection.code != Code::Unschedulable {
                    return Ok(PostFiltered::rejected(rejection.code, rejection.reason, clears_nomination));
                }
                said.push(rejection.reason);
            }
            Ok(PostFilterVerdict::Forbid(rejection)) => {
                clears = true;
                forbidden_by = Some(point.name);
                said.push(rejection.reason);
            }
            Err(error) => return Ok(PostFiltered::rejected(Code::Error, error.to_string(), false)),
        }
    }
    Ok(PostFiltered { forbidden_by, ..PostFiltered::rejected(Code::Unschedulable, said.join(", "), clears) })
}
