//! Deciding a group of pods: one after the other, each as if those before it were there already (reference section 8.5).

use std::sync::Arc;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::View;

use super::{Outcome, Worker};
use crate::profile::Profile;

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
    /// Which of its pods would go where, by their number.
    pub seats: Vec<(usize, Istr)>,
    /// Who has to go for that, from which node; those included that are leaving already.
    pub victims: Vec<(Istr, Arc<PodInfo>)>,
}

impl Worker {
    /// Looks for room for a whole group: where a pod of it finds no place, PostFilter is asked which pods would have to go
    /// for it, and those that come after see them gone. `None` where so many as are needed could not be placed even so;
    /// then nobody has to go for any of them.
    pub(crate) fn plan_gang(
        &mut self,
        profile: &Profile,
        view: &View,
        pods: &[Arc<PodInfo>],
        needed: usize,
        draw: u64,
    ) -> Option<GangPlan> {
        let (mut overlay, mut plan) = (Overlay::default(), GangPlan::default());
        for (nth, pod) in pods.iter().enumerate() {
            if plan.seats.len() + pods.len() - nth < needed {
                return None;
            }
            let draw = draw ^ (u64::try_from(nth).unwrap_or(0) << 40);
            match self.decide(profile, view, &overlay, pod, draw) {
                Outcome::Node { row, node, .. } => {
                    overlay.add(view, row, Arc::clone(pod));
                    plan.seats.push((nth, node));
                }
                // Those beyond the number that is needed are worth nobody's place.
                Outcome::Unfit(_) if plan.seats.len() < needed => {
                    let Some(done) = self.post_filter_through(profile, view, &overlay, pod, draw) else { continue };
                    let Some(node) = done.nominated_node else { continue };
                    let Some(row) = view.rows().find(|row| view.node(*row).is_some_and(|n| n.name == node)) else {
                        continue;
                    };
                    for victim in done.victims {
                        overlay.remove(view, row, Arc::clone(&victim));
                        plan.victims.push((node.clone(), victim));
                    }
                    overlay.add(view, row, Arc::clone(pod));
                    plan.seats.push((nth, node));
                }
                Outcome::Unfit(_) => {}
                Outcome::Failed(_) => return None,
            }
        }
        (plan.seats.len() >= needed).then_some(plan)
    }

    /// Decides the pods of a group in their order, through an overlay, which then holds those that found a place if
    /// they are as many as `needed`, and is as it was before otherwise. It ends where that many cannot be reached any
    /// more, or with the first pod that cannot be decided: then there are fewer answers than pods.
    pub(crate) fn decide_gang<'a>(
        &mut self,
        profile: &Profile,
        view: &View,
        overlay: &mut Overlay,
        pods: impl ExactSizeIterator<Item = &'a Arc<PodInfo>>,
        needed: usize,
        draw: u64,
    ) -> Vec<Outcome> {
        self.tell(|probe| probe.gang_begins());
        let before = overlay.deltas().len();
        let (mut left, mut placed) = (pods.len(), 0);
        let mut outcomes = Vec::with_capacity(left);
        for (nth, pod) in (0..).zip(pods) {
            let outcome = self.decide(profile, view, overlay, pod, draw ^ (nth << 40));
            left -= 1;
            if let Outcome::Node { row, .. } = &outcome {
                overlay.add(view, *row, Arc::clone(pod));
                placed += 1;
            }
            let failed = matches!(outcome, Outcome::Failed(_));
            outcomes.push(outcome);
            if failed || placed + left < needed {
                take_back(overlay, view, before);
                break;
            }
        }
        self.tell(|probe| probe.gang_ended());
        outcomes
    }
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
