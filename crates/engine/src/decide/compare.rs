//! A decision beside the node that somebody else has chosen.

use plimsoll_framework::intern::Istr;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::{Row, View};

use super::{NodeVerdict, Outcome, PreFiltered, Prepared, Worker, filter, score};
use crate::profile::Profile;
use crate::shadow::{Compared, Scores};

impl Worker {
    /// Decides a pod, and says what is to be said of the node `theirs`. It is nobody's attempt, so no probe is told.
    pub(crate) fn compare(
        &mut self,
        profile: &Profile,
        view: &View,
        pod: &PodInfo,
        draw: u64,
        theirs: &Istr,
    ) -> Compared {
        let probe = self.probe.take();
        let outcome = self.decide(profile, view, &Overlay::default(), pod, draw);
        self.probe = probe;
        match outcome {
            Outcome::Node { node, .. } if node == *theirs => Compared::Same,
            Outcome::Node { row, node, .. } => self.compare_with(profile, view, pod, Some((row, node)), theirs),
            Outcome::Unfit(_) => self.compare_with(profile, view, pod, None, theirs),
            Outcome::Failed(message) => Compared::Undecided(message),
            Outcome::Ask { .. } => Compared::Undecided("extenders have a say".to_owned()),
        }
    }

    /// What is to be said of `theirs` where it is not the node that was chosen here.
    fn compare_with(
        &mut self,
        profile: &Profile,
        view: &View,
        pod: &PodInfo,
        ours: Option<(Row, Istr)>,
        theirs: &Istr,
    ) -> Compared {
        let none = Overlay::default();
        let infeasible = |ours: Option<(Row, Istr)>, by| Compared::Infeasible { ours: ours.map(|(_, node)| node), by };
        let prepared = match Prepared::for_pod(profile, view, &none, pod) {
            PreFiltered::Run(prepared) => prepared,
            PreFiltered::Reject(rejected) => {
                let by = rejected.by;
                return infeasible(ours, NodeVerdict { plugin: by.plugin, code: by.code, reasons: by.reasons });
            }
            PreFiltered::Fail(message) => return Compared::Undecided(message),
        };
        let Some(row) = view.row(theirs) else { return Compared::Undecided("its node is not known here".to_owned()) };
        self.scratch.filter(&prepared, view, &none, pod);
        if let Some(failed) = self.scratch.failure(&prepared, view) {
            return Compared::Undecided(filter::filter_failed(&failed));
        }
        if let Some(by) = self.scratch.verdict(&prepared, view, row) {
            return infeasible(ours, by);
        }
        // What is chosen fits, but for a node that was kept for the pod past what PreFilter leaves: that has no score.
        let ours = ours.filter(|(row, _)| self.scratch.verdict(&prepared, view, *row).is_none());
        let Some((our_row, ours)) = ours else { return Compared::Undecided("no node to compare it with".to_owned()) };
        let scorers = score::taking_part(profile, view, pod);
        let parts = self.scratch.score_of_two(&scorers, view, pod, [our_row, row]);
        let (our_score, their_score) = parts.iter().fold((0, 0), |(a, b), (_, our, their)| (a + our, b + their));
        let scores = || Scores { ours: ours.clone(), our_score, their_score, differences: differing(&parts) };
        match their_score.cmp(&our_score) {
            std::cmp::Ordering::Equal => Compared::EqualScore { ours },
            std::cmp::Ordering::Greater => Compared::Better(scores()),
            std::cmp::Ordering::Less => Compared::Worse(scores()),
        }
    }
}

fn differing(parts: &[(&'static str, i64, i64)]) -> Vec<(&'static str, i64, i64)> {
    parts.iter().copied().filter(|(_, our, their)| our != their).collect()
}
