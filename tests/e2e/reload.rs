//! Another configuration while the scheduler works.

use plimsoll::scheduler::Reloaded;
use plimsoll_testkit::{node, pod};
use serde_json::Value;

use crate::rig::{Replica, Rig, config, single, text};

const OWN: &str = "---\napiVersion: config.plimsoll/v1alpha1\nkind: PlimsollConfiguration\n";

fn nodes(count: usize) -> Vec<Value> {
    let capacity = [("cpu", "8"), ("memory", "32Gi"), ("pods", "110")];
    (0..count).map(|n| node(&format!("node-{n}")).capacity(&capacity).build()).collect()
}

fn small(name: &str) -> plimsoll_testkit::PodBuilder {
    pod(name).requests(&[("cpu", "100m")])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_is_paused_nothing_is_bound() {
    let paused = |paused: bool| single(&format!("{OWN}paused: {paused}\n"));
    let rig = Rig::start_with(nodes(1), paused(true)).await;
    let reloader = rig.scheduler.reloader();
    rig.create(small("waits"));
    // That it would have been bound by now is shown by the pod after it.
    assert_eq!(reloader.reload(paused(true)).await.unwrap(), Reloaded::Unchanged);
    rig.until("the pod to be seen", || rig.scheduler.metric("scheduler_pending_pods{queue=\"active\"}") > 0.0).await;
    assert_eq!(rig.scheduler.metric("plimsoll_paused"), 1.0);
    assert_eq!(reloader.reload(paused(false)).await.unwrap(), Reloaded::Paused(false));
    rig.bound("waits").await;
    assert_eq!(rig.scheduler.metric("plimsoll_paused"), 0.0);
    assert_eq!(reloader.reload(paused(true)).await.unwrap(), Reloaded::Paused(true));
    let calls = rig.binding_calls();
    rig.create(small("waits-too"));
    rig.until("the other to be seen", || rig.scheduler.metric("scheduler_pending_pods{queue=\"active\"}") > 0.0).await;
    assert_eq!(rig.binding_calls(), calls);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn profiles_come_and_go_while_pods_are_bound() {
    let rig = Rig::start(nodes(20)).await;
    let reloader = rig.scheduler.reloader();
    let profiles = |names: &str| single(&format!("profiles: [{names}]\n"));
    for round in 0..4 {
        for n in 0..100 {
            rig.create(small(&format!("pod-{round}-{n}")));
        }
        rig.create(small(&format!("other-{round}")).scheduler_name("other"));
        let names = if round % 2 == 0 {
            "{schedulerName: plimsoll}, {schedulerName: other}"
        } else {
            "{schedulerName: plimsoll}"
        };
        assert_eq!(reloader.reload(profiles(names)).await.unwrap(), Reloaded::Applied);
    }
    let of_others = |pod: &Value| text(pod, "/spec/schedulerName") == "other";
    let unbound = |pod: &&Value| text(pod, "/spec/nodeName").is_empty();
    let ours_wait = || rig.pods().iter().filter(unbound).filter(|pod| !of_others(pod)).count();
    rig.until("ours to be bound", || ours_wait() == 0).await;
    // In the end nobody serves the other name; until then it was served.
    let others = rig.pods().into_iter().filter(of_others).collect::<Vec<_>>();
    assert!(!text(&others[0], "/spec/nodeName").is_empty() || others.len() == 4);
    assert_eq!(
        reloader.reload(profiles("{schedulerName: other}, {schedulerName: plimsoll}")).await.unwrap(),
        Reloaded::Applied
    );
    rig.all_bound().await;
    rig.check_books();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lease_is_kept_and_so_is_what_counts_from_the_start() {
    let rig = Rig::start_with(nodes(2), config("")).await;
    let reloader = rig.scheduler.reloader();
    rig.create(small("first"));
    rig.bound("first").await;
    let lease = || rig.server.get("leases.coordination.k8s.io", "kube-system", "plimsoll").unwrap();
    let holder = text(&lease(), "/spec/holderIdentity").to_owned();
    // The election is what it was, whatever the file says; all else is taken over.
    let other = config("leaderElection: {leaderElect: false}\npodMaxBackoffSeconds: 20\n");
    assert_eq!(reloader.reload(other).await.unwrap(), Reloaded::Applied);
    assert_eq!(reloader.reload(config("podMaxBackoffSeconds: 20\n")).await.unwrap(), Reloaded::Unchanged);
    rig.create(small("second"));
    rig.bound("second").await;
    assert_eq!(text(&lease(), "/spec/holderIdentity"), holder);
    assert_eq!(lease()["spec"]["leaseTransitions"], 0);
    rig.check_books();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cannot_be_run_changes_nothing() {
    let rig = Rig::start(nodes(1)).await;
    let reloader = rig.scheduler.reloader();
    // That such a file cannot be read is found only when the extender is made.
    let broken = single(
        "extenders:\n- {urlPrefix: \"https://127.0.0.1:1/\", filterVerb: filter, enableHTTPS: true, tlsConfig: {caFile: /nowhere/ca.crt}}\n",
    );
    let error = format!("{:#}", reloader.reload(broken).await.unwrap_err());
    assert!(error.contains("/nowhere/ca.crt"), "{error}");
    assert_eq!(rig.scheduler.metric("plimsoll_config_last_reload_success"), 0.0);
    rig.create(small("goes-on"));
    rig.bound("goes-on").await;
    assert_eq!(reloader.reload(single("")).await.unwrap(), Reloaded::Unchanged);
    assert_eq!(rig.scheduler.metric("plimsoll_config_last_reload_success"), 1.0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_takes_it_over_and_stays_a_standby() {
    let rig = Rig::start_with(nodes(1), config("")).await;
    rig.create(small("first"));
    rig.bound("first").await;
    let standby = Replica::start(&rig.server.url(), config(""));
    assert_eq!(standby.reloader().reload(config("podMaxBackoffSeconds: 20\n")).await.unwrap(), Reloaded::Applied);
    rig.create(small("second"));
    rig.bound("second").await;
    rig.scheduler.stop();
    // Now the standby is the one; it has to know what the other has bound.
    rig.create(small("third"));
    let bound = || !text(&rig.pod("third"), "/spec/nodeName").is_empty();
    crate::rig::until_while("the standby to bind", bound, || !standby.is_finished()).await;
    rig.check_books();
    standby.stop();
    standby.end().await.unwrap();
    rig.end().await;
}
