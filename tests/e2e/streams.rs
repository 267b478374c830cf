//! Lists that come as the beginning of a watch, where the server does that, and by list where not.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use plimsoll::client::Cluster;
use plimsoll::metrics::Metrics;
use plimsoll::scheduler::Scheduler;
use plimsoll_apiserver::{Call, Fault, Options, Rule, Server, WatchFault};
use plimsoll_testkit::{node, pod};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::rig::{single, text};

/// A scheduler places a pod; time is paused, so that no wait takes any. Gives the calls that this took.
fn placed(minor: u32, rules: Vec<Rule>) -> Vec<Call> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let options = Options { minor, recorded_calls: 100_000, ..Options::default() };
        let server = Arc::new(Server::in_memory(options).unwrap());
        for rule in rules {
            server.faults().add(rule);
        }
        // More than a server sends at once.
        server.load((0..500).map(|n| node(&format!("n{n}")).build()).collect());
        server.create(pod("web")).unwrap();
        let dialed = Arc::clone(&server);
        let cluster = Cluster::in_memory(move || dialed.connect()).unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let scheduler = Scheduler::new(single(""), cluster.clients().unwrap(), metrics);
        let stop = CancellationToken::new();
        let begun = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let task = tokio::spawn(scheduler.simulated(begun).run(stop.clone()));
        let bound = async {
            while text(&server.get("pods", "default", "web").unwrap(), "/spec/nodeName").is_empty() {
                sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(Duration::from_secs(600), bound).await.expect("the pod is placed");
        stop.cancel();
        task.await.unwrap().unwrap();
        server.calls()
    })
}

fn lists(calls: &[Call]) -> Vec<&str> {
    let mut lists: Vec<&str> = calls.iter().filter(|c| c.verb == "list").map(|c| c.resource.as_str()).collect();
    lists.sort_unstable();
    lists.dedup();
    lists
}

/// What watches were refused for their parameters.
fn refused(calls: &[Call]) -> usize {
    calls.iter().filter(|call| call.verb == "watch" && call.code == 422).count()
}

#[test]
fn a_server_that_streams_lists_is_asked_for_none() {
    for minor in [32, 34, 36, 37] {
        let calls = placed(minor, Vec::new());
        assert_eq!((lists(&calls), refused(&calls)), (vec![], 0), "1.{minor}");
    }
}

#[test]
fn one_that_does_not_is_asked_for_all() {
    for minor in [31, 33] {
        let calls = placed(minor, Vec::new());
        let lists = lists(&calls);
        for resource in ["nodes", "pods", "namespaces", "persistentvolumeclaims", "replicasets"] {
            assert!(lists.contains(&resource), "1.{minor}: {lists:?}");
        }
        assert!(refused(&calls) > 0, "it was asked");
    }
}

#[test]
fn a_stream_that_breaks_off_or_never_ends_is_given_up() {
    let silent = Fault::Watch(WatchFault::Lag(Duration::from_secs(3_600)));
    for (text, fault) in [("breaks off", Fault::DropWithin), ("says nothing", silent)] {
        let rule = Rule::new(fault).verb("watch").resource("nodes").times(8);
        let calls = placed(36, vec![rule]);
        assert_eq!(lists(&calls), ["nodes"], "{text}");
    }
}
