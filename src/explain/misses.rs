//! Of a pod that fits nowhere, the nodes that come nearest: what would have to be different for it to fit there.
//!
//! Nothing is guessed: the pod or the node is changed, the node is asked again, and only what then fits is told.

mod amount;
mod change;

use plimsoll_engine::decide::{NodeVerdict, Worker};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::Row;

use super::{Answer, Subject};
use change::Trial;

/// How many are told.
const TOLD: usize = 5;
/// More rounds of changes than this come near nothing.
const MOST_ROUNDS: usize = 4;
/// Of the nodes that say the same, this many are tried.
const TRIED_OF_A_KIND: usize = 24;

/// Nodes on which the pod would fit after some changes.
pub(super) struct Miss {
    /// The node.
    pub(super) node: Istr,
    /// How many others would take it after the same changes, as far as they were tried.
    pub(super) others: usize,
    /// The changes, as conditions: `it asked for 300m less cpu`.
    pub(super) changes: Vec<String>,
    /// By which parts what the pod asks for would shrink, summed up.
    amount: f64,
}

impl Miss {
    /// As a sentence.
    pub(super) fn text(&self) -> String {
        let node = self.node.as_str();
        let changes: Vec<String> = self.changes.iter().map(|c| c.replace(change::NODE, node)).collect();
        let others = match self.others {
            0 => String::new(),
            1 => " and another node".to_owned(),
            others if others + 1 >= TRIED_OF_A_KIND => " and many other nodes".to_owned(),
            others => format!(" and {others} other nodes"),
        };
        format!("fits on {node}{others} if {}", changes.join(" and "))
    }
}

/// The nearest misses, the nearest first.
pub(super) fn nearest(subject: &mut Subject) -> Vec<Miss> {
    let Answer::Decided(explanation) = &subject.answer else { return Vec::new() };
    let rejected = explanation.nodes.iter().filter_map(|(name, verdict)| Some((name.clone(), verdict.as_ref().err()?)));
    let rows = candidates(subject, rejected);
    let mut worker = Worker::default();
    let tried = rows.into_iter().filter_map(|row| try_node(subject, &mut worker, row));
    ranked(tried.collect())
}

/// The nodes that are worth trying: of those that say the same the first, of those that are full the least full.
fn candidates<'v>(subject: &Subject, rejected: impl Iterator<Item = (Istr, &'v NodeVerdict)>) -> Vec<Row> {
    type Kind<'v> = (&'static str, Vec<&'v String>);
    let mut kinds: std::collections::BTreeMap<Kind<'v>, Vec<(f64, Row)>> = std::collections::BTreeMap::new();
    for (name, verdict) in rejected {
        let Some(row) = subject.world.row(&name) else { continue };
        let mut reasons: Vec<&String> = verdict.reasons.iter().collect();
        reasons.sort();
        let short =
            if verdict.plugin == "NodeResourcesFit" { change::short_by(subject, row, &verdict.reasons) } else { 0.0 };
        kinds.entry((verdict.plugin, reasons)).or_default().push((short, row));
    }
    let nearest = kinds.into_values().flat_map(|mut nodes| {
        // The nodes come by name, and the order among equals stays.
        nodes.sort_by(|a, b| a.0.total_cmp(&b.0));
        nodes.truncate(TRIED_OF_A_KIND);
        nodes
    });
    nearest.map(|(_, row)| row).collect()
}

/// Changes the pod, or the node, until the pod fits there; `None` where that is out of reach.
fn try_node(subject: &mut Subject, worker: &mut Worker, row: Row) -> Option<Miss> {
    let node = std::sync::Arc::clone(subject.view().node(row)?);
    let mut trial = Trial::new(subject.pod.clone(), NodeInfo::clone(&node));
    for _ in 0..=MOST_ROUNDS {
        let Err(by) = ask(subject, worker, row, &trial.pod, &trial.node) else {
            let Trial { changes, amount, .. } = trial;
            return (!changes.is_empty()).then(|| Miss { node: node.name.clone(), others: 0, changes, amount });
        };
        trial = if by.plugin == "PodTopologySpread" {
            let node = trial.node.clone();
            trial.without_spread(&mut |pod| ask(subject, worker, row, pod, &node).map_err(|by| by.plugin))?
        } else {
            trial.change(subject, row, &by)?
        };
    }
    None
}

/// Asks about a pod on a node that may be another than it is.
fn ask(
    subject: &mut Subject,
    worker: &mut Worker,
    row: Row,
    pod: &PodInfo,
    node: &NodeInfo,
) -> Result<(), plimsoll_framework::plugin::RejectedBy> {
    let real = subject.view().node(row).cloned();
    let changed = real.as_deref() != Some(node);
    if changed {
        subject.world.set_node(std::sync::Arc::new(node.clone()));
    }
    let answer = worker.fits_on(subject.profile(), subject.world.view(), pod, row);
    if let Some(real) = real.filter(|_| changed) {
        subject.world.set_node(real);
    }
    answer
}

/// The nearest first; those with the same changes together.
fn ranked(mut misses: Vec<Miss>) -> Vec<Miss> {
    misses.sort_by(|a, b| {
        let nearer = a.changes.len().cmp(&b.changes.len()).then(a.amount.total_cmp(&b.amount));
        nearer.then_with(|| a.node.cmp(&b.node))
    });
    let mut told: Vec<Miss> = Vec::new();
    for miss in misses {
        match told.iter_mut().find(|known| known.changes == miss.changes) {
            Some(known) => known.others += 1,
            None => told.push(miss),
        }
    }
    told.truncate(TOLD);
    told
}
