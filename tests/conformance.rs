//! docs/conformance.md names tests that exist, and says something of every line.

use std::path::Path;

const PAGE: &str = include_str!("../docs/conformance.md");

/// The rows of the tables: what stands upstream, and what is said of it.
fn rows() -> Vec<(&'static str, &'static str)> {
    let cells = |line: &'static str| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ");
    PAGE.lines().filter_map(cells).filter(|(upstream, _)| *upstream != "Upstream").collect()
}

/// The words in backticks.
fn quoted(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether the file has a test of this name: a function with an attribute that ends in `test`, arguments or not.
fn has_test(source: &str, name: &str) -> bool {
    let mut lines = source.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    let mut is_test = false;
    lines.any(|line| {
        let attribute = line.strip_prefix("#[").map(|rest| rest.trim_end_matches(']').split('(').next().unwrap_or(""));
        match attribute {
            Some(attribute) => {
                is_test |= attribute == "test" || attribute.ends_with("::test");
                false
            }
            None => {
                let named = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
                let found =
                    is_test && named.and_then(|rest| rest.strip_prefix(name)).is_some_and(|r| r.starts_with('('));
                is_test = false;
                found
            }
        }
    })
}

#[test]
fn every_test_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut named, mut missing) = (0, Vec::new());
    for word in quoted(PAGE) {
        let exists = match word.split_once("::") {
            Some((file, test)) => std::fs::read_to_string(root.join(file)).is_ok_and(|source| has_test(&source, test)),
            None if word.contains(".jsonl.gz") || word.ends_with(".rs") => root.join(word).is_file(),
            None => continue,
        };
        named += 1;
        if !exists {
            missing.push(word);
        }
    }
    assert!(missing.is_empty(), "named in docs/conformance.md and not there: {missing:#?}");
    assert!(named > 100, "only {named} names were found");
}

#[test]
fn every_line_says_something() {
    let rows = rows();
    assert!(rows.len() >= 85, "only {} rows were found", rows.len());
    for (upstream, ours) in rows {
        let said = quoted(ours).any(|word| word.contains("::") || word.ends_with(".jsonl.gz"))
            || ["API server", "does not apply", "**not yet**"].iter().any(|word| ours.contains(word));
        assert!(said, "{upstream}: {ours}");
    }
}

#[test]
fn a_name_that_is_no_test_is_noticed() {
    let source =
        "#[test]\n#[ignore]\nfn a() {\n}\nfn b() {}\n#[tokio::test(flavor = \"multi_thread\")]\nasync fn c() {}\n";
    for (name, expect) in [("a", true), ("b", false), ("c", true), ("d", false)] {
        assert_eq!(has_test(source, name), expect, "{name}");
    }
}
