//! Objects that nobody should write and somebody will: they are read or refused, and take up no more than they have to.

#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test, a failed step is a failed test")]

mod common;

use common::{node_with, pod};
use plimsoll_framework::api;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSelector;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::PodParser;
use plimsoll_framework::toleration::{Taint, TaintEffect, tolerated};
use serde_json::{Value, json};

/// All that a label may be made of, in a key and a value of the greatest length.
fn label() -> (String, String) {
    let name = "Az0-_.".repeat(10) + "xyz";
    let prefix = vec!["a-1".repeat(21); 4].join(".")[..253].trim_end_matches(['-', '.']).to_owned();
    (format!("{prefix}/{name}"), name)
}

#[test]
fn ten_thousand_tolerations_are_read_and_kept_once() {
    let tolerations: Vec<Value> =
        (0..10_000).map(|i| json!({"key": format!("k{i}"), "operator": "Exists", "effect": "NoSchedule"})).collect();
    let text = json!({"metadata": {"name": "p"}, "spec": {"tolerations": tolerations}}).to_string();
    let mut parser = PodParser::default();
    let mut parse = || parser.parse(&serde_json::from_str(&text).unwrap());
    let (one, other) = (parse(), parse());
    assert!(one.faults.is_none());
    assert!(std::sync::Arc::ptr_eq(&one.spec, &other.spec), "pods that are alike share them");
    let tolerates = |key: &str| tolerated(&one.spec.tolerations, &Taint::new(key, "", TaintEffect::NoSchedule));
    assert_eq!((tolerates("k0"), tolerates("k9999"), tolerates("k10000")), (true, true, false));
}

#[test]
fn a_million_bytes_of_annotation_are_gone_once_the_node_is_read() {
    let long = "x".repeat(1_000_000);
    let json = json!({"metadata": {"name": "n", "annotations": {"long": long, "rack": "r1"}},
                      "status": {"allocatable": {"cpu": "1"}}});
    let node = node_with(&json, &["rack".into()]);
    assert_eq!((node.annotation("rack"), node.annotation("long")), (Some("r1"), None));
    // Somebody's plugin reads it: it is said of the node, which is otherwise what it was.
    let keys: [Istr; 2] = ["long".into(), "rack".into()];
    let (node, faults) = NodeInfo::parse(&serde_json::from_value(json).unwrap(), &keys);
    assert_eq!((node.annotation("rack"), node.annotation("long")), (Some("r1"), None));
    assert_eq!(node.allocatable.milli_cpu, 1_000);
    assert!(faults.to_string().starts_with("metadata.annotations[long]: 1000000 bytes"), "{faults}");
}

#[test]
fn labels_may_have_every_character_there_is() {
    let (key, value) = label();
    assert_eq!((key.len(), value.len()), (253 + 1 + 63, 63));
    let labels = json!({ (key.clone()): value, "UPPER.lower_0-9": "", "é": "never, but who knows\u{0}\"" });
    let (pod, node) = (pod(&json!({"metadata": {"name": "p", "labels": labels}})), {
        node_with(&json!({"metadata": {"name": "n", "labels": labels}}), &[])
    });
    for expect in [true, false] {
        let wanted = if expect { value.clone() } else { value.to_lowercase() };
        let selector: api::LabelSelector = serde_json::from_value(json!({
            "matchLabels": {(key.clone()): wanted},
            "matchExpressions": [{"key": "UPPER.lower_0-9", "operator": "In", "values": [""]},
                                 {"key": "é", "operator": "Exists"}]}))
        .unwrap();
        let selector = LabelSelector::compile(&selector).unwrap();
        assert_eq!((selector.matches(&pod.labels), selector.matches(&node.labels)), (expect, expect));
    }
}

#[test]
fn what_is_said_of_a_pod_is_no_longer_than_a_message_may_be() {
    let long = "é".repeat(1 << 20);
    let containers: Vec<Value> =
        (0..100).map(|_| json!({"resources": {"requests": {"cpu": long, (long.clone()): "1x"}}})).collect();
    let text = json!({"metadata": {"name": "p"}, "spec": {
        "containers": containers,
        "topologySpreadConstraints": [{"whenUnsatisfiable": long}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": long, "operator": long}]}]}}}}});
    let pod = PodParser::default().parse(&serde_json::from_value(text).unwrap());
    let said = pod.faults.unwrap().to_string();
    assert!(said.starts_with("spec.affinity.nodeAffinity: operator \"é"), "{said}");
    assert!(said.chars().count() <= 10 * (2 * 513 + 4), "{} characters", said.chars().count());
}
