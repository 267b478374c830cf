//! One hour: fifty minutes in which things go wrong, ten in which all must come right.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use plimsoll_apiserver::{Fault, Rule, WatchFault};
use tokio::time::{Instant, sleep};

use crate::books;
use crate::world::World;
use plimsoll_testkit::Dice;

const CHAOS: Duration = Duration::from_secs(50 * 60);
const PEACE: Duration = Duration::from_secs(10 * 60);

/// How an hour went.
pub(crate) struct Outcome {
    pub(crate) counts: BTreeMap<String, u64>,
    /// What was done and every call, in order, and the store at the end.
    pub(crate) trace: Vec<String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list: Vec<_> = self.counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        f.write_str(&list.join(", "))
    }
}

/// Lives through the hour of a seed; its schedulers are recorded in the folder `record`, if one is given.
pub(crate) fn live(seed: u64, narrate: bool, record: Option<PathBuf>) -> Outcome {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(live_through(seed, narrate, record))
}

async fn live_through(seed: u64, narrate: bool, record: Option<PathBuf>) -> Outcome {
    let mut world = World::new(seed, narrate, record);
    let end = Instant::now() + CHAOS;
    while Instant::now() < end {
        let pause = world.dice.between(1, 30_000);
        sleep(Duration::from_millis(pause)).await;
        mind_the_schedulers(&mut world).await;
        if world.dice.once_in(3) {
            books::check_nodes(&world);
        }
        if world.dice.once_in(3) { disturb(&mut world).await } else { world.live() }
    }
    calm(&mut world);
    world.lift_gates();
    world.make_room();
    let end = Instant::now() + PEACE;
    while Instant::now() < end {
        sleep(PEACE / 10).await;
        mind_the_schedulers(&mut world).await;
        books::check_nodes(&world);
    }
    books::check_pods(&world);
    books::check_bindings(&world);
    books::check_volumes(&world);
    books::check_caches(&world).await;
    for replica in std::mem::take(&mut world.replicas) {
        replica.end().await.unwrap();
    }
    finish(world)
}

/// A replica that has lost the lease has ended, and is started again.
async fn mind_the_schedulers(world: &mut World) {
    let (ended, running) = std::mem::take(&mut world.replicas).into_iter().partition(|r| r.is_finished());
    world.replicas = running;
    let ended: Vec<crate::replica::Replica> = ended;
    for replica in ended {
        let error = replica.outcome().await.expect_err("nobody has told it to end");
        check_loss(&error);
        world.say(format!("a scheduler has ended: {error:#}"));
        world.start_scheduler();
    }
}

/// The only thing for which a scheduler may end by itself.
fn check_loss(error: &anyhow::Error) {
    let error = format!("{error:#}");
    assert!(error.contains("lost the lease"), "a scheduler has ended: {error}");
}

/// Something goes wrong.
async fn disturb(world: &mut World) {
    let dice = &mut world.dice;
    let watched = *dice.pick(&WATCHED);
    match dice.below(27) {
        0..12 => {
            let (rule, text) = rule(dice);
            world.say(format!("from now on {text}"));
            world.server.faults().add(rule);
        }
        12..15 => {
            world.say("no faults any more".to_owned());
            world.server.faults().clear();
        }
        15 => {
            let abruptly = dice.once_in(2);
            world.say(format!("cut the watches of {watched}, abruptly: {abruptly}"));
            world.server.cut_watches(watched, abruptly).unwrap();
        }
        16 | 17 => {
            let delay = if dice.once_in(3) { 0 } else { dice.below(5_000) };
            world.say(format!("delay the watches of {watched} by {delay} ms"));
            world.server.delay_watches(watched, Duration::from_millis(delay)).unwrap();
        }
        18 => {
            world.say(format!("compact {watched}"));
            world.server.compact(watched).unwrap();
        }
        19 | 20 => {
            let down = dice.below(30_000);
            world.say(format!("the API server restarts and is down for {down} ms"));
            world.server.restart(Duration::from_millis(down));
        }
        21 | 22 => {
            let index = usize::try_from(dice.below(world.replicas.len() as u64)).unwrap();
            world.say(format!("scheduler {index} crashes"));
            drop(world.replicas.swap_remove(index));
            sleep(Duration::from_millis(world.dice.below(20_000))).await;
            world.start_scheduler();
        }
        23 | 24 => {
            let index = usize::try_from(dice.below(world.replicas.len() as u64)).unwrap();
            let memo = dice.below(3);
            world.say(format!("scheduler {index} gets another configuration: memo {memo} MiB"));
            world.replicas[index].reload(&format!("memo: {{budgetMebibytes: {memo}}}\n"));
        }
        25 => {
            let index = usize::try_from(dice.below(world.replicas.len() as u64)).unwrap();
            let paused = dice.once_in(2);
            world.say(format!("scheduler {index} gets another configuration: paused {paused}"));
            world.replicas[index].reload(&format!("paused: {paused}\n"));
        }
        _ => {
            let index = usize::try_from(dice.below(world.replicas.len() as u64)).unwrap();
            world.say(format!("scheduler {index} is restarted"));
            let ended = world.replicas.swap_remove(index).end().await;
            if let Err(error) = ended {
                check_loss(&error);
            }
            world.start_scheduler();
        }
    }
}

/// What schedulers watch, as far as it can be disturbed.
const WATCHED: [&str; 4] = ["pods", "nodes", "persistentvolumes", "persistentvolumeclaims"];

/// The requests that schedulers live on; rules are about one of these.
const CALLS: [(&str, &str); 17] = [
    ("create", "pods/binding"),
    ("create", "pods/binding"),
    ("create", "pods/binding"),
    ("patch", "pods/status"),
    ("delete", "pods"),
    ("get", "pods"),
    ("list", "pods"),
    ("watch", "pods"),
    ("list", "nodes"),
    ("watch", "nodes"),
    ("create", "events"),
    ("update", "leases"),
    ("get", "leases"),
    ("patch", "persistentvolumes"),
    ("patch", "persistentvolumeclaims"),
    ("watch", "persistentvolumes"),
    ("watch", "persistentvolumeclaims"),
];

/// A rule of some sort, and what it says.
fn rule(dice: &mut Dice) -> (Rule, String) {
    let (verb, resource) = *dice.pick(&CALLS);
    let millis = |dice: &mut Dice, most: u64| Duration::from_millis(dice.below(most));
    let fault = if verb == "watch" && !dice.once_in(3) {
        Fault::Watch(match dice.below(5) {
            0 => WatchFault::Lag(millis(dice, 5_000)),
            1 => WatchFault::End(millis(dice, 120_000)),
            2 => WatchFault::Cut(millis(dice, 120_000)),
            3 => WatchFault::Expire(millis(dice, 120_000)),
            _ => WatchFault::Stall(millis(dice, 120_000)),
        })
    } else {
        let code = *dice.pick(&[409, 500, 503, 504]);
        match dice.below(10) {
            0..2 => Fault::Status { code, retry_after_seconds: None },
            2 => Fault::Status { code: 429, retry_after_seconds: Some(dice.below(3)) },
            3 | 4 => Fault::StatusAfter { code },
            5 => Fault::DropBefore,
            6 => Fault::DropAfter,
            7 => Fault::DropWithin,
            8 => Fault::Delay(millis(dice, 15_000)),
            _ => Fault::DelayBetween(Duration::ZERO, millis(dice, 15_000)),
        }
    };
    let share = dice.between(5, 60);
    let text = format!("{share} in 100 of {verb} {resource}: {fault:?}");
    let probability = f64::from(u32::try_from(share).unwrap()) / 100.0;
    (Rule::new(fault).verb(verb).resource(resource).probability(probability), text)
}

/// Nothing goes wrong any more.
fn calm(world: &mut World) {
    world.say("peace".to_owned());
    world.server.faults().clear();
    world.replicas.iter().for_each(|replica| replica.reload(""));
    for resource in WATCHED {
        world.server.delay_watches(resource, Duration::ZERO).unwrap();
    }
}

fn finish(world: World) -> Outcome {
    let mut counts = BTreeMap::new();
    let calls = world.server.calls();
    counts.insert("calls".to_owned(), u64::try_from(calls.len()).unwrap());
    counts.insert("bindings".to_owned(), books::bindings(&calls));
    counts.insert("evictions".to_owned(), books::evictions(&calls));
    for (fault, count) in world.server.faults().injected() {
        counts.insert(format!("faults: {fault}"), count);
    }
    let start = calls.first().map_or(SystemTime::UNIX_EPOCH, |call| call.time);
    let mut trace: Vec<_> = calls
        .iter()
        .map(|call| {
            let at = call.time.duration_since(start).unwrap_or_default().as_millis();
            let (resource, subresource) = (&call.resource, call.subresource);
            let about = format!("{} {resource}/{subresource} {}/{}", call.verb, call.namespace, call.name);
            format!("{at:>9} ms  {about} {}", call.code)
        })
        .collect();
    trace.extend(world.trace);
    for resource in ["nodes", "pods", "persistentvolumes", "persistentvolumeclaims", "events.events.k8s.io", "leases"] {
        trace.extend(world.server.list(resource, None).unwrap().iter().map(ToString::to_string));
    }
    Outcome { counts, trace }
}
