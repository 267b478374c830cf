//! One trial: some seconds in which things go wrong, then peace, in which all must come right.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use plimsoll_apiserver::{Fault, Rule};

use crate::process::End;
use crate::world::{OTHER, World, text};
use crate::{books, until};

const CHAOS: Duration = Duration::from_secs(8);
/// The longest that a request is held up: less than what a lease lasts beyond the moment from which nothing is bound.
const LONGEST_DELAY: u64 = 600;
/// The longest that watches are behind.
const LONGEST_LAG: u64 = 600;

/// Lives through the trial of a seed; gives how often what happened.
pub(crate) fn live(seed: u64, narrate: bool) -> BTreeMap<String, u64> {
    let mut world = World::new(seed, narrate);
    let end = Instant::now() + CHAOS;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(world.dice.between(5, 60)));
        world.mind();
        act(&mut world);
        world.other_schedules();
    }
    come_to_rest(&mut world);
    for (fault, count) in world.server.faults().injected().into_iter().filter(|(_, count)| *count > 0) {
        world.counts.insert(format!("faults: {fault}"), count);
    }
    books::check(&mut world, seed);
    for replica in &mut world.replicas {
        until(&format!("{} to listen to signals", replica.user), || {
            let log = replica.log();
            log.contains("standing by") || log.contains("leading") || replica.ended().is_some()
        });
        // It may have begun a moment ago, and not have read everything yet.
        let what = format!("seed {seed}: {} to know what is there", replica.user);
        until(&what, || replica.differences().is_none_or(|differences| differences == 0));
    }
    let mut lost = false;
    for mut replica in std::mem::take(&mut world.replicas) {
        // It may also have been stopped until a moment ago, and find only now that the lease is another's.
        if replica.ended().is_some() {
            assert!(replica.log().contains("lost the lease"), "seed {seed}: {} has ended", replica.user);
            lost = true;
            continue;
        }
        replica.terminate();
        assert_eq!(replica.wait(), End::Code(0), "seed {seed}: {}", replica.user);
    }
    // Who could not renew in time lets the lease expire, and nobody may be left to take it over.
    if !lost {
        let lease = world.server.get("leases.coordination.k8s.io", "kube-system", "plimsoll").unwrap();
        assert_eq!(text(&lease, "/spec/holderIdentity"), "", "seed {seed}: the lease is released");
    }
    std::mem::take(&mut world.counts)
}

/// Something happens.
fn act(world: &mut World) {
    match world.dice.below(100) {
        0..32 => world.create_pods("plimsoll"),
        32..40 => world.create_pods(OTHER),
        40..62 => (0..2).for_each(|_| world.delete_pod()),
        62..65 => world.add_node(8),
        65..68 => world.remove_node(),
        68..78 => fault(world),
        78..82 => calm(world),
        82..86 => {
            let abruptly = world.dice.once_in(2);
            world.say("cut the watches of pods");
            world.cuts.push(SystemTime::now());
            world.server.cut_watches("pods", abruptly).unwrap();
        }
        86..88 => {
            let lag = world.dice.below(LONGEST_LAG);
            world.say(&format!("watches are {lag} ms behind"));
            world.server.delay_watches("pods", Duration::from_millis(lag)).unwrap();
            world.server.delay_watches("nodes", Duration::from_millis(lag)).unwrap();
        }
        88..90 => world.server.cut_watches("nodes", true).unwrap(),
        _ => strike(world),
    }
}

/// A replica is hit.
fn strike(world: &mut World) {
    if world.replicas.is_empty() {
        return;
    }
    let index = world.dice.index(world.replicas.len());
    let user = world.replicas[index].user.clone();
    let pause = Duration::from_millis(world.dice.below(1_500));
    let is_stopped = world.stopped.iter().any(|(_, stopped)| *stopped == user);
    match world.dice.below(3) {
        0 => {
            world.say(&format!("KILL {user}"));
            world.count("signals: KILL");
            world.stopped.retain(|(_, stopped)| *stopped != user);
            drop(world.replicas.swap_remove(index));
            world.start_later(pause);
        }
        1 if !world.replicas[index].told_to_end => {
            world.say(&format!("TERM {user}"));
            world.count("signals: TERM");
            world.replicas[index].terminate();
        }
        _ if !is_stopped => {
            // Shorter and longer than what a lease lasts.
            let time = Duration::from_millis(world.dice.between(100, 5_000));
            world.say(&format!("STOP {user} for {} ms", time.as_millis()));
            world.count("signals: STOP");
            world.replicas[index].signal("STOP");
            world.stopped.push((Instant::now() + time, user));
        }
        _ => {}
    }
}

/// The requests that schedulers live on.
const CALLS: [(&str, &str); 11] = [
    ("create", "pods/binding"),
    ("create", "pods/binding"),
    ("create", "pods/binding"),
    ("patch", "pods/status"),
    ("get", "pods"),
    ("list", "pods"),
    ("watch", "pods"),
    ("list", "nodes"),
    ("create", "events"),
    ("update", "leases"),
    ("get", "leases"),
];

/// Some requests go wrong from now on.
fn fault(world: &mut World) {
    let dice = &mut world.dice;
    let (verb, resource) = *dice.pick(&CALLS);
    let code = *dice.pick(&[409, 429, 500, 503]);
    let fault = match dice.below(8) {
        0..3 => Fault::Status { code, retry_after_seconds: (code == 429).then_some(1) },
        3 | 4 => Fault::DelayBetween(Duration::ZERO, Duration::from_millis(LONGEST_DELAY)),
        5 => Fault::DropBefore,
        // The books know leases by the answers to their writes.
        _ if resource == "leases" => Fault::DropBefore,
        6 => Fault::DropAfter,
        _ => Fault::StatusAfter { code: 504 },
    };
    let (share, times) = (dice.between(10, 60), dice.between(1, 12));
    let share = f64::from(u32::try_from(share).unwrap()) / 100.0;
    world.say(&format!("{verb} {resource}: {fault:?}, {share} of them, {times} times"));
    world.server.faults().add(Rule::new(fault).verb(verb).resource(resource).probability(share).times(times));
}

fn calm(world: &mut World) {
    world.say("no faults any more");
    world.server.faults().clear();
    for resource in ["pods", "nodes"] {
        world.server.delay_watches(resource, Duration::ZERO).unwrap();
    }
}

/// Nothing goes wrong any more, and there is room for everything: everybody finds a place.
fn come_to_rest(world: &mut World) {
    calm(world);
    (0..10).for_each(|_| world.add_node(32));
    let waits = |world: &World| {
        let pods = world.server.list("pods", None).unwrap().into_iter();
        let name = |pod: &serde_json::Value| text(pod, "/metadata/name").to_owned();
        pods.filter(|pod| text(pod, "/spec/nodeName").is_empty()).map(|pod| name(&pod)).collect::<Vec<_>>()
    };
    let mut left = Vec::new();
    until("two replicas, and a place for every pod", || {
        world.mind();
        world.other_schedules();
        let now = waits(world);
        if now != left {
            world.say(&format!("{} pods wait: {now:?}", now.len()));
            left = now;
        }
        left.is_empty() && world.is_complete()
    });
}
