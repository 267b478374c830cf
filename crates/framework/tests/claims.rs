//! How often the pods on nodes use each claim, against counting them anew after every event.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::{PodInfo, PodParser, Uid};
use plimsoll_framework::table::Table;
use proptest::prelude::*;
use serde_json::json;

const NODES: [&str; 3] = ["a", "b", "c"];
const NAMESPACES: [&str; 2] = ["d", "e"];
const CLAIMS: [&str; 3] = ["x", "y", "z"];

#[derive(Clone, Debug)]
enum Step {
    SetNode(usize),
    RemoveNode(usize),
    /// A pod of this number, on this node, in this namespace, with these claims.
    AddPod(usize, usize, usize, Vec<usize>),
    RemovePod(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let claims = proptest::collection::vec(0..CLAIMS.len(), 0..3);
    prop_oneof![
        (0..NODES.len()).prop_map(Step::SetNode),
        (0..NODES.len()).prop_map(Step::RemoveNode),
        (0..6_usize, 0..NODES.len(), 0..NAMESPACES.len(), claims).prop_map(|(p, n, ns, c)| Step::AddPod(p, n, ns, c)),
        (0..6_usize).prop_map(Step::RemovePod),
    ]
}

fn pod(number: usize, namespace: &str, claims: &[usize]) -> Arc<PodInfo> {
    let volume = |claim: &usize| json!({"name": "v", "persistentVolumeClaim": {"claimName": CLAIMS[*claim]}});
    let other = json!({"name": "e", "ephemeral": {}});
    let volumes: Vec<_> = claims.iter().map(volume).chain([other]).collect();
    let json = json!({"metadata": {"name": number.to_string(), "uid": number.to_string(), "namespace": namespace},
                      "spec": {"volumes": volumes}});
    Arc::new(PodParser::default().parse(&serde_json::from_value(json).unwrap()))
}

/// A claim counts for every volume that names it, on nodes that are known.
fn check(table: &Table, placed: &BTreeMap<usize, (usize, usize, Vec<usize>)>) {
    for (namespace, in_namespace) in NAMESPACES.iter().enumerate() {
        for (claim, of_claim) in CLAIMS.iter().enumerate() {
            let known = |node: usize| {
                let row = table.row(&NODES[node].into());
                row.is_some_and(|row| table.view().node(row).is_some())
            };
            let on_nodes = placed.values().filter(|(node, ns, _)| *ns == namespace && known(*node));
            let expect = on_nodes.flat_map(|(_, _, claims)| claims).filter(|c| **c == claim).count();
            let got = table.view().cluster().claim_uses(&(*in_namespace).into(), &(*of_claim).into());
            assert_eq!(got, expect, "{in_namespace}/{of_claim}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn claims_are_counted_where_nodes_are_known(steps in proptest::collection::vec(step(), 1..40)) {
        let (mut table, mut placed) = (Table::default(), BTreeMap::new());
        for step in steps {
            match step {
                Step::SetNode(node) => {
                    let json = json!({"metadata": {"name": NODES[node]}});
                    table.set_node(Arc::new(NodeInfo::parse(&serde_json::from_value(json).unwrap(), &[]).0));
                }
                Step::RemoveNode(node) => drop(table.remove_node(&NODES[node].into())),
                Step::AddPod(number, node, namespace, claims) => {
                    if let Entry::Vacant(place) = placed.entry(number) {
                        table.add_pod(&NODES[node].into(), pod(number, NAMESPACES[namespace], &claims));
                        place.insert((node, namespace, claims));
                    }
                }
                Step::RemovePod(number) => {
                    if let Some((node, ..)) = placed.remove(&number) {
                        let node = Istr::new(NODES[node]);
                        assert!(table.remove_pod(&node, &Uid::new(&number.to_string())));
                    }
                }
            }
            check(&table, &placed);
        }
    }
}
