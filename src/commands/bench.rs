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
    ///
    /// Timed as one decision: a pod is popped, decided by the whole default profile on all nodes, checked again, assumed,
    /// counted, and its binding asked for. Cycles are with what is around that: the pod arrives, its binding is answered and
    /// confirmed, and the oldest pod goes. The making of the pods is not timed.
    ///
    /// Warm decisions are on pods of classes seen before. Cold ones, at the end, are each on the first pod of a class, with
    /// selectors never seen that select as many pods as those of the others.
    ///
    /// Nodes have 32 CPUs, 256 GiB and room for 110 pods, in three zones; pods ask for 100m CPU and 500 MB. Groups are of at
    /// most a tenth of the nodes, and take turns.
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
