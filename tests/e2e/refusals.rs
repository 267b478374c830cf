//! The API server refuses calls: permissions that are missing, writes that do not come through.

use std::time::Duration;

use plimsoll_apiserver::{Fault, Rule};
use plimsoll_testkit::{job, node, pod};

use crate::rig::{Rig, condition, config};

const CPU_1: &[(&str, &str)] = &[("cpu", "1")];

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_to_bind_is_shown_until_it_is_granted() {
    let rig = Rig::start(vec![node("only").build()]).await;
    rig.server.faults().add(Rule::status(403).resource("pods/binding"));
    rig.create(pod("web").requests(CPU_1));
    let message = rig.refused("web", "SchedulerError").await;
    assert!(message.starts_with("binding default/web to only: ") && message.contains("(403)"), "{message}");
    let missing = || rig.scheduler.metric("plimsoll_missing_permissions{resource=\"pods/binding\",verb=\"create\"}");
    assert_eq!(missing(), 1.0);
    rig.server.faults().clear();
    assert_eq!(rig.bound("web").await, "only");
    rig.until("the permission to be known as granted", || missing() == 0.0).await;
    assert_eq!(condition(&rig.pod("web")).unwrap()["status"], "True");
    rig.check_books();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_to_list_is_waited_out() {
    let rig = Rig::start(Vec::new()).await;
    rig.server.faults().add(Rule::status(403).verb("watch").resource("nodes"));
    rig.server.faults().add(Rule::status(403).verb("list").resource("nodes"));
    rig.server.cut_watches("nodes", true).unwrap();
    rig.create(node("only"));
    rig.create(pod("web"));
    let missing = || rig.scheduler.metric("plimsoll_missing_permissions{resource=\"nodes\",verb=\"watch\"}");
    rig.until("the permission to be missed", || missing() == 1.0).await;
    rig.server.faults().clear();
    assert_eq!(rig.bound("web").await, "only");
    rig.until("the permission to be known as granted", || missing() == 0.0).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_to_write_events_is_shown_until_it_is_granted() {
    let rig = Rig::start(vec![node("only").build()]).await;
    rig.server.faults().add(Rule::status(403).resource("events"));
    rig.create(pod("silent"));
    let missing = || rig.scheduler.metric("plimsoll_missing_permissions{resource=\"events\",verb=\"create\"}");
    rig.bound("silent").await;
    rig.until("the permission to be missed", || missing() == 1.0).await;
    rig.server.faults().clear();
    rig.create(pod("told"));
    rig.until("the event", || !rig.events("told", "Scheduled").is_empty()).await;
    rig.until("the permission to be known as granted", || missing() == 0.0).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_told_holds_up_no_binding() {
    let rig = Rig::start(vec![node("only").build()]).await;
    for (resource, verb) in [("events", "create"), ("pods/status", "patch")] {
        rig.server.faults().add(Rule::status(500).resource(resource).verb(verb));
    }
    rig.create(pod("large").requests(&[("cpu", "5")]));
    for n in 0..4 {
        rig.create(pod(&format!("p{n}")).requests(CPU_1));
    }
    let pending = || rig.pods().iter().filter(|pod| pod["spec"]["nodeName"].is_null()).count();
    rig.until("all but the large pod to be bound", || pending() == 1).await;
    rig.server.faults().clear();
    // The condition that could not be written is written with the next attempt.
    rig.server.delete("pods", "default", "p0").unwrap();
    assert_eq!(
        rig.refused("large", "Unschedulable").await,
        "0/1 nodes are available: 1 Insufficient cpu. \
         no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    );
    rig.check_books();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_without_an_answer_is_given_up_in_time_and_asked_after() {
    // A call may take as long as a lease goes on after its renewal has failed: one second here.
    let hasty = "leaderElection: {leaderElect: false, leaseDuration: 3s, renewDeadline: 2s, retryPeriod: 500ms}\n";
    let rig = Rig::start_with(vec![node("only").build()], config(hasty)).await;
    let late = Rule::new(Fault::Delay(Duration::from_secs(3))).resource("pods/binding").times(1);
    rig.server.faults().add(late);
    rig.create(pod("web").requests(&[("cpu", "3")]));
    assert_eq!(rig.bound("web").await, "only");
    assert_eq!(rig.scheduler.metric("plimsoll_binding_results_total{result=\"timeout\"}"), 1.0);
    rig.create(pod("further").requests(&[("cpu", "3")]));
    assert_eq!(
        rig.refused("further", "Unschedulable").await,
        "0/1 nodes are available: 1 Insufficient cpu. \
         no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
    );
    rig.server.delete("pods", "default", "web").unwrap();
    rig.bound("further").await;
    rig.check_books();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_have_finished_leave_their_room() {
    let rig = Rig::start(vec![node("only").build()]).await;
    // Twelve pods for a node with room for four: they get there as others finish.
    rig.create(job("work", 12, pod("").annotation("plimsoll/run-seconds", "0").requests(CPU_1)));
    let succeeded = || rig.server.get("jobs.batch", "default", "work").unwrap()["status"]["succeeded"].as_i64();
    rig.until("the job to be done", || succeeded() == Some(12)).await;
    rig.end().await;
}
