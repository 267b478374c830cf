//! Whole decisions against those recorded from kube-scheduler 1.36.2, in every field: on objects as they are, and after
//! they came as news in any order with others among them that were undone.

#![expect(clippy::unwrap_used, reason = "in a test, a failed step is a failed test")]

mod recorded;

use recorded::{MEMOS, replay, scenarios, solve, subjects};

/// How many differences are printed before the rest is only counted.
const PRINTED: usize = 40;

fn fail_if_any(differences: &[String], of: usize, subject: &str) {
    let shown = differences.iter().take(PRINTED).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{subject}: {} differences in {of} scenarios\n{shown}", differences.len());
}

fn decisions(subject: &str) {
    let (scenarios, mut differences, mut scores) = (scenarios(subject), Vec::new(), 0);
    for (scenario, memo) in scenarios.iter().flat_map(|scenario| MEMOS.map(|memo| (scenario, memo))) {
        let told = solve(scenario, memo);
        scores += told.scores();
        let found = told.differences(&scenario.expect).into_iter();
        differences.extend(found.map(|d| format!("{} {d} ({memo:?})", scenario.name)));
    }
    fail_if_any(&differences, scenarios.len(), subject);
    assert!(scenarios.len() >= 100 && scores > 1_200, "{subject}: only {scores} scores were compared");
}

fn replays(subject: &str) {
    let (mut scenarios, mut differences) = (scenarios(subject), Vec::new());
    for (seed, scenario) in (0..).zip(&mut scenarios) {
        if !scenario.victims_are_told_apart() {
            scenario.expect.preemption = None;
        }
        let (told, fresh) = (replay(scenario, seed), solve(scenario, MEMOS[0]));
        let found = told.differences(&scenario.expect);
        differences.extend(found.into_iter().map(|d| format!("{} (replayed) {d}", scenario.name)));
        if !told.is_as(&fresh) {
            differences.push(format!("{} (replayed): {told:?} is not {fresh:?}", scenario.name));
        }
    }
    fail_if_any(&differences, scenarios.len(), subject);
}

macro_rules! subjects {
    ($($subject:ident)*) => {
        const SUBJECTS: &[&str] = &[$(stringify!($subject)),*];
        mod as_they_are { $(#[test] fn $subject() { super::decisions(stringify!($subject)); })* }
        mod as_news { $(#[test] fn $subject() { super::replays(stringify!($subject)); })* }
    };
}
subjects! {
    capacity defaultspread everything nodeaffinity nominated owners pdb podaffinity ports preemption resize resources
    spread taints volumes
}

#[test]
fn every_recording_is_compared() {
    assert_eq!(subjects(), SUBJECTS);
    assert_eq!(subjects().iter().map(|s| scenarios(s).len()).sum::<usize>(), 1_600);
}
