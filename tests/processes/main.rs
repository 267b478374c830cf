//! Replicas of the program as processes, which are killed, stopped and told to end while everything else goes wrong, too.
//!
//! `make chaos-processes SEEDS=N` tries so many times; `PLIMSOLL_CHAOS_SEED=N` tries one and prints what happens in it. What is
//! done follows from the seed, what comes of it also from the machine. Where KUBEBUILDER_ASSETS names etcd and kube-apiserver,
//! a smaller suite runs against these.

#![cfg(feature = "tools")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test, a failed step is a failed test")]
#![expect(clippy::print_stdout, reason = "what went wrong on order is to be seen")]

mod books;
mod process;
mod real;
mod trial;
mod world;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long anything is waited for. Only a test that fails waits that long.
const PATIENCE: Duration = Duration::from_secs(60);

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn processes_that_die_lose_nothing_and_bind_nothing_twice() {
    if let Some(seed) = number("PLIMSOLL_CHAOS_SEED") {
        return println!("seed {seed}: {:?}", trial::live(seed, true));
    }
    let seeds = number("PLIMSOLL_CHAOS_PROCESS_SEEDS").unwrap_or(2);
    let first = number("PLIMSOLL_CHAOS_FIRST").unwrap_or(1);
    let (begun, mut total) = (Instant::now(), BTreeMap::<String, u64>::new());
    for seed in first..first + seeds {
        let counts = trial::live(seed, false);
        counts.into_iter().for_each(|(what, count)| *total.entry(what).or_default() += count);
        // For who waits: a hundred of them take half an hour.
        println!("seed {seed} done after {:.0} s", begun.elapsed().as_secs_f64());
    }
    let list: Vec<_> = total.iter().map(|(what, count)| format!("  {count:>7} {what}")).collect();
    println!("{seeds} trials with processes in {:.0} s:\n{}", begun.elapsed().as_secs_f64(), list.join("\n"));
}
