//! The answer for machines: the form in which kube-scheduler's own decisions are recorded (tests/golden/README.md).

use plimsoll_engine::decide::{Explanation, NodeScores, NodeVerdict, Outcome, PostFiltered};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::verdict::Code;
use serde_json::{Map, Value, json};

use super::Answer;

/// The answer as one object.
pub(crate) fn golden(answer: &Answer) -> Value {
    match answer {
        Answer::Failed(text) => json!({"error": text}),
        Answer::Decided(explanation) => decided(explanation),
    }
}

fn decided(explanation: &Explanation) -> Value {
    if let Outcome::Failed(text) = &explanation.outcome {
        return json!({"error": text});
    }
    if let Some(by) = &explanation.pre_filter {
        let rejected = json!({"code": by.code.as_str(), "plugin": by.plugin, "reasons": sorted(&by.reasons)});
        return json!({"feasible": 0, "preFilter": rejected});
    }
    let feasible = explanation.nodes.iter().filter(|(_, verdict)| verdict.is_ok()).count();
    let nodes: Map<String, Value> =
        explanation.nodes.iter().map(|(name, verdict)| (name.to_string(), node(verdict))).collect();
    let mut value = json!({"feasible": feasible, "nodes": nodes});
    if let Some(names) = &explanation.narrowed {
        value["preFilterNodes"] = texts(names);
    }
    match &explanation.outcome {
        // What a plugin that failed would have said is not known, so nothing is said for it.
        Outcome::Unfit(_) if explanation.preemption.as_ref().is_some_and(|p| p.code == Code::Error) => {}
        Outcome::Unfit(diagnosis) => {
            value["message"] = diagnosis.message().into();
            if let Some(done) = &explanation.preemption {
                value["preemption"] = preemption(done);
            }
        }
        Outcome::Node { .. } | Outcome::Failed(_) | Outcome::Ask { .. } => {
            let best: Vec<&Istr> = best(explanation);
            value["best"] = best.into_iter().map(Istr::as_str).collect();
        }
    }
    value
}

fn texts(names: &[Istr]) -> Value {
    names.iter().map(Istr::as_str).collect()
}

fn sorted(reasons: &[String]) -> Vec<&String> {
    let mut reasons: Vec<&String> = reasons.iter().collect();
    reasons.sort();
    reasons
}

fn preemption(done: &PostFiltered) -> Value {
    // Those that are leaving already need not be told to.
    let victims = done.victims.iter().filter(|pod| !pod.terminating);
    let mut victims: Vec<String> = victims.map(|pod| pod.key.to_string()).collect();
    victims.sort();
    let mut value = json!({"code": done.code.as_str(), "victims": victims});
    // No node at all is nominated, or nothing is said of a nomination.
    if done.nominated_node.is_some() || done.clears_nomination {
        value["nominatedNode"] = done.nominated_node.as_ref().map_or("", Istr::as_str).into();
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
            let mut value = json!({"code": verdict.code.as_str(), "reasons": sorted(&verdict.reasons)});
            // Where PreFilter had left the node out, no plugin was asked about it.
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
