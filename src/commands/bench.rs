//! `plimsoll bench`: what is measured, one command for each.

mod apiserver;
mod binder;
mod coexistence;
mod cpu;
mod decisions;
mod e2e;
mod failover;
mod memory;
mod preemption;
mod report;
pub(super) mod shared;
mod storm;
mod throttle;
mod usage;
mod workloads;

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
    /// What a pod costs the scheduler, end to end, beside a program that does nothing but bind.
    Cpu(cpu::Args),
    /// What `bench cpu` compares with.
    #[command(hide = true)]
    Binder(binder::Args),
    /// What the scheduler needs of memory, at its start and after half a million pods.
    Memory(memory::Args),
    /// The leader is killed, stopped or frozen under load, and another takes over.
    Failover(failover::Args),
    /// Another scheduler binds to the same, nearly full nodes.
    Coexistence(coexistence::Args),
    /// An API server that allows so many calls a second.
    Throttle(throttle::Args),
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
        Bench::Cpu(args) => cpu::main(args),
        Bench::Binder(args) => binder::main(args),
        Bench::Memory(args) => memory::main(args),
        Bench::Failover(args) => failover::main(args),
        Bench::Coexistence(args) => coexistence::main(args),
        Bench::Throttle(args) => throttle::main(args),
        Bench::Apiserver(args) => apiserver::main(args),
    }
}
