//! The plugin alone: no cluster, no scheduler.

use std::sync::Arc;

use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::{KindId, ObjectKey};
use plimsoll_framework::pod::PodParser;
use plimsoll_framework::table::Table;
use plimsoll_framework::verdict::Code;
use plimsoll_testkit::{node, pod};
use serde_json::{Value, json};

use super::*;

fn parsed(pod: impl Into<Value>) -> PodInfo {
    PodParser::default().parse(&serde_json::from_value(pod.into()).unwrap())
}

fn budget(cpu: &str) -> Value {
    json!({"spec": {"cpuPerNode": cpu}})
}

fn object(budget: &Budget) -> Object<'_> {
    Object::Other(budget)
}

/// What the plugin says of a node in rack `r7`, where pods ask for `taken` already.
fn verdict(args: &Value, budget: Option<&Value>, rack: Option<&str>, taken: &str, asked: &str) -> Option<Code> {
    let plugin = (ENTRY.build)(Some(args)).unwrap();
    let mut on: Value = node("n").build();
    if let Some(rack) = rack {
        on["metadata"]["annotations"] = json!({"example.com/rack": rack});
    }
    let mut table = Table::default();
    // The annotation is kept because the plugin declared it.
    let on = NodeInfo::parse(&serde_json::from_value(on).unwrap(), &plugin.annotation_keys).0;
    let (row, _) = table.set_node(Arc::new(on));
    table.add_pod(&"n".into(), Arc::new(parsed(pod("there").requests(&[("cpu", taken)]))));
    if let Some(budget) = budget {
        let key = ObjectKey { namespace: Istr::default(), name: "r7".into() };
        let object = Arc::new(Budgets::decode(budget).unwrap());
        table.cluster_mut().set_object(KindId::of::<Budgets>(), key, Some(object));
    }
    let asked = parsed(pod("asked").requests(&[("cpu", asked)]));
    let bound = plugin.filter.unwrap().bind(&asked, table.view()).unwrap();
    let verdict = bound.one(table.view(), None, row);
    (!verdict.fits()).then(|| verdict.code())
}

#[test]
fn a_rack_takes_what_its_budget_allows() {
    let (open, closed) = (json!({}), json!({"withoutBudget": "Closed"}));
    let (room, never) = (Some(Code::Unschedulable), Some(Code::UnschedulableAndUnresolvable));
    let two = budget("2");
    let rows = [
        (&open, Some(&two), Some("r7"), "1", "1", None),
        (&open, Some(&two), Some("r7"), "1", "1001m", room),
        (&open, Some(&two), Some("r7"), "0", "2001m", never),
        (&open, Some(&two), Some("r8"), "1", "3", None),
        (&open, Some(&two), None, "1", "3", None),
        (&open, None, Some("r7"), "1", "3", None),
        (&closed, None, Some("r7"), "0", "0", never),
        (&closed, None, None, "1", "3", None),
        (&closed, Some(&two), Some("r7"), "1", "1", None),
    ];
    for (args, budget, rack, taken, asked, expect) in rows {
        assert_eq!(verdict(args, budget, rack, taken, asked), expect, "{args} {budget:?} {rack:?} {taken} {asked}");
    }
}

#[test]
fn only_a_budget_that_grew_far_enough_wakes() {
    use QueueingHint::{Queue, Skip};
    let rows = [
        (WithoutBudget::Open, Some("1"), Some("3"), Queue),
        (WithoutBudget::Open, Some("2"), Some("3"), Queue),
        (WithoutBudget::Open, Some("1"), Some("1500m"), Skip),
        (WithoutBudget::Open, Some("4"), Some("3"), Skip),
        (WithoutBudget::Open, Some("3"), Some("3"), Skip),
        (WithoutBudget::Open, Some("1"), None, Queue),
        (WithoutBudget::Open, None, Some("3"), Skip),
        (WithoutBudget::Closed, Some("1"), None, Skip),
        (WithoutBudget::Closed, None, Some("3"), Queue),
        (WithoutBudget::Closed, None, Some("1"), Skip),
    ];
    let pod = parsed(pod("p").requests(&[("cpu", "2")]));
    for (without_budget, old, new, expect) in rows {
        let side = |cpu: Option<&str>| cpu.map(|cpu| Budgets::decode(&budget(cpu)).unwrap());
        let (old_budget, new_budget) = (side(old), side(new));
        let change = Change { old: old_budget.as_ref().map(object), new: new_budget.as_ref().map(object) };
        let event = ClusterEvent::new(EventResource::Wildcard, Actions::UPDATE);
        assert_eq!(RackBudget { without_budget }.hint(&pod, &event, &change), expect, "{old:?} {new:?}");
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let rows = [
        (json!({}), "spec.cpuPerNode is missing"),
        (json!({"spec": {"cpuPerNode": [3]}}), "spec.cpuPerNode: "),
        (budget("lots"), "spec.cpuPerNode: \"lots\" is not a quantity"),
    ];
    for (object, expect) in rows {
        let error = Budgets::decode(&object).err().unwrap();
        assert!(error.starts_with(expect), "{error}");
    }
    let number = Budgets::decode(&json!({"spec": {"cpuPerNode": 3}})).unwrap();
    assert_eq!(number.milli_cpu_per_node, 3_000);
    assert!((ENTRY.build)(None).is_ok(), "every argument has a default");
    assert!((ENTRY.build)(Some(&json!({"withoutBudget": "Maybe"}))).is_err());
}
