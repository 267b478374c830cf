//! The API server misbehaves. Whatever it does, every pod that can be bound is bound once, no node is filled beyond
//! what it has, and what was kept for a pod that did not come is given to another.

use std::time::Duration;

use plimsoll_apiserver::{Fault, Rule};
use plimsoll_testkit::{node, pod};
use serde_json::Value;
use tokio::time::sleep;

use crate::rig::{Rig, condition, single, text};

const CPU_1: &[(&str, &str)] = &[("cpu", "1")];
const CPU_3: &[(&str, &str)] = &[("cpu", "3")];

fn nodes(count: usize) -> Vec<Value> {
    (0..count).map(|n| node(&format!("node-{n}")).build()).collect()
}

/// Four pods for the four CPUs of the only node, whose bindings go wrong like this, as often as it says. That all four
/// are bound shows that nothing is lost, and that a fifth is not, that nothing is given twice.
async fn suffers(rule: Rule, times: u64) -> Rig {
    let rig = Rig::start(nodes(1)).await;
    let rule = rig.server.faults().add(rule.resource("pods/binding").times(times));
    for n in 0..4 {
        rig.create(pod(&format!("p{n}")).requests(CPU_1));
    }
    rig.all_bound().await;
    assert_eq!(rig.server.faults().hits(rule), times);
    full_then_free(&rig).await;
    rig
}

/// The only node is full; what one pod leaves, exactly one other gets.
async fn full_then_free(rig: &Rig) {
    rig.create(pod("further").requests(CPU_1));
    assert_eq!(
        rig.refused("further", "Unschedulable").await,
        "0/1 nodes are available: 1 Insufficient cpu. \
         no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
    );
    rig.server.delete("pods", "default", "p0").unwrap();
    rig.bound("further").await;
    rig.check_books();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_on_the_way_is_no_binding_and_is_tried_again() {
    let rig = suffers(Rule::status(409), 3).await;
    // A failed binding is an error of ours or the server's, not a pod that fits nowhere.
    let errors = rig.scheduler.metric("scheduler_schedule_attempts_total{profile=\"plimsoll\",result=\"error\"}");
    assert_eq!(errors, 3.0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_server_is_tried_again() {
    suffers(Rule::status(500), 3).await.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_given_the_time_it_asks_for() {
    let busy = Fault::Status { code: 429, retry_after_seconds: Some(1) };
    let rig = suffers(Rule::new(busy), 2).await;
    // The same binding goes on after the wait: no attempt has failed.
    assert_eq!(rig.scheduler.metric("scheduler_schedule_attempts_total{profile=\"plimsoll\",result=\"error\"}"), 0.0);
    let calls: Vec<_> = rig.server.calls().into_iter().filter(|c| c.subresource == "binding").collect();
    for refused in calls.iter().filter(|c| c.code == 429) {
        let again = calls.iter().find(|c| c.name == refused.name && c.code == 201).unwrap();
        let waited = again.time.duration_since(refused.time).unwrap();
        assert!(waited >= Duration::from_millis(900), "{waited:?}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_after_the_binding_is_read_from_the_pod() {
    let rig = suffers(Rule::new(Fault::DropAfter), 3).await;
    for n in 0..4 {
        let name = format!("p{n}");
        assert_eq!(rig.binding_calls()[&name], 1, "{name} was bound and must not be bound again");
        rig.until("the event", || rig.events(&name, "Scheduled").len() == 1).await;
        assert!(rig.events(&name, "FailedScheduling").is_empty());
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_before_the_binding_is_tried_again() {
    suffers(Rule::new(Fault::DropBefore), 3).await.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_that_are_cut_or_too_old_lose_nothing() {
    let rig = Rig::start(nodes(10)).await;
    for n in 0..40 {
        rig.create(pod(&format!("p{n}")).requests(CPU_1));
        match n % 8 {
            0 => rig.server.cut_watches("pods", false).unwrap(),
            2 => rig.server.cut_watches("pods", true).unwrap(),
            4 => {
                // What comes between the end of the watch and the next one is not to be had any more: list again.
                rig.server.cut_watches("pods", true).unwrap();
                rig.create(pod(&format!("unseen{n}")).requests(&[]));
                rig.server.compact("pods").unwrap();
            }
            6 => {
                rig.server.cut_watches("nodes", n % 16 == 6).unwrap();
                rig.server.compact("nodes").unwrap();
            }
            _ => sleep(Duration::from_millis(10)).await,
        }
    }
    rig.all_bound().await;
    rig.check_books();
    let restarts = |reason: &str| {
        rig.scheduler.metric(&format!("plimsoll_watch_restarts_total{{kind=\"Pod\",reason=\"{reason}\"}}"))
    };
    assert!(restarts("expired") + restarts("error") > 0.0, "the watch has noticed something");
    // The 40 CPUs are full. A pod that goes while nobody watches leaves its room all the same.
    rig.create(pod("further").requests(CPU_1));
    assert_eq!(
        rig.refused("further", "Unschedulable").await,
        "0/10 nodes are available: 10 Insufficient cpu. \
         no new claims to deallocate, preemption: 0/10 nodes are available: 10 No preemption victims found for incoming pod."
    );
    rig.server.cut_watches("pods", true).unwrap();
    rig.server.delete("pods", "default", "p7").unwrap();
    rig.server.compact("pods").unwrap();
    rig.bound("further").await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_that_are_late_give_no_room_away_twice() {
    let rig = Rig::start(nodes(2)).await;
    rig.create(pod("first"));
    rig.bound("first").await;
    rig.server.delay_watches("pods", Duration::from_millis(300)).unwrap();
    // By the time the watch tells of the first binding, all have long been decided.
    for n in 0..12 {
        rig.create(pod(&format!("p{n}")).requests(CPU_1));
    }
    let bound = || rig.pods().iter().filter(|pod| !text(pod, "/spec/nodeName").is_empty()).count();
    let refused =
        || rig.pods().iter().filter(|pod| condition(pod).is_some_and(|c| c["reason"] == "Unschedulable")).count();
    rig.until("8 pods to fill the nodes and 4 to wait", || bound() == 9 && refused() == 4).await;
    rig.check_books();
    rig.server.delay_watches("pods", Duration::ZERO).unwrap();
    rig.server.delete("pods", "default", &first_bound(&rig)).unwrap();
    rig.until("the room to be used again", || refused() == 3).await;
    rig.check_books();
    rig.end().await;
}

/// The name of some pod with a CPU on a node.
fn first_bound(rig: &Rig) -> String {
    let on_node = |pod: &Value| text(pod, "/metadata/name") != "first" && !text(pod, "/spec/nodeName").is_empty();
    text(&rig.pods().into_iter().find(on_node).unwrap(), "/metadata/name").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_deleted_while_it_is_bound_gives_its_room_back() {
    let rig = Rig::start(nodes(1)).await;
    let late = Rule::new(Fault::Delay(Duration::from_millis(300))).resource("pods/binding").times(1);
    let late = rig.server.faults().add(late);
    rig.create(pod("doomed").requests(CPU_3));
    rig.until("the binding to be under way", || rig.server.faults().hits(late) == 1).await;
    rig.server.delete("pods", "default", "doomed").unwrap();
    // Of the same name: the binding that is on its way is not for this one.
    rig.create(pod("doomed").node_selector("kubernetes.io/hostname", "nowhere"));
    rig.create(pod("heir").requests(CPU_3));
    rig.bound("heir").await;
    rig.refused("doomed", "Unschedulable").await;
    rig.until("the binding to be answered", || {
        rig.server.calls().iter().any(|c| c.subresource == "binding" && c.code >= 400)
    })
    .await;
    assert!(text(&rig.pod("doomed"), "/spec/nodeName").is_empty());
    rig.check_books();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_goes_and_comes_back_keeps_its_pods_in_the_books() {
    let rig = Rig::start(nodes(1)).await;
    let late = Rule::new(Fault::Delay(Duration::from_secs(3))).resource("pods/binding").times(1);
    let late = rig.server.faults().add(late);
    rig.create(pod("first").requests(CPU_3));
    rig.until("the binding to be under way", || rig.server.faults().hits(late) == 1).await;
    // The gauge is brought up to date once a second: it says 0 before the first node, too.
    let nodes_known = || rig.scheduler.metric("scheduler_cache_size{type=\"nodes\"}");
    rig.until("the node to be known", || nodes_known() == 1.0).await;
    rig.server.delete("nodes", "", "node-0").unwrap();
    rig.until("the node to be known as gone", || nodes_known() == 0.0).await;
    rig.create(pod("second").requests(CPU_3));
    rig.says("second", "no nodes available to schedule pods").await;
    // The API server binds to nodes that are gone.
    assert_eq!(rig.bound("first").await, "node-0");
    rig.create(node("node-0"));
    rig.says("second", "0/1 nodes are available: 1 Insufficient cpu. \
         no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.").await;
    rig.server.delete("pods", "default", "first").unwrap();
    assert_eq!(rig.bound("second").await, "node-0");
    rig.check_books();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_others_bind_take_up_room() {
    let rig = Rig::start(nodes(1)).await;
    rig.create(pod("foreign").scheduler_name("default-scheduler").requests(CPU_3));
    rig.server.bind("default", "foreign", "node-0").unwrap();
    rig.create(pod("ours").requests(CPU_3));
    rig.refused("ours", "Unschedulable").await;
    rig.server.delete("pods", "default", "foreign").unwrap();
    rig.bound("ours").await;
    // Somebody binds a pod of ours, to a node that we would not have chosen.
    rig.create(node("node-1").unschedulable());
    rig.create(pod("taken").requests(CPU_3));
    rig.refused("taken", "Unschedulable").await;
    rig.server.bind("default", "taken", "node-1").unwrap();
    rig.server.edit("nodes", "", "node-1", |node| node["spec"]["unschedulable"] = false.into()).unwrap();
    rig.create(pod("last").requests(CPU_3));
    rig.says("last", "0/2 nodes are available: 2 Insufficient cpu. \
         no new claims to deallocate, preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.").await;
    rig.server.delete("pods", "default", "taken").unwrap();
    assert_eq!(rig.bound("last").await, "node-1");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_another_binds_first_is_the_others() {
    let rig = Rig::start(nodes(1)).await;
    let late = Rule::new(Fault::Delay(Duration::from_millis(300))).resource("pods/binding").times(1);
    let late = rig.server.faults().add(late);
    rig.create(pod("wanted").requests(CPU_3));
    rig.until("the binding to be under way", || rig.server.faults().hits(late) == 1).await;
    rig.create(node("node-1"));
    rig.server.bind("default", "wanted", "node-1").unwrap();
    rig.until("our binding to be refused", || {
        rig.server.calls().iter().any(|c| c.subresource == "binding" && c.code == 409)
    })
    .await;
    // Its room on our node is free, that on the other one is not.
    rig.create(pod("a").requests(CPU_3));
    assert_eq!(rig.bound("a").await, "node-0");
    rig.create(pod("b").requests(CPU_3));
    rig.says("b", "0/2 nodes are available: 2 Insufficient cpu. \
         no new claims to deallocate, preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.").await;
    assert_eq!(rig.binding_calls()["wanted"], 1);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_it_at_once() {
    all_of_it(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_it_at_once_with_several_workers() {
    all_of_it(4).await;
}

async fn all_of_it(workers: u16) {
    let own = format!("---\napiVersion: config.plimsoll/v1alpha1\nkind: PlimsollConfiguration\nworkers: {workers}\n");
    let rig = Rig::start_with(nodes(25), single(&own)).await;
    let faults = rig.server.faults();
    let bindings = |fault: Fault, probability: f64| Rule::new(fault).resource("pods/binding").probability(probability);
    faults.add(bindings(Fault::Delay(Duration::from_millis(20)), 0.3));
    for code in [409, 500, 503] {
        faults.add(bindings(Fault::Status { code, retry_after_seconds: None }, 0.04));
    }
    faults.add(bindings(Fault::DropAfter, 0.1));
    faults.add(bindings(Fault::DropBefore, 0.05));
    faults.add(Rule::status(500).verb("get").resource("pods").probability(0.2));
    faults.add(Rule::status(500).verb("watch").resource("pods").probability(0.2));
    faults.add(Rule::new(Fault::DropBefore).verb("patch").resource("pods/status").probability(0.2));
    for n in 0..100 {
        rig.create(pod(&format!("p{n}")).requests(CPU_1));
        match n % 25 {
            5 => rig.server.cut_watches("pods", true).unwrap(),
            10 => rig.server.compact("pods").unwrap(),
            15 => rig.server.cut_watches("nodes", false).unwrap(),
            20 => rig.server.delay_watches("pods", Duration::from_millis(50)).unwrap(),
            _ => sleep(Duration::from_millis(2)).await,
        }
    }
    rig.all_bound().await;
    rig.check_books();
    faults.clear();
    rig.server.delay_watches("pods", Duration::ZERO).unwrap();
    // Nothing is kept for anybody any more: the next pods get exactly what others leave.
    for n in 0..4 {
        rig.server.delete("pods", "default", &format!("p{n}")).unwrap();
        rig.create(pod(&format!("next{n}")).requests(CPU_1));
    }
    rig.all_bound().await;
    rig.check_books();
    rig.end().await;
}
