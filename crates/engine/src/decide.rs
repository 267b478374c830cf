//! Deciding: one pod, one view, one answer (reference section 9.2).
//!
//! A [`Worker`] holds nothing but scratch memory and the pods it has placed in the batch at hand, so any number of them
//! can decide at the same time, on the same view, without a lock.

mod ask;
mod audit;
mod avoid;
mod compare;
mod dry_run;
mod extended;
mod filter;
mod gang;
mod joined;
mod judge;
mod kept;
mod levels;
mod post_filter;
mod probe;
mod score;

use std::sync::Arc;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::{EvictionPolicy, RejectedBy};
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::point::Point;
use plimsoll_framework::table::{Row, View};
use plimsoll_framework::time::Time;
use plimsoll_framework::verdict::{Code, Verdict};

pub use audit::Mismatch;
use avoid::Avoidance;
use extended::passed;
pub use filter::NodeVerdict;
use filter::Search;
pub(crate) use filter::{PreFiltered, Prepared};
pub use gang::{Gang, GangPlan, Seat};
pub(crate) use gang::{Group, count_placed, count_seated};
use kept::Asked;
pub use post_filter::PostFiltered;
pub use probe::Probe;
pub use score::NodeScores;
use score::{rows, splitmix};

use crate::diagnosis::Diagnosis;
use crate::extender::{Answer, Answers};
use crate::headroom::Headroom;
use crate::memo::{Memo, MemoSettings, MemoStats};
use crate::profile::Profile;

/// How the best of several equally good nodes is picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TieBreak {
    /// Each with the same chance, by a generator that starts from the seed.
    #[default]
    Random,
    /// The one whose name comes first.
    Name,
}

/// A popped pod, to be decided.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// Its place in the line: tickets are committed in this order.
    pub seq: u64,
    /// The pod.
    pub pod: Arc<PodInfo>,
    /// The profile that places it.
    pub profile: usize,
    /// When it was popped.
    pub popped: Time,
    /// The rest of the group that it is decided with.
    pub gang: Option<Gang>,
    /// What extenders said of it and of the rest of its group, where they were asked.
    pub answers: Answers,
}

impl Ticket {
    /// What extenders said of one of its pods, where they were asked.
    pub fn answer(&self, pod: &PodInfo) -> Option<&Answer> {
        self.answers.get(&pod.key.uid).map(|answer| &**answer)
    }
}

/// What a worker says of a pod.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The ticket it answers.
    pub seq: u64,
    /// The epoch of the view it was decided on.
    pub epoch: u64,
    /// The answer; of a group, that to its first pod.
    pub outcome: Outcome,
    /// The answers to the other pods of a group, in their order, as far as they were asked about.
    pub others: Vec<Outcome>,
}

/// The answer to one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on this node.
    Node {
        /// The node's row in the view.
        row: Row,
        /// The node.
        node: Istr,
        /// Its total score; `None` when it was the only one that fitted.
        score: Option<i64>,
    },
    /// It fits nowhere. Pods that are alike share the diagnosis.
    Unfit(Arc<Diagnosis>),
    /// A plugin could not answer, and said this.
    Failed(String),
    /// It fits, and extenders have to be asked where.
    Ask {
        /// The nodes that it fits on.
        nodes: Vec<Istr>,
        /// The one of them that is being cleared for it.
        nominated: Option<Istr>,
    },
}

/// Everything that can be said of a pod and the nodes, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// What came of it. Of a pod that fits nowhere, with what PostFilter said.
    pub outcome: Outcome,
    /// Who turned the pod away before any node was looked at.
    pub pre_filter: Option<RejectedBy>,
    /// The only nodes that PreFilter left, sorted, where it did not leave all.
    pub narrowed: Option<Vec<Istr>>,
    /// What PostFilter did about a pod that fits nowhere.
    pub preemption: Option<PostFiltered>,
    /// Each node in the order of its name: why not, or how good.
    pub nodes: Vec<(Istr, Result<NodeScores, NodeVerdict>)>,
}

/// Decides. Keeps its memory from one decision to the next.
#[derive(Default)]
pub struct Worker {
    pub(crate) scratch: Scratch,
    memo: Memo,
    asked: Asked,
    taken: dry_run::TakenRows,
    mismatch: Option<Box<Mismatch>>,
    batch: Overlay,
    probe: Option<Box<dyn Probe>>,
    policy: EvictionPolicy,
    avoidance: Avoidance,
    tie_break: TieBreak,
    seed: u64,
}

/// Memory that is used again.
#[derive(Default)]
pub(crate) struct Scratch {
    /// By row: the number of the filter that turned the pod away, and its verdict. Valid for infeasible rows only.
    pub(crate) rejected: Vec<(u8, Verdict)>,
    /// By block of 64 rows.
    pub(crate) feasible: Vec<u64>,
    /// Likewise: the feasible rows that are not to be avoided.
    left: Vec<u64>,
    /// Whether some feasible row was left out that is to be avoided, since this was last reset.
    has_left_out: bool,
    totals: Vec<i64>,
    raw: Vec<i64>,
    /// Where scores come by levels.
    sums: levels::Sums,
    /// What counts in every total alike.
    common: i64,
    /// Whether some filter could not answer.
    failed: bool,
    /// How often plugins were asked about one node by itself, beyond what is kept.
    walked: usize,
    /// For passes with nominated pods.
    nominated: Overlay,
    /// For nodes without the pods of lower priority.
    without: Overlay,
}

impl Worker {
    /// A worker that breaks ties like this.
    pub fn new(tie_break: TieBreak, seed: u64) -> Self {
        Self { tie_break, seed, ..Self::default() }
    }

    /// Has PostFilter plugins make only those pods go that the policy allows.
    #[must_use]
    pub fn with_policy(mut self, policy: EvictionPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Keeps what plugins say from one decision to the next, or does not.
    #[must_use]
    pub fn with_memo(mut self, settings: MemoSettings) -> Self {
        self.memo = Memo::new(settings);
        self
    }

    /// Avoids taking up what is to stay free on nodes.
    #[must_use]
    pub fn with_headroom(mut self, headroom: &Headroom) -> Self {
        self.avoidance.set_headroom(headroom);
        self
    }

    /// Whether it takes little to decide this pod, as far as that can be told beforehand.
    pub(crate) fn has_at_hand(&mut self, profile: &Profile, view: &View, pod: &PodInfo) -> bool {
        !profile.asks_about(pod) && pod.nominated_node_name.is_none() && self.memo.has_at_hand(profile, view, pod)
    }

    /// What its memo has been good for.
    pub fn memo_stats(&self) -> MemoStats {
        self.memo.stats
    }

    /// What the last audit found that came out otherwise, if it is not told yet.
    pub fn take_mismatch(&mut self) -> Option<Box<Mismatch>> {
        self.mismatch.take()
    }

    /// Tells `probe` of every decision from now on.
    pub fn set_probe(&mut self, probe: Box<dyn Probe>) {
        self.probe = Some(probe);
    }

    /// Decides pods in their order on one view; each sees those before it where this worker put them.
    pub fn decide_batch(&mut self, profiles: &[Profile], view: &View, tickets: &[Ticket]) -> Vec<Proposal> {
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        let proposals = tickets.iter().map(|ticket| self.decide_ticket(profiles, view, &mut batch, ticket)).collect();
        self.batch = batch;
        proposals
    }

    /// Decides one ticket through an overlay, which then holds what found a place.
    pub(crate) fn decide_ticket(
        &mut self,
        profiles: &[Profile],
        view: &View,
        overlay: &mut Overlay,
        ticket: &Ticket,
    ) -> Proposal {
        let (profile, seq, epoch) = (&profiles[ticket.profile], ticket.seq, view.epoch());
        if let Some(gang) = &ticket.gang {
            let mut pods = vec![&ticket.pod];
            pods.extend(&gang.others);
            let group = Group { pods: &pods, answers: &ticket.answers, needed: gang.needed };
            let mut outcomes = self.decide_gang(profile, view, overlay, &group, seq).into_iter();
            let outcome = outcomes.next().unwrap_or_else(|| Outcome::Unfit(Arc::new(Diagnosis::no_nodes())));
            return Proposal { seq, epoch, outcome, others: outcomes.collect() };
        }
        let proposal = self.decide_alone(profile, view, overlay, ticket);
        if let Outcome::Node { row, .. } = &proposal.outcome {
            overlay.add(view, *row, Arc::clone(&ticket.pod));
        }
        proposal
    }

    /// Decides the ticket of a pod by itself.
    pub(crate) fn decide_alone(
        &mut self,
        profile: &Profile,
        view: &View,
        overlay: &Overlay,
        ticket: &Ticket,
    ) -> Proposal {
        let outcome = self.decide_by(profile, view, overlay, &ticket.pod, ticket.seq, ticket.answer(&ticket.pod));
        Proposal { seq: ticket.seq, epoch: view.epoch(), outcome, others: Vec::new() }
    }

    /// Decides one pod on a view, through an overlay. `draw` tells apart what would otherwise be the same draw.
    pub fn decide(&mut self, profile: &Profile, view: &View, overlay: &Overlay, pod: &PodInfo, draw: u64) -> Outcome {
        self.decide_by(profile, view, overlay, pod, draw, None)
    }

    /// The same by what extenders said of the pod, if they were asked.
    pub(crate) fn decide_by(
        &mut self,
        profile: &Profile,
        view: &View,
        overlay: &Overlay,
        pod: &PodInfo,
        draw: u64,
        answer: Option<&Answer>,
    ) -> Outcome {
        if view.node_count() == 0 {
            return Outcome::Unfit(Arc::new(Diagnosis::no_nodes()));
        }
        self.tell(|probe| probe.begin(profile));
        if let Some(outcome) = self.decide_by_rows(profile, view, overlay, pod, draw) {
            if self.memo.audits_now() {
                return self.audit(profile, view, overlay, pod, draw, outcome);
            }
            return outcome;
        }
        self.decide_afresh(profile, view, overlay, pod, draw, answer)
    }

    /// Decides one pod on a view that has nodes, from nothing.
    fn decide_afresh(
        &mut self,
        profile: &Profile,
        view: &View,
        overlay: &Overlay,
        pod: &PodInfo,
        draw: u64,
        answer: Option<&Answer>,
    ) -> Outcome {
        let unfit = |diagnosis| Outcome::Unfit(Arc::new(diagnosis));
        let prepared = match Prepared::for_pod(profile, view, overlay, pod) {
            PreFiltered::Run(prepared) => prepared,
            PreFiltered::Reject(rejected) => {
                self.tell(|probe| probe.ran(Point::PreFilter, rejected.by.code));
                return Outcome::Unfit(rejected.diagnosis);
            }
            PreFiltered::Fail(message) => {
                self.tell(|probe| probe.ran(Point::PreFilter, Code::Error));
                return Outcome::Failed(message);
            }
        };
        self.tell(|probe| {
            prepared.pre_filters().for_each(|plugin| probe.asked(Point::PreFilter, plugin));
            probe.ran(Point::PreFilter, Code::Success);
            prepared.filters().for_each(|plugin| probe.asked(Point::Filter, plugin));
        });
        let asks = profile.asks_about(pod);
        // There may be answers to other questions only.
        let answer = answer.filter(|answer| answer.rounds > 0);
        let nominated = self.nominated_row(&prepared, view, overlay, pod);
        if let Some(row) = nominated.filter(|row| !asks || passed(view, *row, answer)) {
            return chosen(view, row, None);
        }
        let avoided = self.avoidance.for_pod(view, pod);
        // Extenders were asked about certain nodes, so it is those that are looked for; or those that need not be avoided,
        // which some of the nodes might not have among them.
        let search = match answer {
            None if avoided.is_none() => Search::of(profile, view.node_count(), splitmix(self.seed ^ draw)),
            _ => Search::ALL,
        };
        let mut feasible = self.scratch.search(search, &prepared, view, overlay, pod);
        if let Some(failed) = self.scratch.failure(&prepared, view) {
            self.tell(|probe| {
                probe.ran(Point::Filter, Code::Error);
                probe.failed(Point::Filter, failed.plugin);
            });
            return Outcome::Failed(filter::filter_failed(&failed));
        }
        let code = if feasible > 0 { Code::Success } else { Code::Unschedulable };
        self.tell(|probe| probe.ran(Point::Filter, code));
        let mut extra = Vec::new();
        if asks && (feasible > 0 || nominated.is_some() && answer.is_none()) {
            match self.scratch.extended(&prepared, view, nominated, answer) {
                Ok(passed) => extra = passed,
                Err(outcome) => return outcome,
            }
            feasible = u32::try_from(extra.len()).unwrap_or(u32::MAX);
        }
        if let Some(avoided) = avoided.filter(|_| feasible > 1) {
            feasible = self.scratch.leave_out(&avoided, view, overlay).unwrap_or(feasible);
        }
        match feasible {
            0 => unfit(self.scratch.diagnose(&prepared, view, &[])),
            1 => match rows(&self.scratch.feasible).next() {
                Some(row) => chosen(view, row, None),
                None => unfit(Diagnosis::no_nodes()),
            },
            _ => {
                let scorers = score::taking_part(profile, view, pod);
                self.tell(|probe| {
                    probe.ran(Point::PreScore, Code::Success);
                    scorers.iter().for_each(|s| probe.asked(Point::Score, s.name));
                });
                self.scratch.score(&scorers, view, overlay, pod, None);
                self.scratch.add_extra(&extra);
                self.tell(|probe| probe.ran(Point::Score, Code::Success));
                let (row, score) = self.scratch.select(view, self.tie_break, self.seed ^ draw);
                chosen(view, row, Some(score))
            }
        }
    }

    fn tell(&mut self, what: impl FnOnce(&mut dyn Probe)) {
        if let Some(probe) = &mut self.probe {
            what(&mut **probe);
        }
    }

    /// A pod that a node is being cleared for goes there, if it fits by now, whatever the scores.
    fn nominated_row(&mut self, prepared: &Prepared<'_>, view: &View, overlay: &Overlay, pod: &PodInfo) -> Option<Row> {
        let row = view.row(pod.nominated_node_name.as_ref()?)?;
        self.scratch.rejection(prepared, view, overlay, pod, row).is_none().then_some(row)
    }

    /// Decides one pod and says of every node why not, or how good it is. The pod is taken as it is, on whatever node:
    /// who asks has taken it off the view.
    pub fn explain(&mut self, profile: &Profile, view: &View, pod: &PodInfo) -> Explanation {
        let overlay = Overlay::default();
        let outcome = self.decide(profile, view, &overlay, pod, 0);
        let mut told = Explanation { outcome, pre_filter: None, narrowed: None, preemption: None, nodes: Vec::new() };
        let asked = Prepared::for_pod(profile, view, &overlay, pod);
        match &asked {
            PreFiltered::Run(prepared) => {
                told.narrowed = prepared.only();
                self.scratch.filter(prepared, view, &overlay, pod);
                told.nodes = self.verdicts(profile, prepared, view, pod);
            }
            PreFiltered::Reject(rejected) => told.pre_filter = Some(rejected.by.clone()),
            PreFiltered::Fail(_) => {}
        }
        if let Outcome::Unfit(diagnosis) = &mut told.outcome {
            told.preemption = self.post_filter_alone(profile, view, pod, 0);
            if let Some(done) = &told.preemption {
                Arc::make_mut(diagnosis).post_filter_message.clone_from(&done.message);
            }
        }
        told
    }

    /// What every node says, in the order of their names.
    fn verdicts(
        &mut self,
        profile: &Profile,
        prepared: &Prepared<'_>,
        view: &View,
        pod: &PodInfo,
    ) -> Vec<(Istr, Result<NodeScores, NodeVerdict>)> {
        let mut scores = vec![NodeScores::default(); view.row_limit()];
        let scorers = score::taking_part(profile, view, pod);
        self.scratch.score(&scorers, view, &Overlay::default(), pod, Some(&mut scores));
        let mut nodes = Vec::new();
        for row in view.rows() {
            let Some(node) = view.node(row) else { continue };
            let verdict = match self.scratch.verdict(prepared, view, row) {
                Some(verdict) => Err(verdict),
                None => Ok(std::mem::take(&mut scores[row as usize])),
            };
            nodes.push((node.name.clone(), verdict));
        }
        nodes.sort_by(|a, b| a.0.cmp(&b.0));
        nodes
    }
}

fn chosen(view: &View, row: Row, score: Option<i64>) -> Outcome {
    let node = view.node(row).map(|n| n.name.clone()).unwrap_or_default();
    Outcome::Node { row, node, score }
}
