//! What the plugins say of certain nodes, for somebody else's decision.

use plimsoll_framework::intern::Istr;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::{Row, View};

use super::{NodeScores, NodeVerdict, PreFiltered, Prepared, Worker, filter, score};
use crate::profile::Profile;

impl Worker {
    /// Says of each of these nodes, in their order, why the pod does not fit there, or how good it is among those of them
    /// where it does; `None` of a node that the view does not show.
    ///
    /// # Errors
    /// When a plugin could not answer, with what it said.
    pub fn judge(
        &mut self,
        profile: &Profile,
        view: &View,
        pod: &PodInfo,
        among: &[Istr],
    ) -> Result<Vec<Option<Result<NodeScores, NodeVerdict>>>, String> {
        let among: Vec<Option<Row>> = among.iter().map(|name| view.row(name)).collect();
        let none = Overlay::default();
        let prepared = match Prepared::for_pod(profile, view, &none, pod) {
            PreFiltered::Run(prepared) => prepared,
            PreFiltered::Reject(rejected) => {
                let by = rejected.by;
                let verdict = || NodeVerdict { plugin: by.plugin, code: by.code, reasons: by.reasons.clone() };
                return Ok(among.into_iter().map(|row| row.map(|_| Err(verdict()))).collect());
            }
            PreFiltered::Fail(message) => return Err(message),
        };
        self.scratch.filter(&prepared, view, &none, pod);
        if let Some(failed) = self.scratch.failure(&prepared, view) {
            return Err(filter::filter_failed(&failed));
        }
        let verdicts: Vec<_> =
            among.iter().map(|row| row.map(|row| (row, self.scratch.verdict(&prepared, view, row)))).collect();
        // Normalised over these nodes and no others.
        let mut asked = vec![0_u64; self.scratch.feasible.len()];
        among.iter().flatten().for_each(|row| asked[*row as usize / 64] |= 1 << (row % 64));
        self.scratch.feasible.iter_mut().zip(&asked).for_each(|(lanes, asked)| *lanes &= asked);
        let mut scores = vec![NodeScores::default(); view.row_limit()];
        let scorers = score::taking_part(profile, view, pod);
        self.scratch.score(&scorers, view, &none, pod, Some(&mut scores));
        let answer = |(row, verdict): (Row, Option<NodeVerdict>)| match verdict {
            Some(verdict) => Err(verdict),
            None => Ok(scores[row as usize].clone()),
        };
        Ok(verdicts.into_iter().map(|verdict| verdict.map(answer)).collect())
    }
}
