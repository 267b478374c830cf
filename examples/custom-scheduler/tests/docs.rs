//! docs/writing-a-plugin.md shows code of this program as it is, and a configuration and a cluster that do what it says.

#![expect(clippy::unwrap_used, reason = "in a test, a failed step is a failed test")]

use std::process::Command;

const PAGE: &str = include_str!("../../../docs/writing-a-plugin.md");
const RUST: [&str; 2] = [include_str!("../src/main.rs"), include_str!("../src/rack_budget.rs")];
const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

/// The code blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    PAGE.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn every_snippet_is_compiled_as_part_of_the_program() {
    let snippets = blocks("rust");
    assert!(snippets.len() >= 9, "only {} snippets were found", snippets.len());
    for snippet in snippets {
        assert!(RUST.iter().any(|source| source.contains(snippet)), "not in the sources as it is:\n{snippet}");
    }
}

#[test]
fn the_manifest_names_the_version_that_there_is() {
    let manifest = blocks("toml").concat();
    for line in [
        format!("plimsoll = {{ version = {:?}, default-features = false }}", env!("CARGO_PKG_VERSION")),
        format!("plimsoll-framework = {:?}", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(manifest.contains(&line), "{line} is not in\n{manifest}");
    }
    let ours = std::fs::read_to_string(format!("{FOLDER}/Cargo.toml")).unwrap();
    let names = |text: &str| -> Vec<String> {
        let section = text.split("[dependencies]\n").nth(1).unwrap();
        let lines = section.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with('#'));
        lines.map(|line| line.split(['.', ' ']).next().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&manifest), names(&ours), "the page and the program depend on the same crates");
}

#[test]
fn the_configuration_is_the_one_that_is_tried() {
    let ours = std::fs::read_to_string(format!("{FOLDER}/config.yaml")).unwrap();
    assert!(blocks("yaml").contains(&ours.as_str()), "the page shows another config.yaml");
}

#[test]
fn explain_says_what_the_page_shows() {
    let output = Command::new(env!("CARGO_BIN_EXE_custom-scheduler"))
        .args(["explain", "pod/web", "--config", "config.yaml", "-f", "cluster.yaml"])
        .current_dir(FOLDER)
        .output()
        .unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let shown = blocks("text").into_iter().find(|block| block.contains("fits on no node")).unwrap();
    assert!(out.starts_with(shown), "{out}");
}
