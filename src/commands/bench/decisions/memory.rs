//! What was allocated, and what is.

/// Allocations of this process so far; `None` where they are not counted.
#[cfg(feature = "bench-alloc")]
pub(super) fn allocations() -> Option<usize> {
    let stats = stats_alloc::INSTRUMENTED_SYSTEM.stats();
    Some(stats.allocations + stats.reallocations)
}

/// Allocations of this process so far; `None` where they are not counted.
#[cfg(not(feature = "bench-alloc"))]
pub(super) const fn allocations() -> Option<usize> {
    None
}

/// Bytes in use: to the byte where allocations are counted, in pages of resident memory otherwise.
#[cfg(feature = "bench-alloc")]
pub(super) fn bytes_in_use() -> usize {
    let stats = stats_alloc::INSTRUMENTED_SYSTEM.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

/// Bytes in use: to the byte where allocations are counted, in pages of resident memory otherwise.
#[cfg(not(feature = "bench-alloc"))]
pub(super) fn bytes_in_use() -> usize {
    const PAGE_BYTES: usize = 4_096;
    // Where there is no `/proc` nothing is known, which shows as nothing used.
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let resident = pages.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok());
    resident.unwrap_or(0) * PAGE_BYTES
}
