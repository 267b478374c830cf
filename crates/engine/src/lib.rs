//! Plimsoll's mechanism: queue, cache, view, decision and commit, without I/O, clock or randomness
