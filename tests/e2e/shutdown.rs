//! Ending: what is under way is finished, what is not begun is left for the next.

use std::time::Duration;

use plimsoll_apiserver::{Fault, Rule};
use plimsoll_testkit::{node, pod};

use crate::rig::{Rig, config, text};

#[tokio::test(flavor = "multi_thread")]
async fn bindings_under_way_end_and_the_lease_is_released() {
    let rig = Rig::start_with(vec![node("only").build()], config("")).await;
    let late = Rule::new(Fault::Delay(Duration::from_millis(500))).resource("pods/binding");
    let late = rig.server.faults().add(late);
    for n in 0..3 {
        rig.create(pod(&format!("p{n}")).requests(&[("cpu", "1")]));
    }
    rig.until("the bindings to be under way", || rig.server.faults().hits(late) == 3).await;
    assert!(rig.pods().iter().all(|pod| text(pod, "/spec/nodeName").is_empty()), "they are still on their way");
    rig.scheduler.stop();
    // This one is too late: nobody takes it.
    rig.create(pod("late"));
    let Rig { server, scheduler } = rig;
    scheduler.end().await.unwrap();
    for n in 0..3 {
        let name = format!("p{n}");
        assert_eq!(text(&server.get("pods", "default", &name).unwrap(), "/spec/nodeName"), "only", "{name}");
        let events = server.list("events.events.k8s.io", None).unwrap();
        let told = |e: &&serde_json::Value| e["regarding"]["name"] == name.as_str() && e["reason"] == "Scheduled";
        assert_eq!(events.iter().filter(told).count(), 1, "events that wait are written too");
    }
    let lease = server.get("leases.coordination.k8s.io", "kube-system", "plimsoll").unwrap();
    assert_eq!(text(&lease, "/spec/holderIdentity"), "", "{lease}");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_reaches_nobody_ends_when_it_is_told_to() {
    // Bound and dropped: nobody listens there.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let scheduler = crate::rig::Replica::start(&format!("http://{address}"), config(""));
    crate::rig::until_while(
        "it to try",
        || scheduler.metric("plimsoll_watch_restarts_total{kind=\"Node\",reason=\"error\"}") > 0.0,
        || !scheduler.is_finished(),
    )
    .await;
    scheduler.stop();
    scheduler.end().await.unwrap();
}
