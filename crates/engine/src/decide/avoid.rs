//! Nodes that are avoided: a decision leaves them out of those that fit, unless nothing else would be left. It is a
//! preference and no rule: no plugin says so, and pods that fit nowhere, or go for others, know nothing of it.

use std::sync::Arc;

use plimsoll_framework::extensions::{BoundFilter, FilterDyn};
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::{Row, View};
use plimsoll_framework::verdict::Verdict;

use super::Scratch;
use crate::headroom::Headroom;

/// What a worker avoids.
#[derive(Default)]
pub(super) struct Avoidance {
    /// What is to stay free on nodes, if anything is.
    headroom: Option<Arc<dyn FilterDyn>>,
    /// Whether nothing is avoided at the moment.
    suspended: bool,
}

/// What a decision avoids.
pub(super) struct Avoided<'v> {
    /// Rows, in words of 64.
    rows: &'v [u64],
    headroom: Option<Box<dyn BoundFilter>>,
}

impl Avoidance {
    pub(super) fn set_headroom(&mut self, headroom: &Headroom) {
        self.headroom = headroom.as_filter();
    }

    /// Avoids nothing from now on, or what there is to avoid again; gives how it was.
    pub(super) fn suspend(&mut self, suspended: bool) -> bool {
        std::mem::replace(&mut self.suspended, suspended)
    }

    /// What is to be avoided for a pod, if anything may be.
    pub(super) fn for_pod<'v>(&self, view: &'v View, pod: &PodInfo) -> Option<Avoided<'v>> {
        if self.suspended || view.avoided().is_empty() && self.headroom.is_none() {
            return None;
        }
        let headroom = self.headroom.as_ref().and_then(|headroom| headroom.bind(pod, view));
        (headroom.is_some() || !view.avoided().is_empty()).then_some(Avoided { rows: view.avoided(), headroom })
    }
}

impl Avoided<'_> {
    /// Takes what is avoided out of a set of rows.
    fn take_out(&self, rows: &mut [u64], view: &View, overlay: &Overlay) {
        rows.iter_mut().zip(self.rows).for_each(|(lanes, avoided)| *lanes &= !avoided);
        let Some(headroom) = &self.headroom else { return };
        let has = |rows: &[u64], row: Row| rows.get(row as usize / 64).is_some_and(|l| l >> (row % 64) & 1 == 1);
        let touched: Vec<Row> = overlay.rows().filter(|row| has(rows, *row)).collect();
        let mut out = [Verdict::FITS; 64];
        for ((first, _), lanes) in view.blocks().zip(rows.iter_mut()).filter(|(_, lanes)| **lanes != 0) {
            headroom.block(view, first, *lanes, &mut out);
            *lanes &= Verdict::fitting(&out);
        }
        for row in touched {
            let Some(lanes) = rows.get_mut(row as usize / 64) else { continue };
            let lane = 1 << (row % 64);
            *lanes = if headroom.one(view, Some(overlay), row).fits() { *lanes | lane } else { *lanes & !lane };
        }
    }
}

impl Scratch {
    /// Leaves the feasible rows that are not to be avoided, and gives how many those are; `None` where they stay as they
    /// are: none of them is to be avoided, or all are.
    pub(super) fn leave_out(&mut self, avoided: &Avoided<'_>, view: &View, overlay: &Overlay) -> Option<u32> {
        self.left.clone_from(&self.feasible);
        if avoided.headroom.is_some() {
            self.walked += self.left.iter().map(|lanes| lanes.count_ones() as usize).sum::<usize>();
        }
        avoided.take_out(&mut self.left, view, overlay);
        let count = self.left.iter().map(|lanes| lanes.count_ones()).sum();
        if count == 0 || self.left == self.feasible {
            return None;
        }
        std::mem::swap(&mut self.left, &mut self.feasible);
        self.has_left_out = true;
        Some(count)
    }
}
