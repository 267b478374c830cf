//! The reference's chapter on preemption as far as it is the engine's: who is asked to go and when, what is said and
//! written, and when the pod they go for is tried again. (Which node and which pods it is, the plugin's own tests have.)

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test from end to end")]

mod common;

use std::sync::Arc;

use common::build::{Pod, node, pod};
use common::cluster::{Cluster, log};
use common::plugins::{self, Evictor, First, Licence};
use common::profile;
use common::world::{Op, World};
use plimsoll_engine::effect::Observation;
use plimsoll_engine::engine::EngineSettings;
use plimsoll_engine::event::{BindResult, Event, EvictResult};
use plimsoll_engine::queue::Place;
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::object::KindRef;
use plimsoll_framework::plugin::EvictionPolicy;
use proptest::prelude::*;

fn with(policy: EvictionPolicy) -> Cluster {
    let log = log();
    let mut plugins = plugins::deciding();
    plugins.push(Extensions::of(Evictor).enqueue().pre_enqueue().post_filter().done());
    plugins.push(Extensions::of(First(Arc::clone(&log))).permit().done());
    let settings = EngineSettings { evictions: policy, ..EngineSettings::default() };
    Cluster::with(vec![profile("plimsoll", &plugins)], log, settings, &[node("n1").cpu(1_000)])
}

/// A node of 1,000m that is full of pods a to c of priority 0, and the pod p of priority 5 that needs two of them gone;
/// it has just been decided.
fn full() -> (Cluster, Pod) {
    let mut c = with(EvictionPolicy::default());
    let there: Vec<Pod> = ["a", "b", "c"].iter().map(|name| pod(name).cpu(300).on("n1")).collect();
    let p = pod("p").cpu(600).priority(5);
    c.add(&there);
    c.add([&p]);
    c.decide();
    (c, p)
}

fn there(name: &str) -> Pod {
    pod(name).cpu(300).on("n1")
}

// --- 11.7: carrying it out ---

#[test]
fn all_but_the_last_go_first_and_the_last_wakes_the_pod() {
    let (mut c, p) = full();
    assert_eq!(c.asked_to_go(), ["b for p"], "the last one waits for the others");
    assert_eq!(c.statuses.last().unwrap().nominated_node_name, Some(Some("n1".into())));
    assert_eq!(c.engine.view().nominations().node_of(&p.uid()).map(|n| n.to_string()), Some("n1".to_owned()));
    assert_eq!(c.place(&p), Some(Place::Unschedulable));
    c.evicted("b", EvictResult::Going);
    assert_eq!(c.asked_to_go(), ["c for p"]);
    c.tell(there("b").deleted(9));
    assert_eq!(c.place(&p), Some(Place::Gated), "woken too early, it waits behind the door");
    c.tell(there("c").with(|p| p.terminating = true).version(9).seen());
    assert_eq!(c.place(&p), Some(Place::Backoff), "only the last one is left, and it is going");
    c.decide();
    assert!(c.bound().is_empty() && c.asked_to_go() == ["c for p"], "nobody is asked twice");
    c.evicted("c", EvictResult::Going);
    c.tell(there("c").deleted(10));
    c.decide();
    assert_eq!(c.bound(), ["p->n1"]);
    assert_eq!(c.engine.preemptions_under_way(), 0);
}

#[test]
fn the_last_may_be_gone_before_the_answer_comes() {
    let (mut c, p) = full();
    c.evicted("b", EvictResult::Gone);
    c.tell(there("b").deleted(9));
    c.tell(there("c").deleted(9));
    assert_eq!(c.place(&p), Some(Place::Backoff));
    c.decide();
    assert_eq!(c.bound(), ["p->n1"]);
    c.evicted("c", EvictResult::Going);
    assert_eq!(c.engine.preemptions_under_way(), 0);
}

#[test]
fn both_sides_are_told_of_each_other() {
    let (mut c, _) = full();
    c.said();
    c.evicted("b", EvictResult::Going);
    assert_eq!(c.said(), ["b Preempted: Preempted by pod uid-p on node n1"]);
    let (mut c, _) = full();
    let said = c.said();
    assert_eq!(said.last().unwrap(), "p Preempting: Evicting from node n1: default/b, default/c");
    c.evicted("b", EvictResult::Gone);
    assert!(c.said().is_empty(), "who had gone by itself was not preempted");
}

#[test]
fn a_failure_stops_it_and_has_the_pod_tried_again() {
    let (mut c, p) = full();
    c.evicted("b", EvictResult::Failed { message: "timed out".to_owned() });
    assert!(c.asked_to_go().is_empty(), "the last one is not asked");
    assert_eq!((c.place(&p), c.engine.preemptions_under_way()), (Some(Place::Active), 0));
    let nominated = c.engine.view().nominations().node_of(&p.uid()).map(|n| n.to_string());
    assert_eq!(nominated, Some("n1".to_owned()), "the nomination stays");
    c.decide();
    assert_eq!(c.asked_to_go(), ["b for p"], "and it begins anew");
}

#[test]
fn a_budget_that_stands_against_it_ends_it_and_clears_the_nomination() {
    let (mut c, p) = full();
    c.tell(p.clone().nominated("n1").version(2).seen());
    c.statuses.clear();
    c.said();
    c.evicted("b", EvictResult::Refused { message: "Cannot evict pod as it would violate the budget".to_owned() });
    assert!(c.asked_to_go().is_empty() && c.engine.view().nominations().is_empty());
    assert_eq!(c.statuses.last().unwrap().nominated_node_name, Some(None));
    let told = "p PreemptionRefused: No room on node n1: Cannot evict pod as it would violate the budget";
    assert_eq!(c.said(), [told]);
    assert_eq!(c.place(&p), Some(Place::Backoff), "it tries again later");
}

#[test]
fn a_nomination_that_the_watch_has_not_shown_yet_is_cleared_all_the_same() {
    let (mut c, p) = full();
    assert_eq!(c.statuses.last().unwrap().nominated_node_name, Some(Some("n1".into())));
    // Nobody of lower priority is there any more, and no room either.
    for name in ["a", "b", "c"] {
        c.tell(there(name).with(|p| p.priority = 9).version(9).seen());
    }
    c.evicted("b", EvictResult::Failed { message: "timed out".to_owned() });
    c.decide();
    let last = c.statuses.last().unwrap();
    assert_eq!((&last.key.uid, &last.nominated_node_name), (&p.uid(), &Some(None)));
}

/// The nominations that were asked to be written of p since the last call.
fn nominations(c: &mut Cluster) -> Vec<Option<String>> {
    let statuses = std::mem::take(&mut c.statuses);
    statuses.into_iter().filter_map(|s| s.nominated_node_name).map(|node| node.map(|n| n.to_string())).collect()
}

#[test]
fn a_nomination_is_written_again_whatever_the_watch_has_shown() {
    let n1 = || Some("n1".to_owned());
    let kept = |c: &Cluster, p: &Pod| c.engine.view().nominations().node_of(&p.uid()).map(|n| n.to_string());
    let refuse = |c: &mut Cluster| c.evicted("b", EvictResult::Refused { message: "a budget".to_owned() });
    let written = |number, version| Event::NominationWritten { uid: pod("p").uid(), number, version };
    // The first write may be shown, and answered, or not.
    for (shown, answered) in [(false, false), (false, true), (true, false), (true, true)] {
        let (mut c, p) = full();
        assert_eq!(nominations(&mut c), [n1()]);
        if answered {
            c.tell(written(1, Some(2)));
        }
        if shown {
            c.tell(p.clone().nominated("n1").version(2).seen());
        }
        refuse(&mut c);
        assert_eq!(nominations(&mut c), [None]);
        c.decide();
        assert_eq!(nominations(&mut c), [n1()], "shown: {shown}, answered: {answered}");
        // What the watch shows now is old.
        for (version, old) in [(2, p.clone().nominated("n1")), (3, p.clone())] {
            c.tell(old.version(version).seen());
            assert_eq!(kept(&c, &p), n1());
        }
        c.tell(written(2, Some(3)));
        c.tell(written(3, Some(4)));
        c.tell(p.clone().nominated("n1").version(4).seen());
        // From now on the watch knows best.
        c.tell(p.clone().version(5).seen());
        assert_eq!(kept(&c, &p), None);
    }
}

#[test]
fn a_nomination_whose_write_failed_is_written_by_the_next_attempt() {
    let (mut c, _) = full();
    nominations(&mut c);
    c.tell(Event::NominationWritten { uid: pod("p").uid(), number: 1, version: None });
    c.evicted("b", EvictResult::Failed { message: "timed out".to_owned() });
    c.decide();
    assert_eq!(nominations(&mut c), [Some("n1".to_owned())]);
    c.evicted("b", EvictResult::Failed { message: "timed out".to_owned() });
    c.decide();
    assert!(nominations(&mut c).is_empty(), "that one is under way");
}

#[test]
fn who_is_going_already_is_not_asked() {
    let mut c = with(EvictionPolicy::default());
    let there = [there("a").with(|p| p.terminating = true), there("b"), there("c").with(|p| p.terminating = true)];
    let p = pod("p").cpu(1_000).priority(5);
    c.add(&there);
    c.add([&p]);
    c.decide();
    assert_eq!(c.asked_to_go(), ["b for p"]);
    let victims = c.engine.take_observations().into_iter().find_map(|o| match o {
        Observation::Preemption { victims } => Some(victims),
        _ => None,
    });
    assert_eq!(victims, Some(3), "they are counted all the same");
}

#[test]
fn pods_of_lower_priority_lose_their_nomination_for_the_node_first() {
    let mut c = with(EvictionPolicy::default());
    let low = pod("low").cpu(900).priority(1).nominated("n1");
    c.add(&[there("a"), low.clone()]);
    c.decide();
    assert_eq!(c.asked_to_go(), ["a for low"]);
    c.statuses.clear();
    c.add(&[pod("p").cpu(900).priority(5)]);
    c.decide();
    let cleared = c.statuses.iter().find(|s| s.nominated_node_name == Some(None)).unwrap();
    assert_eq!(&*cleared.key.name, "low");
    let nominated: Vec<_> =
        c.engine.view().nominations().pods(&"n1".into()).iter().map(|p| p.key.name.to_string()).collect();
    assert_eq!(nominated, ["p"]);
    assert_eq!(c.asked_to_go(), ["a for low"], "a is on its way already, and is not asked for another");
}

#[test]
fn a_victim_that_waits_on_permit_is_turned_away_in_memory() {
    let mut c = with(EvictionPolicy::default());
    let held = pod("held").cpu(900).label("permit-First", "wait");
    c.add([&held]);
    c.decide();
    assert_eq!(c.engine.waiting_on_permit(), 1);
    c.said();
    c.add(&[pod("p").cpu(900).priority(5)]);
    c.decide();
    assert!(c.asked_to_go().is_empty(), "the API server knows of no node");
    assert_eq!((c.bound(), c.engine.waiting_on_permit()), (vec!["p->n1".to_owned()], 0));
    let said = c.said();
    assert!(said.contains(&"held Preempted: Preempted by pod uid-p on node n1 (in kube-scheduler memory).".to_owned()));
    assert!(said.contains(&"held FailedScheduling: waiting on permit for pod: preempted".to_owned()));
}

#[test]
fn nobody_else_waits_for_it() {
    let (mut c, _) = full();
    c.tell(node("n2").cpu(100).seen());
    c.add(&[pod("small").cpu(50)]);
    c.decide();
    assert_eq!(c.bound(), ["small->n2"]);
}

#[test]
fn it_ends_with_the_pod_it_is_for() {
    for (what, ending) in
        [("gone", pod("p").deleted(9)), ("put elsewhere", pod("p").cpu(600).on("n9").version(9).seen())]
    {
        let (mut c, p) = full();
        c.tell(ending);
        assert_eq!(c.engine.preemptions_under_way(), 0, "{what}");
        c.evicted("b", EvictResult::Going);
        assert!(c.asked_to_go().is_empty(), "{what}: the last one stays");
        assert!(c.engine.view().nominations().is_empty(), "{what}");
        assert_eq!(c.place(&p), None, "{what}");
    }
}

#[test]
fn two_pods_never_plan_with_the_same_room() {
    let mut c = with(EvictionPolicy::default());
    c.tell(node("n2").cpu(1_000).seen());
    c.add(&[pod("a").cpu(900).on("n1"), pod("b").cpu(900).on("n2")]);
    c.add(&[pod("p").cpu(900).priority(5), pod("q").cpu(900).priority(5)]);
    c.decide();
    assert_eq!(c.asked_to_go(), ["a for p", "b for q"]);
}

// --- what wakes a pod that room is made for ---

/// Two nodes full of one pod each, and p, which waits for that on n1 to go.
fn waits_for_n1() -> (Cluster, Pod) {
    let mut c = with(EvictionPolicy::default());
    c.tell(node("n2").cpu(1_000).seen());
    let p = pod("p").cpu(900).priority(5);
    c.add(&[pod("a").cpu(900).on("n1"), pod("b").cpu(900).on("n2"), p.clone()]);
    c.decide();
    assert_eq!(c.asked_to_go(), ["a for p"]);
    c.evicted("a", EvictResult::Going);
    (c, p)
}

#[test]
fn a_pod_whose_place_another_took_turns_to_another_node() {
    let (mut c, _) = waits_for_n1();
    c.add(&[pod("thief").cpu(900).priority(5).of("other").on("n1")]);
    c.tell(pod("a").on("n1").deleted(9));
    c.decide();
    assert_eq!(c.asked_to_go(), ["b for p"]);
}

#[test]
fn a_pod_whose_node_is_lost_turns_to_another() {
    for (what, event) in [("gone", node("n1").deleted()), ("tainted", node("n1").taint("gpu").version(2).seen())] {
        let (mut c, _) = waits_for_n1();
        c.tell(event);
        c.decide();
        assert_eq!(c.asked_to_go(), ["b for p"], "{what}");
    }
}

#[test]
fn a_pod_whose_node_a_more_urgent_one_takes_turns_to_another() {
    let (mut c, _) = waits_for_n1();
    c.add(&[pod("urgent").cpu(900).priority(6)]);
    c.decide();
    assert_eq!(c.asked_to_go(), ["b for p"], "urgent goes to n1, where a is leaving");
}

#[test]
fn a_pod_that_room_is_made_for_sleeps_through_what_gives_it_none() {
    let (mut c, p) = waits_for_n1();
    c.add(&[pod("c").cpu(50).on("n2")]);
    c.tell(pod("c").on("n2").deleted(9));
    assert_eq!(c.place(&p), Some(Place::Unschedulable));
    c.tell(pod("b").on("n2").deleted(9));
    c.decide();
    assert_eq!(c.bound(), ["p->n2"]);
}

#[test]
fn whoever_counted_on_a_pod_that_stays_after_all_is_tried_again() {
    let (mut c, _) = full();
    c.add(&[pod("urgent").cpu(600).priority(6)]);
    c.decide();
    assert_eq!(c.asked_to_go(), ["b for p", "c for urgent"], "b is asked already");
    c.evicted("b", EvictResult::Failed { message: "timed out".to_owned() });
    c.evicted("c", EvictResult::Going);
    c.decide();
    assert_eq!(c.asked_to_go(), ["b for urgent"]);
}

#[test]
fn a_nomination_that_was_cleared_counts_no_more_whatever_the_watch_shows() {
    let (mut c, p) = full();
    c.tell(p.clone().nominated("n1").version(2).seen());
    c.evicted("b", EvictResult::Going);
    c.tell(there("b").with(|p| p.terminating = true).version(9).seen());
    c.evicted("c", EvictResult::Refused { message: "a budget".to_owned() });
    c.decide();
    assert_eq!(c.asked_to_go(), ["c for p"], "it waits for no one there");
}

#[test]
fn a_nomination_that_somebody_else_clears_is_made_anew() {
    let (mut c, p) = waits_for_n1();
    c.tell(Event::NominationWritten { uid: p.uid(), number: 1, version: Some(2) });
    c.tell(p.clone().nominated("n1").version(2).seen());
    nominations(&mut c);
    c.tell(p.version(3).seen());
    c.decide();
    assert_eq!(nominations(&mut c), [Some("n1".to_owned())]);
}

// --- whom it may be ---

#[test]
fn pods_of_other_schedulers_are_left_alone_where_that_is_wanted() {
    let ours = EvictionPolicy { schedulers: Some(["plimsoll".into()].into()), ..EvictionPolicy::default() };
    for (policy, expect) in [(ours, vec![]), (EvictionPolicy::default(), vec!["theirs for p"])] {
        let mut c = with(policy);
        c.add(&[pod("theirs").cpu(900).of("other").on("n1"), pod("p").cpu(600).priority(5)]);
        c.decide();
        assert_eq!(c.asked_to_go(), expect);
    }
}

/// Strict budgets, and a node full of two pods that a budget stands against.
fn forbidden() -> Cluster {
    let mut c = with(EvictionPolicy { strict_budgets: true, ..EvictionPolicy::default() });
    c.add(&["a", "b"].map(|name| pod(name).cpu(450).label("guarded", "").on("n1")));
    c
}

fn relaxed() -> Event {
    let object: plimsoll_engine::event::AnyObject = Arc::new(String::new());
    Event::Object { kind: KindRef::of::<Licence>(), key: plugins::licence(), resource_version: 2, object: Some(object) }
}

#[test]
fn whom_a_budget_stood_against_is_told_when_it_gives_way() {
    let (mut c, p) = (forbidden(), pod("p").cpu(900).priority(5));
    c.add([&p]);
    c.decide();
    assert_eq!((c.asked_to_go(), c.place(&p)), (vec![], Some(Place::Unschedulable)));
    c.tell(relaxed());
    c.decide();
    assert_eq!(c.asked_to_go(), ["a for p"]);
}

#[test]
fn a_group_that_a_budget_stood_against_is_told_as_well() {
    let mut c = forbidden();
    let member =
        |name: &str| pod(name).cpu(450).priority(5).label("plimsoll/gang", "g").label("plimsoll/gang-size", "2");
    c.add(&[member("g1"), member("g2")]);
    c.decide();
    assert_eq!((c.asked_to_go(), c.place(&member("g1"))), (vec![], Some(Place::Unschedulable)));
    c.tell(relaxed());
    c.decide();
    assert_eq!(c.asked_to_go().len(), 2);
}

// --- the brake ---

#[test]
fn whose_place_others_take_again_and_again_has_to_wait() {
    let mut c = with(EvictionPolicy::default());
    let p = pod("p").cpu(900).priority(5);
    let mut asked = 0;
    c.add([&p]);
    c.add(&[pod("thief-0").cpu(900).of("other").on("n1")]);
    for round in 0..20 {
        c.decide();
        let Some((victim, _)) = c.evictions.first().cloned() else { break };
        asked += 1;
        c.evicted(&victim, EvictResult::Going);
        // Another scheduler is quicker each time.
        c.add(&[pod(&format!("thief-{}", round + 1)).cpu(900).of("other").on("n1")]);
        c.tell(pod(&victim).on("n1").deleted(100 + round));
    }
    assert_eq!(asked, 7, "the first few times are kube-scheduler's");
    assert_eq!(c.place(&p), Some(Place::Unschedulable));
    let message = c.condition().1.to_owned();
    assert!(
        message.ends_with("preemption: held off for 10 s, since pods went for this one, or its like, in vain."),
        "{message}"
    );
    assert!(c.engine.take_observations().iter().any(|o| matches!(o, Observation::PreemptionHeldOff)));
    c.wait(9);
    c.decide();
    assert_eq!(c.evictions.len(), 0);
    c.wait(1);
    c.decide();
    assert_eq!(c.evictions.len(), 1, "but not for longer");
}

#[test]
fn a_place_that_was_got_is_no_vain() {
    let mut c = with(EvictionPolicy::default());
    for round in 0..20 {
        let (low, high) = (format!("low-{round}"), format!("high-{round}"));
        c.add(&[pod(&low).cpu(900).on("n1"), pod(&high).cpu(900).priority(5)]);
        c.decide();
        assert_eq!(c.asked_to_go(), [format!("{low} for {high}")]);
        c.evicted(&low, EvictResult::Going);
        c.tell(pod(&low).on("n1").deleted(9));
        c.decide();
        c.answer(&high, BindResult::Bound);
        c.tell(pod(&high).cpu(900).priority(5).on("n1").version(5).seen());
        c.tell(pod(&high).on("n1").deleted(10));
    }
}

// --- any order of things ---

fn ops(most: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec((0_u8..32, any::<u16>(), any::<u16>()), 1..most)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_evictions_is_safe(workers in 1_usize..=4, local in any::<bool>(), ops in ops(200)) {
        let mut world = World::preempting(workers, local);
        world.run(&ops);
        world.drain();
    }
}
