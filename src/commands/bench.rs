//! `plimsoll bench`: what is measured, one command for each.

mod apiserver;
mod decisions;
mod e2e;
mod preemption;
pub(super) mod shared;
mod storm;
mod usage;

use crate::registry::Registry;

/// What to measure.
#[derive(Debug, clap::Subcommand)]
pub enum Bench {
    /// The scheduler end to end, against the stand-in API server in a process of its own.
    E2e(e2e::Args),
    /// Decisions alone: no API server, no network, the engine driven in this process.
    Core(Box<decisions::Args>),
    /// Preemption end to end: full nodes, and pods of higher priority.
    Preemption(preemption::Args),
    /// What pods that fit nowhere and pods that go do to those that can be placed.
    Storm(storm::Args),
    /// The stand-in API server under load, in a process of its own.
    Apiserver(apiserver::Args),
}

/// Measures; gives the exit code.
pub fn main(what: &Bench, registry: &Registry) -> i32 {
    match what {
        Bench::E2e(args) => e2e::main(args),
        Bench::Core(args) => decisions::main(args, registry),
        Bench::Preemption(args) => preemption::main(args),
        Bench::Storm(args) => storm::main(args),
        Bench::Apiserver(args) => apiserver::main(args),
    }
}
