//! Pods of ours that kubelets refuse: somebody else was faster, or knows more. Their nodes are avoided for a while, until
//! what is not seen here yet is seen.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::KubeletRefusal;
use plimsoll_framework::time::Time;

use super::Engine;
use crate::effect::Observation;

/// The nodes that are avoided, each until its time.
#[derive(Debug, Default)]
pub(super) struct Cooling {
    until: HashMap<Istr, Time>,
    ends: BTreeSet<(Time, Istr)>,
}

impl Cooling {
    /// When the next of them is not avoided any more.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.ends.first().map(|(at, _)| *at)
    }

    fn begin(&mut self, node: &Istr, until: Time) {
        self.end(node);
        self.until.insert(node.clone(), until);
        self.ends.insert((until, node.clone()));
    }

    /// A node is not avoided any more, or is gone.
    pub(super) fn end(&mut self, node: &Istr) {
        if let Some(until) = self.until.remove(node) {
            self.ends.remove(&(until, node.clone()));
        }
    }

    fn pop(&mut self, now: Time) -> Option<Istr> {
        let node = self.ends.first().filter(|(at, _)| *at <= now)?.1.clone();
        self.end(&node);
        Some(node)
    }
}

impl Engine {
    /// A kubelet has refused a pod.
    pub(super) fn refused_by_kubelet(&mut self, now: Time, refusal: &KubeletRefusal) {
        let KubeletRefusal { key, node, kind, message } = refusal;
        tracing::warn!(pod = %key, uid = %key.uid, %node, reason = kind.as_str(), %message, "a kubelet has refused a pod");
        self.observations.push(Observation::RefusedByKubelet { kind: kind.as_str() });
        let cooldown = self.settings.refusal_cooldown;
        // What is said of a node that is gone, or not known yet, is for no decision.
        let row = self.cache.table().view().row(node).filter(|_| !cooldown.is_zero());
        if let Some(row) = row {
            self.cooling.begin(node, now.after(cooldown));
            self.cache.table_mut().avoid(row, true);
        }
    }

    /// Nodes whose time is over are chosen again like any other. Nobody has waited for that: whoever found no other place
    /// was placed there.
    pub(super) fn end_cooling(&mut self, now: Time) {
        while let Some(node) = self.cooling.pop(now) {
            let row = self.cache.table().row(&node);
            row.into_iter().for_each(|row| self.cache.table_mut().avoid(row, false));
        }
    }
}
