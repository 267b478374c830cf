//! The chart's roles with one rule taken out: who does not need it is placed all the same, and the log says once what lacks.

use std::collections::BTreeMap;

use plimsoll_apiserver::{Options, User};
use plimsoll_testkit::pod;
use serde_json::{Value, json};

use crate::rig::{Api, Files, HEAD, Process, cert, free_address, get_over_tls, until};

/// Without these nothing can be placed at all.
const NEEDED_BY_ALL: [&str; 3] = ["nodes", "pods", "pods/binding"];

fn texts(rule: &Value, field: &str) -> Vec<String> {
    rule[field].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// A cluster with the chart's roles, bound to the holder of a token, without the rule of this number; and that rule.
fn cluster_without(number: usize) -> Option<(Api, Value)> {
    let user = |name: &str| (name.to_owned(), User { name: name.to_owned(), groups: Vec::new() });
    let tokens = BTreeMap::from(["scheduler", "alice"].map(user));
    let api = Api::start_with(Options { rbac: true, tokens, ..Options::default() });
    let mut objects: Vec<Value> = serde_json::from_str(include_str!("../e2e/roles.json")).unwrap();
    let mut taken = None;
    let mut seen = 0;
    for object in &mut objects {
        if object.get("subjects").is_some() {
            object["subjects"] =
                json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "scheduler"}]);
        }
        let Some(rules) = object.get_mut("rules").and_then(Value::as_array_mut) else { continue };
        if (seen..seen + rules.len()).contains(&number) {
            taken = Some(rules.remove(number - seen));
            // Those that are left are counted as before.
            seen += 1;
        }
        seen += rules.len();
    }
    api.server.load(objects);
    Some((api, taken?))
}

/// Does what needs the rule, where a scheduler that just runs does not.
fn provoke(api: &Api, rule: &Value, secured: std::net::SocketAddr) {
    let all = [("cpu", "4")];
    match (rule["resources"][0].as_str().unwrap(), rule["verbs"][0].as_str().unwrap()) {
        ("pods", "delete") | ("pods/eviction", _) => {
            api.server.create(pod("in-the-way").requests(&all)).unwrap();
            api.until_bound("in-the-way");
            api.server.create(pod("urgent").requests(&all).priority(10)).unwrap();
        }
        ("pods/status", _) => drop(api.server.create(pod("large").requests(&[("cpu", "900")])).unwrap()),
        ("podgroups/status", _) => {
            let group = json!({
                "apiVersion": "scheduling.k8s.io/v1alpha2", "kind": "PodGroup",
                "metadata": {"name": "g", "namespace": "default"}, "spec": {"schedulingPolicy": {"gang": {"minCount": 1}}},
            });
            api.server.create(group).unwrap();
            api.server.create(pod("one").set("/spec/schedulingGroup", json!({"podGroupName": "g"}))).unwrap();
        }
        ("tokenreviews" | "subjectaccessreviews", _) => {
            // Asked twice: said once.
            for _ in 0..2 {
                assert_ne!(get_over_tls(secured, "alice", "/metrics").0, 200);
            }
        }
        _ => {}
    }
}

#[test]
fn one_rule_less_keeps_those_waiting_that_need_it_and_nobody_else() {
    let mut rules = 0;
    while let Some((api, rule)) = cluster_without(rules) {
        rules += 1;
        let files = Files::new();
        let resources = texts(&rule, "resources");
        let strict = if resources[0] == "pods/eviction" { "Strict" } else { "BestEffort" };
        let config = files.write(
            "config.yaml",
            &format!(
                "{HEAD}leaderElection: {{resourceNamespace: kube-system, resourceName: plimsoll}}\n---\n\
                 apiVersion: config.plimsoll/v1alpha1\nkind: PlimsollConfiguration\npreemption: {{podDisruptionBudgets: {strict}}}\n"
            ),
        );
        let kubeconfig = files.write("kubeconfig", &api.server.kubeconfig_of("scheduler"));
        let secured = free_address();
        let (mut scheduler, _) = Process::scheduler_with(
            &["--kubeconfig", &kubeconfig, "--config", &config, "--bind-address", "127.0.0.1"],
            &["--tls-cert-file", &cert("cert.pem"), "--tls-private-key-file", &cert("key.pem")],
            &secured.port().to_string(),
        );
        api.server.create(pod("plain")).unwrap();
        let needed = resources.iter().any(|resource| {
            let reads = rule["verbs"][0] != "delete";
            (NEEDED_BY_ALL.contains(&resource.as_str()) && reads) || resource == "leases"
        });
        if !needed {
            api.until_bound("plain");
            provoke(&api, &rule, secured);
        }
        let lacks = |resource: &str| {
            let lines = scheduler.lines();
            let says = |line: &&String| {
                let verb = texts(&rule, "verbs").iter().any(|verb| line.contains(verb.as_str()));
                line.contains("permi") && line.contains(resource) && verb
            };
            lines.iter().filter(says).cloned().collect::<Vec<_>>()
        };
        for resource in &resources {
            until(&format!("{resource} to be missed"), || !lacks(resource).is_empty());
        }
        if !needed {
            api.server.create(pod("later")).unwrap();
            api.until_bound("later");
        }
        for resource in &resources {
            assert_eq!(lacks(resource).len(), 1, "{rule}: {:#?}", scheduler.lines());
        }
        assert_eq!(api.node_of("plain").is_empty(), needed, "{rule}");
        scheduler.signal("TERM");
        assert_eq!(scheduler.end(), 0, "{rule}");
    }
    assert!(rules > 15, "only {rules} rules were read");
}
