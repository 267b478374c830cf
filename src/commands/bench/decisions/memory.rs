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

/// How much is touched.
const TOUCHED_BYTES: usize = 64 << 20;
/// In pieces that the allocator takes from its heap.
const PIECE_BYTES: usize = 64 << 10;

/// Has the allocator keep memory that was written to before, as it has in a process that has run for a while: the first
/// touch of a page takes longer than many a decision, in virtual machines a hundred times as long. It is kept as long as
/// what is given here, which lies behind it.
pub(super) fn touched() -> Vec<u8> {
    let pieces: Vec<Vec<u8>> = (0..TOUCHED_BYTES / PIECE_BYTES).map(|_| vec![1; PIECE_BYTES]).collect();
    let behind = vec![1; PIECE_BYTES];
    drop(std::hint::black_box(pieces));
    behind
}
