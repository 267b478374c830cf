//! What a release stands on, short of making one: the version in all its places, the scripts that set and check it, the workflows.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "in a test, a failed step is a failed test")]

mod version;
mod workflows;

use std::path::Path;

/// A file of the repository.
fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// Every target of the Makefile.
fn targets() -> Vec<String> {
    let makefile = read("Makefile");
    let named = makefile.lines().filter_map(|line| line.split_once(":").filter(|(_, rest)| !rest.starts_with('=')));
    let plain = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    named.map(|(name, _)| name.to_owned()).filter(|name| !name.is_empty() && plain(name)).collect()
}
