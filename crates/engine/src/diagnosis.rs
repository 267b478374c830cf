//! Why a pod fits nowhere (reference section 9.3).

use std::collections::BTreeMap;

use plimsoll_framework::verdict::Code;

use crate::queue::{PluginSet, Rejectors};

/// What came of a search that found no node.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Diagnosis {
    /// How many nodes there were.
    pub node_count: usize,
    /// The message of a PreFilter plugin that turned the pod away everywhere.
    pub pre_filter_message: Option<String>,
    /// How many nodes gave each reason.
    pub reasons: BTreeMap<String, usize>,
    /// The plugins that turned the pod away.
    pub unschedulable_plugins: PluginSet,
    /// Those of them that wait for something particular.
    pub pending_plugins: PluginSet,
    /// What PostFilter had to say.
    pub post_filter_message: String,
}

impl Diagnosis {
    /// There was no node at all: an error rather than a rejection, so that the pod comes back by itself.
    pub fn no_nodes() -> Self {
        Self::default()
    }

    /// One plugin turned the pod away after its node was chosen.
    pub fn rejected_at_node(plugin: &'static str, code: Code, reason: String) -> Self {
        let mut diagnosis = Self { node_count: 1, ..Self::default() };
        diagnosis.reasons.insert(reason, 1);
        diagnosis.note(plugin, code);
        diagnosis
    }

    /// Notes who turned the pod away.
    pub fn note(&mut self, plugin: &'static str, code: Code) {
        self.unschedulable_plugins.insert(plugin);
        if code == Code::Pending {
            self.pending_plugins.insert(plugin);
        }
    }

    /// So many nodes turned the pod away by a plugin, for these reasons.
    pub fn count(&mut self, plugin: &'static str, code: Code, reasons: Vec<String>, nodes: usize) {
        for reason in reasons {
            *self.reasons.entry(reason).or_default() += nodes;
        }
        if !plugin.is_empty() {
            self.note(plugin, code);
        }
    }

    /// What it takes up, about.
    pub(crate) fn bytes(&self) -> usize {
        let reasons = self.reasons.keys().map(|reason| reason.capacity() + size_of::<(String, usize)>());
        size_of::<Self>() + reasons.sum::<usize>()
    }

    /// The sets the queue needs.
    pub fn rejectors(&self) -> Rejectors {
        Rejectors {
            unschedulable: self.unschedulable_plugins.clone(),
            pending: self.pending_plugins.clone(),
            ..Rejectors::default()
        }
    }

    /// The message of the condition and the event, letter for letter kube-scheduler's.
    pub fn message(&self) -> String {
        if self.node_count == 0 {
            return "no nodes available to schedule pods".to_owned();
        }
        let mut text = format!("0/{} nodes are available:", self.node_count);
        if let Some(message) = &self.pre_filter_message {
            text.push_str(&format!(" {message}."));
        } else if !self.reasons.is_empty() {
            // Sorted as text, counts included: "10 x" comes before "2 y".
            let mut parts: Vec<String> =
                self.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            parts.sort();
            text.push_str(&format!(" {}.", parts.join(", ")));
        }
        if !self.post_filter_message.is_empty() {
            text.push_str(&format!(" {}", self.post_filter_message));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_kube_schedulers() {
        let reasons = |list: &[(&str, usize)]| list.iter().map(|(r, n)| ((*r).to_owned(), *n)).collect();
        let rows = [
            (Diagnosis::no_nodes(), "no nodes available to schedule pods"),
            (
                Diagnosis { node_count: 12, reasons: reasons(&[("b", 2), ("a", 10)]), ..Diagnosis::default() },
                "0/12 nodes are available: 10 a, 2 b.",
            ),
            (
                Diagnosis {
                    node_count: 3,
                    pre_filter_message: Some("pod affinity terms conflict".to_owned()),
                    post_filter_message: "preemption: nothing.".to_owned(),
                    ..Diagnosis::default()
                },
                "0/3 nodes are available: pod affinity terms conflict. preemption: nothing.",
            ),
            (Diagnosis { node_count: 3, ..Diagnosis::default() }, "0/3 nodes are available:"),
        ];
        for (diagnosis, expect) in rows {
            assert_eq!(diagnosis.message(), expect);
        }
    }
}
