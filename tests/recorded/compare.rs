//! What was recorded and what we say, in one form.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_engine::decide::{Explanation, Outcome};
use serde::Deserialize;

/// What was recorded. Fields that are not there are no part of the answer.
#[derive(Deserialize, Debug, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Expect {
    pub(crate) config_error: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) pre_filter: Option<Rejection>,
    pub(crate) pre_filter_nodes: Option<BTreeSet<String>>,
    pub(crate) feasible: Option<usize>,
    #[serde(default)]
    pub(crate) nodes: BTreeMap<String, Node>,
    pub(crate) best: Option<Vec<String>>,
    pub(crate) message: Option<String>,
    pub(crate) preemption: Option<Preemption>,
}

#[derive(Deserialize, Debug, PartialEq, Clone)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rejection {
    pub(crate) code: String,
    pub(crate) plugin: String,
    pub(crate) reasons: BTreeSet<String>,
}

#[derive(Deserialize, Debug, PartialEq, Clone, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct Node {
    pub(crate) code: String,
    pub(crate) plugin: Option<String>,
    #[serde(default)]
    pub(crate) reasons: BTreeSet<String>,
    #[serde(default)]
    pub(crate) scores: BTreeMap<String, i64>,
    pub(crate) total: Option<i64>,
}

#[derive(Deserialize, Debug, PartialEq, Clone)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Preemption {
    pub(crate) code: String,
    /// Empty where an earlier nomination is taken back; absent where it stays as it is.
    pub(crate) nominated_node: Option<String>,
    pub(crate) victims: Vec<String>,
}

/// What we say.
#[derive(Debug, PartialEq, Default)]
pub(crate) struct Told {
    config_error: Option<String>,
    error: Option<String>,
    pre_filter: Option<Rejection>,
    pre_filter_nodes: Option<BTreeSet<String>>,
    nodes: BTreeMap<String, Node>,
    best: Vec<String>,
    chosen: Option<String>,
    message: Option<String>,
    preemption: Option<Preemption>,
}

impl Told {
    pub(crate) fn refused(error: String) -> Self {
        Self { config_error: Some(error), ..Self::default() }
    }

    /// How many scores it gives.
    pub(crate) fn scores(&self) -> usize {
        self.nodes.values().map(|n| n.scores.len()).sum()
    }

    /// Every field in which this is not what was recorded, with the node and the plugin.
    pub(crate) fn differences(&self, expect: &Expect) -> Vec<String> {
        let mut all = Vec::new();
        let mut differ = |what: &str, expected: &dyn std::fmt::Debug, got: &dyn std::fmt::Debug| {
            all.push(format!("{what}: expected {expected:?}, got {got:?}"));
        };
        if expect.config_error.is_some() != self.config_error.is_some() {
            differ("configError", &expect.config_error, &self.config_error);
        }
        if expect.error != self.error {
            differ("error", &expect.error, &self.error);
        }
        if expect.config_error.is_some() || expect.error.is_some() {
            return all;
        }
        if expect.pre_filter != self.pre_filter {
            differ("preFilter", &expect.pre_filter, &self.pre_filter);
        }
        if expect.pre_filter_nodes != self.pre_filter_nodes {
            differ("preFilterNodes", &expect.pre_filter_nodes, &self.pre_filter_nodes);
        }
        let feasible = self.nodes.values().filter(|n| n.code == "Success").count();
        if expect.feasible != Some(feasible) {
            differ("feasible", &expect.feasible, &feasible);
        }
        let names: BTreeSet<&String> = expect.nodes.keys().chain(self.nodes.keys()).collect();
        for name in names {
            let (expected, got) = (expect.nodes.get(name), self.nodes.get(name));
            if expected == got {
                continue;
            }
            let (Some(expected), Some(got)) = (expected, got) else {
                differ(name, &expected, &got);
                continue;
            };
            let said = |n: &Node| (n.code.clone(), n.plugin.clone(), n.reasons.clone());
            if said(expected) != said(got) {
                differ(name, &said(expected), &said(got));
            }
            let plugins: BTreeSet<&String> = expected.scores.keys().chain(got.scores.keys()).collect();
            for plugin in plugins.into_iter().filter(|p| expected.scores.get(*p) != got.scores.get(*p)) {
                differ(&format!("{name} {plugin}"), &expected.scores.get(plugin), &got.scores.get(plugin));
            }
            if expected.total != got.total {
                differ(&format!("{name} total"), &expected.total, &got.total);
            }
        }
        if let Some(best) = expect.best.as_ref().filter(|best| **best != self.best) {
            differ("best", best, &self.best);
        }
        if let (Some(best), Some(chosen)) = (&expect.best, &self.chosen) {
            if !best.contains(chosen) {
                differ("chosen", best, chosen);
            }
        } else if expect.best.is_some() != self.chosen.is_some() {
            differ("chosen", &expect.best, &self.chosen);
        }
        // Left out where kube-scheduler's own answer is no decision.
        if expect.message.is_some() && expect.message != self.message {
            differ("message", &expect.message, &self.message);
        }
        if expect.preemption.is_some() && expect.preemption != self.preemption {
            differ("preemption", &expect.preemption, &self.preemption);
        }
        all
    }

    /// The same for whatever the recording leaves open.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        let decided = |t: &Self| (t.error.clone(), t.pre_filter.clone(), t.pre_filter_nodes.clone(), t.best.clone());
        decided(self) == decided(other) && self.nodes == other.nodes && self.message == other.message
    }
}

/// What an explanation says.
pub(crate) fn told_by(explanation: &Explanation) -> Told {
    let rejection = explanation.pre_filter.as_ref().map(|by| Rejection {
        code: by.code.to_string(),
        plugin: by.plugin.to_owned(),
        reasons: by.reasons.iter().cloned().collect(),
    });
    let mut told = Told { pre_filter: rejection, ..Told::default() };
    told.pre_filter_nodes = explanation.narrowed.as_ref().map(|names| names.iter().map(ToString::to_string).collect());
    for (name, verdict) in &explanation.nodes {
        let node = match verdict {
            Ok(scores) => Node {
                code: "Success".to_owned(),
                scores: scores.plugins.iter().map(|(plugin, score)| ((*plugin).to_owned(), *score)).collect(),
                total: Some(scores.total),
                ..Node::default()
            },
            Err(verdict) => Node {
                code: verdict.code.to_string(),
                plugin: Some(verdict.plugin.to_owned()).filter(|p| !p.is_empty()),
                reasons: verdict.reasons.iter().cloned().collect(),
                ..Node::default()
            },
        };
        told.nodes.insert(name.to_string(), node);
    }
    let highest = told.nodes.values().filter_map(|n| n.total).max();
    told.best =
        told.nodes.iter().filter(|(_, n)| n.total.is_some() && n.total == highest).map(|(n, _)| n.clone()).collect();
    match &explanation.outcome {
        Outcome::Node { node, .. } => told.chosen = Some(node.to_string()),
        Outcome::Unfit(diagnosis) => told.message = Some(diagnosis.message()),
        Outcome::Failed(message) => told.error = Some(message.clone()),
        Outcome::Ask { .. } => told.error = Some("extenders are to be asked".to_owned()),
    }
    told.preemption = explanation.preemption.as_ref().map(|done| {
        // Those that are leaving already are not evicted again.
        let mut victims: Vec<String> =
            done.victims.iter().filter(|v| !v.terminating).map(|v| v.key.to_string()).collect();
        victims.sort();
        let cleared = || done.clears_nomination.then(String::new);
        let nominated_node = done.nominated_node.as_ref().map(ToString::to_string).or_else(cleared);
        Preemption { code: done.code.to_string(), nominated_node, victims }
    });
    told
}
