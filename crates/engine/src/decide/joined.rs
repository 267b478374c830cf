//! What-if questions about what is only imagined already: one overlay on top of another.

use std::sync::Arc;

use hashbrown::HashSet;
use plimsoll_framework::overlay::{Delta, Overlay};
use plimsoll_framework::pod::Uid;
use plimsoll_framework::table::View;

/// Two overlays as one, where the second grows between questions. What the first has taken away stays away, whatever
/// the second says of it.
pub(super) struct Joined<'a> {
    view: &'a View,
    base: &'a Overlay,
    gone: HashSet<Uid>,
    overlay: Overlay,
    /// Of the second, in their order.
    applied: Vec<(Uid, i64)>,
    begun: bool,
}

impl<'a> Joined<'a> {
    pub(super) fn new(view: &'a View, base: &'a Overlay) -> Self {
        let gone = base.deltas().iter().filter(|d| d.sign < 0).map(|d| d.pod.key.uid.clone()).collect();
        Self { view, base, gone, overlay: Overlay::default(), applied: Vec::new(), begun: false }
    }

    pub(super) fn with(&mut self, over: &Overlay) -> &Overlay {
        let mut same = self.applied.iter().zip(over.deltas());
        let goes_on = self.applied.len() <= over.deltas().len()
            && same.all(|((uid, sign), delta)| *sign == delta.sign && *uid == delta.pod.key.uid);
        if !goes_on || !self.begun {
            self.overlay.clear();
            self.applied.clear();
            self.begun = true;
            self.base.deltas().iter().for_each(|delta| apply(&mut self.overlay, self.view, delta));
        }
        for delta in over.deltas().iter().skip(self.applied.len()) {
            let uid = delta.pod.key.uid.clone();
            if !self.gone.contains(&uid) {
                apply(&mut self.overlay, self.view, delta);
            }
            self.applied.push((uid, delta.sign));
        }
        &self.overlay
    }
}

fn apply(overlay: &mut Overlay, view: &View, delta: &Delta) {
    if delta.sign > 0 {
        overlay.add(view, delta.row, Arc::clone(&delta.pod));
    } else {
        overlay.remove(view, delta.row, Arc::clone(&delta.pod));
    }
}
