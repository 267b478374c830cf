//! Plimsoll's in-tree scheduling policies, one file each
