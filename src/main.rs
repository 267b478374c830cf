//! The program `plimsoll`.

use std::process::ExitCode;

/// Counts allocations for `bench core`.
#[cfg(feature = "bench-alloc")]
#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    plimsoll::commands::main()
}
