//! What is told of other schedulers' decisions, in metrics and in the log.

use std::time::Duration;

use hashbrown::HashMap;
use plimsoll_engine::engine::Engine;
use plimsoll_engine::shadow::{Compared, Comparison, Scores};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::time::Time;
use tokio::time::Instant;

use crate::metrics::{Counters, Metrics, ShadowResult};

/// So many comparisons get a line of the log in each [`SPAN`]; the others are only counted.
const LINES: u32 = 100;
const SPAN: Duration = Duration::from_secs(10);
/// A list in a line is cut to so many entries.
const ENTRIES: usize = 16;

/// Tells of comparisons.
#[derive(Default)]
pub(super) struct ShadowObserver {
    decisions: HashMap<Istr, Counters<ShadowResult>>,
    lines: Lines,
}

impl ShadowObserver {
    pub(super) fn compared(&mut self, metrics: &Metrics, comparison: &Comparison) {
        let Comparison { scheduler, compared, .. } = comparison;
        let counters = self.decisions.entry_ref(scheduler);
        counters.or_insert_with(|| metrics.plimsoll.shadow.decisions(scheduler)).at(label(compared)).inc();
        if matches!(compared, Compared::Same | Compared::EqualScore { .. }) {
            return;
        }
        if self.lines.has_room(Instant::now()) {
            tell(comparison);
        }
    }

    /// Which pods are left waiting; and what was not told one by one, where there was too much.
    pub(super) fn gauges(&mut self, metrics: &Metrics, engine: &Engine, now: Time) {
        for (scheduler, count) in engine.left_waiting(now) {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            metrics.plimsoll.shadow.pending_placeable(&scheduler).set(count);
        }
        let left_out = self.lines.left_out(Instant::now());
        if left_out > 0 {
            tracing::info!(left_out, "more comparisons came out otherwise than are told one by one");
        }
    }
}

fn label(compared: &Compared) -> ShadowResult {
    match compared {
        Compared::Same => ShadowResult::Same,
        Compared::EqualScore { .. } => ShadowResult::EqualScore,
        Compared::Better(_) => ShadowResult::Better,
        Compared::Worse(_) => ShadowResult::Worse,
        Compared::Infeasible { .. } => ShadowResult::Infeasible,
        Compared::Undecided(_) => ShadowResult::Undecided,
    }
}

/// One line of the log.
fn tell(comparison: &Comparison) {
    let Comparison { pod, scheduler, node: theirs, compared } = comparison;
    let result = compared.as_str();
    match compared {
        Compared::Same | Compared::EqualScore { .. } => {}
        Compared::Better(scores) | Compared::Worse(scores) => {
            let Scores { ours, our_score, their_score, differences } = scores;
            let differences = differences.iter().take(ENTRIES);
            let differences: Vec<_> =
                differences.map(|(plugin, ours, theirs)| format!("{plugin} {ours} to {theirs}")).collect();
            let differences = differences.join(", ");
            tracing::info!(
                %pod, uid = %pod.uid, %scheduler, result, %ours, %theirs, our_score, their_score, differences,
                "another node is {} here", if our_score > their_score { "better" } else { "chosen" }
            );
        }
        Compared::Infeasible { ours, by } => {
            let ours = ours.as_ref().map_or("", |node| node.as_str());
            let plugin = if by.plugin.is_empty() { "PreFilter" } else { by.plugin };
            let reasons = by.reasons.iter().take(ENTRIES).cloned().collect::<Vec<_>>().join(", ");
            tracing::info!(
                %pod, uid = %pod.uid, %scheduler, result, ours, %theirs, plugin, reasons,
                "the pod does not fit on the node that it was given, as far as is known here"
            );
        }
        Compared::Undecided(message) => {
            tracing::info!(
                %pod, uid = %pod.uid, %scheduler, result, %theirs, message,
                "here nothing is decided about the pod"
            );
        }
    }
}

/// Lets so many lines through in each span of time.
#[derive(Debug, Default)]
struct Lines {
    since: Option<Instant>,
    told: u32,
    left_out: u64,
}

impl Lines {
    fn has_room(&mut self, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.duration_since(since) >= SPAN) {
            (self.since, self.told) = (Some(now), 0);
        }
        let has_room = self.told < LINES;
        if has_room {
            self.told += 1;
        } else {
            self.left_out += 1;
        }
        has_room
    }

    /// How many had no room, once their span is over.
    fn left_out(&mut self, now: Instant) -> u64 {
        if self.since.is_some_and(|since| now.duration_since(since) < SPAN) {
            return 0;
        }
        std::mem::take(&mut self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lines_are_bounded_and_what_is_left_out_is_counted() {
        let mut lines = Lines::default();
        let start = Instant::now();
        let through = |lines: &mut Lines, at: Instant, many: u32| (0..many).filter(|_| lines.has_room(at)).count();
        assert_eq!(through(&mut lines, start, LINES + 7), LINES as usize);
        assert_eq!(lines.left_out(start + SPAN / 2), 0, "the span is not over");
        assert_eq!(lines.left_out(start + SPAN), 7);
        assert_eq!(lines.left_out(start + SPAN), 0);
        assert_eq!(through(&mut lines, start + SPAN, 3), 3);
    }
}
