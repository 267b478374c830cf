//! The answer for people.

mod tables;

use std::fmt::Write as _;
use std::sync::Arc;

use plimsoll_engine::decide::{Explanation, NodeScores, Outcome, PostFiltered};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::PodInfo;

use super::answer::best;
use super::misses;
use super::{Answer, Subject};

/// More nodes than this are summed up, unless all are asked for.
const FEW_NODES: usize = 20;
/// Of so many, the best are shown.
const BEST_SHOWN: usize = 10;
/// More names than this are counted.
const NAMES: usize = 5;

/// How much is shown, and how.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    pub(crate) wide: bool,
    /// Whether it is for a terminal: colours, and columns that fit it.
    pub(crate) colours: bool,
}

/// A node that fits, with its scores.
type Fit<'e> = (&'e Istr, &'e NodeScores);

/// The whole answer.
pub(crate) fn text(subject: &mut Subject, style: Style) -> String {
    let explanation = match &subject.answer {
        Answer::Failed(text) => return failed(subject, text),
        Answer::Decided(explanation) => match &explanation.outcome {
            Outcome::Failed(text) => return failed(subject, text),
            _ => explanation,
        },
    };
    let fits = fits(explanation);
    let mut out = header(subject, explanation, &fits);
    out += &tipped(explanation, &fits);
    out += &tables::all(explanation, &fits, subject.now_on.as_ref(), style);
    if let Outcome::Unfit(diagnosis) = &explanation.outcome {
        let _ = write!(out, "\n{}\n", diagnosis.message());
        let done = explanation.preemption.as_ref();
        out += &done.map(|done| preemption(done, subject.victims_elsewhere)).unwrap_or_default();
        out += &near(subject);
    }
    out
}

fn failed(subject: &Subject, text: &str) -> String {
    format!("{} is not decided: {text}\n", subject.pod.key)
}

/// The nodes that fit, the best first, equals by name.
fn fits(explanation: &Explanation) -> Vec<Fit<'_>> {
    let mut fits: Vec<Fit<'_>> =
        explanation.nodes.iter().filter_map(|(name, verdict)| Some((name, verdict.as_ref().ok()?))).collect();
    fits.sort_by(|a, b| b.1.total.cmp(&a.1.total).then_with(|| a.0.cmp(b.0)));
    fits
}

/// What would happen, in a line.
fn header(subject: &Subject, explanation: &Explanation, fits: &[Fit<'_>]) -> String {
    let pod = &subject.pod.key;
    let pod = match &subject.now_on {
        Some(node) => format!("{pod}, now on {node},"),
        None => pod.to_string(),
    };
    let mut line = match &explanation.outcome {
        Outcome::Node { node, .. } => {
            let best = best(explanation);
            let score = fits.first().map_or(0, |(_, scores)| scores.total);
            let count = format!("{} of {} fit", fits.len(), count(explanation.nodes.len(), "node"));
            match best.as_slice() {
                // A node is being cleared for it, and is taken before any other.
                _ if subject.pod.nominated_node_name.as_ref() == Some(node) => {
                    format!("{pod} would go to {node}, for which it is nominated ({count})")
                }
                [_] => format!("{pod} would {} {node}, score {score} ({count})", verb(subject, node)),
                best => format!(
                    "{pod} would go to one of {} equally good nodes: {}; score {score} ({count})",
                    best.len(),
                    names(best)
                ),
            }
        }
        _ => format!("{pod} fits on no node"),
    };
    if subject.pod.scheduler_name != subject.profile().name {
        let _ = write!(
            line,
            "\n(decided by profile {}; the pod names {})",
            subject.profile().name,
            named(&subject.pod.scheduler_name)
        );
    }
    if let [_, ..] = &*subject.pod.spec.scheduling_gates {
        let gates: Vec<&Istr> = subject.pod.spec.scheduling_gates.iter().collect();
        let _ = write!(line, "\n(as if its scheduling gates were lifted: {})", names(&gates));
    }
    line + "\n"
}

fn verb(subject: &Subject, node: &Istr) -> &'static str {
    if subject.now_on.as_ref() == Some(node) { "stay on" } else { "go to" }
}

fn named(name: &Istr) -> &str {
    if name.is_empty() { "none" } else { name.as_str() }
}

/// Why the best is better than the next: the plugins in which they differ most.
fn tipped(explanation: &Explanation, fits: &[Fit<'_>]) -> String {
    let (Outcome::Node { .. }, Some((_, first))) = (&explanation.outcome, fits.first()) else { return String::new() };
    let Some((next, second)) = fits.iter().find(|(_, scores)| scores.total < first.total) else { return String::new() };
    let of = |scores: &NodeScores, plugin: &str| {
        scores.plugins.iter().find(|(name, _)| *name == plugin).map_or(0, |(_, score)| *score)
    };
    let differences = first.plugins.iter().map(|(plugin, score)| (*plugin, score - of(second, plugin)));
    let mut differences: Vec<(&str, i64)> = differences.filter(|(_, by)| *by != 0).collect();
    differences.sort_by_key(|(_, by)| std::cmp::Reverse(by.abs()));
    let parts: Vec<String> = differences.iter().map(|(plugin, by)| format!("{plugin} {by:+}")).collect();
    let by = first.total - second.total;
    format!("what tipped it: {} over {next} ({by:+} in all)\n", parts.join(", "))
}

/// Which pods would have to leave, and how many of which no more is said.
fn preemption(done: &PostFiltered, elsewhere: usize) -> String {
    let Some(node) = &done.nominated_node else { return String::new() };
    let mut pods: Vec<String> = done.victims.iter().map(leaving).collect();
    let all = pods.len() + elsewhere;
    if elsewhere > 0 {
        pods.push(format!("{} of other namespaces", count(elsewhere, "pod")));
    }
    match pods.as_slice() {
        [] => format!("no pod has to leave {node}\n"),
        [one] => format!("preempting {one} on {node} would make room\n"),
        pods => format!("preempting {} on {node} would make room: {}\n", count(all, "pod"), pods.join(", ")),
    }
}

fn leaving(pod: &Arc<PodInfo>) -> String {
    if pod.terminating { format!("{} (being deleted already)", pod.key) } else { pod.key.to_string() }
}

fn near(subject: &mut Subject) -> String {
    let misses = misses::nearest(subject);
    if misses.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = misses.iter().map(|miss| format!("  {}\n", miss.text())).collect();
    format!("\nnearest misses:\n{}", lines.concat())
}

/// A few names, and how many more.
fn names(names: &[&Istr]) -> String {
    let mut text: Vec<String> = names.iter().take(NAMES).map(ToString::to_string).collect();
    if names.len() > NAMES {
        text.push(format!("and {} more", names.len() - NAMES));
    }
    text.join(", ")
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
