//! Gangs, from the event to the effect, with a hand-set clock: placed as a whole or not at all, and nothing held meanwhile.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test from end to end")]

mod common;

use std::collections::BTreeMap;

use common::build::{Pod, node, pod};
use common::cluster::Cluster;
use common::inspect::assert_sums;
use plimsoll_engine::cache::Standing;
use plimsoll_engine::effect::{Observation, Reason};
use plimsoll_engine::event::{BindResult, Event, EvictResult};
use plimsoll_engine::gang::{ExtendedPodGroups, NativePodGroups, OlderPodGroups};
use plimsoll_engine::queue::Place;
use plimsoll_framework::object::{KindRef, ObjectKey};
use serde_json::{Value, json};

const NEW_LABEL: &str = "scheduling.x-k8s.io/pod-group";
const OLD_LABEL: &str = "pod-group.scheduling.sigs.k8s.io";

/// A pod of a gang without an object.
fn member(gang: &str, number: usize, size: &str) -> Pod {
    pod(&format!("{gang}-{number}")).label("plimsoll/gang", gang).label("plimsoll/gang-size", size)
}

fn gang(name: &str, size: usize) -> Vec<Pod> {
    (0..size).map(|number| member(name, number, &size.to_string())).collect()
}

/// A gang whose pods name an object by this label.
fn labelled(label: &'static str, name: &str, size: usize) -> Vec<Pod> {
    (0..size).map(|number| pod(&format!("{name}-{number}")).label(label, name)).collect()
}

fn serves(kind: KindRef) -> Event {
    Event::KindServed { kind, version: Some(kind.version.into()) }
}

fn object(kind: KindRef, namespace: &str, name: &str, spec: Value) -> Event {
    let json = json!({"metadata": {"name": name, "namespace": namespace, "uid": name, "generation": 2}, "spec": spec});
    let key = ObjectKey { namespace: namespace.into(), name: name.into() };
    Event::Object { kind, key, resource_version: 0, object: Some((kind.decode)(&json).unwrap()) }
}

fn min_member(count: i64) -> Value {
    json!({"minMember": count})
}

/// How many pods of each gang have a node.
fn placed(c: &Cluster) -> BTreeMap<String, usize> {
    let mut placed = BTreeMap::new();
    for known in c.engine.cache().iter().filter(|known| known.node().is_some()) {
        if let Some(key) = known.pod.group_key() {
            *placed.entry(key.name.to_string()).or_default() += 1;
        }
    }
    placed
}

/// Decides what can be decided; after every decision each gang is placed with `size` pods, or with none.
fn decide_whole(c: &mut Cluster, size: usize) {
    while c.engine.decide_next(c.now) {
        let placed = placed(c);
        assert!(placed.values().all(|count| *count == size), "a gang is partly assumed: {placed:?}");
    }
    c.decide();
}

/// The condition that was written last for each pod.
fn conditions(c: &Cluster) -> BTreeMap<String, (&'static str, String)> {
    let written = c.statuses.iter().filter_map(|s| {
        let (reason, text) = s.condition.as_ref()?;
        Some((s.key.name.to_string(), (reason.as_str(), text.as_ref().to_owned())))
    });
    written.collect()
}

fn answer_all(c: &mut Cluster) {
    for name in c.binds.iter().map(|b| b.pod.key.name.to_string()).collect::<Vec<_>>() {
        c.answer(&name, BindResult::Bound);
    }
}

// --- all or none ---

#[test]
fn a_hundred_gangs_compete_for_the_room_of_sixty() {
    let nodes: Vec<_> = (0..48).map(|n| node(&format!("n{n:02}"))).collect();
    let mut c = Cluster::new(&nodes);
    let gangs: Vec<Vec<Pod>> = (0..100).map(|n| gang(&format!("g{n:02}"), 8)).collect();
    // The first pod of each, then the second of each: as they come when all are made at once.
    for number in 0..8 {
        c.add(gangs.iter().map(|gang| &gang[number]));
    }
    decide_whole(&mut c, 8);
    assert_eq!(placed(&c).len(), 60);
    assert_eq!(
        c.engine.gang_counts(),
        [("incomplete", 0), ("invalid", 0), ("timed_out", 0), ("waiting", 40), ("placed", 60)]
    );
    assert_sums(&c.engine);
    answer_all(&mut c);

    // When one finishes, another goes; until all have been.
    let mut finished = 0;
    while let Some((name, _)) = placed(&c).into_iter().next() {
        let done = gangs.iter().flatten().filter(|p| p.name.starts_with(&format!("{name}-")));
        for pod in done.cloned().collect::<Vec<_>>() {
            c.tell(pod.version(9).with(|p| p.finished = true).seen());
        }
        finished += 1;
        // The backoff of those that failed, at most.
        c.wait(12);
        decide_whole(&mut c, 8);
        answer_all(&mut c);
        assert_eq!(placed(&c).len(), 60.min(100 - finished), "after {finished} have finished");
    }
    assert_eq!(finished, 100);
}

#[test]
fn pods_that_come_one_by_one_wait_for_the_last() {
    let mut c = Cluster::new(&[node("n1")]);
    let pods = gang("g", 3);
    c.add(&pods[..2]);
    c.decide();
    assert_eq!((c.bound().len(), c.place(&pods[0])), (0, Some(Place::Gated)));
    c.wait(1);
    assert!(c.statuses.is_empty(), "most are complete a moment later");
    c.wait(1);
    let text =
        "waiting for minCount pods from a gang to appear in scheduling queue: 2 of 3 pods of default/g are there";
    let waits = ("GangIncomplete", text.to_owned());
    assert_eq!(conditions(&c), BTreeMap::from([("g-0".to_owned(), waits.clone()), ("g-1".to_owned(), waits)]));
    c.add(&pods[2..]);
    c.decide();
    assert_eq!(c.bound(), ["g-0->n1", "g-1->n1", "g-2->n1"]);
    assert_eq!(c.engine.queue().in_flight(), (0, 0));
}

#[test]
fn a_gang_without_room_for_all_takes_none_and_no_pod_of_it_is_kept_a_node() {
    let mut c = Cluster::new(&[node("n1")]);
    let pods: Vec<Pod> = gang("g", 3).into_iter().map(|p| p.cpu(400).label("nominate", "n1")).collect();
    c.add(&pods);
    c.decide();
    assert!(c.bound().is_empty() && placed(&c).is_empty());
    let text = "pod group is unschedulable: of 3 pods of default/g, g-2 is the first without a place: \
                0/1 nodes are available: 1 Insufficient cpu.";
    assert_eq!(conditions(&c).into_values().collect::<Vec<_>>(), vec![("Unschedulable", text.to_owned()); 3]);
    assert!(c.engine.view().nominations().is_empty());
    assert!(pods.iter().all(|p| c.place(p) == Some(Place::Unschedulable)));
    assert_eq!(c.engine.queue().in_flight(), (0, 0));

    // A pod that is none of them takes the room they do not hold.
    c.add(&[pod("alone").cpu(1_000)]);
    c.decide();
    assert_eq!(c.bound(), ["alone->n1"]);
    // What could help wakes them.
    c.tell(node("n2").cpu(2_000).seen());
    c.wait(2);
    c.decide();
    assert_eq!(placed(&c), BTreeMap::from([("g".to_owned(), 3)]));
}

#[test]
fn what_helps_a_gang_may_help_another_member_than_the_one_that_failed() {
    // The big one fits nowhere but where the small one was put; a node for the small one helps.
    let nodes = [node("n1").cpu(1_000)];
    let mut c = Cluster::new(&nodes);
    let small = member("g", 0, "2").cpu(300).priority(1).with(|p| p.tolerates = Some("gpu"));
    let big = member("g", 1, "2").cpu(1_000);
    c.add([&small, &big]);
    c.decide();
    assert!(c.bound().is_empty());
    c.tell(node("n2").cpu(5_000).taint("gpu").seen());
    c.wait(2);
    c.decide();
    assert_eq!(c.bound(), ["g-0->n2", "g-1->n1"]);
}

#[test]
fn pods_of_different_size_are_tried_with_the_largest_first_if_need_be() {
    // By their order the small ones go to the emptiest nodes, and there is no node left for the large one.
    let mut c = Cluster::new(&[node("n1"), node("n2")]);
    let pods = [member("g", 0, "3").cpu(100), member("g", 1, "3").cpu(100), member("g", 2, "3").cpu(1_000)];
    c.add(&pods);
    c.decide();
    assert_eq!(placed(&c), BTreeMap::from([("g".to_owned(), 3)]));
    assert_sums(&c.engine);
    // One that does not fit anyhow is named by the order of the pods.
    let mut c = Cluster::new(&[node("n1")]);
    c.add(&pods);
    c.decide();
    assert!(c.condition().1.contains("g-2 is the first without a place"), "{}", c.condition().1);
}

#[test]
fn beyond_the_minimum_each_goes_when_it_can() {
    let mut c = Cluster::new(&[node("n1").with(|n| n.pods = 3)]);
    c.tell(serves(KindRef::of::<ExtendedPodGroups>()));
    c.tell(object(KindRef::of::<ExtendedPodGroups>(), "default", "g", min_member(2)));
    let pods = labelled(NEW_LABEL, "g", 5);
    c.add(&pods);
    c.decide();
    assert_eq!(c.bound().len(), 3);
    assert_eq!(conditions(&c).into_keys().collect::<Vec<_>>(), ["g-3", "g-4"]);
    assert_eq!(c.condition(), ("Unschedulable", "0/1 nodes are available: 1 Too many pods."));
    c.tell(node("n2").with(|n| n.pods = 1).seen());
    c.wait(2);
    c.decide();
    assert_eq!(placed(&c), BTreeMap::from([("g".to_owned(), 4)]), "the fourth goes alone");
}

#[test]
fn a_member_deleted_half_way() {
    let mut c = Cluster::new(&[node("n1")]);
    let pods = gang("g", 3);
    // Before it is tried.
    c.add(&pods);
    c.tell(pods[1].deleted(5));
    c.decide();
    assert_eq!((c.bound().len(), c.place(&pods[0])), (0, Some(Place::Gated)));
    // While it is being decided.
    c.add(&[member("g", 7, "3")]);
    let tickets = c.engine.take_work(c.now, 9);
    assert_eq!((tickets.len(), tickets[0].gang.as_ref().map(|g| g.others.len())), (1, Some(2)));
    c.tell(pods[2].deleted(6));
    let proposals = c.engine.new_worker().decide_batch(&c.engine.profiles(), &c.engine.view(), &tickets);
    c.engine.propose(c.now, proposals);
    c.decide();
    assert!(c.bound().is_empty() && placed(&c).is_empty());
    assert_eq!((c.place(&pods[0]), c.engine.queue().in_flight()), (Some(Place::Gated), (0, 0)));
    // One comes in its place.
    c.add(&[member("g", 8, "3")]);
    c.decide();
    assert_eq!(placed(&c), BTreeMap::from([("g".to_owned(), 3)]));
    assert_sums(&c.engine);
}

#[test]
fn two_gangs_decided_on_one_view_do_not_share_a_room() {
    let mut c = Cluster::new(&[node("n1")]);
    let sized = |name: &str| gang(name, 2).into_iter().map(|p| p.cpu(400)).collect::<Vec<_>>();
    c.add(&sized("a"));
    c.add(&sized("b"));
    let (view, profiles) = (c.engine.view(), c.engine.profiles());
    let mut workers = [c.engine.new_worker(), c.engine.new_worker()];
    let jobs: Vec<_> = (0..2).map(|_| c.engine.take_work(c.now, 1)).collect();
    let answers: Vec<_> =
        workers.iter_mut().zip(&jobs).map(|(w, tickets)| w.decide_batch(&profiles, &view, tickets)).collect();
    for answer in answers.into_iter().rev() {
        c.engine.propose(c.now, answer);
    }
    c.decide();
    assert_eq!(placed(&c), BTreeMap::from([("a".to_owned(), 2)]));
    assert_sums(&c.engine);
    // On one worker the second sees the first; what does not fit leaves nothing behind for a third.
    let mut c = Cluster::new(&[node("n1")]);
    c.add(&sized("a"));
    c.add(&sized("b"));
    c.wait(1);
    c.add(&[pod("small").cpu(200)]);
    let tickets = c.engine.take_work(c.now, 9);
    let proposals = c.engine.new_worker().decide_batch(&profiles, &c.engine.view(), &tickets);
    c.engine.propose(c.now, proposals);
    c.decide();
    assert_eq!(c.bound(), ["a-0->n1", "a-1->n1", "small->n1"]);
}

// --- the queue ---

#[test]
fn a_gang_stands_where_its_most_important_pod_stands_and_keeps_its_place() {
    let mut c = Cluster::new(&[node("n1").with(|n| n.pods = 3)]);
    c.add(&gang("late", 2)[..1]);
    c.add(&[pod("before")]);
    c.wait(1);
    c.add(&[member("urgent", 0, "2"), member("urgent", 1, "2").priority(5)]);
    c.add(&gang("late", 2)[1..]);
    c.decide();
    assert_eq!(c.bound(), ["urgent-1->n1", "urgent-0->n1", "before->n1"]);
}

#[test]
fn the_priority_of_a_group_is_its_own_where_it_has_one() {
    let native = KindRef::of::<NativePodGroups>();
    let mut c = Cluster::new(&[node("n1").with(|n| n.pods = 1)]);
    c.tell(serves(native));
    let spec = json!({"schedulingPolicy": {"gang": {"minCount": 1}}, "priority": 9});
    c.tell(object(native, "default", "g", spec));
    c.add(&[pod("other").priority(5)]);
    c.wait(1);
    c.add(&[pod("p").with(|p| p.group = Some("g".to_owned()))]);
    c.decide();
    assert_eq!(c.bound(), ["p->n1"]);
}

#[test]
fn the_backoff_of_a_group_is_one_and_a_late_member_does_not_shorten_it() {
    let mut c = Cluster::new(&[node("n1")]);
    c.tell(serves(KindRef::of::<ExtendedPodGroups>()));
    c.tell(object(KindRef::of::<ExtendedPodGroups>(), "default", "g", min_member(2)));
    let big: Vec<Pod> = labelled(NEW_LABEL, "g", 3).into_iter().map(|p| p.cpu(600)).collect();
    c.add(&big[..2]);
    c.decide();
    // Something else to do, so that nobody is popped out of his backoff.
    c.add(&big[2..]);
    assert_eq!(c.place(&big[2]), Some(Place::Backoff));
    c.wait(2);
    assert_eq!(c.place(&big[2]), Some(Place::Active));
    c.decide();
    let counts: Vec<u32> = big.iter().map(|p| c.engine.queue().get(&p.uid()).unwrap().0.unschedulable_count).collect();
    assert_eq!(counts, [2, 2, 2]);
}

// --- after the commit ---

#[test]
fn one_binding_fails_after_others_succeeded() {
    let mut c = Cluster::new(&[node("n1"), node("n2").with(|n| n.pods = 1)]);
    let pods: Vec<Pod> = gang("g", 2).into_iter().map(|p| p.cpu(900)).collect();
    c.add(&pods);
    c.decide();
    let failed = c.binds[0].pod.key.name.to_string();
    let had = c.binds[0].node.clone();
    let stays = c.binds[1].pod.key.name.to_string();
    c.answer(&stays, BindResult::Bound);
    // Somebody waits for just such a room, and has waited longer.
    c.add(&[pod("waits").cpu(900)]);
    c.decide();
    c.fail(&failed);
    let text = format!(
        "binding default/{failed} to {had}: etcd is on fire; 1 other pods of default/g keep their nodes, and this one is tried again, on {had} first"
    );
    assert_eq!(conditions(&c)[&failed], ("SchedulerError", text));
    assert!(!c.statuses.iter().any(|s| s.nominated_node_name.is_some()), "the preference is our own affair");
    c.decide();
    assert_eq!(c.bound(), [format!("{failed}->{had}")]);
    assert_eq!(c.binds[0].attempts, 2);
    // It cannot be at once for ever.
    c.fail(&failed);
    c.decide();
    assert!(c.bound().is_empty());
    c.wait(4);
    c.decide();
    assert_eq!(c.bound(), [format!("{failed}->{had}")]);
    c.answer(&failed, BindResult::Bound);
    assert_eq!(placed(&c), BTreeMap::from([("g".to_owned(), 2)]));
    assert_eq!(c.engine.queue().in_flight(), (0, 0));
    assert_sums(&c.engine);
}

#[test]
fn a_node_is_deleted_between_two_bindings() {
    let mut c = Cluster::new(&[node("n1").cpu(400), node("n2").cpu(400)]);
    let pods: Vec<Pod> = gang("g", 2).into_iter().map(|p| p.cpu(400)).collect();
    c.add(&pods);
    c.decide();
    let (first, second) = (c.binds[0].pod.key.name.to_string(), c.binds[1].pod.key.name.to_string());
    let gone = c.binds[1].node.to_string();
    c.answer(&first, BindResult::Bound);
    c.tell(node(&gone).deleted());
    c.fail(&second);
    c.decide();
    assert!(c.bound().is_empty());
    let conditions = conditions(&c);
    let (reason, text) = &conditions[&second];
    assert_eq!(*reason, "Unschedulable");
    assert!(text.starts_with("pod group is unschedulable: of 1 pods of default/g"), "{text}");
    // It goes where there is room, by itself: the others are there.
    c.tell(node("n3").cpu(400).seen());
    c.wait(5);
    c.decide();
    assert_eq!(c.bound(), [format!("{second}->n3")]);
    assert_sums(&c.engine);
}

#[test]
fn a_refusal_of_one_gives_all_back() {
    for (label, expect) in [
        ("reserve-First", "0/1 nodes are available: 1 nothing left."),
        ("permit-Second", "0/1 nodes are available: 1 not now."),
    ] {
        let mut c = Cluster::new(&[node("n1")]);
        let mut pods = gang("g", 3);
        pods[1] = pods[1].clone().label(label, "refuse");
        c.add(&pods);
        c.decide();
        assert!(c.bound().is_empty() && placed(&c).is_empty(), "{label}");
        let asked = c.asked();
        let unreserved = asked.iter().filter(|asked| asked.starts_with("unreserve First")).count();
        assert_eq!(unreserved, 3, "{label}: {asked:?}");
        let text =
            format!("pod group is unschedulable: of 3 pods of default/g, g-1 is the first without a place: {expect}");
        assert_eq!(conditions(&c).into_values().collect::<Vec<_>>(), vec![("Unschedulable", text); 3], "{label}");
        assert!(pods.iter().all(|p| c.place(p) == Some(Place::Unschedulable)), "{label}: they do not wake themselves");
        assert_sums(&c.engine);
    }
    let mut c = Cluster::new(&[node("n1")]);
    let mut pods = gang("g", 2);
    pods[0] = pods[0].clone().label("reserve-Second", "error");
    c.add(&pods);
    c.decide();
    assert!(placed(&c).is_empty());
    assert_eq!(conditions(&c)["g-1"].0, "SchedulerError");
    assert!(pods.iter().all(|p| c.place(p) == Some(Place::ErrorBackoff)));
}

#[test]
fn permit_that_holds_one_holds_all_and_gives_all_back() {
    let holding = || {
        let mut c = Cluster::new(&[node("n1")]);
        let mut pods = gang("g", 3);
        pods[1] = pods[1].clone().label("permit-First", "wait");
        c.add(&pods);
        c.decide();
        assert_eq!((c.bound().len(), c.engine.waiting_on_permit(), placed(&c)["g"]), (0, 3, 3));
        (c, pods)
    };
    let (mut c, _) = holding();
    c.add(&[pod("q").label("permit-First", "release")]);
    c.decide();
    assert_eq!((c.bound().len(), c.engine.waiting_on_permit()), (4, 0));
    // It runs out.
    let (mut c, pods) = holding();
    c.wait(90);
    assert!(c.bound().is_empty() && placed(&c).is_empty() && c.engine.waiting_on_permit() == 0);
    assert!(conditions(&c).values().all(|(_, text)| text.contains("g-1 is the first without a place")));
    assert_eq!(c.place(&pods[0]), Some(Place::Unschedulable));
    assert_eq!(c.engine.queue().in_flight(), (0, 0));
    // One of them is deleted: the others wait for another.
    let (mut c, pods) = holding();
    c.tell(pods[0].deleted(5));
    assert!(placed(&c).is_empty() && c.engine.waiting_on_permit() == 0);
    assert_eq!(c.place(&pods[2]), Some(Place::Gated));
    assert_sums(&c.engine);
}

// --- preemption ---

/// A cluster in which pods of lower priority can be named as victims.
fn preempting(nodes: &[common::build::Node]) -> Cluster {
    let entry = plimsoll_plugins::IN_TREE.iter().find(|entry| entry.name == "DefaultPreemption").unwrap();
    let preemption = (entry.build)(None).unwrap();
    let mut deciding = common::plugins::deciding();
    deciding.push(preemption);
    Cluster::with(vec![common::profile("plimsoll", &deciding)], common::cluster::log(), Default::default(), nodes)
}

#[test]
fn a_group_waits_for_those_in_its_way_only_if_all_of_it_then_fits() {
    let low = |name: &str, node: &str| pod(name).cpu(600).on(node);
    let urgent = |count| -> Vec<Pod> { gang("g", count).into_iter().map(|p| p.cpu(600).priority(5)).collect() };
    let nodes = [node("n1"), node("n2")];
    // Those in the way are leaving: the nodes are kept for the whole group.
    let mut c = preempting(&nodes);
    let leaving = [low("a", "n1").with(|p| p.terminating = true), low("b", "n2").with(|p| p.terminating = true)];
    c.add(&leaving);
    let pods = urgent(2);
    c.add(&pods);
    c.decide();
    let mut kept: Vec<String> =
        pods.iter().filter_map(|p| c.engine.view().nominations().node_of(&p.uid()).map(ToString::to_string)).collect();
    kept.sort();
    assert_eq!(kept, ["n1", "n2"]);
    let (reason, text) = conditions(&c)["g-0"].clone();
    assert_eq!(reason, "Unschedulable");
    assert!(
        text.ends_with("1 Insufficient cpu. pod group is waiting for preemption to complete.")
            || text.ends_with("2 Insufficient cpu. pod group is waiting for preemption to complete."),
        "{text}"
    );
    // The first is gone: the group still waits for the second, and nobody takes the room.
    c.tell(leaving[0].deleted(5));
    c.add(&[pod("small").cpu(500)]);
    c.wait(2);
    c.decide();
    assert!(c.bound().is_empty(), "{:?}", c.bound());
    c.tell(leaving[1].deleted(6));
    c.wait(5);
    c.decide();
    assert_eq!(placed(&c), BTreeMap::from([("g".to_owned(), 2)]));
    assert_sums(&c.engine);

    // Two of the group on one node: the second sees gone who left for the first.
    let mut c = preempting(&[node("n1").cpu(2_000)]);
    let leaving = |name: &str| low(name, "n1").cpu(900).with(|p| p.terminating = true);
    c.add(&[leaving("a"), leaving("b")]);
    let pods: Vec<Pod> = urgent(2).into_iter().map(|p| p.cpu(900)).collect();
    c.add(&pods);
    c.decide();
    assert_eq!(c.engine.view().nominations().pods(&"n1".into()).len(), 2);
    // With room for one of them alone they name nobody.
    let mut c = preempting(&[node("n1").cpu(1_000)]);
    c.add(&[leaving("a")]);
    c.add(&pods);
    c.decide();
    assert!(c.engine.view().nominations().is_empty());

    // Even without all of them there is no room for three: nobody is named, no node is kept.
    let mut c = preempting(&nodes);
    c.add(&[low("a", "n1"), low("b", "n2")]);
    c.add(&urgent(3));
    c.decide();
    assert!(c.engine.view().nominations().is_empty());
    assert!(!conditions(&c)["g-0"].1.contains("preemption"), "{}", conditions(&c)["g-0"].1);

    // There would be room: those in the way are told to go, and the group waits as a whole.
    let mut c = preempting(&nodes);
    let there = [low("a", "n1"), low("b", "n2")];
    c.add(&there);
    let pods = urgent(2);
    c.add(&pods);
    c.decide();
    let mut asked = c.evictions.iter().map(|(victim, _)| victim.clone()).collect::<Vec<_>>();
    asked.sort();
    assert_eq!(asked, ["a", "b"]);
    let text = &conditions(&c)["g-1"].1;
    assert!(text.ends_with("pod group is waiting for preemption to complete."), "{text}");
    c.evicted("a", EvictResult::Going);
    c.tell(there[0].deleted(5));
    c.wait(5);
    c.decide();
    assert_eq!((c.bound().len(), c.asked_to_go().len()), (0, 1), "nobody goes alone, and nobody is told twice");
    assert_eq!(pods.iter().filter(|p| c.engine.view().nominations().node_of(&p.uid()).is_some()).count(), 2);
    c.evicted("b", EvictResult::Going);
    c.tell(there[1].deleted(6));
    c.wait(5);
    c.decide();
    assert_eq!(placed(&c), BTreeMap::from([("g".to_owned(), 2)]));
    assert_eq!(c.engine.preemptions_under_way(), 0);
    assert_sums(&c.engine);

    // One of them stays after all: the group is tried anew, and nobody is left held.
    let mut c = preempting(&nodes);
    c.add(&there);
    c.add(&pods);
    c.decide();
    c.evicted("a", EvictResult::Going);
    c.evicted("b", EvictResult::Failed { message: "timed out".to_owned() });
    c.tell(there[0].deleted(5));
    c.wait(12);
    c.decide();
    assert_eq!(c.asked_to_go().len(), 1, "{:?}", c.asked_to_go());
    c.evicted("b", EvictResult::Going);
    c.tell(there[1].deleted(6));
    c.wait(12);
    c.decide();
    assert_eq!(placed(&c), BTreeMap::from([("g".to_owned(), 2)]));

    // A pod beyond the number that is needed is worth nobody's place.
    let extended = KindRef::of::<ExtendedPodGroups>();
    let mut c = preempting(&nodes);
    c.tell(serves(extended));
    c.tell(object(extended, "default", "g", min_member(1)));
    c.add(&[low("a", "n1").with(|p| p.terminating = true)]);
    c.add(&labelled(NEW_LABEL, "g", 2).into_iter().map(|p| p.cpu(600).priority(5)).collect::<Vec<_>>());
    c.decide();
    assert_eq!((c.bound().len(), c.engine.view().nominations().is_empty()), (1, true));
}

// --- objects ---

#[test]
fn every_flavour_of_group() {
    let [native, extended, older] =
        [KindRef::of::<NativePodGroups>(), KindRef::of::<ExtendedPodGroups>(), KindRef::of::<OlderPodGroups>()];
    let gang_of_two = json!({"schedulingPolicy": {"gang": {"minCount": 2}}});
    let by_spec = |name: &str| -> Vec<Pod> {
        (0..2).map(|n| pod(&format!("{name}-{n}")).with(|p| p.group = Some(name.to_owned()))).collect()
    };
    let rows: [(&str, Vec<Pod>, KindRef, Value); 6] = [
        ("spec", by_spec("g"), native, gang_of_two.clone()),
        ("new label", labelled(NEW_LABEL, "g", 2), extended, min_member(2)),
        ("old label", labelled(OLD_LABEL, "g", 2), older, min_member(2)),
        ("old label, newer kind", labelled(OLD_LABEL, "g", 2), extended, min_member(2)),
        ("new label, older kind", labelled(NEW_LABEL, "g", 2), older, min_member(2)),
        ("label, native fields", labelled(NEW_LABEL, "g", 2), extended, gang_of_two),
    ];
    for (name, pods, kind, spec) in rows {
        let mut c = Cluster::new(&[node("n1")]);
        c.tell(serves(kind));
        c.add(&pods);
        c.decide();
        c.wait(2);
        let text = "waiting for pods's pod group \"g\" to appear in scheduling queue";
        assert_eq!(c.condition(), ("GangIncomplete", text), "{name}: the group comes after its pods");
        c.tell(object(kind, "default", "g", spec));
        c.decide();
        assert_eq!(c.bound().len(), 2, "{name}");
        // Once more with one pod alone.
        let mut c = Cluster::new(&[node("n1")]);
        c.tell(serves(kind));
        c.tell(object(kind, "default", "g", min_member(2)));
        c.add(&pods[..1]);
        c.decide();
        assert!(c.bound().is_empty(), "{name}");
    }
}

#[test]
fn a_name_of_a_kind_that_is_not_served_is_just_a_label() {
    let mut c = Cluster::new(&[node("n1")]);
    c.add(&labelled(NEW_LABEL, "g", 1));
    c.decide();
    assert_eq!(c.bound(), ["g-0->n1"]);
    // The kind is defined while pods wait.
    let pods = labelled(NEW_LABEL, "h", 2);
    c.add(&[pods[0].clone().cpu(9_000)]);
    c.decide();
    c.tell(serves(KindRef::of::<ExtendedPodGroups>()));
    assert_eq!(c.place(&pods[0]), Some(Place::Gated));
    // And is gone again.
    c.tell(Event::KindServed { kind: KindRef::of::<ExtendedPodGroups>(), version: None });
    assert_ne!(c.place(&pods[0]), Some(Place::Gated));
    // A policy that demands nothing.
    let native = KindRef::of::<NativePodGroups>();
    c.tell(serves(native));
    c.tell(object(native, "default", "b", json!({"schedulingPolicy": {"basic": {}}})));
    c.add(&[pod("b-0").with(|p| p.group = Some("b".to_owned()))]);
    c.decide();
    assert!(c.bound().contains(&"b-0->n1".to_owned()));
}

#[test]
fn a_group_that_changes_is_looked_at_again() {
    let extended = KindRef::of::<ExtendedPodGroups>();
    let mut c = Cluster::new(&[node("n1").with(|n| n.pods = 2)]);
    c.tell(serves(extended));
    c.tell(object(extended, "default", "g", min_member(3)));
    let pods = labelled(NEW_LABEL, "g", 3);
    c.add(&pods);
    c.decide();
    assert_eq!((c.bound().len(), c.place(&pods[0])), (0, Some(Place::Unschedulable)));
    // It asks for more than there are, then is gone, then asks for less than before.
    c.tell(object(extended, "default", "g", min_member(4)));
    assert_eq!(c.place(&pods[0]), Some(Place::Gated));
    let key = ObjectKey { namespace: "default".into(), name: "g".into() };
    c.tell(Event::Object { kind: extended, key, resource_version: 0, object: None });
    c.wait(2);
    assert_eq!(c.condition().0, "GangIncomplete");
    c.tell(object(extended, "default", "g", min_member(3)));
    c.wait(2);
    c.decide();
    assert_eq!((c.bound().len(), c.place(&pods[0])), (0, Some(Place::Unschedulable)));
    c.tell(object(extended, "default", "g", min_member(2)));
    c.wait(4);
    c.decide();
    assert_eq!(c.bound().len(), 2);
    // A policy that demands nothing: who fits goes.
    let mut c = Cluster::new(&[node("n1").with(|n| n.pods = 1)]);
    c.tell(serves(extended));
    c.tell(object(extended, "default", "g", min_member(2)));
    c.add(&pods[..2]);
    c.decide();
    assert!(c.bound().is_empty());
    c.tell(object(extended, "default", "g", json!({"schedulingPolicy": {"basic": {}}})));
    c.wait(2);
    c.decide();
    assert_eq!(c.bound().len(), 1);
    // A pod that leaves its group goes by itself; one that joins another waits for that.
    let mut c = Cluster::new(&[node("n1")]);
    let lonely = member("g", 0, "2");
    c.add([&lonely]);
    c.tell(
        lonely
            .clone()
            .version(2)
            .with(|p| p.labels = vec![("plimsoll/gang", "h".to_owned()), ("plimsoll/gang-size", "2".to_owned())])
            .seen(),
    );
    assert_eq!(c.place(&lonely), Some(Place::Gated));
    c.tell(lonely.clone().version(3).with(|p| p.labels.clear()).seen());
    c.decide();
    assert_eq!(c.bound(), ["g-0->n1"]);
    assert_eq!(c.engine.gang_counts().iter().map(|(_, count)| count).sum::<usize>(), 0, "both are forgotten");
}

#[test]
fn a_group_that_is_not_placed_in_its_time_steps_back_for_others() {
    let extended = KindRef::of::<ExtendedPodGroups>();
    let mut c = Cluster::new(&[node("n1").with(|n| n.pods = 2)]);
    c.tell(serves(extended));
    c.tell(object(extended, "default", "g", json!({"minMember": 3, "scheduleTimeoutSeconds": 600})));
    let pods: Vec<Pod> = labelled(OLD_LABEL, "g", 3).into_iter().map(|p| p.priority(5)).collect();
    c.add(&pods);
    c.decide();
    c.wait(599);
    c.decide();
    assert_ne!(c.place(&pods[0]), Some(Place::Gated));
    c.wait(1);
    assert!(pods.iter().all(|p| c.place(p) == Some(Place::Gated)));
    c.wait(2);
    let text = |time: &str| {
        format!("default/g was not placed within 10m0s (scheduleTimeoutSeconds); others go first for {time}")
    };
    assert_eq!(conditions(&c)["g-0"], ("GangTimedOut", text("30s")));
    assert_eq!(c.engine.gang_counts()[2], ("timed_out", 1));
    // Others go first, and it comes back; each time it stays away for longer.
    c.add(&[pod("other")]);
    c.decide();
    assert_eq!(c.bound(), ["other->n1"]);
    c.wait(28);
    assert_ne!(c.place(&pods[0]), Some(Place::Gated));
    c.decide();
    c.wait(600);
    c.wait(2);
    assert_eq!(conditions(&c)["g-0"], ("GangTimedOut", text("1m0s")));
    // It is never lost.
    c.tell(node("n2").with(|n| n.pods = 3).seen());
    c.wait(70);
    c.decide();
    assert_eq!(placed(&c), BTreeMap::from([("g".to_owned(), 3)]));
}

#[test]
fn the_status_of_a_native_group_says_what_became_of_it() {
    let native = KindRef::of::<NativePodGroups>();
    let gang_of_two = json!({"schedulingPolicy": {"gang": {"minCount": 2}}});
    let mut c = Cluster::new(&[]);
    c.tell(Event::KindServed { kind: native, version: Some("v1beta1".into()) });
    c.tell(object(native, "default", "g", gang_of_two.clone()));
    let pods: Vec<Pod> =
        (0..2).map(|n| pod(&format!("p{n}")).cpu(900).with(|p| p.group = Some("g".to_owned()))).collect();
    c.tell(node("n1").seen());
    c.add(&pods);
    c.decide();
    let text = "pod group is unschedulable: of 2 pods of default/g, p1 is the first without a place: \
                0/1 nodes are available: 1 Insufficient cpu.";
    assert_eq!(c.groups.len(), 1);
    let status = c.groups.remove(0);
    assert_eq!(
        (status.unscheduled, status.transition, status.generation),
        (Some((Reason::Unschedulable, text.to_owned())), true, 2)
    );
    assert_eq!((&*status.version, &*status.uid), ("v1beta1", "g"));
    // The same is not written again, and what is placed is never called unplaced again.
    let mut version = 1;
    for (said, expect) in [
        (json!({"status": "False", "reason": "Unschedulable", "message": text}), 0),
        (json!({"status": "False", "reason": "Unschedulable", "message": "another"}), 1),
        (json!({"status": "True", "reason": "Scheduled", "message": ""}), 0),
    ] {
        let mut condition = said.clone();
        condition["type"] = json!("PodGroupScheduled");
        let group = json!({"metadata": {"name": "g", "namespace": "default", "uid": "g"}, "spec": gang_of_two,
                           "status": {"conditions": [condition]}});
        let key = ObjectKey { namespace: "default".into(), name: "g".into() };
        c.tell(Event::Object {
            kind: native,
            key,
            resource_version: 0,
            object: Some((native.decode)(&group).unwrap()),
        });
        version += 1;
        c.tell(node("n1").version(version).cpu(1_000 + i64::try_from(version).unwrap()).seen());
        c.wait(12);
        c.decide();
        assert_eq!(c.groups.len(), expect, "{said}");
        c.groups.clear();
    }
    // Other kinds have controllers of their own.
    let mut c = Cluster::new(&[node("n1")]);
    c.tell(serves(KindRef::of::<ExtendedPodGroups>()));
    c.tell(object(KindRef::of::<ExtendedPodGroups>(), "default", "g", min_member(1)));
    c.add(&labelled(NEW_LABEL, "g", 1));
    c.decide();
    assert_eq!((c.bound().len(), c.groups.len()), (1, 0));
}

// --- bad input ---

#[test]
fn bad_input_is_said_and_holds_nobody_else_up() {
    let extended = KindRef::of::<ExtendedPodGroups>();
    let sized =
        |sizes: &[&str]| -> Vec<Pod> { sizes.iter().enumerate().map(|(n, size)| member("g", n, size)).collect() };
    let rows: Vec<(Vec<Event>, Vec<Pod>, &str, &str)> = vec![
        (
            vec![object(extended, "default", "g", min_member(9))],
            labelled(NEW_LABEL, "g", 2),
            "GangIncomplete",
            "waiting for minCount pods from a gang to appear in scheduling queue: 2 of 9 pods of default/g are there",
        ),
        (
            vec![object(extended, "elsewhere", "g", min_member(1))],
            labelled(NEW_LABEL, "g", 1),
            "GangIncomplete",
            "waiting for pods's pod group \"g\" to appear in scheduling queue; the one in namespace \"elsewhere\" is not \
             meant: a pod's group is in its own, \"default\"",
        ),
        (
            vec![],
            sized(&["many"]),
            "InvalidGang",
            "label plimsoll/gang-size of default/g is no number of pods: \"many\"",
        ),
        (vec![], sized(&["0"]), "InvalidGang", "label plimsoll/gang-size of default/g is no number of pods: \"0\""),
        (vec![], sized(&["-1"]), "InvalidGang", "label plimsoll/gang-size of default/g is no number of pods: \"-1\""),
        (
            vec![],
            vec![pod("g-0").label("plimsoll/gang", "g")],
            "InvalidGang",
            "pods of default/g lack label plimsoll/gang-size",
        ),
        (
            vec![],
            sized(&["2", "3"]),
            "InvalidGang",
            "pods of default/g disagree on label plimsoll/gang-size: \"2\" and \"3\"",
        ),
        (
            vec![],
            vec![member("g", 0, "2"), member("g", 1, "2").of("another")],
            "InvalidGang",
            "all pods in a single pod group should have the same .spec.schedulerName set, got: \"another\" and \"plimsoll\"",
        ),
    ];
    for (events, pods, reason, text) in rows {
        let mut c = Cluster::new(&[node("n1")]);
        c.tell(serves(extended));
        events.into_iter().for_each(|event| c.tell(event));
        c.add(&pods);
        c.add(&[pod("other")]);
        c.decide();
        assert_eq!(c.bound(), ["other->n1"], "{text}");
        c.wait(2);
        assert_eq!(c.condition(), (reason, text));
        assert_eq!(c.place(&pods[0]), Some(Place::Gated), "{text}");
        let standing = c.engine.cache().get(&pods[0].uid()).map(|known| known.standing.clone());
        assert_eq!(standing, Some(Standing::Pending), "{text}");
    }
}

#[test]
fn what_is_odd_about_an_object_is_said_once() {
    let [native, extended, older] =
        [KindRef::of::<NativePodGroups>(), KindRef::of::<ExtendedPodGroups>(), KindRef::of::<OlderPodGroups>()];
    let none = "InvalidPodGroup: default/g asks for 0 pods at least; each of its pods goes by itself";
    let several =
        "InvalidPodGroup: there are PodGroups default/g of several API groups; that of scheduling.x-k8s.io counts";
    for (objects, pods, text, bound) in [
        (vec![object(extended, "default", "g", min_member(0))], 1, none, 1),
        (
            vec![object(older, "default", "g", min_member(1)), object(extended, "default", "g", min_member(2))],
            1,
            several,
            0,
        ),
        (
            vec![object(native, "default", "g", min_member(1)), object(extended, "default", "g", min_member(2))],
            2,
            several,
            2,
        ),
    ] {
        let mut c = Cluster::new(&[node("n1")]);
        [native, extended, older].into_iter().for_each(|kind| c.tell(serves(kind)));
        objects.into_iter().for_each(|object| c.tell(object));
        c.add(&labelled(NEW_LABEL, "g", pods));
        c.decide();
        assert_eq!(c.bound().len(), bound, "{text}");
        let said = c.said();
        assert_eq!(said.iter().filter(|note| note.contains(text)).count(), 1, "{said:?}");
    }
}

#[test]
fn gangs_of_other_schedulers_are_their_own_affair() {
    let mut c = Cluster::new(&[node("n1")]);
    c.add(&gang("g", 2).into_iter().map(|p| p.of("another")).collect::<Vec<_>>());
    c.add(&gang("h", 2).into_iter().map(|p| p.of("another").on("n1")).collect::<Vec<_>>());
    c.decide();
    c.wait(2);
    assert!(c.statuses.is_empty() && c.bound().is_empty());
    assert_eq!(c.engine.gang_counts().iter().map(|(_, count)| count).sum::<usize>(), 0);
}

#[test]
fn attempts_of_gangs_are_counted() {
    let mut c = Cluster::new(&[node("n1").with(|n| n.pods = 2)]);
    c.add(&gang("a", 2));
    c.add(&gang("b", 2));
    c.decide();
    let results: Vec<String> = c
        .engine
        .take_observations()
        .into_iter()
        .filter_map(|o| match o {
            Observation::GangAttempt { result, .. } => Some(format!("{result:?}")),
            _ => None,
        })
        .collect();
    assert_eq!(results, ["Scheduled", "Unschedulable"]);
}

#[test]
fn a_member_that_is_gated_or_invalid_is_not_there_yet() {
    let mut c = Cluster::new(&[node("n1")]);
    let gated = member("g", 0, "2").with(|p| p.gated = true);
    c.add(&[gated.clone(), member("g", 1, "2")]);
    c.decide();
    assert!(c.bound().is_empty());
    c.wait(2);
    assert_eq!(conditions(&c).into_keys().collect::<Vec<_>>(), ["g-1"], "the gate of the other says enough");
    c.tell(gated.version(2).with(|p| p.gated = false).seen());
    c.decide();
    assert_eq!(c.bound().len(), 2);
}
