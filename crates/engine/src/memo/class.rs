//! The rows of one class of pods: who turns it away where, and how good the other nodes are.

use std::sync::Arc;

use plimsoll_framework::extensions::BoundFilter;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::{Extent, MAX_NODE_SCORE, MIN_NODE_SCORE};
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::read::{Groups, Versions};
use plimsoll_framework::table::{Row, View, bits};
use plimsoll_framework::verdict::{Code, Verdict};

use super::best::{NO_TOTAL, Totals};
use super::clearings::Clearings;
use super::quiet::{Quiet, Templates};
use super::row::{Column, Kept, Normalized};
use crate::diagnosis::Diagnosis;
use crate::profile::Profile;

/// The number of a filter that is none: there is no node.
pub(super) const ABSENT: u8 = u8::MAX;

/// A filter with what it worked out for the class.
pub(super) struct KeptFilter {
    /// Its number in the profile.
    pub(super) at: usize,
    pub(super) groups: Groups,
    pub(super) bound: Box<dyn BoundFilter>,
}

/// A plugin whose raw score is its score.
pub(super) struct KeptScore {
    /// Its number in the profile.
    pub(super) at: usize,
    pub(super) weight: i64,
    pub(super) kept: Kept,
}

/// The rows of a class, true for the view of `epoch`.
#[derive(Default)]
pub(crate) struct Class {
    /// The name of its profile.
    profile: Istr,
    /// It changes when the rows may have ceased to be right for some of the specs that share them.
    pub(super) generation: u64,
    pub(super) table: TableIdentity,
    pub(super) epoch: u64,
    pub(super) versions: Versions,
    /// Whether PreFilter left all nodes: only then are there rows.
    pub(super) usable: bool,
    /// The PreFilter plugins that had nothing to say, by their numbers in the profile.
    pub(super) skipped: Vec<usize>,
    pub(super) filters: Vec<KeptFilter>,
    /// Those whose scores change with what a node's pods take up, and the others.
    pub(super) of_usage: Vec<KeptScore>,
    pub(super) of_object: Vec<KeptScore>,
    pub(super) normalized: Vec<Normalized>,
    /// Scorers that read nothing but the spec and one node, and look at the feasible nodes together all the same.
    pub(super) over_feasible: Vec<usize>,
    /// By row: the number, in `filters`, of the first that turned the pod away, and its verdict.
    pub(super) rejected_by: Vec<u8>,
    pub(super) verdicts: Column<Verdict>,
    /// By block of 64 rows.
    pub(crate) feasible: Vec<u64>,
    pub(crate) feasible_count: u32,
    /// How many rows were turned away by each filter with each verdict.
    pub(super) kinds: Vec<(u8, Verdict, usize)>,
    /// How often that has changed.
    kinds_version: u64,
    /// Why its pods fit nowhere, with that number and the number of nodes it was found out for.
    diagnosis: Option<(u64, usize, Arc<Diagnosis>)>,
    /// By row: the sum of the scores in `of_object`, weighted.
    pub(super) object_part: Column<i32>,
    pub(super) totals: Totals,
    /// What the scores that are the same everywhere add to every total.
    pub(super) common: i64,
    /// The overlay that its rows are written through, as far as it has come.
    through: Option<Through>,
    /// Rows that were closed for one decision, to be written anew.
    borrowed: Vec<Row>,
    pub(super) templates: Templates,
    /// What came of clearing nodes in the mind, by what the filters say now.
    pub(crate) clearings: Clearings,
    changed: Vec<(Row, Groups)>,
    /// How often plugins were asked about one node by itself in the last decision by these rows.
    pub(crate) walked: usize,
    /// How many decisions were left to others because of that.
    left_to_others: usize,
}

/// Asking plugins so often takes longer than handing a pod over to another thread.
const LONG_WALK: usize = 2_048;
/// So many decisions later it may be a shorter walk: what made it long (a pod nominated for a node, say) is gone.
const PATIENCE: usize = 64;

/// The overlay that the rows of a class are written through.
struct Through {
    identity: Arc<()>,
    /// How many of its differences are in the rows.
    deltas: usize,
    /// The rows that these touch, some of them more than once.
    rows: Vec<Row>,
}

/// Which table a view is of: epochs of different tables say nothing of each other.
pub(super) type TableIdentity = Option<Arc<()>>;

impl Class {
    pub(crate) fn is_usable(&self) -> bool {
        self.usable
    }

    /// Whether another decision by these rows will take little.
    pub(super) fn is_at_hand(&mut self) -> bool {
        let short = self.usable && self.walked < LONG_WALK;
        self.left_to_others = if short || self.left_to_others >= PATIENCE { 0 } else { self.left_to_others + 1 };
        short || self.left_to_others == 0
    }

    /// The memory of a class on a view at least: of one whose pods are turned away nowhere, and whose normalised scores are
    /// the same everywhere.
    pub(super) fn bytes_for(view: &View) -> usize {
        size_of::<Self>() + view.row_limit() * 5 + view.row_limit() / 64 * 13
    }

    pub(super) fn bytes(&self) -> usize {
        let rows = self.rejected_by.capacity() + self.verdicts.bytes() + self.object_part.bytes();
        let normalized: usize = self.normalized.iter().map(Normalized::bytes).sum();
        size_of::<Self>()
            + rows
            + self.templates.bytes()
            + self.diagnosis.as_ref().map_or(0, |(.., diagnosis)| diagnosis.bytes())
            + self.clearings.bytes()
            + self.totals.bytes()
            + self.feasible.capacity() * 8
            + normalized
    }

    /// A class whose rows are not made yet.
    pub(super) fn prepared(profile: &Profile, view: &View, pod: &PodInfo) -> Box<Self> {
        let mut class = Box::<Self>::default();
        class.profile = profile.name.clone();
        class.prepare(profile, view, pod);
        class
    }

    /// Uses the memory of another class.
    pub(super) fn take_memory(&mut self, other: Self) {
        self.rejected_by = other.rejected_by;
        self.verdicts = other.verdicts;
        self.feasible = other.feasible;
        self.object_part = other.object_part;
        self.totals = other.totals;
        self.changed = other.changed;
    }

    pub(super) fn has_name_of(&self, other: &Self) -> bool {
        self.profile == other.profile
    }

    pub(super) fn is_of(&self, profile: &Profile) -> bool {
        self.profile == profile.name
    }

    /// All rows are as the view shows them.
    pub(super) fn forget_borrowed(&mut self) {
        self.borrowed.clear();
        self.through = None;
    }

    /// Brings the rows up to date, through the overlay. Gives whether something has changed in which plugins may see another
    /// thing for another spec than for this pod's.
    pub(super) fn refresh(&mut self, profile: &Profile, view: &View, overlay: &Overlay, pod: &PodInfo) -> bool {
        let seen = self.follow(profile, view, overlay, pod);
        if self.usable {
            self.look_through(view, overlay);
        }
        seen
    }

    /// Brings the rows up to date with the view; what the overlay makes different may be in them already.
    fn follow(&mut self, profile: &Profile, view: &View, overlay: &Overlay, pod: &PodInfo) -> bool {
        let same_table = matches!((&self.table, view.identity()), (Some(one), other) if Arc::ptr_eq(one, other));
        if !same_table || view.epoch() < self.epoch {
            self.prepare(profile, view, pod);
            self.build(view);
            return true;
        }
        let same_epoch = view.epoch() == self.epoch;
        let same_overlay = |t: &Through| overlay.identity().is_some_and(|identity| Arc::ptr_eq(identity, &t.identity));
        let stays = same_epoch && self.through.as_ref().is_none_or(same_overlay);
        if stays && self.borrowed.is_empty() {
            return false;
        }
        let moved = view.versions().differences(&self.versions);
        let seen = moved != Groups::NONE && self.prepare_again(profile, view, pod, moved);
        if !self.usable {
            self.epoch = view.epoch();
            return seen;
        }
        self.resize(view.row_limit());
        let mut changed = std::mem::take(&mut self.changed);
        changed.clear();
        if !same_epoch {
            view.changed_rows(self.epoch, |row, groups| changed.push((row, groups)));
        }
        if changed.len() * 4 > view.node_count().max(64) {
            self.build(view);
        } else {
            let mut extents = false;
            for (row, groups) in &changed {
                extents |= self.renew(view, None, *row, *groups);
            }
            let through = if stays { None } else { self.through.take() };
            let still = stays.then_some(overlay);
            for row in through.into_iter().flat_map(|t| t.rows).chain(std::mem::take(&mut self.borrowed)) {
                extents |= self.renew(view, still, row, Groups::ROW);
            }
            if extents {
                self.join_extents();
            }
        }
        self.changed = changed;
        self.epoch = view.epoch();
        seen
    }

    /// Writes the rows that the overlay makes different, those apart that it had touched the last time.
    fn look_through(&mut self, view: &View, overlay: &Overlay) {
        let Some(identity) = overlay.identity() else { return };
        let start = || Through { identity: Arc::clone(identity), deltas: 0, rows: Vec::new() };
        let mut through = self.through.take().unwrap_or_else(start);
        let mut extents = false;
        for delta in &overlay.deltas()[through.deltas..] {
            extents |= self.renew(view, Some(overlay), delta.row, Groups::ROW);
            through.rows.push(delta.row);
        }
        through.deltas = overlay.deltas().len();
        self.through = Some(through);
        if extents {
            self.join_extents();
        }
    }

    /// Closes a row until the next refresh: the node turns the pod away for the sake of pods nominated for it.
    pub(crate) fn borrow_rejected(&mut self, row: Row, filter: u8, verdict: Verdict) {
        self.borrowed.push(row);
        if self.set_verdict(row, filter, verdict) {
            self.feasibility_changed(row);
            self.join_extents();
        }
    }

    /// Writes one row anew where these groups of it have changed; whether the extent of a normalised score may have.
    fn renew(&mut self, view: &View, overlay: Option<&Overlay>, row: Row, groups: Groups) -> bool {
        let at = row as usize;
        let (filter, verdict) = match view.node(row) {
            None => (ABSENT, Verdict::FITS),
            Some(_) => self.first_rejection(view, overlay, row, groups),
        };
        let was_feasible = self.is_feasible(row);
        self.set_verdict(row, filter, verdict);
        let is_feasible = self.is_feasible(row);
        let mut extents = was_feasible != is_feasible && self.normalized.iter().any(|n| !n.is_const());
        if filter == ABSENT {
            self.object_part.set(at, 0);
        } else {
            if groups.reads_object() {
                let part = self.of_object.iter().map(|s| s.part(view, overlay, row)).sum();
                self.object_part.set(at, small(part));
            }
            extents |= self.renew_normalized(view, overlay, row, groups);
        }
        let total = if is_feasible { self.total(view, overlay, row) } else { NO_TOTAL };
        self.totals.set(row, total);
        if extents {
            self.feasibility_changed(row);
        }
        extents
    }

    /// The raw scores of a row that are normalised; whether one has changed.
    fn renew_normalized(&mut self, view: &View, overlay: Option<&Overlay>, row: Row, groups: Groups) -> bool {
        let (mut changed, rows) = (false, self.rejected_by.len());
        for normalized in &mut self.normalized {
            let Kept::PerNode(bound) = &normalized.kept else { continue };
            if !normalized.groups.intersects(groups) {
                continue;
            }
            let raw = bound.one(view, overlay, row);
            if raw != normalized.raw_at(row as usize) {
                normalized.set(row as usize, raw, rows);
                changed = true;
            }
        }
        changed
    }

    /// The total of a feasible row.
    fn total(&self, view: &View, overlay: Option<&Overlay>, row: Row) -> i32 {
        let of_usage: i64 = self.of_usage.iter().map(|s| s.part(view, overlay, row)).sum();
        let dense = self.normalized.iter().filter(|n| !n.is_const());
        let normalized: i64 = dense.map(|n| n.part(n.raw_at(row as usize), n.over)).sum();
        small(i64::from(self.object_part.at(row as usize)) + of_usage + normalized)
    }

    /// Who turns the pod away first where these groups of the row have changed. Those before the one that did so far had
    /// let it pass, so they are asked only if they read what has changed; those after it were never asked.
    fn first_rejection(&self, view: &View, overlay: Option<&Overlay>, row: Row, groups: Groups) -> (u8, Verdict) {
        let was = self.rejected_by[row as usize];
        for (nth, filter) in self.filters.iter().enumerate() {
            let nth = u8::try_from(nth).unwrap_or(ABSENT);
            let known = was != ABSENT && nth <= was && !filter.groups.intersects(groups);
            if known && nth < was {
                continue;
            }
            let verdict = if known { self.verdicts.at(row as usize) } else { filter.bound.one(view, overlay, row) };
            if !verdict.fits() {
                return (nth, verdict);
            }
        }
        (self.filter_count(), Verdict::FITS)
    }

    /// What stands for "none" among the numbers of filters: the pod fits.
    pub(super) fn filter_count(&self) -> u8 {
        u8::try_from(self.filters.len()).unwrap_or(ABSENT - 1)
    }

    fn is_feasible(&self, row: Row) -> bool {
        self.feasible[row as usize / 64] >> (row % 64) & 1 == 1
    }

    /// Sets who turns the pod away; whether it was feasible and is not, or the other way round.
    fn set_verdict(&mut self, row: Row, filter: u8, verdict: Verdict) -> bool {
        let (at, fits) = (row as usize, filter == self.filter_count());
        let (old, was) = (self.rejected_by[at], self.verdicts.at(at));
        if (old, was) == (filter, verdict) {
            return false;
        }
        let (lane, block) = (1_u64 << (row % 64), &mut self.feasible[at / 64]);
        let fitted = *block & lane != 0;
        *block = if fits { *block | lane } else { *block & !lane };
        self.feasible_count = self.feasible_count + u32::from(fits) - u32::from(fitted);
        self.count(old, was, false);
        self.count(filter, verdict, true);
        self.rejected_by[at] = filter;
        self.verdicts.set(at, verdict);
        fits != fitted
    }

    /// Counts one more, or one less, that was turned away like this.
    pub(super) fn count(&mut self, filter: u8, verdict: Verdict, more: bool) {
        if verdict.fits() {
            return;
        }
        self.kinds_version += 1;
        let kind = self.kinds.iter_mut().find(|(f, v, _)| (*f, *v) == (filter, verdict));
        match (kind, more) {
            (Some((.., count)), true) => *count += 1,
            (Some((.., count)), false) => *count = count.saturating_sub(1),
            (None, true) => self.kinds.push((filter, verdict, 1)),
            (None, false) => {}
        }
        self.kinds.retain(|(.., count)| *count > 0);
    }

    /// A row of this block is feasible that was not, or has another raw score.
    fn feasibility_changed(&mut self, row: Row) {
        let block = row as usize / 64;
        for normalized in &mut self.normalized {
            normalized.renew_extent(block, &self.feasible);
        }
        if !self.is_feasible(row) {
            self.totals.set(row, NO_TOTAL);
        }
    }

    /// Finds over what raw scores are normalised; where that has changed, every total does.
    pub(super) fn join_extents(&mut self) {
        for nth in 0..self.normalized.len() {
            let normalized = &self.normalized[nth];
            let over = normalized.extent(&self.feasible, true);
            if normalized.over == over || normalized.is_const() {
                continue;
            }
            for (row, total) in self.totals.rows.iter_mut().enumerate().filter(|(_, total)| **total != NO_TOTAL) {
                let raw = normalized.raw_at(row);
                *total += small(normalized.part(raw, over) - normalized.part(raw, normalized.over));
            }
            self.normalized[nth].over = over;
            (0..self.feasible.len()).for_each(|block| self.totals.recount(block));
        }
        self.find_common();
    }

    /// What every total has in common and is in no row.
    pub(super) fn find_common(&mut self) {
        self.common = self.normalized.iter().map(Normalized::common).sum();
    }

    /// What the normalised scores add to a row's total where other rows than the class's are feasible, beyond what is in
    /// it; `None` where that makes no difference.
    pub(crate) fn correction(&self, feasible: &[u64]) -> Option<impl Fn(Row) -> i32 + '_> {
        let differs = |n: &Normalized| !n.is_const() && n.over != n.extent(feasible, false);
        if !self.normalized.iter().any(differs) {
            return None;
        }
        let over: Vec<Option<Extent>> = self.normalized.iter().map(|n| n.extent(feasible, false)).collect();
        let by_row = move |row: Row| {
            let dense = self.normalized.iter().zip(&over).filter(|(n, _)| !n.is_const());
            dense
                .map(|(n, over)| {
                    let raw = n.raw_at(row as usize);
                    small(n.part(raw, *over) - n.part(raw, n.over))
                })
                .sum()
        };
        Some(by_row)
    }
}

/// What a decision asks of the rows.
impl Class {
    /// Whether the PreFilter plugin of this number has nothing to say.
    pub(crate) fn skips(&self, pre_filter: usize) -> bool {
        self.skipped.contains(&pre_filter)
    }

    /// The filters, by their numbers in the profile.
    pub(crate) fn filters(&self) -> impl Iterator<Item = (usize, &(dyn BoundFilter + 'static))> {
        self.filters.iter().map(|filter| (filter.at, &*filter.bound))
    }

    pub(crate) fn filters_with(&self, at: usize) -> bool {
        self.filters.iter().any(|filter| filter.at == at)
    }

    pub(crate) fn scores_with(&self, at: usize) -> bool {
        let mut plain = self.of_usage.iter().chain(&self.of_object);
        plain.any(|s| s.at == at) || self.normalized.iter().any(|n| n.at == at) || self.over_feasible.contains(&at)
    }

    /// Which of the asked plugins are known to have nothing to say of pods of this one's template.
    pub(crate) fn quiet(&mut self, profile: &Profile, view: &View, pod: &PodInfo) -> Option<&mut Quiet> {
        self.templates.get(pod, &view.versions(), profile.plan.template_groups())
    }

    /// Remembers which have.
    pub(crate) fn set_quiet(&mut self, pod: &PodInfo, quiet: Quiet) {
        self.templates.set(pod, quiet);
    }

    pub(crate) fn over_feasible(&self) -> &[usize] {
        &self.over_feasible
    }

    /// The same number for as long as as many nodes turn the pod away in the same ways.
    pub(crate) fn kinds_version(&self) -> u64 {
        self.kinds_version
    }

    /// Why the pods of the class fit nowhere, where that is known of this many nodes as they turn them away now.
    pub(crate) fn kept_diagnosis(&self, nodes: usize) -> Option<Arc<Diagnosis>> {
        let (version, of, diagnosis) = self.diagnosis.as_ref()?;
        ((*version, *of) == (self.kinds_version, nodes)).then(|| Arc::clone(diagnosis))
    }

    /// Remembers it.
    pub(crate) fn keep_diagnosis(&mut self, diagnosis: &Arc<Diagnosis>) {
        self.diagnosis = Some((self.kinds_version, diagnosis.node_count, Arc::clone(diagnosis)));
    }

    /// Whether a filter could not answer for some node.
    pub(crate) fn has_failed(&self) -> bool {
        self.kinds.iter().any(|(_, verdict, _)| verdict.code() == Code::Error)
    }

    /// Whether a filter behind the one of this number in the profile has turned nodes away.
    pub(crate) fn rejects_after(&self, at: usize) -> bool {
        self.kinds.iter().any(|(filter, ..)| self.filters.get(usize::from(*filter)).is_some_and(|f| f.at > at))
    }

    /// The rows whose nodes turn the pod away as pods could change by leaving them, in ascending order.
    pub(crate) fn resolvable(&self) -> impl Iterator<Item = Row> + '_ {
        let could = |verdict: &Verdict| verdict.code() == Code::Unschedulable;
        (0..).zip(self.verdicts.unusual()).filter(move |(_, verdict)| could(verdict)).map(|(row, _)| row)
    }

    /// Who of the class's filters turned the pod away from a node, and how.
    pub(crate) fn rejection(&self, row: Row) -> Option<(u8, Verdict)> {
        let verdict = self.verdicts.at(row as usize);
        (!verdict.fits()).then(|| (self.rejected_by[row as usize], verdict))
    }

    /// Each kind of rejection, in the order of the filters: whose, which, with what reasons, how often.
    pub(crate) fn rejections(&self, profile: &Profile) -> Vec<(&'static str, Verdict, Vec<String>, usize)> {
        let mut kinds = self.kinds.clone();
        kinds.sort_by_key(|(filter, verdict, _)| (*filter, verdict.reasons(), verdict.code() == Code::Unschedulable));
        let told = |(filter, verdict, count): (u8, Verdict, usize)| {
            let filter = self.filters.get(usize::from(filter))?;
            Some((profile.filter[filter.at].name, verdict, filter.bound.reasons(verdict.reasons()), count))
        };
        kinds.into_iter().filter_map(told).collect()
    }

    pub(crate) fn best(&self) -> i32 {
        self.totals.best()
    }

    pub(crate) fn ties(&self, best: i32) -> u64 {
        self.totals.ties(best)
    }

    pub(crate) fn nth_best(&self, best: i32, nth: u64) -> Option<Row> {
        self.totals.nth(best, nth)
    }

    pub(crate) fn first_best_by_name(&self, best: i32, view: &View) -> Option<Row> {
        self.totals.first_by_name(best, view)
    }

    /// The totals of the feasible rows, 64 rows at a time. Other rows have none, whatever stands there.
    pub(crate) fn totals(&self) -> &[[i32; 64]] {
        self.totals.rows.as_chunks::<64>().0
    }

    /// What every total has in common.
    pub(crate) fn common(&self) -> i64 {
        self.common
    }

    /// Copies the totals of these feasible rows, which are those of the class or some of them.
    pub(crate) fn copy_totals(&self, feasible: &[u64], of_class: bool, out: &mut Vec<i64>) {
        out.clear();
        out.extend(self.totals.rows.iter().map(|total| i64::from(*total)));
        let correction = if of_class { None } else { self.correction(feasible) };
        if let Some(correction) = correction {
            for (block, lanes) in feasible.iter().enumerate() {
                for lane in bits(*lanes) {
                    let row = block * 64 + lane as usize;
                    out[row] += i64::from(correction(Row::try_from(row).unwrap_or_default()));
                }
            }
        }
    }
}

/// For the audit.
impl Class {
    /// Where these rows differ from those of `fresh`; rows that are not as the view shows them at the moment are left out.
    pub(super) fn difference(&self, fresh: &Self, view: &View) -> Option<String> {
        // Where all raw scores happen to be the same they may be in a row or not: only the sum counts.
        let total = |c: &Self, at: usize| match c.totals.rows[at] {
            NO_TOTAL => None,
            total => Some(i64::from(total) + c.common),
        };
        let of = |c: &Self, at: usize| (c.rejected_by[at], c.verdicts.at(at), c.object_part.at(at), total(c, at));
        let through = self.through.iter().flat_map(|through| &through.rows);
        let written: Vec<Row> = through.chain(&self.borrowed).copied().collect();
        let differs = |row: &Row| {
            let (kept, right) = (of(self, *row as usize), of(fresh, *row as usize));
            // Over other extents, where rows are borrowed, other totals are right.
            kept != right && !written.contains(row) && (written.is_empty() || kept.0 != right.0)
        };
        let row = (0..Row::try_from(view.row_limit()).unwrap_or(Row::MAX)).find(differs);
        let told = |row: Row| {
            let node = view.node(row).map(|node| node.name.to_string());
            let (kept, right) = (of(self, row as usize), of(fresh, row as usize));
            format!("row {row} ({node:?}): kept {kept:?}, made now {right:?}")
        };
        let sums = |c: &Self| (c.feasible_count, c.ties(c.best()));
        row.map(told).or_else(|| {
            let differ = written.is_empty() && sums(self) != sums(fresh);
            differ.then(|| format!("sums: kept {:?}, made now {:?}", sums(self), sums(fresh)))
        })
    }
}

impl KeptScore {
    /// What it adds to the total of a row.
    pub(super) fn part(&self, view: &View, overlay: Option<&Overlay>, row: Row) -> i64 {
        match &self.kept {
            Kept::Zero(_) => 0,
            Kept::PerNode(bound) => self.weighted(bound.one(view, overlay, row)),
        }
    }

    pub(super) fn weighted(&self, score: i64) -> i64 {
        score.clamp(MIN_NODE_SCORE, MAX_NODE_SCORE) * self.weight
    }
}

/// A sum of scores: [`super::Plan`] has seen to it that it is small.
pub(super) fn small(sum: i64) -> i32 {
    i32::try_from(sum).unwrap_or(i32::MAX)
}
