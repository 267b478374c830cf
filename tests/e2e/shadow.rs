//! Another scheduler places the pods, and here it is only said where they would go.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll::client::{Cluster, Source};
use plimsoll::config::Config;
use plimsoll_apiserver::{Call, Options, Server, User};
use plimsoll_testkit::{PodBuilder, node, pod};
use serde_json::{Value, json};

use crate::rig::{Replica, config, text, until_while};

/// Only their pods are decided, with the default rules.
const SHADOW: &str = "---\napiVersion: config.plimsoll/v1alpha1\nkind: PlimsollConfiguration\nmode: Shadow\n";
/// In the place of the cluster's own.
const REPLACES: &str = "profiles: [{schedulerName: default-scheduler}]
leaderElection: {leaderElect: false}
---
apiVersion: config.plimsoll/v1alpha1
kind: PlimsollConfiguration
replaceDefaultScheduler: true
";
const RESULTS: [&str; 6] = ["same", "equal_score", "better", "worse", "infeasible", "undecided"];

/// A cluster where permissions count: the user `shadow` may read, and the user `other` do everything.
async fn cluster(objects: Vec<Value>) -> Server {
    let user = |name: &str| (format!("token-{name}"), User { name: name.to_owned(), groups: Vec::new() });
    let mut tokens: BTreeMap<String, User> = [user("shadow")].into();
    tokens.insert("token-other".to_owned(), User::administrator("other"));
    let options = Options { rbac: true, tokens, recorded_calls: 100_000, ..Options::default() };
    let server = Server::start(options).await.unwrap();
    let rbac = "rbac.authorization.k8s.io";
    let reading = json!([{"verbs": ["get", "list", "watch"], "apiGroups": ["*"], "resources": ["*"]},
                         {"verbs": ["get"], "nonResourceURLs": ["*"]}]);
    let roles = vec![
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": {"name": "reading"}, "rules": reading}),
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "reading"},
               "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "reading"},
               "subjects": [{"apiGroup": rbac, "kind": "User", "name": "shadow"}]}),
    ];
    server.load([roles, objects].concat());
    server
}

/// A scheduler that is this user.
async fn start_as(server: &Server, user: &str, config: Config) -> Replica {
    let file = tempfile::NamedTempFile::new().unwrap();
    let kubeconfig = server.kubeconfig().replace("token-other", &format!("token-{user}"));
    std::fs::write(file.path(), kubeconfig).unwrap();
    let source = Source::Kubeconfig(file.path().to_owned());
    Replica::of(Cluster::load(&source).await.unwrap(), config)
}

/// How many attempts have ended so.
fn attempts(shadow: &Replica, result: &str) -> f64 {
    shadow.metric(&format!("scheduler_schedule_attempts_total{{profile=\"plimsoll\",result=\"{result}\"}}"))
}

fn decisions(shadow: &Replica) -> BTreeMap<&'static str, u64> {
    let series =
        |result| format!("plimsoll_shadow_decisions_total{{result=\"{result}\",scheduler=\"default-scheduler\"}}");
    // Counts are small whole numbers.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are small whole numbers")]
    RESULTS.map(|result| (result, shadow.metric(&series(result)) as u64)).into()
}

fn theirs(name: &str) -> PodBuilder {
    pod(name).scheduler_name("default-scheduler")
}

/// The calls of a user that are no reads.
fn writes(server: &Server, user: &str) -> Vec<Call> {
    let mut calls = server.calls();
    calls.retain(|call| call.user == user);
    assert!(calls.len() > 10, "the calls of {user} are known: {calls:?}");
    assert!(calls.iter().all(|call| (200..300).contains(&call.code)), "all of them are permitted: {calls:?}");
    calls.retain(|call| !matches!(call.verb, "get" | "list" | "watch"));
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_and_every_binding_of_the_other_is_counted() {
    let nodes = (0..4).map(|n| {
        let cpu = if n == 0 { "32" } else { "4" };
        node(&format!("n{n}")).allocatable(&[("cpu", cpu), ("memory", "64Gi"), ("pods", "110")]).build()
    });
    let seen = [theirs("running").node_name("n1").build(), node("tainted").taint("k", "v", "NoSchedule").build()];
    let server = cluster(nodes.chain(seen).collect()).await;
    // It would elect a leader; and is told to do what it must not, were it to do anything.
    let shadow = start_as(&server, "shadow", config(SHADOW)).await;
    let running = || !shadow.is_finished();
    // Of every sort that something is written about elsewhere.
    for n in 0..30 {
        server.create(theirs(&format!("p{n}")).requests(&[("cpu", "500m")])).unwrap();
    }
    server.create(theirs("large").requests(&[("cpu", "900")])).unwrap();
    server.create(theirs("invalid").requests(&[("cpu", "1x")])).unwrap();
    server.create(theirs("urgent").requests(&[("cpu", "20")]).priority(10)).unwrap();
    for n in 0..2 {
        let member = theirs(&format!("g{n}")).label("plimsoll/gang", "g").label("plimsoll/gang-size", "2");
        server.create(member).unwrap();
    }
    let tried = || attempts(&shadow, "scheduled") >= 33.0 && attempts(&shadow, "unschedulable") >= 1.0;
    until_while("all pods to be tried", tried, running).await;
    let pending = server.list("pods", None).unwrap();
    assert!(pending.iter().all(|p| p["metadata"]["name"] == "running" || text(p, "/spec/nodeName").is_empty()));
    // The other does not look at anything.
    let mut bound = 0;
    for (n, name) in (0..30).map(|n| format!("p{n}")).chain(["invalid".to_owned(), "g0".to_owned()]).enumerate() {
        let node = if n == 7 { "tainted".to_owned() } else { format!("n{}", n % 4) };
        server.bind("default", &name, &node).unwrap();
        bound += 1;
    }
    let total = || decisions(&shadow).values().sum::<u64>();
    until_while("every binding to be counted", || total() >= bound, running).await;
    let counts = decisions(&shadow);
    assert_eq!((total(), counts["undecided"]), (bound, 1), "{counts:?}");
    assert!(counts["same"] > 0 && counts["worse"] > 0 && counts["infeasible"] > 0, "{counts:?}");
    shadow.stop();
    let missing = shadow.metrics.render().unwrap();
    assert!(!missing.lines().any(|l| l.starts_with("plimsoll_missing_permissions") && l.ends_with(" 1")), "{missing}");
    assert!(!missing.contains("leader_election_master_status{"), "there is no election");
    shadow.end().await.unwrap();
    assert_eq!(writes(&server, "shadow"), [], "it has written");
    let resources: BTreeSet<String> =
        server.calls().into_iter().filter(|c| c.user == "shadow").map(|c| c.resource).collect();
    assert!(!resources.contains("leases"), "the lease is not even read: {resources:?}");
    assert!(server.list("events.events.k8s.io", None).unwrap().is_empty());
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_of_the_same_rules_that_places_one_after_the_other_comes_to_the_same_or_as_good() {
    let zones = ["a", "b", "c"];
    let nodes = (0..9).map(|n| {
        let cpu = ["4", "8", "16"][n % 3];
        let made = node(&format!("n{n}")).allocatable(&[("cpu", cpu), ("memory", "32Gi"), ("pods", "30")]);
        if n == 8 { made.taint("k", "v", "NoSchedule").build() } else { made.zone(zones[n / 3]).build() }
    });
    let server = cluster(nodes.collect()).await;
    let shadow = start_as(&server, "shadow", config(SHADOW)).await;
    // From then on it sees every binding.
    server.create(theirs("first")).unwrap();
    until_while("a pod to be tried", || attempts(&shadow, "scheduled") >= 1.0, || !shadow.is_finished()).await;
    let other = start_as(&server, "other", config(REPLACES)).await;
    let running = || !shadow.is_finished() && !other.is_finished();
    let is_bound = |name: &str| !text(&server.get("pods", "default", name).unwrap(), "/spec/nodeName").is_empty();
    until_while("first to be bound", || is_bound("first"), running).await;
    for n in 0..60 {
        let name = format!("p{n}");
        let mut made = theirs(&name).requests(&[("cpu", ["100m", "700m", "1500m"][n % 3])]).label("app", zones[n % 2]);
        if n % 4 == 0 {
            made = made.toleration("k", "Exists", "", "");
        }
        if n % 5 == 0 {
            made = made.node_selector("topology.kubernetes.io/zone", zones[n % 3]);
        }
        server.create(made).unwrap();
        until_while(&format!("{name} to be bound"), || is_bound(&name), running).await;
    }
    let total = || decisions(&shadow).values().sum::<u64>();
    until_while("every binding to be counted", || total() >= 61, running).await;
    let counts = decisions(&shadow);
    assert_eq!(counts["same"] + counts["equal_score"], 61, "{counts:?}");
    for replica in [shadow, other] {
        replica.stop();
        replica.end().await.unwrap();
    }
    assert_eq!(writes(&server, "shadow"), [], "it has written");
    assert!(writes(&server, "other").iter().any(|call| call.subresource == "binding"), "users are told apart");
    server.shutdown().await;
}
