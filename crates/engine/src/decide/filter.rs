//! PreFilter and Filter.

use std::collections::BTreeMap;

use plimsoll_framework::extensions::BoundFilter;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::PreFilterVerdict;
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

/// The filters of a profile, prepared for one pod.
pub(crate) struct Prepared<'p> {
    filters: Vec<(&'static str, Box<dyn BoundFilter>)>,
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
    Reject(Box<Diagnosis>),
}

impl<'p> Prepared<'p> {
    /// Asks PreFilter and prepares the filters that have something to say.
    pub(crate) fn for_pod(profile: &'p Profile, view: &View, pod: &PodInfo) -> PreFiltered<'p> {
        let mut skipped: Vec<&'static str> = Vec::new();
        let mut narrowed: Option<Narrowed> = None;
        let mut rejected: Option<(&'static str, Rejection)> = None;
        for point in &profile.pre_filter {
            match point.plugin.pre_filter(pod, view) {
                PreFilterVerdict::Run => {}
                PreFilterVerdict::Skip => skipped.push(point.name),
                PreFilterVerdict::Only(names) => {
                    let left = narrowed.get_or_insert_with(|| Narrowed { names: names.clone(), plugins: Vec::new() });
                    left.names.retain(|n| names.contains(n));
                    left.plugins.push(point.name);
                    if left.names.is_empty() {
                        let rejection = nothing_left(&mut left.plugins);
                        return PreFiltered::Reject(Box::new(reject(view, point.name, rejection)));
                    }
                }
                // A rejection that preemption could change does not keep others from a stronger one.
                PreFilterVerdict::Reject(rejection) => {
                    let last_word = rejection.code != Code::Unschedulable;
                    rejected = Some((point.name, rejection));
                    if last_word {
                        break;
                    }
                }
            }
        }
        if let Some((plugin, rejection)) = rejected {
            return PreFiltered::Reject(Box::new(reject(view, plugin, rejection)));
        }
        if let Some(narrowed) = &mut narrowed {
            narrowed.plugins.sort_unstable();
        }
        let wanted = profile.filter.iter().filter(|f| !skipped.contains(&f.name));
        let filters = wanted.filter_map(|f| Some((f.name, f.plugin.bind(pod, view)?))).collect();
        PreFiltered::Run(Self { filters, narrowed, skipped, profile })
    }

    /// The PreFilter plugins that had something to say.
    pub(super) fn pre_filters(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.profile.pre_filter.iter().map(|p| p.name).filter(|name| !self.skipped.contains(name))
    }

    /// The Filter plugins that have something to say.
    pub(super) fn filters(&self) -> impl Iterator<Item = &'static str> + '_ {
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

    fn verdict(&self, filter: u8, verdict: Verdict) -> NodeVerdict {
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

/// The number of a filter that is none: PreFilter had left the node out.
const LEFT_OUT: u8 = u8::MAX;

fn number(filter: usize) -> u8 {
    u8::try_from(filter).unwrap_or(LEFT_OUT - 1)
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

impl Scratch {
    /// Asks every node; gives how many are feasible. Which those are, and why the others are not, is left in `self`.
    pub(crate) fn filter(&mut self, prepared: &Prepared<'_>, view: &View, overlay: &Overlay, pod: &PodInfo) -> u32 {
        self.rejected.resize(view.row_limit(), (LEFT_OUT, Verdict::FITS));
        self.feasible.clear();
        let mut out = [Verdict::FITS; 64];
        for (first, lanes) in view.blocks() {
            let mut alive = prepared.candidates(view, first, lanes);
            for lane in bits(lanes & !alive) {
                self.rejected[(first + lane) as usize] = (LEFT_OUT, Verdict::unresolvable(1));
            }
            for (i, (_, filter)) in prepared.filters.iter().enumerate() {
                if alive == 0 {
                    break;
                }
                filter.block(view, first, alive, &mut out);
                // Mostly all of them fit, which is seen at a glance.
                if Verdict::all_fit(&out) {
                    continue;
                }
                let fit = out.iter().enumerate().fold(0, |set, (lane, v)| set | u64::from(v.fits()) << lane);
                for lane in bits(alive & !fit) {
                    self.rejected[(first + lane) as usize] = (number(i), out[lane as usize]);
                }
                alive &= fit;
            }
            self.feasible.push(alive);
        }
        self.revise(prepared, view, overlay, pod);
        self.feasible.iter().map(|b| b.count_ones()).sum()
    }

    /// Asks again about the nodes that the overlay or nominated pods make different from the view.
    fn revise(&mut self, prepared: &Prepared<'_>, view: &View, overlay: &Overlay, pod: &PodInfo) {
        let everywhere = prepared.profile.filter_groups.reads_other_rows() && !overlay.is_empty();
        let mut rows: Vec<Row> = if everywhere { view.rows().collect() } else { overlay.rows().collect() };
        if !view.nominations().is_empty() {
            let nominated = |row: &Row| view.node(*row).is_some_and(|n| !view.nominations().pods(&n.name).is_empty());
            rows.extend(view.rows().filter(nominated));
        }
        for row in rows {
            let (block, lane) = (row as usize / 64, row % 64);
            // The row may be that of a node that is gone, or that PreFilter left out.
            if view.node(row).is_none() || prepared.candidates(view, row - lane, 1 << lane) == 0 {
                continue;
            }
            match self.rejection(prepared, view, overlay, pod, row) {
                None => self.feasible[block] |= 1 << lane,
                Some(rejection) => {
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
            .pods(&node.name)
            .iter()
            .filter(|p| p.key.uid != pod.key.uid && p.priority() >= pod.priority())
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

    /// Why a node is infeasible; `None` when it is feasible.
    pub(super) fn verdict(&self, prepared: &Prepared<'_>, view: &View, row: Row) -> Option<NodeVerdict> {
        view.node(row)?;
        if self.feasible.get(row as usize / 64)? >> (row % 64) & 1 == 1 {
            return None;
        }
        let (filter, verdict) = *self.rejected.get(row as usize)?;
        Some(prepared.verdict(filter, verdict))
    }

    /// Whether a node turned the pod away in a way that pods leaving it could change.
    pub(crate) fn is_resolvable(&self, row: Row) -> bool {
        self.rejected.get(row as usize).is_some_and(|(_, verdict)| verdict.code() == Code::Unschedulable)
    }

    pub(super) fn first_feasible(&self) -> Option<Row> {
        let block = self.feasible.iter().position(|b| *b != 0)?;
        Some(Row::try_from(block * 64).ok()? + self.feasible[block].trailing_zeros())
    }

    /// Why the pod fits nowhere.
    pub(super) fn diagnose(&self, prepared: &Prepared<'_>, view: &View) -> Diagnosis {
        let mut kinds: BTreeMap<(u8, u32, bool), (Verdict, usize)> = BTreeMap::new();
        for row in view.rows() {
            let (filter, verdict) = self.rejected[row as usize];
            let resolvable = verdict.code() == Code::Unschedulable;
            kinds.entry((filter, verdict.reasons(), resolvable)).or_insert((verdict, 0)).1 += 1;
        }
        let mut diagnosis = Diagnosis { node_count: view.node_count(), ..Diagnosis::default() };
        for ((filter, ..), (verdict, count)) in kinds {
            let verdict = prepared.verdict(filter, verdict);
            for reason in verdict.reasons {
                *diagnosis.reasons.entry(reason).or_default() += count;
            }
            if !verdict.plugin.is_empty() {
                diagnosis.note(verdict.plugin, verdict.code);
            }
        }
        // Nodes left out by PreFilter were turned away by the plugins that left them out.
        for plugin in prepared.narrowed.iter().flat_map(|n| &n.plugins) {
            diagnosis.note(plugin, Code::UnschedulableAndUnresolvable);
        }
        diagnosis
    }
}
