//! What extenders said, laid over what the plugins say now (reference section 9.2).

use std::sync::Arc;

use plimsoll_framework::table::{Row, View};
use plimsoll_framework::verdict::Code;

use super::score::rows;
use super::{Outcome, Prepared, Scratch};
use crate::extender::{Answer, EXTENDER, NodeAnswer};

/// How often extenders are asked in one attempt. They are asked again where the nodes that they passed have no room any
/// more and others have some.
const MOST_ROUNDS: u32 = 3;

/// Whether extenders were asked about the node of a row and let it pass.
pub(super) fn passed(view: &View, row: Row, answer: Option<&Answer>) -> bool {
    let said = view.node(row).zip(answer).and_then(|(node, answer)| answer.of(&node.name));
    matches!(said, Some(NodeAnswer::Passed(_)))
}

impl Scratch {
    /// Leaves of the feasible nodes those that extenders let pass. Gives these with what is added to their scores, of
    /// which there is at least one; or what else comes of the decision.
    pub(super) fn extended(
        &mut self,
        prepared: &Prepared<'_>,
        view: &View,
        nominated: Option<Row>,
        answer: Option<&Answer>,
    ) -> Result<Vec<(Row, i64)>, Outcome> {
        let nominated = nominated.and_then(|row| Some((row, view.node(row)?.name.clone())));
        let Some(answer) = answer else {
            // The way to a nominated node leads past what PreFilter leaves of the nodes.
            let extra = nominated.as_ref().map(|(row, _)| *row).filter(|row| !self.is_feasible(*row));
            let nodes = rows(&self.feasible).chain(extra).filter_map(|row| Some(view.node(row)?.name.clone()));
            return Err(Outcome::Ask { nodes: nodes.collect(), nominated: nominated.map(|(_, name)| name) });
        };
        let (mut passed, mut refused, mut unasked) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows(&self.feasible) {
            let Some(node) = view.node(row) else { continue };
            match answer.of(&node.name) {
                Some(NodeAnswer::Passed(score)) => passed.push((row, *score)),
                Some(refusal) => refused.push((row, refusal)),
                None => unasked.push(node.name.clone()),
            }
        }
        if !passed.is_empty() {
            self.feasible.fill(0);
            passed.iter().for_each(|(row, _)| self.feasible[*row as usize / 64] |= 1 << (row % 64));
            return Ok(passed);
        }
        if !unasked.is_empty() {
            return Err(if answer.rounds < MOST_ROUNDS {
                Outcome::Ask { nodes: unasked, nominated: None }
            } else {
                Outcome::Failed(format!(
                    "the nodes with room for the pod changed {MOST_ROUNDS} times while extenders were asked"
                ))
            });
        }
        let rows: Vec<Row> = refused.iter().map(|(row, _)| *row).collect();
        let mut diagnosis = self.diagnose(prepared, view, &rows);
        diagnosis.note(EXTENDER, Code::Unschedulable);
        for (_, refusal) in refused {
            if let NodeAnswer::Failed { reason, .. } = refusal {
                *diagnosis.reasons.entry(reason.clone()).or_default() += 1;
            }
        }
        Err(Outcome::Unfit(Arc::new(diagnosis)))
    }

    /// Adds what extenders gave to the totals.
    pub(super) fn add_extra(&mut self, extra: &[(Row, i64)]) {
        for (row, score) in extra {
            let total = &mut self.totals[*row as usize];
            *total = total.saturating_add(*score);
        }
    }

    fn is_feasible(&self, row: Row) -> bool {
        self.feasible.get(row as usize / 64).is_some_and(|lanes| lanes >> (row % 64) & 1 == 1)
    }
}
