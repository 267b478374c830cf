//! Making the rows of a class from nothing, 64 nodes at a time.

use std::sync::Arc;

use plimsoll_framework::extensions::BoundScoring;
use plimsoll_framework::plugin::PreFilterVerdict;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::read::Groups;
use plimsoll_framework::table::{View, bits};
use plimsoll_framework::verdict::Verdict;

use super::best::NO_TOTAL;
use super::class::{ABSENT, Class, KeptFilter, KeptScore, small};
use super::clearings::Clearings;
use super::row::{Kept, Normalized, Raw};
use crate::profile::Profile;

/// What has to be made again when plugins were prepared again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stale {
    Nothing,
    /// Scores that follow from the node objects.
    ObjectScores,
    Everything,
}

impl Class {
    /// Prepares every plugin whose answers are kept, for a pod of the class.
    pub(super) fn prepare(&mut self, profile: &Profile, view: &View, pod: &PodInfo) {
        self.table = Some(Arc::clone(view.identity()));
        self.versions = view.versions();
        self.skipped.clear();
        self.usable = true;
        self.templates.clear();
        self.clearings = Clearings::default();
        let unconcerned = |at: &usize| !profile.pre_filter[*at].plugin.concerns(&pod.spec);
        self.skipped.extend(profile.plan.asked_pre_filters().iter().copied().filter(unconcerned));
        for at in &profile.plan.kept_pre_filters {
            match profile.pre_filter[*at].plugin.pre_filter(pod, view) {
                PreFilterVerdict::Run => {}
                PreFilterVerdict::Skip => self.skipped.push(*at),
                _ => self.usable = false,
            }
        }
        let kept = profile.plan.kept_filters.iter();
        self.filters = kept.filter_map(|at| self.bind_filter(profile, view, pod, *at)).collect();
        self.prepare_scores(profile, view, pod);
    }

    fn bind_filter(&self, profile: &Profile, view: &View, pod: &PodInfo, at: usize) -> Option<KeptFilter> {
        let point = &profile.filter[at];
        if self.skipped.iter().any(|pre| profile.pre_filter[*pre].name == point.name) {
            return None;
        }
        let bound = point.plugin.bind(pod, view).filter(|bound| bound.takes_part(view, None))?;
        Some(KeptFilter { at, groups: point.plugin.groups(), bound })
    }

    fn prepare_scores(&mut self, profile: &Profile, view: &View, pod: &PodInfo) {
        self.of_usage.clear();
        self.of_object.clear();
        self.normalized.clear();
        self.over_feasible.clear();
        for at in profile.plan.kept_scores.iter().copied() {
            let scorer = &profile.score[at];
            let mut pre_scores = profile.pre_score.iter().filter(|pre| pre.name == scorer.name);
            if !pre_scores.all(|pre| pre.plugin.pre_score(pod, view)) {
                continue;
            }
            let (groups, weight) = (scorer.plugin.groups(), scorer.weight);
            let (kept, normalized) = match scorer.plugin.bind(pod, view) {
                BoundScoring::Skip => continue,
                BoundScoring::OverFeasible(_) => {
                    self.over_feasible.push(at);
                    continue;
                }
                BoundScoring::Zero(normalize) => {
                    let normalized = normalize.is_normalized();
                    (Kept::Zero(normalize), normalized)
                }
                BoundScoring::PerNode(bound) if !bound.takes_part(view, None) => continue,
                BoundScoring::PerNode(bound) => {
                    let normalized = bound.is_normalized();
                    (Kept::PerNode(bound), normalized)
                }
            };
            if normalized {
                self.normalized.push(Normalized { at, groups, weight, kept, raw: Raw::Const(0), over: None });
            } else if groups.reads_usage() {
                self.of_usage.push(KeptScore { at, weight, kept });
            } else {
                self.of_object.push(KeptScore { at, weight, kept });
            }
        }
    }

    /// Something of the cluster as a whole has changed: prepares those again that read it, and has the rows made again
    /// where they now say something else. Gives whether any of them reads it.
    pub(super) fn prepare_again(&mut self, profile: &Profile, view: &View, pod: &PodInfo, moved: Groups) -> bool {
        let seen = profile.plan.kept_groups().intersects(moved);
        let stale = if seen { self.compare(Self::prepared(profile, view, pod)) } else { Stale::Nothing };
        self.versions = view.versions();
        match stale {
            Stale::Nothing => {}
            _ if !self.usable => {}
            Stale::ObjectScores => self.build_object_scores(view),
            Stale::Everything => self.build(view),
        }
        seen
    }

    /// Whether its rows are also right for what `fresh` was prepared for.
    pub(super) fn serves(&self, fresh: &Self) -> bool {
        let same_table = matches!((&self.table, &fresh.table), (Some(one), Some(other)) if Arc::ptr_eq(one, other));
        same_table
            && self.has_name_of(fresh)
            && self.says_the_same(fresh)
            && same_scores(&self.of_object, &fresh.of_object)
    }

    /// Whether all plugins say the same, but for those whose scores follow from the node objects.
    fn says_the_same(&self, fresh: &Self) -> bool {
        let same_filters = self.filters.len() == fresh.filters.len()
            && self.filters.iter().zip(&fresh.filters).all(|(a, b)| a.at == b.at && a.bound.same(&*b.bound));
        let same_normalized = self.normalized.len() == fresh.normalized.len()
            && self.normalized.iter().zip(&fresh.normalized).all(|(a, b)| a.at == b.at && a.kept.same(&b.kept));
        self.usable == fresh.usable
            && self.skipped == fresh.skipped
            && self.over_feasible == fresh.over_feasible
            && same_filters
            && same_normalized
            && same_scores(&self.of_usage, &fresh.of_usage)
    }

    /// Takes over what was prepared anew, and says what of the rows is not as it was.
    fn compare(&mut self, fresh: Box<Self>) -> Stale {
        if self.says_the_same(&fresh) {
            if same_scores(&self.of_object, &fresh.of_object) {
                return Stale::Nothing;
            }
            self.of_object = fresh.of_object;
            return Stale::ObjectScores;
        }
        let fresh = *fresh;
        self.clearings = Clearings::default();
        // What is known of templates follows from what was asked of them.
        self.templates.clear();
        (self.usable, self.skipped, self.filters) = (fresh.usable, fresh.skipped, fresh.filters);
        (self.of_usage, self.of_object) = (fresh.of_usage, fresh.of_object);
        (self.normalized, self.over_feasible) = (fresh.normalized, fresh.over_feasible);
        Stale::Everything
    }

    /// Has so many rows.
    pub(super) fn resize(&mut self, rows: usize) {
        if self.rejected_by.len() == rows {
            return;
        }
        self.rejected_by.resize(rows, ABSENT);
        self.verdicts.resize(rows);
        self.feasible.resize(rows / 64, 0);
        self.object_part.resize(rows);
        self.totals.resize(rows);
        self.normalized.iter_mut().for_each(|n| n.resize(rows));
    }

    /// Makes every row.
    pub(super) fn build(&mut self, view: &View) {
        self.epoch = view.epoch();
        self.forget_borrowed();
        if !self.usable {
            return;
        }
        self.resize(view.row_limit());
        self.kinds.clear();
        self.feasible_count = 0;
        self.verdicts.clear();
        self.object_part.clear();
        for (first, lanes) in view.blocks() {
            self.build_verdicts(view, first, lanes);
        }
        for nth in 0..self.normalized.len() {
            self.build_normalized(view, nth);
        }
        for (first, lanes) in view.blocks() {
            let block = first as usize / 64;
            let object_part = sum(&self.of_object, view, first, lanes);
            let totals = sum(&self.of_usage, view, first, self.feasible[block]);
            self.write_totals(block, &object_part, &totals);
        }
        self.find_common();
    }

    fn build_verdicts(&mut self, view: &View, first: u32, lanes: u64) {
        let (block, mut alive, mut out) = (first as usize / 64, lanes, [Verdict::FITS; 64]);
        let rows = block * 64..block * 64 + 64;
        let fits = self.filter_count();
        for (lane, by) in self.rejected_by[rows].iter_mut().enumerate() {
            *by = if lanes >> lane & 1 == 1 { fits } else { ABSENT };
        }
        for nth in 0..self.filters.len() {
            if alive == 0 {
                break;
            }
            self.filters[nth].bound.block(view, first, alive, &mut out);
            let fit = Verdict::fitting(&out);
            for lane in bits(alive & !fit) {
                let (row, verdict) = ((first + lane) as usize, out[lane as usize]);
                let filter = u8::try_from(nth).unwrap_or(ABSENT);
                self.rejected_by[row] = filter;
                self.verdicts.set(row, verdict);
                self.count(filter, verdict, true);
            }
            alive &= fit;
        }
        self.feasible[block] = alive;
        self.feasible_count += alive.count_ones();
    }

    fn build_normalized(&mut self, view: &View, nth: usize) {
        let rows = self.rejected_by.len();
        let normalized = &mut self.normalized[nth];
        let Kept::PerNode(bound) = &normalized.kept else {
            (normalized.raw, normalized.over) = (Raw::Const(0), None);
            return;
        };
        let mut raw = match std::mem::replace(&mut normalized.raw, Raw::Const(0)) {
            Raw::Dense(raw, _) => raw,
            Raw::Const(_) => Vec::new(),
        };
        raw.clear();
        // Mostly all are alike: only when one is not they get memory.
        let (mut all, mut out) = (None, [0; 64]);
        for (first, lanes) in view.blocks().filter(|(_, lanes)| *lanes != 0) {
            bound.block(view, first, lanes, &mut out);
            let all = *all.get_or_insert_with(|| out[lanes.trailing_zeros() as usize]);
            (0..64).filter(|lane| lanes >> lane & 1 == 0).for_each(|lane: usize| out[lane] = all);
            if raw.is_empty() && out.iter().any(|raw| *raw != all) {
                raw.resize(rows, all);
            }
            if let Some(raw) = raw.as_chunks_mut::<64>().0.get_mut(first as usize / 64) {
                *raw = out;
            }
        }
        if raw.is_empty() {
            (normalized.raw, normalized.over) = (Raw::Const(all.unwrap_or(0)), None);
            return;
        }
        normalized.raw = Raw::Dense(raw, vec![None; rows / 64]);
        (0..rows / 64).for_each(|block| normalized.renew_extent(block, &self.feasible));
        normalized.over = normalized.extent(&self.feasible, true);
    }

    fn write_totals(&mut self, block: usize, object_part: &[i64; 64], of_usage: &[i64; 64]) {
        let rows = block * 64..block * 64 + 64;
        let (feasible, has_dense) = (self.feasible[block], self.normalized.iter().any(|n| !n.is_const()));
        for (row, part) in rows.clone().zip(object_part).filter(|(_, part)| **part != 0) {
            self.object_part.set(row, small(*part));
        }
        for (lane, total) in self.totals.rows[rows].iter_mut().enumerate() {
            *total = if feasible >> lane & 1 == 1 { small(object_part[lane] + of_usage[lane]) } else { NO_TOTAL };
        }
        for lane in bits(if has_dense { feasible } else { 0 }) {
            let row = block * 64 + lane as usize;
            let dense = self.normalized.iter().filter(|n| !n.is_const());
            self.totals.rows[row] += small(dense.map(|n| n.part(n.raw_at(row), n.over)).sum());
        }
        self.totals.recount(block);
    }

    /// Makes the scores that follow from the node objects, and corrects the totals by them.
    fn build_object_scores(&mut self, view: &View) {
        self.resize(view.row_limit());
        for (first, lanes) in view.blocks() {
            let block = first as usize / 64;
            let scores = sum(&self.of_object, view, first, lanes);
            for (lane, score) in scores.iter().enumerate() {
                let row = block * 64 + lane;
                let old = self.object_part.at(row);
                self.object_part.set(row, small(*score));
                if self.totals.rows[row] != NO_TOTAL {
                    self.totals.rows[row] += small(*score) - old;
                }
            }
            self.totals.recount(block);
        }
    }
}

fn same_scores(one: &[KeptScore], other: &[KeptScore]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a.at == b.at && a.kept.same(&b.kept))
}

/// The scores of 64 rows by several plugins, weighted and added; 0 in the other lanes.
fn sum(scores: &[KeptScore], view: &View, first: u32, lanes: u64) -> [i64; 64] {
    let (mut all, mut out) = ([0; 64], [0; 64]);
    if lanes == 0 {
        return all;
    }
    for score in scores {
        let Kept::PerNode(bound) = &score.kept else { continue };
        bound.block(view, first, lanes, &mut out);
        for (sum, one) in all.iter_mut().zip(&out) {
            *sum += score.weighted(*one);
        }
    }
    // What stands in the other lanes of the answers means nothing.
    bits(!lanes).for_each(|lane| all[lane as usize] = 0);
    all
}
