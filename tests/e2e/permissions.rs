//! Roles that lack something: what needs it waits, everything else goes on, and it is made up for when it is granted.

use std::collections::BTreeMap;

use plimsoll::client::{Cluster, Source};
use plimsoll_apiserver::{Options, Rule, Server, User};
use plimsoll_testkit::{node, pod, priority_class};
use serde_json::{Value, json};

use crate::rig::{Replica, Rig, cluster_with, single, text};
use crate::volumes::{claim, classes, volume, with};

const RBAC: &str = "rbac.authorization.k8s.io";
/// All that a scheduler of the default profile reads and writes.
const ALL: [&str; 22] = [
    "csidrivers",
    "csinodes",
    "csistoragecapacities",
    "deviceclasses",
    "events",
    "leases",
    "namespaces",
    "nodes",
    "persistentvolumeclaims",
    "persistentvolumes",
    "poddisruptionbudgets",
    "podgroups",
    "podgroups/status",
    "pods",
    "pods/binding",
    "pods/status",
    "replicasets",
    "replicationcontrollers",
    "services",
    "statefulsets",
    "storageclasses",
    "volumeattachments",
];

/// What a role grants that lacks some of it.
fn rules(missing: &[&str]) -> Value {
    let resources: Vec<&str> = ALL.into_iter().filter(|resource| !missing.contains(resource)).collect();
    json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": resources}])
}

/// A cluster with room for everybody, and a scheduler that may do everything but this.
async fn without(missing: &[&str]) -> Rig {
    let user = User { name: "scheduler".to_owned(), groups: Vec::new() };
    let tokens = BTreeMap::from([("token".to_owned(), user)]);
    let options = Options { rbac: true, tokens, recorded_calls: 100_000, ..Options::default() };
    let server = Server::start(options).await.unwrap();
    let role = json!({"apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "metadata": {"name": "scheduling"},
                      "rules": rules(missing)});
    let binding = json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "scheduling"},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "scheduling"},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": "scheduler"}],
    });
    let mut objects = vec![role, binding, node("only").build(), priority_class("high", 1_000).build()];
    objects.extend(classes());
    for name in ["data", "more"] {
        objects.extend([claim(name, "local"), volume(&format!("of-{name}"), "local", "only")]);
    }
    let count = objects.len();
    assert_eq!(server.load(objects), count, "all objects are loaded");
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, server.kubeconfig().replace("user: {}", "user: {token: token}")).unwrap();
    let cluster = Cluster::load(&Source::Kubeconfig(kubeconfig)).await.unwrap();
    Rig { scheduler: Replica::of(cluster, single("")), server }
}

fn grant(rig: &Rig, missing: &[&str]) {
    let change = |role: &mut Value| role["rules"] = rules(missing);
    rig.server.edit(&format!("clusterroles.{RBAC}"), "", "scheduling", change).unwrap();
}

/// Whether something is shown as missing. Lists come as the beginning of a watch.
fn misses(rig: &Rig, resource: &str) -> bool {
    let series = format!("plimsoll_missing_permissions{{resource=\"{resource}\",verb=\"watch\"}}");
    rig.scheduler.metric(&series) == 1.0
}

fn needs(plugin: &str, resources: &str) -> String {
    format!(
        "the pod cannot be scheduled: {plugin} has to see {resources}, which this scheduler is not permitted to list and watch"
    )
}

/// Keeps away from pods of namespaces with a label.
fn picky() -> Value {
    let term = json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "noisy"}},
                      "namespaceSelector": {"matchLabels": {"loud": "yes"}}});
    let rules = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
    pod("picky").affinity(rules).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_wait_that_need_what_cannot_be_seen() {
    let missing =
        ["csinodes", "namespaces", "persistentvolumeclaims", "poddisruptionbudgets", "podgroups", "replicasets"];
    let rig = without(&missing).await;
    // Kinds of several groups are told apart.
    let missing =
        missing.map(|resource| if resource == "podgroups" { "podgroups.scheduling.k8s.io" } else { resource });
    rig.create(with("disk", "data"));
    rig.create(picky());
    rig.create(pod("plain").requests(&[("cpu", "1")]));
    assert_eq!(rig.bound("plain").await, "only");
    assert_eq!(rig.refused("picky", "MissingPermission").await, needs("InterPodAffinity", "namespaces"));
    let said = rig.refused("disk", "MissingPermission").await;
    assert_eq!(said, needs("VolumeRestrictions", "persistentvolumeclaims"));
    rig.until("all that is missing to be shown", || missing.iter().all(|resource| misses(&rig, resource))).await;
    // Budgets cannot be seen, so they protect nobody.
    rig.create(pod("urgent").priority_class("high").requests(&[("cpu", "4")]));
    assert_eq!(rig.bound("urgent").await, "only");
    rig.until("room to be made", || rig.server.get("pods", "default", "plain").is_err()).await;
    rig.server.delete("pods", "default", "urgent").unwrap();
    grant(&rig, &[]);
    assert_eq!(rig.bound("disk").await, "only");
    assert_eq!(rig.bound("picky").await, "only");
    rig.until("nothing to be missing", || !missing.iter().any(|resource| misses(&rig, resource))).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_taken_away_is_missed_and_taken_up_again() {
    let rig = without(&[]).await;
    rig.create(with("disk", "data"));
    assert_eq!(rig.bound("disk").await, "only");
    grant(&rig, &["persistentvolumeclaims"]);
    rig.server.cut_watches("persistentvolumeclaims", true).unwrap();
    rig.until("the permission to be missed", || misses(&rig, "persistentvolumeclaims")).await;
    rig.create(with("late", "more"));
    rig.create(pod("plain"));
    rig.bound("plain").await;
    let said = rig.refused("late", "MissingPermission").await;
    assert!(said.contains("has to see persistentvolumeclaims, which"), "{said}");
    grant(&rig, &[]);
    assert_eq!(rig.bound("late").await, "only");
    rig.until("nothing to be missing", || !misses(&rig, "persistentvolumeclaims")).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_nodes_or_pods_nothing_is_decided() {
    for resource in ["nodes", "pods"] {
        let rig = without(&[resource]).await;
        rig.until("the permission to be missed", || misses(&rig, resource)).await;
        rig.create(pod("plain"));
        grant(&rig, &[]);
        assert_eq!(rig.bound("plain").await, "only");
        rig.until("nothing to be missing", || !misses(&rig, resource)).await;
        // Nor while it is taken away: what is known is no longer so.
        grant(&rig, &[resource]);
        rig.server.cut_watches(resource, true).unwrap();
        rig.until("the permission to be missed", || misses(&rig, resource)).await;
        let before = rig.binding_calls().len();
        rig.create(pod("late"));
        rig.server.edit("nodes", "", "only", |node| node["metadata"]["labels"]["a"] = json!("b")).unwrap();
        assert_eq!(rig.binding_calls().len(), before);
        grant(&rig, &[]);
        rig.bound("late").await;
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_without_its_watch_is_not_enough() {
    // A server that streams no lists, so that the list is had and the watch behind it is refused.
    let server = cluster_with(Options { minor: 31, ..Options::default() }).await;
    server.load(vec![node("only").build()]);
    let refused = server.faults().add(Rule::status(403).verb("watch").resource("namespaces"));
    let scheduler = Replica::start(&server.url(), single(""));
    let rig = Rig { server, scheduler };
    rig.until("the permission to be missed", || misses(&rig, "namespaces")).await;
    rig.create(picky());
    rig.create(pod("plain"));
    rig.bound("plain").await;
    assert_eq!(rig.refused("picky", "MissingPermission").await, needs("InterPodAffinity", "namespaces"));
    let listed = || {
        let calls = rig.server.calls().into_iter();
        calls.filter(|call| call.verb == "list" && call.resource == "namespaces" && call.code == 200).count()
    };
    rig.until("it to be listed again and again", || listed() > 2 && rig.server.faults().hits(refused) > 2).await;
    assert!(misses(&rig, "namespaces") && text(&rig.pod("picky"), "/spec/nodeName").is_empty());
    rig.server.faults().clear();
    assert_eq!(rig.bound("picky").await, "only");
    rig.until("nothing to be missing", || !misses(&rig, "namespaces")).await;
    rig.end().await;
}
