//! PreFilter and Filter.

use std::sync::Arc;

use plimsoll_framework::extensions::BoundFilter;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::{PreFilterVerdict, RejectedBy};
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::{Row, View, bits};
use plimsoll_framework::verdict::{Code, Rejection, Verdict};

use super::Scratch;
use crate::diagnosis::Diagnosis;
use crate::profile::Profile;

/// Why one node turned a pod away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeVerdict {
    /// The first plugin that did; empty where a PreFilter plugin had left the node out.
    pub plugin: &'static str,
    /// Its status code.
    pub code: Code,
    /// Its reasons.
    pub reasons: Vec<String>,
}

/// A filter that is prepared.
pub(super) enum Held<'p> {
    /// For this pod.
    Own(Box<dyn BoundFilter>),
    /// For all pods of its class.
    Kept(&'p (dyn BoundFilter + 'static)),
}

impl std::ops::Deref for Held<'_> {
    type Target = dyn BoundFilter + 'static;
    fn deref(&self) -> &Self::Target {
        match self {
            Self::Own(bound) => &**bound,
            Self::Kept(bound) => *bound,
        }
    }
}

/// The filters of a profile, prepared for one pod.
pub(crate) struct Prepared<'p> {
    filters: Vec<(&'static str, Held<'p>)>,
    /// The only nodes that may be asked about, where PreFilter plugins said so, and which plugins those were.
    narrowed: Option<Narrowed>,
    /// The PreFilter plugins that had nothing to say.
    skipped: Vec<&'static str>,
    profile: &'p Profile,
}

struct Narrowed {
    names: Vec<Istr>,
    plugins: Vec<&'static str>,
}

impl Narrowed {
    fn reason(&self) -> String {
        format!("node(s) didn't satisfy plugin(s) [{}]", self.plugins.join(" "))
    }
}

/// What came of PreFilter.
pub(crate) enum PreFiltered<'p> {
    /// Ask Filter.
    Run(Prepared<'p>),
    /// The pod fits nowhere.
    Reject(Rejected<'p>),
    /// The question could not be answered.
    Fail(String),
}

/// A pod that PreFilter turned away.
pub(crate) struct Rejected<'p> {
    /// What is said about it.
    pub(crate) diagnosis: Arc<Diagnosis>,
    /// Who turned it away.
    pub(crate) by: RejectedBy,
    /// The filters, where pods leaving the nodes might help (`Unschedulable`).
    pub(crate) prepared: Option<Prepared<'p>>,
}

impl<'p> Prepared<'p> {
    /// Asks PreFilter and prepares the filters that have something to say. What the overlay brings counts as if it were
    /// in the view.
    pub(crate) fn for_pod(profile: &'p Profile, view: &View, overlay: &Overlay, pod: &PodInfo) -> PreFiltered<'p> {
        let mut skipped: Vec<&'static str> = Vec::new();
        let mut narrowed: Option<Narrowed> = None;
        let mut rejected: Option<(&'static str, Rejection)> = None;
        for point in &profile.pre_filter {
            if !point.plugin.concerns(&pod.spec) {
                skipped.push(point.name);
                continue;
            }
            match point.plugin.pre_filter(pod, view) {
                PreFilterVerdict::Run => {}
                PreFilterVerdict::Skip => skipped.push(point.name),
                PreFilterVerdict::Only(names) => {
                    let left = narrowed.get_or_insert_with(|| Narrowed { names: names.clone(), plugins: Vec::new() });
                    left.names.retain(|n| names.contains(n));
                    left.plugins.push(point.name);
                    if left.names.is_empty() {
                        rejected = Some((point.name, nothing_left(&mut left.plugins)));
                        break;
                    }
                }
                // A rejection that preemption could change does not keep others from a stronger one.
                PreFilterVerdict::Reject(rejection) => match rejection.code {
                    Code::Unschedulable => rejected = Some((point.name, rejection)),
                    Code::UnschedulableAndUnresolvable => {
                        rejected = Some((point.name, rejection));
                        break;
                    }
                    _ => return PreFiltered::Fail(pre_filter_failed(point.name, &rejection.reason)),
                },
                PreFilterVerdict::Fail(error) => {
                    return PreFiltered::Fail(pre_filter_failed(point.name, &error.message));
                }
            }
        }
        let Some((plugin, rejection)) = rejected else {
            return PreFiltered::Run(Self::new(profile, view, overlay, pod, narrowed, skipped));
        };
        let resolvable = rejection.code == Code::Unschedulable;
        let prepared = resolvable.then(|| Self::new(profile, view, overlay, pod, None, skipped));
        let by = RejectedBy { plugin, code: rejection.code, reasons: vec![rejection.reason.clone()] };
        PreFiltered::Reject(Rejected { diagnosis: Arc::new(reject(view, plugin, rejection)), by, prepared })
    }

    fn new(
        profile: &'p Profile,
        view: &View,
        overlay: &Overlay,
        pod: &PodInfo,
        mut narrowed: Option<Narrowed>,
        mut skipped: Vec<&'static str>,
    ) -> Self {
        if let Some(narrowed) = &mut narrowed {
            narrowed.plugins.sort_unstable();
        }
        let through = (!overlay.is_empty()).then_some(overlay);
        let mut filters = Vec::new();
        for point in &profile.filter {
            if skipped.contains(&point.name) {
                continue;
            }
            match point.plugin.bind(pod, view).filter(|bound| bound.takes_part(view, through)) {
                Some(bound) => filters.push((point.name, Held::Own(bound))),
                None => skipped.push(point.name),
            }
        }
        Self { filters, narrowed, skipped, profile }
    }

    /// Of filters that are prepared, where PreFilter left all nodes.
    pub(super) fn of_filters(profile: &'p Profile, filters: Vec<(&'static str, Held<'p>)>) -> Self {
        Self { filters, narrowed: None, skipped: Vec::new(), profile }
    }

    /// The only nodes that PreFilter left, sorted, where it did not leave all.
    pub(super) fn only(&self) -> Option<Vec<Istr>> {
        let mut names = self.narrowed.as_ref()?.names.clone();
        names.sort();
        Some(names)
    }

    /// The PreFilter plugins that had something to say.
    pub(super) fn pre_filters(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.profile.pre_filter.iter().map(|p| p.name).filter(|name| !self.skipped.contains(name))
    }

    /// The Filter plugins that have something to say.
    pub(crate) fn filters(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.filters.iter().map(|(name, _)| *name)
    }

    /// The first rejection of one node, without regard to nominated pods.
    fn first_rejection(&self, view: &View, overlay: &Overlay, row: Row) -> Option<(u8, Verdict)> {
        let overlay = (!overlay.is_empty()).then_some(overlay);
        self.filters.iter().enumerate().find_map(|(i, (_, filter))| {
            let verdict = filter.one(view, overlay, row);
            (!verdict.fits()).then(|| (number(i), verdict))
        })
    }

    /// Who turns the pod away from one node, first and without regard to nominated pods, and how.
    pub(crate) fn turned_away_by(&self, view: &View, overlay: &Overlay, row: Row) -> Option<(&'static str, Code)> {
        let (filter, verdict) = self.first_rejection(view, overlay, row)?;
        let (plugin, _) = self.filters.get(usize::from(filter))?;
        Some((plugin, verdict.code()))
    }

    /// Whether PreFilter left this node to be asked about.
    pub(crate) fn leaves(&self, node: &Istr) -> bool {
        self.narrowed.as_ref().is_none_or(|narrowed| narrowed.names.contains(node))
    }

    /// The nodes of a block that may be asked about.
    fn candidates(&self, view: &View, first: Row, lanes: u64) -> u64 {
        match &self.narrowed {
            None => lanes,
            Some(_) => {
                let named = |lane: &u32| view.node(first + lane).is_some_and(|n| self.leaves(&n.name));
                bits(lanes).filter(named).fold(0, |set, lane| set | 1 << lane)
            }
        }
    }

    /// The filters that have something to say, with the numbers by which their rejections go.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (u8, &Held<'_>)> {
        self.filters.iter().enumerate().map(|(nth, (_, filter))| (number(nth), filter))
    }

    pub(super) fn verdict(&self, filter: u8, verdict: Verdict) -> NodeVerdict {
        match self.filters.get(usize::from(filter)) {
            Some((plugin, bound)) => {
                NodeVerdict { plugin, code: verdict.code(), reasons: bound.reasons(verdict.reasons()) }
            }
            None => NodeVerdict {
                plugin: "",
                code: Code::UnschedulableAndUnresolvable,
                reasons: self.narrowed.iter().map(Narrowed::reason).collect(),
            },
        }
    }
}

/// By the number of a filter in the profile: its number among those that are prepared.
pub(super) fn places(profile: &Profile, prepared: &Prepared<'_>) -> Vec<u8> {
    let place = |name: &str| prepared.filters.iter().position(|(filter, _)| *filter == name).map_or(LEFT_OUT, number);
    profile.filter.iter().map(|point| place(point.name)).collect()
}

/// The number of a filter that is none: PreFilter had left the node out.
const LEFT_OUT: u8 = u8::MAX;

fn number(filter: usize) -> u8 {
    u8::try_from(filter).unwrap_or(LEFT_OUT - 1)
}

fn pre_filter_failed(plugin: &str, message: &str) -> String {
    format!("running PreFilter plugin \"{plugin}\": {message}")
}

/// The message of an attempt in which a filter could not answer.
pub(super) fn filter_failed(verdict: &NodeVerdict) -> String {
    format!("running \"{}\" filter plugin: {}", verdict.plugin, verdict.reasons.join(", "))
}

fn nothing_left(plugins: &mut [&'static str]) -> Rejection {
    plugins.sort_unstable();
    Rejection::unresolvable(match plugins {
        [plugin] => format!("node(s) didn't satisfy plugin {plugin}"),
        several => format!("node(s) didn't satisfy plugin(s) [{}] simultaneously", several.join(" ")),
    })
}

fn reject(view: &View, plugin: &'static str, rejection: Rejection) -> Diagnosis {
    let mut diagnosis = Diagnosis { node_count: view.node_count(), ..Diagnosis::default() };
    diagnosis.note(plugin, rejection.code);
    diagnosis.pre_filter_message = Some(rejection.reason);
    diagnosis
}

/// How far to look for feasible nodes.
#[derive(Clone, Copy)]
pub(super) struct Search {
    /// This many are enough.
    enough: usize,
    /// Which block of nodes is looked at first.
    from: u64,
}

impl Search {
    /// Looks at every node.
    pub(super) const ALL: Self = Self { enough: usize::MAX, from: 0 };

    /// As far as the profile wants to look (reference section 9.2), from a place that `draw` decides on, so that it is
    /// not always the same nodes.
    pub(super) fn of(profile: &Profile, nodes: usize, draw: u64) -> Self {
        const ALWAYS: usize = 100;
        let percentage = usize::from(profile.percentage_of_nodes_to_score);
        if percentage >= 100 || nodes < ALWAYS {
            return Self::ALL;
        }
        Self { enough: (nodes * percentage / 100).max(ALWAYS), from: draw }
    }
}

impl Scratch {
    /// Asks every node; gives how many are feasible. Which those are, and why the others are not, is left in `self`.
    pub(crate) fn filter(&mut self, prepared: &Prepared<'_>, view: &View, overlay: &Overlay, pod: &PodInfo) -> u32 {
        self.search(Search::ALL, prepared, view, overlay, pod)
    }

    /// Asks nodes until enough are feasible. Those that were not asked count as infeasible.
    pub(super) fn search(
        &mut self,
        search: Search,
        prepared: &Prepared<'_>,
        view: &View,
        overlay: &Overlay,
        pod: &PodInfo,
    ) -> u32 {
        self.rejected.resize(view.row_limit(), (LEFT_OUT, Verdict::FITS));
        self.feasible.clear();
        self.feasible.resize(view.row_limit() / 64, 0);
        self.failed = false;
        if search.enough == usize::MAX {
            self.look(view.blocks(), prepared, view, overlay, pod);
            return self.feasible.iter().map(|b| b.count_ones()).sum();
        }
        let blocks: Vec<(Row, u64)> = view.blocks().filter(|(_, lanes)| *lanes != 0).collect();
        let first = u64::try_from(blocks.len()).ok().and_then(|n| search.from.checked_rem(n));
        let first = first.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let mut found = 0;
        for block in blocks[first..].iter().chain(&blocks[..first]) {
            self.look(std::iter::once(*block), prepared, view, overlay, pod);
            let here = &mut self.feasible[block.0 as usize / 64];
            while found + here.count_ones() as usize > search.enough {
                *here &= *here - 1;
            }
            found += here.count_ones() as usize;
            if found == search.enough {
                break;
            }
        }
        u32::try_from(found).unwrap_or(u32::MAX)
    }

    /// Asks the nodes of these blocks.
    fn look(
        &mut self,
        blocks: impl Iterator<Item = (Row, u64)> + Clone,
        prepared: &Prepared<'_>,
        view: &View,
        overlay: &Overlay,
        pod: &PodInfo,
    ) {
        let mut out = [Verdict::FITS; 64];
        for (first, lanes) in blocks.clone() {
            let mut alive = prepared.candidates(view, first, lanes);
            for lane in bits(lanes & !alive) {
                self.rejected[(first + lane) as usize] = (LEFT_OUT, Verdict::unresolvable(1));
            }
            for (i, (_, filter)) in prepared.filters.iter().enumerate() {
                if alive == 0 {
                    break;
                }
                filter.block(view, first, alive, &mut out);
                let fit = Verdict::fitting(&out);
                for lane in bits(alive & !fit) {
                    let verdict = out[lane as usize];
                    self.failed |= verdict.code() == Code::Error;
                    self.rejected[(first + lane) as usize] = (number(i), verdict);
                }
                alive &= fit;
            }
            self.feasible[first as usize / 64] = alive;
        }
        self.revise(blocks, prepared, view, overlay, pod);
    }

    /// Asks again about those nodes of these blocks that the overlay or nominated pods make different from the view.
    fn revise(
        &mut self,
        blocks: impl Iterator<Item = (Row, u64)> + Clone,
        prepared: &Prepared<'_>,
        view: &View,
        overlay: &Overlay,
        pod: &PodInfo,
    ) {
        let nominations = view.nominations();
        if overlay.is_empty() && nominations.is_empty() {
            return;
        }
        let everywhere = prepared.filters.iter().any(|(_, filter)| filter.is_reached_by(view, overlay));
        for row in blocks.flat_map(|(first, lanes)| bits(lanes).map(move |lane| first + lane)) {
            let nominated = || view.node(row).is_some_and(|n| !nominations.pods(&n.name).is_empty());
            if !(everywhere || overlay.touches(row) || !nominations.is_empty() && nominated()) {
                continue;
            }
            let (block, lane) = (row as usize / 64, row % 64);
            // PreFilter may have left the node out.
            if prepared.candidates(view, row - lane, 1 << lane) == 0 {
                continue;
            }
            match self.rejection(prepared, view, overlay, pod, row) {
                None => self.feasible[block] |= 1 << lane,
                Some(rejection) => {
                    self.failed |= rejection.1.code() == Code::Error;
                    self.feasible[block] &= !(1 << lane);
                    self.rejected[row as usize] = rejection;
                }
            }
        }
    }

    /// The first rejection of one node. Pods nominated for it that are as important count as if they were there, and
    /// the pod must fit with them and without them: what they bring (an affinity, say) may never come.
    pub(crate) fn rejection(
        &mut self,
        prepared: &Prepared<'_>,
        view: &View,
        overlay: &Overlay,
        pod: &PodInfo,
        row: Row,
    ) -> Option<(u8, Verdict)> {
        let node = view.node(row)?;
        let mut nominated = view
            .nominations()
            .counting_for(pod, &node.name)
            // One that the overlay has placed counts there, not where it was nominated.
            .filter(|p| !overlay.deltas().iter().any(|d| d.sign > 0 && d.pod.key.uid == p.key.uid))
            .peekable();
        if nominated.peek().is_some() {
            self.nominated.clear();
            for delta in overlay.deltas() {
                if delta.sign > 0 {
                    self.nominated.add(view, delta.row, delta.pod.clone());
                } else {
                    self.nominated.remove(view, delta.row, delta.pod.clone());
                }
            }
            for p in nominated {
                self.nominated.add(view, row, p.clone());
            }
            let with = prepared.first_rejection(view, &self.nominated, row);
            if with.is_some() {
                return with;
            }
        }
        prepared.first_rejection(view, overlay, row)
    }

    /// Whether one node would do, given an overlay and the pods nominated for it; if not, who says so and why.
    pub(crate) fn fits(
        &mut self,
        prepared: &Prepared<'_>,
        view: &View,
        overlay: &Overlay,
        pod: &PodInfo,
        row: Row,
    ) -> Result<(), RejectedBy> {
        match self.rejection(prepared, view, overlay, pod, row) {
            None => Ok(()),
            Some((filter, verdict)) => {
                let NodeVerdict { plugin, code, reasons } = prepared.verdict(filter, verdict);
                Err(RejectedBy { plugin, code, reasons })
            }
        }
    }

    /// Why a node is infeasible; `None` when it is feasible.
    pub(super) fn verdict(&self, prepared: &Prepared<'_>, view: &View, row: Row) -> Option<NodeVerdict> {
        let (filter, verdict) = self.rejected_at(view, row)?;
        Some(prepared.verdict(filter, verdict))
    }

    /// The code with which a node turned the pod away; `None` when it did not.
    pub(super) fn code(&self, view: &View, row: Row) -> Option<Code> {
        self.rejected_at(view, row).map(|(_, verdict)| verdict.code())
    }

    fn rejected_at(&self, view: &View, row: Row) -> Option<(u8, Verdict)> {
        view.node(row)?;
        if self.feasible.get(row as usize / 64)? >> (row % 64) & 1 == 1 {
            return None;
        }
        self.rejected.get(row as usize).copied()
    }

    /// What a filter could not answer, if there is such a thing: then nothing is decided.
    pub(super) fn failure(&self, prepared: &Prepared<'_>, view: &View) -> Option<NodeVerdict> {
        if !self.failed {
            return None;
        }
        let row = view.rows().find(|row| self.code(view, *row) == Some(Code::Error))?;
        self.verdict(prepared, view, row)
    }

    /// Why the pod fits nowhere. The rows in `refused`, in their order, fit as far as the plugins are concerned.
    pub(super) fn diagnose(&self, prepared: &Prepared<'_>, view: &View, refused: &[Row]) -> Diagnosis {
        let mut kinds: Vec<((u8, Verdict), usize)> = Vec::new();
        for row in view.rows().filter(|row| refused.binary_search(row).is_err()) {
            let kind = self.rejected[row as usize];
            match kinds.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, count)) => *count += 1,
                None => kinds.push((kind, 1)),
            }
        }
        kinds.sort_by_key(|((filter, verdict), _)| (*filter, verdict.reasons(), verdict.code() == Code::Unschedulable));
        let mut diagnosis = Diagnosis { node_count: view.node_count(), ..Diagnosis::default() };
        for ((filter, verdict), count) in kinds {
            let verdict = prepared.verdict(filter, verdict);
            diagnosis.count(verdict.plugin, verdict.code, verdict.reasons, count);
        }
        // Nodes left out by PreFilter were turned away by the plugins that left them out.
        for plugin in prepared.narrowed.iter().flat_map(|n| &n.plugins) {
            diagnosis.note(plugin, Code::UnschedulableAndUnresolvable);
        }
        diagnosis
    }
}
