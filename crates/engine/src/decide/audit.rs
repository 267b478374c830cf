//! The audit: a decision by the memo is made again from nothing, and compared.

use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::View;

use super::{Outcome, Worker};
use crate::profile::Profile;

/// A decision by the memo that came out otherwise when it was made from nothing. The memo is not used any more for pods of
/// that profile.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// The pod.
    pub pod: String,
    /// The profile.
    pub profile: String,
    /// What the memo said; empty where only its rows were wrong.
    pub kept: String,
    /// What is right, and what counts.
    pub fresh: String,
}

impl Worker {
    /// Decides once more, from nothing. That answer counts.
    pub(super) fn audit(
        &mut self,
        profile: &Profile,
        view: &View,
        overlay: &Overlay,
        pod: &PodInfo,
        draw: u64,
        kept: Outcome,
    ) -> Outcome {
        // A decision is told of once.
        let probe = self.probe.take();
        let fresh = self.decide_afresh(profile, view, overlay, pod, draw, None);
        self.probe = probe;
        self.memo.stats.audits += 1;
        let wrong_row = self.memo.wrong_row(profile, view, pod);
        if fresh == kept && wrong_row.is_none() {
            // Not the fresh one, so that the words that were found for this one are used as they are without an audit.
            return kept;
        }
        let kept = if fresh == kept { wrong_row.unwrap_or_default() } else { format!("{kept:?}") };
        self.found_wrong(profile, pod, kept, format!("{fresh:?}"));
        fresh
    }

    /// What was kept is not right: nothing of the profile is kept any more.
    pub(super) fn found_wrong(&mut self, profile: &Profile, pod: &PodInfo, kept: String, fresh: String) {
        self.memo.stats.mismatches += 1;
        self.memo.distrust(profile);
        let (pod, profile) = (pod.key.to_string(), profile.name.to_string());
        let mismatch = Mismatch { pod, profile, kept, fresh };
        debug_assert!(false, "a decision by the memo is wrong: {mismatch:?}");
        self.mismatch = Some(Box::new(mismatch));
    }
}
