//! Deciding a group of pods: one after the other, each as if those before it were there already (reference section 8.5).

use std::sync::Arc;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::{Row, View};

use super::{Outcome, Worker};
use crate::extender::{Answer, Answers, NodeAnswer};
use crate::profile::Profile;
use crate::queue::PluginSet;

/// The rest of a group, on the ticket of its first pod.
#[derive(Clone, Debug)]
pub struct Gang {
    /// The other pods, in the order in which they are decided.
    pub others: Vec<Arc<PodInfo>>,
    /// How many of all of them have to find a place for any to get one.
    pub needed: usize,
}

/// How a group could be placed at the cost of pods of lower priority.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GangPlan {
    /// A place for each of its pods that would get one.
    pub seats: Vec<Seat>,
}

/// A place for one pod of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Seat {
    /// Which pod, by its number.
    pub pod: usize,
    /// The node it would go to.
    pub node: Istr,
    /// Who has to leave that node for it, those included that are leaving already; the most important one first.
    pub victims: Vec<Arc<PodInfo>>,
}

/// A group to be decided.
pub(crate) struct Group<'a> {
    /// Its pods, in their order.
    pub(crate) pods: &'a [&'a Arc<PodInfo>],
    /// What extenders said of them.
    pub(crate) answers: &'a Answers,
    /// How many have to find a place for any to get one.
    pub(crate) needed: usize,
}

impl Group<'_> {
    fn answer(&self, pod: &PodInfo) -> Option<&Answer> {
        self.answers.get(&pod.key.uid).map(|answer| &**answer)
    }
}

impl GangPlan {
    /// Everybody who has to go.
    pub fn victims(&self) -> impl Iterator<Item = &Arc<PodInfo>> {
        self.seats.iter().flat_map(|seat| &seat.victims)
    }
}

impl Worker {
    /// Looks for room for a whole group: where a pod of it finds no place, PostFilter is asked which pods would have to go
    /// for it, and those that come after see them gone. Extenders are not asked: what they said of nodes counts, and others
    /// are taken to pass. No node is avoided. The error, where so many as are needed could not be placed even so, names the
    /// plugins that forbade pods to go; then nobody has to go for any of them.
    pub(crate) fn plan_gang(
        &mut self,
        profile: &Profile,
        view: &View,
        group: &Group<'_>,
        draw: u64,
    ) -> Result<GangPlan, PluginSet> {
        let avoided = self.avoidance.suspend(true);
        let plan = self.plan_with_victims(profile, view, group, draw);
        self.avoidance.suspend(avoided);
        plan
    }

    /// The same with what is avoided at the moment.
    fn plan_with_victims(
        &mut self,
        profile: &Profile,
        view: &View,
        group: &Group<'_>,
        draw: u64,
    ) -> Result<GangPlan, PluginSet> {
        let (pods, needed) = (group.pods, group.needed);
        let (mut overlay, mut plan) = (Overlay::default(), GangPlan::default());
        let mut forbidden_by = PluginSet::default();
        for (nth, pod) in pods.iter().enumerate() {
            if plan.seats.len() + pods.len() - nth < needed {
                return Err(forbidden_by);
            }
            let draw = draw ^ (u64::try_from(nth).unwrap_or(0) << 40);
            let answer = profile.asks_about(pod).then(|| Answer::leniently(group.answer(pod)));
            match self.decide_by(profile, view, &overlay, pod, draw, answer.as_ref()) {
                Outcome::Node { row, node, .. } => {
                    overlay.add(view, row, Arc::clone(pod));
                    plan.seats.push(Seat { pod: nth, node, victims: Vec::new() });
                }
                // Those beyond the number that is needed are worth nobody's place.
                Outcome::Unfit(_) if plan.seats.len() < needed => {
                    let Some(done) = self.post_filter_through(profile, view, &overlay, pod, draw) else { continue };
                    done.forbidden_by.into_iter().for_each(|plugin| forbidden_by.insert(plugin));
                    let Some(node) = done.nominated_node else { continue };
                    let Some(row) = view.row(&node) else { continue };
                    for victim in &done.victims {
                        overlay.remove(view, row, Arc::clone(victim));
                    }
                    overlay.add(view, row, Arc::clone(pod));
                    plan.seats.push(Seat { pod: nth, node, victims: done.victims });
                }
                Outcome::Unfit(_) => {}
                Outcome::Failed(_) | Outcome::Ask { .. } => return Err(forbidden_by),
            }
        }
        if plan.seats.len() >= needed { Ok(plan) } else { Err(forbidden_by) }
    }

    /// Decides the pods of a group through an overlay, which then holds those that found a place if they are as many as
    /// needed, and is as it was before otherwise. They are tried in their order; if that fails and they differ, once
    /// more with the largest first; and if even so some place was left out that is to be avoided, all of it again with
    /// nothing avoided. The answers are in the pods' order; where not enough found a place there may be fewer.
    ///
    /// A pod that extenders have to be asked about counts, for those behind it, where the plugins alone would put it; the
    /// overlay is as it was before then, too.
    pub(crate) fn decide_gang(
        &mut self,
        profile: &Profile,
        view: &View,
        overlay: &mut Overlay,
        group: &Group<'_>,
        draw: u64,
    ) -> Vec<Outcome> {
        self.tell(|probe| probe.gang_begins());
        let before = overlay.deltas().len();
        self.scratch.has_left_out = false;
        let mut outcomes = self.decide_in_orders(profile, view, overlay, group, draw);
        if self.scratch.has_left_out && count_seated(&outcomes) < group.needed && !has_failed(&outcomes) {
            let avoided = self.avoidance.suspend(true);
            let again = self.decide_in_orders(profile, view, overlay, group, draw);
            self.avoidance.suspend(avoided);
            if count_seated(&again) >= group.needed {
                outcomes = again;
            }
        }
        if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Ask { .. })) {
            take_back(overlay, view, before);
        }
        self.tell(|probe| probe.gang_ended());
        outcomes
    }

    /// Decides the pods of a group in their order, and in another if that fails.
    fn decide_in_orders(
        &mut self,
        profile: &Profile,
        view: &View,
        overlay: &mut Overlay,
        group: &Group<'_>,
        draw: u64,
    ) -> Vec<Outcome> {
        let (pods, needed) = (group.pods, group.needed);
        let mut given: Vec<usize> = (0..pods.len()).collect();
        let mut outcomes = self.decide_in_order(profile, view, overlay, (group, &given), draw);
        let alike = pods.windows(2).all(|pair| matches!(pair, [a, b] if Arc::ptr_eq(&a.spec, &b.spec)));
        if count_seated(&outcomes) < needed && !has_failed(&outcomes) && !alike {
            given.sort_by_key(|at| std::cmp::Reverse(pods.get(*at).map(|pod| size(pod))));
            let again = self.decide_in_order(profile, view, overlay, (group, &given), draw);
            if count_seated(&again) >= needed {
                let mut in_order: Vec<(usize, Outcome)> = given.into_iter().zip(again).collect();
                in_order.sort_by_key(|(at, _)| *at);
                outcomes = in_order.into_iter().map(|(_, outcome)| outcome).collect();
            }
        }
        outcomes
    }

    /// Decides pods in an order, given by their numbers. It ends where as many as are needed cannot be reached any more,
    /// or with the first pod that cannot be decided; then the overlay is as it was.
    fn decide_in_order(
        &mut self,
        profile: &Profile,
        view: &View,
        overlay: &mut Overlay,
        (group, order): (&Group<'_>, &[usize]),
        draw: u64,
    ) -> Vec<Outcome> {
        let before = overlay.deltas().len();
        let (mut left, mut seated) = (order.len(), 0);
        let mut outcomes = Vec::with_capacity(left);
        for (nth, pod) in (0..).zip(order.iter().filter_map(|at| group.pods.get(*at))) {
            let draw = draw ^ (nth << 40);
            let outcome = self.decide_by(profile, view, overlay, pod, draw, group.answer(pod));
            let row = match &outcome {
                Outcome::Node { row, .. } => Some(*row),
                Outcome::Ask { nodes, .. } => self.as_if_passed(profile, view, overlay, pod, (nodes, draw)),
                Outcome::Unfit(_) | Outcome::Failed(_) => None,
            };
            left -= 1;
            if let Some(row) = row {
                overlay.add(view, row, Arc::clone(pod));
            }
            seated += count_seated(std::slice::from_ref(&outcome));
            let failed = matches!(outcome, Outcome::Failed(_));
            outcomes.push(outcome);
            if failed || seated + left < group.needed {
                take_back(overlay, view, before);
                break;
            }
        }
        outcomes
    }

    /// Where a pod would go if extenders let it pass on these nodes and on no others.
    fn as_if_passed(
        &mut self,
        profile: &Profile,
        view: &View,
        overlay: &Overlay,
        pod: &PodInfo,
        (nodes, draw): (&[Istr], u64),
    ) -> Option<Row> {
        let mut answer: Answer = nodes.iter().map(|node| (node.clone(), NodeAnswer::Passed(0))).collect();
        answer.rounds = 1;
        match self.decide_by(profile, view, overlay, pod, draw, Some(&answer)) {
            Outcome::Node { row, .. } => Some(row),
            _ => None,
        }
    }
}

fn has_failed(outcomes: &[Outcome]) -> bool {
    outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed(_)))
}

/// How many pods of a group were given a node.
pub(crate) fn count_placed(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Node { .. })).count()
}

/// The same, with those that extenders have to be asked about.
pub(crate) fn count_seated(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Node { .. } | Outcome::Ask { .. })).count()
}

/// How hard a pod is to place: what is rarest on nodes first.
fn size(pod: &PodInfo) -> (i64, i64, i64) {
    let asked = &pod.spec.requests.filter;
    let devices = asked.scalars.iter().fold(0_i64, |sum, (_, amount)| sum.saturating_add(*amount));
    (devices, asked.milli_cpu, asked.memory_bytes)
}

/// Takes what was added after the first `kept` pods out of an overlay.
fn take_back(overlay: &mut Overlay, view: &View, kept: usize) {
    let deltas: Vec<_> = overlay.deltas().iter().take(kept).cloned().collect();
    overlay.clear();
    for delta in deltas {
        if delta.sign > 0 {
            overlay.add(view, delta.row, delta.pod);
        } else {
            overlay.remove(view, delta.row, delta.pod);
        }
    }
}
