//! What goes over the wire: no verb that is not granted, no more calls than are allowed.

use std::collections::BTreeSet;
use std::time::Duration;

use plimsoll_apiserver::{Fault, Rule};
use plimsoll_testkit::{node, pod};
use serde_json::{Value, json};

use crate::rig::{Rig, config, roles, single};
use crate::volumes;

/// Verb, group, resource with subresource.
type Permission = (String, String, String);

/// What the chart grants.
fn granted() -> BTreeSet<Permission> {
    let mut granted = BTreeSet::new();
    for role in roles() {
        let rules = role.get("rules").and_then(Value::as_array).into_iter().flatten();
        for rule in rules {
            let texts =
                |field: &str| rule[field].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned());
            for (group, resource) in
                texts("apiGroups").flat_map(|group| texts("resources").map(move |r| (group.clone(), r)))
            {
                granted.extend(texts("verbs").map(|verb| (verb, group.clone(), resource.clone())));
            }
        }
    }
    granted
}

/// What this run does not come to, beside `list`, which a server that streams lists is not asked for.
const NOT_USED_HERE: [(&str, &str, &str); 7] = [
    // With `podDisruptionBudgets: Strict`.
    ("create", "", "pods/eviction"),
    // The secured port.
    ("create", "authentication.k8s.io", "tokenreviews"),
    ("create", "authorization.k8s.io", "subjectaccessreviews"),
    // Where an event is repeated.
    ("patch", "events.k8s.io", "events"),
    // A standby.
    ("watch", "coordination.k8s.io", "leases"),
    // Where these kinds are.
    ("watch", "scheduling.sigs.k8s.io", "podgroups"),
    ("watch", "scheduling.x-k8s.io", "podgroups"),
];

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_chart_grants_is_asked_for() {
    let rig = Rig::start_with(vec![node("only").build()], config("")).await;
    // A lost answer, so that the pod is read; a failure twice, so that a series is written; an invalid pod.
    rig.server.faults().add(Rule::new(Fault::DropAfter).resource("pods/binding").times(1));
    rig.create(pod("good").requests(&[("cpu", "3")]));
    rig.bound("good").await;
    rig.create(pod("invalid").requests(&[("cpu", "1x")]));
    rig.refused("invalid", "InvalidPodSpec").await;
    rig.create(pod("large").requests(&[("cpu", "3")]));
    rig.refused("large", "Unschedulable").await;
    // One that needs the place of another.
    rig.create(pod("urgent").requests(&[("cpu", "3")]).priority(10));
    rig.bound("urgent").await;
    rig.create(json!({
        "apiVersion": "scheduling.k8s.io/v1alpha2", "kind": "PodGroup", "metadata": {"name": "g", "namespace": "default"},
        "spec": {"schedulingPolicy": {"gang": {"minCount": 1}}},
    }));
    rig.create(pod("one").set("/spec/schedulingGroup", json!({"podGroupName": "g"})));
    rig.bound("one").await;
    // Claims that wait for a pod: one gets a volume that there is, one a new one.
    volumes::classes().into_iter().for_each(|class| drop(rig.create(class)));
    rig.create(volumes::volume("v", "local", "only"));
    for class in ["local", "made"] {
        rig.create(volumes::claim(class, class));
        rig.create(volumes::with(class, class));
        rig.bound(class).await;
    }
    rig.server.cut_watches("pods", true).unwrap();
    rig.server.compact("pods").unwrap();
    let Rig { server, scheduler } = rig;
    scheduler.stop();
    scheduler.end().await.unwrap();
    let used: BTreeSet<Permission> = server
        .call_counts()
        .into_iter()
        .map(|call| {
            let slash = if call.subresource.is_empty() { "" } else { "/" };
            (call.verb.to_owned(), call.group, format!("{}{slash}{}", call.resource, call.subresource))
        })
        .collect();
    let granted = granted();
    assert!(!granted.is_empty());
    let missing: Vec<_> = used.difference(&granted).collect();
    assert!(missing.is_empty(), "used and not granted: {missing:?}");
    let unused: Vec<(&str, &str, &str)> =
        granted.difference(&used).map(|(verb, group, resource)| (&**verb, &**group, &**resource)).collect();
    let unused: Vec<_> = unused.into_iter().filter(|(verb, ..)| *verb != "list").collect();
    assert_eq!(unused, NOT_USED_HERE, "granted, and not used by this run");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_on_calls_is_kept() {
    let limit = single("clientConnection: {qps: 20, burst: 1}\n");
    let rig = Rig::start_with(vec![node("only").build()], limit).await;
    for n in 0..21 {
        rig.create(pod(&format!("p{n}")));
    }
    let bindings = || {
        let calls = rig.server.calls().into_iter();
        calls.filter(|c| c.subresource == "binding").map(|c| c.time).collect::<Vec<_>>()
    };
    // A call is recorded when it is answered, a little after it is done.
    rig.until("all pods to be bound", || bindings().len() == 21).await;
    let mut times = bindings();
    times.sort();
    let took = times[times.len() - 1].duration_since(times[0]).unwrap();
    // Twenty intervals of 50 ms; the first call may have been slow to arrive.
    assert!(took >= Duration::from_millis(800), "{took:?}");
    rig.end().await;
}
