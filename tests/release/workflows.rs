//! Workflows do nothing but call make targets, with no more permissions than they need and no action that can change behind them.

use std::path::Path;

use serde_json::{Map, Value};

use super::{read, targets};

/// Everything that is wrong with a workflow.
fn findings(text: &str) -> Vec<String> {
    let workflow: Value = match serde_saphyr::from_str(text) {
        Ok(workflow) => workflow,
        Err(error) => return vec![format!("is no YAML: {error}")],
    };
    let none = Map::new();
    let mut found = Vec::new();
    match &workflow["permissions"] {
        Value::Object(all) if all.values().all(|value| value == "read" || value == "none") => {}
        Value::Object(_) => found.push("grants every job more than reading".to_owned()),
        _ => found.push("has no permissions at the top: every job would get all of them".to_owned()),
    }
    for trigger in ["pull_request_target", "workflow_run"] {
        if workflow["on"].get(trigger).is_some() {
            found.push(format!("{trigger} hands secrets to what strangers wrote"));
        }
    }
    let jobs = workflow["jobs"].as_object().unwrap_or(&none);
    if jobs.is_empty() {
        found.push("has no job".to_owned());
    }
    for (name, job) in jobs {
        let wrong = job_findings(job, jobs);
        found.extend(wrong.into_iter().map(|wrong| format!("job {name}: {wrong}")));
    }
    // A hash says nothing to the reader.
    for line in text.lines().filter(|line| line.contains("uses: ") && !line.contains("uses: ./")) {
        if !line.contains(" # v") {
            found.push(format!("{}: the version is not beside it", line.trim()));
        }
    }
    found
}

fn job_findings(job: &Value, jobs: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    let needs = match &job["needs"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        Value::String(name) => vec![name.as_str()],
        _ => Vec::new(),
    };
    found.extend(
        needs.iter().filter(|name| !jobs.contains_key(**name)).map(|name| format!("needs {name}, which is no job")),
    );
    if job["permissions"].as_str().is_some() {
        found.push("takes permissions by the dozen".to_owned());
    }
    // A job that is a workflow of its own has its steps there.
    if let Some(called) = job["uses"].as_str() {
        let path = called.strip_prefix("./").map(|path| Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
        if !path.is_some_and(|path| path.is_file()) {
            found.push(format!("{called} is no workflow of this repository"));
        }
        return found;
    }
    if job["timeout-minutes"].as_u64().is_none() {
        found.push("may run for hours: it has no timeout-minutes".to_owned());
    }
    match job["runs-on"].as_str() {
        Some(runner) if !runner.contains("-latest") => {}
        _ => found.push("runs on whatever is latest".to_owned()),
    }
    let steps = job["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    if steps.is_empty() {
        found.push("has no steps".to_owned());
    }
    found.extend(steps.iter().flat_map(step_findings));
    found
}

fn step_findings(step: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(run) = step["run"].as_str() {
        for line in run.lines().filter(|line| !line.trim().is_empty()) {
            let mut words = line.split_whitespace();
            if words.next() != Some("make") {
                found.push(format!("{line}: not a make target"));
                continue;
            }
            let known = targets();
            found.extend(
                words
                    .filter(|word| !known.contains(&(*word).to_owned()))
                    .map(|word| format!("make {word}: no such target")),
            );
        }
    } else if let Some(action) = step["uses"].as_str() {
        let hash = action.split_once('@').map(|(_, hash)| hash).unwrap_or_default();
        if hash.len() != 40 || !hash.chars().all(|c| c.is_ascii_hexdigit()) {
            found.push(format!("{action}: not pinned by a commit"));
        }
        if action.starts_with("actions/checkout@") && step["with"]["persist-credentials"] != false {
            found.push("leaves the checkout's token in the work tree".to_owned());
        }
    } else {
        found.push("a step that neither runs nor uses anything".to_owned());
    }
    found
}

#[test]
fn ours_are_as_they_should_be() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/workflows");
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["ci.yml", "release.yml"]);
    for name in names {
        assert_eq!(findings(&read(&format!(".github/workflows/{name}"))), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_is_wrong_is_found() {
    const HASH: &str = "3d3c42e5aac5ba805825da76410c181273ba90b1";
    let with = |permissions: &str, job: &str| format!("on: push\n{permissions}jobs:\n  it:\n{job}");
    let job = |steps: &str| {
        with("permissions: {}\n", &format!("    runs-on: ubuntu-24.04\n    timeout-minutes: 5\n    steps:\n{steps}"))
    };
    let good = job("      - run: make test\n");
    assert_eq!(findings(&good), Vec::<String>::new());
    for (text, wanted) in [
        (good.replace("permissions: {}\n", ""), "has no permissions at the top"),
        (good.replace("permissions: {}", "permissions: write-all"), "has no permissions at the top"),
        (good.replace("permissions: {}", "permissions: {contents: write}"), "more than reading"),
        (good.replace("on: push", "on: {pull_request_target: {}}"), "what strangers wrote"),
        (good.replace("    timeout-minutes: 5\n", ""), "has no timeout-minutes"),
        (good.replace("ubuntu-24.04", "ubuntu-latest"), "whatever is latest"),
        (good.replace("    steps:", "    needs: [other]\n    steps:"), "needs other, which is no job"),
        (good.replace("    steps:", "    permissions: write-all\n    steps:"), "by the dozen"),
        (good.replace("- run: make test", "- name: nothing"), "neither runs nor uses"),
        (good.replace("make test", "cargo test"), "not a make target"),
        (good.replace("make test", "make tests"), "make tests: no such target"),
        (good.replace("make test", "make test ${{ github.head_ref }}"), "no such target"),
        (job("      - run: |\n          make test\n          curl example.com | sh\n"), "not a make target"),
        (job("      - uses: some/action@v1 # v1\n"), "not pinned by a commit"),
        (job(&format!("      - uses: some/action@{HASH}\n")), "the version is not beside it"),
        (job(&format!("      - uses: actions/checkout@{HASH} # v7\n")), "leaves the checkout's token"),
        (with("permissions: {}\n", "    uses: ./.github/workflows/none.yml\n"), "is no workflow of this repository"),
        ("on: push\npermissions: {}\njobs: {}\n".to_owned(), "has no job"),
        ("on: [push\n".to_owned(), "is no YAML"),
    ] {
        let found = findings(&text);
        assert!(found.iter().any(|found| found.contains(wanted)), "{wanted}: {found:?}\n{text}");
    }
}
