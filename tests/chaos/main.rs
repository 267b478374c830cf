//! Simulated hours of a cluster's life, with everything going wrong that can.
//!
//! Stand-in and schedulers live on one thread and one paused clock and are connected through memory, so an hour takes a
//! fraction of a second, and the same seed is the same hour, call by call. `make chaos SEEDS=N` tries more of them;
//! `PLIMSOLL_CHAOS_SEED=N` tries one and prints what happens in it.

#![cfg(feature = "tools")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test, a failed step is a failed test")]
#![expect(clippy::print_stdout, reason = "what went wrong on order is to be seen")]

mod books;
mod hour;
mod replica;
mod seen;
mod world;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use hour::Outcome;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}

/// How long an hour is waited for. Only one that spins at a point of its time takes that long.
const PATIENCE: Duration = Duration::from_secs(600);

/// An hour on a thread of its own: what tokio's tasks and others keep by thread begins anew.
fn hour(seed: u64, narrate: bool) -> Outcome {
    recorded_hour(seed, narrate, None)
}

/// The same, in which schedulers are recorded in the folder `record`, if one is given.
fn recorded_hour(seed: u64, narrate: bool, record: Option<PathBuf>) -> Outcome {
    let (send, lived) = channel();
    std::thread::spawn(move || send.send(hour::live(seed, narrate, record)));
    match lived.recv_timeout(PATIENCE) {
        Ok(outcome) => outcome,
        Err(RecvTimeoutError::Timeout) => panic!("the hour of seed {seed} does not end"),
        Err(RecvTimeoutError::Disconnected) => panic!("the hour of seed {seed} failed"),
    }
}

#[test]
fn many_hours_lose_nothing() {
    if let Some(seed) = number("PLIMSOLL_CHAOS_SEED") {
        let outcome = hour(seed, true);
        println!("seed {seed}: {outcome}");
        return;
    }
    let seeds = number("PLIMSOLL_CHAOS_SEEDS").unwrap_or(20);
    let first = number("PLIMSOLL_CHAOS_FIRST").unwrap_or(1);
    let (next, total) = (AtomicU64::new(first), Mutex::new(BTreeMap::<String, u64>::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    let outcome = hour(seed, false);
                    let mut total = total.lock().unwrap();
                    outcome.counts.iter().for_each(|(what, count)| *total.entry(what.clone()).or_default() += count);
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    let list: Vec<_> = total.iter().map(|(what, count)| format!("  {count:>9} {what}")).collect();
    println!("{seeds} simulated hours in {:.1} s:\n{}", begun.elapsed().as_secs_f64(), list.join("\n"));
}

#[test]
fn the_same_seed_is_the_same_hour() {
    for seed in 1..=10 {
        let (one, other) = (hour(seed, false), hour(seed, false));
        let differs = one.trace.iter().zip(&other.trace).position(|(a, b)| a != b);
        if let Some(at) = differs {
            let part = |trace: &[String]| trace[at.saturating_sub(5)..(at + 5).min(trace.len())].join("\n");
            panic!("seed {seed}, line {at}:\n{}\nor\n{}", part(&one.trace), part(&other.trace));
        }
        assert_eq!(one.trace.len(), other.trace.len(), "seed {seed}");
    }
    assert_ne!(hour(1, false).trace, hour(2, false).trace, "another seed is another hour");
}

/// What each scheduler of some hours was told is told another process, which must come to the same.
#[test]
fn recorded_hours_are_replayed_alike() {
    let mut effects = 0;
    for seed in 1..=4 {
        let dir = tempfile::tempdir().unwrap();
        let outcome = recorded_hour(seed, false, Some(dir.path().to_owned()));
        assert_eq!(outcome.trace, hour(seed, false).trace, "seed {seed}: being recorded changes nothing");
        for recording in std::fs::read_dir(dir.path()).unwrap() {
            let recording = recording.unwrap().path();
            let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
            let replayed = command.arg("replay").arg(&recording).args(["-o", "json"]).output().unwrap();
            let (out, err) = (String::from_utf8(replayed.stdout).unwrap(), String::from_utf8(replayed.stderr).unwrap());
            assert_eq!(replayed.status.code(), Some(0), "seed {seed}, {recording:?}: {out}{err}");
            let report: serde_json::Value = serde_json::from_str(&out).unwrap();
            assert_eq!(report["ended"], "stopped", "seed {seed}: {report}");
            effects += report["effects"].as_object().unwrap().values().filter_map(|n| n.as_u64()).sum::<u64>();
        }
    }
    assert!(effects > 1_000, "{effects} effects");
}
