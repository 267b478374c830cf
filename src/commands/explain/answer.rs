//! The answer for machines: the form in which kube-scheduler's own decisions are recorded (tests/golden/README.md).

use plimsoll_engine::decide::{Explanation, NodeScores, NodeVerdict, Outcome};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::table::View;
use serde_json::{Map, Value, json};

use super::subject::Answer;

/// The answer as one object.
pub(super) fn golden(answer: &Answer, _view: &View) -> Value {
    match answer {
        Answer::Failed(text) => json!({"error": text}),
        Answer::Decided(explanation) => decided(explanation),
    }
}

fn decided(explanation: &Explanation) -> Value {
    let best = best(explanation);
    let feasible = explanation.nodes.iter().filter(|(_, verdict)| verdict.is_ok()).count();
    let nodes: Map<String, Value> =
        explanation.nodes.iter().map(|(name, verdict)| (name.to_string(), node(verdict))).collect();
    let mut value = json!({"feasible": feasible, "nodes": nodes});
    if let Outcome::Unfit(diagnosis) = &explanation.outcome {
        value["message"] = diagnosis.message().into();
    } else {
        value["best"] = best.iter().map(|name| name.as_str()).collect();
    }
    value
}

fn node(verdict: &Result<NodeScores, NodeVerdict>) -> Value {
    match verdict {
        Ok(scores) => {
            let plugins: Map<String, Value> =
                scores.plugins.iter().map(|(plugin, score)| ((*plugin).to_owned(), (*score).into())).collect();
            json!({"code": "Success", "scores": plugins, "total": scores.total})
        }
        Err(verdict) => {
            let mut reasons = verdict.reasons.clone();
            reasons.sort();
            let mut value = json!({"code": verdict.code.as_str(), "reasons": reasons});
            if !verdict.plugin.is_empty() {
                value["plugin"] = verdict.plugin.into();
            }
            value
        }
    }
}

/// The nodes with the highest total, by name.
pub(super) fn best(explanation: &Explanation) -> Vec<&Istr> {
    let totals = || explanation.nodes.iter().filter_map(|(name, verdict)| Some((name, verdict.as_ref().ok()?.total)));
    let highest = totals().map(|(_, total)| total).max();
    totals().filter(|(_, total)| Some(*total) == highest).map(|(name, _)| name).collect()
}
