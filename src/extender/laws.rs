//! What holds of every answer of an extender.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use plimsoll_framework::intern::Istr;
use serde_json::value::RawValue;

use super::add_scores;
use super::wire::{
    BindingResult, FilterAnswer, FilterResult, HostPriority, HostScore, MetaPod, MetaVictims, PreemptArgs,
    PreemptResult, Reasons, Victims, decode,
};

/// What is read and written out again is read as the same, and no score is too great.
pub(crate) fn answers(data: &[u8]) {
    if let Ok(result) = decode::<FilterResult>(data) {
        filter(&result);
    }
    if let Ok(Some(scores)) = decode::<Option<Vec<HostPriority>>>(data) {
        prioritize(scores);
    }
    let refused = decode::<BindingResult>(data).ok().and_then(|result| result.error);
    let as_filter = decode::<FilterResult>(data).ok().and_then(|result| result.error);
    if let (Some(refused), Some(as_filter)) = (refused, as_filter) {
        assert_eq!(refused, as_filter, "an error is read alike in all answers");
    }
    if let Ok(result) = decode::<PreemptResult>(data) {
        preempt(result);
    }
}

fn filter(result: &FilterResult) {
    let reasons = |reasons: &Option<Reasons>| -> BTreeMap<String, String> {
        let all = reasons.iter().flatten();
        all.map(|(node, reason)| (node.clone(), reason.clone().unwrap_or_default())).collect()
    };
    let failed = [reasons(&result.failed_nodes), reasons(&result.failed_and_unresolvable_nodes)];
    let answer = FilterAnswer {
        nodes: None,
        node_names: result.node_names.as_ref().map(|names| names.iter().map(|name| &**name).collect()),
        failed_nodes: borrowed(&failed[0]),
        failed_and_unresolvable_nodes: borrowed(&failed[1]),
        error: result.error.clone().unwrap_or_default(),
    };
    let written = serde_json::to_vec(&answer).unwrap_or_default();
    let again = decode::<FilterResult>(&written).expect("what was written can be read");
    assert_eq!(again.node_names, result.node_names);
    assert_eq!([reasons(&again.failed_nodes), reasons(&again.failed_and_unresolvable_nodes)], failed);
    assert_eq!(again.error.unwrap_or_default(), result.error.clone().unwrap_or_default());
}

fn preempt(result: PreemptResult) {
    let uids = |result: PreemptResult| -> Vec<(String, Vec<String>, i64)> {
        let victims = result.victims.into_iter().flatten();
        let of = |victims: MetaVictims| {
            let pods = victims.pods.into_iter().flatten().map(|pod| pod.uid.unwrap_or_default()).collect();
            (pods, victims.num_pdb_violations.unwrap_or(0))
        };
        victims.map(|(node, victims)| (node, of(victims))).map(|(node, (pods, broken))| (node, pods, broken)).collect()
    };
    let given = uids(result);
    let victims = given.iter().map(|(node, pods, broken)| {
        let pods = pods.iter().map(|uid| MetaPod { uid }).collect();
        (&**node, Victims { pods, num_pdb_violations: *broken })
    });
    let pod = RawValue::NULL;
    let call = PreemptArgs { pod, node_name_to_victims: None, node_name_to_meta_victims: Some(victims.collect()) };
    let written = serde_json::to_vec(&call).unwrap_or_default();
    // A question has the form of its answer.
    let again: PreemptResult = decode(&written).expect("what was written can be read");
    assert_eq!(uids(again), given);
}

fn borrowed(reasons: &BTreeMap<String, String>) -> BTreeMap<&str, String> {
    reasons.iter().map(|(node, reason)| (&**node, reason.clone())).collect()
}

fn prioritize(scores: Vec<HostPriority>) {
    let given: Vec<(String, i64)> =
        scores.iter().map(|s| (s.host.clone().unwrap_or_default(), s.score.unwrap_or(0))).collect();
    let written: Vec<HostScore<'_>> = given.iter().map(|(host, score)| HostScore { host, score: *score }).collect();
    let written = serde_json::to_vec(&written).unwrap_or_default();
    let again: Vec<HostPriority> = decode(&written).expect("what was written can be read");
    let again = again.into_iter().map(|s| (s.host.unwrap_or_default(), s.score.unwrap_or(0)));
    assert!(again.eq(given.iter().cloned()), "{given:?}");
    let mut sums: HashMap<Istr, i64> = HashMap::new();
    add_scores(&mut sums, i64::MAX, scores);
    assert!(sums.len() <= given.len());
    assert!(given.iter().all(|(host, _)| sums.contains_key(&Istr::new(host))));
}
