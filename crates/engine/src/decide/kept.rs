//! Deciding by the memo: the rows of the pod's class, and over them what has to be asked about the pod itself.
//!
//! The answers are those of a decision from nothing, ties included: the same rows are feasible, with the same totals, and
//! the same draw picks among the best.

use std::sync::Arc;

use plimsoll_framework::extensions::{BoundFilter, BoundScoring};
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::{Extent, MAX_NODE_SCORE, MIN_NODE_SCORE, PreFilterVerdict};
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::point::Point;
use plimsoll_framework::table::{Row, View, bits};
use plimsoll_framework::verdict::{Code, Verdict};

use super::filter::{self, Held, Prepared};
use super::score::{below, rows};
use super::{Outcome, Probe, Scratch, TieBreak, Worker, chosen};
use crate::diagnosis::Diagnosis;
use crate::memo::{Class, Kit, Numbers, Quiet};
use crate::profile::{Profile, Scorer};

/// What the plugins that are asked about every pod worked out for the one at hand. The memory is used again.
#[derive(Default)]
pub(super) struct Asked {
    /// PreFilter plugins that had nothing to say, by their numbers in the profile.
    skipped: Vec<usize>,
    /// Filters that have something to say, likewise.
    pub(super) filters: Vec<(usize, Box<dyn BoundFilter>)>,
    /// Scorers that do, likewise.
    scores: Vec<(usize, BoundScoring)>,
    /// What those with the same score for every node add to the total.
    common: i64,
    /// Rows with other pods nominated for them that count for this one.
    pub(super) nominated: Vec<Row>,
    /// What is prepared for the template of the pod and has nothing to say of this one, or was not asked yet.
    idle: Kit,
}

impl Worker {
    /// Decides a pod by the rows of its class; `None` where it has to be decided from nothing.
    pub(super) fn decide_by_rows(
        &mut self,
        profile: &Profile,
        view: &View,
        overlay: &Overlay,
        pod: &PodInfo,
        draw: u64,
    ) -> Option<Outcome> {
        if profile.asks_about(pod) || pod.nominated_node_name.is_some() {
            self.memo.stats.passed += 1;
            return None;
        }
        self.scratch.walked = 0;
        let outcome = self.decide_by_class(profile, view, overlay, pod, draw);
        let Self { memo, asked, scratch, .. } = self;
        if let Some(class) = memo.known(profile, pod) {
            // Where there is no outcome a decision from nothing follows.
            class.walked = if outcome.is_some() { scratch.walked } else { view.node_count() };
            asked.put_away(profile, overlay.is_empty().then(|| class.quiet(profile, view, pod)).flatten());
        }
        outcome
    }

    /// Keeps what the plugins that were asked about a pod have prepared.
    pub(super) fn put_away(&mut self, profile: &Profile, view: &View, pod: &PodInfo) {
        let Self { memo, asked, .. } = self;
        asked.put_away(profile, memo.known(profile, pod).and_then(|class| class.quiet(profile, view, pod)));
    }

    fn decide_by_class(
        &mut self,
        profile: &Profile,
        view: &View,
        overlay: &Overlay,
        pod: &PodInfo,
        draw: u64,
    ) -> Option<Outcome> {
        let Self { memo, asked, scratch, probe, avoidance, tie_break, seed, .. } = self;
        let class = memo.class(profile, view, overlay, pod)?;
        asked.ask_filters(profile, class, view, overlay, pod)?;
        asked.find_nominated(view, pod);
        if asked.filters.iter().any(|(_, filter)| filter.is_reached_by(view, overlay)) {
            return None;
        }
        let mut by_class = asked.filters.is_empty();
        if by_class {
            scratch.close_nominated(asked, profile, class, (view, overlay), pod);
        } else {
            scratch.filter_beyond(asked, profile, class, (view, overlay), pod);
        }
        if class.has_failed() || scratch.failed {
            return None;
        }
        let feasible =
            if by_class { class.feasible_count } else { scratch.feasible.iter().map(|b| b.count_ones()).sum() };
        if let Some(probe) = probe {
            tell_of_filters(&mut **probe, profile, class, asked, feasible);
        }
        match feasible {
            0 if by_class => return Some(Outcome::Unfit(class.shared_diagnosis(profile, view))),
            0 => return scratch.unfit_beyond(asked, profile, class, view),
            1 => {
                let feasible = if by_class { &class.feasible } else { &scratch.feasible };
                return rows(feasible).next().map(|row| chosen(view, row, None));
            }
            _ => {}
        }
        if let Some(avoided) = avoidance.for_pod(view, pod) {
            if by_class {
                scratch.feasible.clone_from(&class.feasible);
            }
            match scratch.leave_out(&avoided, view, overlay) {
                Some(1) => return rows(&scratch.feasible).next().map(|row| chosen(view, row, None)),
                left => by_class &= left.is_none(),
            }
        }
        asked.ask_scores(profile, class, view, overlay, pod, probe.as_deref_mut());
        let draw = *seed ^ draw;
        if by_class && asked.scores.is_empty() {
            let (row, score) = class.select(view, *tie_break, draw)?;
            return Some(chosen(view, row, Some(score + asked.common)));
        }
        if asked.scores.iter().any(|(_, score)| score.is_reached_by(view, overlay)) {
            return None;
        }
        let (row, score) = scratch.score_beyond(asked, profile, class, (view, overlay), by_class, (*tie_break, draw));
        Some(chosen(view, row, Some(score)))
    }
}

impl Worker {
    /// What is known of the template of a pod that the plugins whose answers are kept turn away everywhere, with the number
    /// of the ways in which they do; `None` where others have a say.
    pub(super) fn rejected_by_class(
        &mut self,
        profile: &Profile,
        view: &View,
        pod: &PodInfo,
    ) -> Option<(&mut Quiet, u64)> {
        if pod.nominated_node_name.is_some() {
            return None;
        }
        let Self { memo, asked, .. } = self;
        let none = Overlay::default();
        let class = memo.class(profile, view, &none, pod)?;
        asked.ask_filters(profile, class, view, &none, pod)?;
        asked.find_nominated(view, pod);
        if class.feasible_count > 0 || !asked.filters.is_empty() || !asked.nominated.is_empty() {
            return None;
        }
        let version = class.kinds_version();
        Some((class.quiet(profile, view, pod)?, version))
    }
}

impl Asked {
    /// Asks PreFilter plugins and prepares filters about this pod; `None` where PreFilter has more to say than that all
    /// nodes are to be asked.
    pub(super) fn ask_filters(
        &mut self,
        profile: &Profile,
        class: &mut Class,
        view: &View,
        overlay: &Overlay,
        pod: &PodInfo,
    ) -> Option<()> {
        self.skipped.clear();
        self.put_away(profile, None);
        let alone = overlay.is_empty();
        let mut known = class.quiet(profile, view, pod).filter(|_| alone);
        if let Some(quiet) = &mut known {
            std::mem::swap(&mut self.idle, &mut quiet.kit);
        }
        if known.as_ref().is_some_and(|quiet| quiet.all) {
            self.skipped.extend_from_slice(profile.plan.asked_pre_filters());
            return Some(());
        }
        let known = known.map(|quiet| (quiet.pre_filters, quiet.runs, quiet.filters));
        let (mut pre_filters, mut runs, mut filters) = (Numbers::default(), Numbers::default(), Numbers::default());
        let mut all = true;
        for at in profile.plan.asked_pre_filters() {
            if class.skips(*at) {
                continue;
            }
            let plugin = &profile.pre_filter[*at].plugin;
            let verdict = match known {
                Some((pre_filters, ..)) if pre_filters.has(*at) => PreFilterVerdict::Skip,
                Some((_, runs, _)) if runs.has(*at) => PreFilterVerdict::Run,
                _ => plugin.pre_filter(pod, view),
            };
            match verdict {
                PreFilterVerdict::Run => {
                    all = false;
                    if plugin.template_only() {
                        runs.add(*at);
                    }
                }
                PreFilterVerdict::Skip => {
                    self.skipped.push(*at);
                    if plugin.template_only() {
                        pre_filters.add(*at);
                    }
                    all &= pre_filters.has(*at);
                }
                _ => return None,
            }
        }
        let through = (!alone).then_some(overlay);
        for (at, pre_filter) in profile.plan.asked_filters() {
            if pre_filter.is_some_and(|pre| self.skipped.contains(&pre) || class.skips(pre))
                || known.is_some_and(|(.., filters)| filters.has(*at))
            {
                // One that is kept may have something to say another time, of the same template.
                all &= pre_filter.is_some_and(|pre| profile.plan.asked_pre_filters().contains(&pre));
                continue;
            }
            let plugin = &profile.filter[*at].plugin;
            match self.idle.filter(*at, view).or_else(|| plugin.bind(pod, view)) {
                Some(bound) if bound.takes_part(view, through) => {
                    all = false;
                    self.filters.push((*at, bound));
                }
                bound => {
                    if plugin.template_only() && bound.as_ref().is_none_or(|bound| bound.counts_nothing()) {
                        filters.add(*at);
                    }
                    all &= filters.has(*at);
                    self.idle.filters.extend(bound.map(|bound| (*at, bound)));
                }
            }
        }
        if alone && known.is_none() {
            let mut found = Quiet::of(pod, view.versions());
            (found.pre_filters, found.runs, found.filters, found.all) = (pre_filters, runs, filters, all);
            class.set_quiet(pod, found);
        }
        Some(())
    }

    pub(super) fn find_nominated(&mut self, view: &View, pod: &PodInfo) {
        self.nominated.clear();
        let nominations = view.nominations();
        let nodes = nominations.nodes().filter(|node| nominations.counting_for(pod, node).next().is_some());
        self.nominated.extend(nodes.filter_map(|node| view.row(node)));
    }

    /// Asks PreScore plugins and prepares scorers about this pod.
    fn ask_scores(
        &mut self,
        profile: &Profile,
        class: &mut Class,
        view: &View,
        overlay: &Overlay,
        pod: &PodInfo,
        probe: Option<&mut (dyn Probe + 'static)>,
    ) {
        self.common = 0;
        let alone = overlay.is_empty();
        let through = (!alone).then_some(overlay);
        let known = class.quiet(profile, view, pod).filter(|_| alone).and_then(|quiet| quiet.scores);
        let wants = |at: usize| {
            // Where PreScore had said no, it is among those that have nothing to say.
            let wanted = |quiet: Numbers| profile.plan.scores_by_template(at) && !quiet.has(at);
            let mut pre_scores = profile.plan.pre_scores_of(at).iter();
            known.is_some_and(wanted) || pre_scores.all(|pre| profile.pre_score[*pre].plugin.pre_score(pod, view))
        };
        if let Some(probe) = probe {
            probe.ran(Point::PreScore, Code::Success);
            let takes_part = |at: &usize| class.scores_with(*at) || profile.plan.is_asked_score(*at) && wants(*at);
            (0..profile.score.len())
                .filter(takes_part)
                .for_each(|at| probe.asked(Point::Score, profile.score[at].name));
        }
        let mut found = Numbers::default();
        for at in profile.plan.asked_scores().iter().chain(class.over_feasible()).copied() {
            if known.is_some_and(|scores| scores.has(at)) {
                continue;
            }
            let scorer = &profile.score[at];
            let quiet = if wants(at) { self.ask_score(at, scorer, (view, through), pod) } else { true };
            if quiet && profile.plan.scores_by_template(at) {
                found.add(at);
            }
        }
        if alone
            && known.is_none()
            && let Some(quiet) = class.quiet(profile, view, pod)
        {
            quiet.scores = Some(found);
        }
    }

    /// Prepares a scorer about this pod; whether it has nothing to say, whatever pods come and go.
    fn ask_score(
        &mut self,
        at: usize,
        scorer: &Scorer,
        (view, through): (&View, Option<&Overlay>),
        pod: &PodInfo,
    ) -> bool {
        let bound = self.idle.score(at, view).unwrap_or_else(|| scorer.plugin.bind(pod, view));
        let quiet = match &bound {
            BoundScoring::Skip => true,
            BoundScoring::Zero(normalize) if normalize.is_normalized() => {
                let score = normalize.normalize(0, Extent { min: 0, max: 0 });
                self.common += score.clamp(MIN_NODE_SCORE, MAX_NODE_SCORE) * scorer.weight;
                false
            }
            BoundScoring::Zero(_) => true,
            BoundScoring::PerNode(bound) if !bound.takes_part(view, through) => bound.counts_nothing(),
            _ => {
                self.scores.push((at, bound));
                return false;
            }
        };
        self.idle.scores.push((at, bound));
        quiet
    }

    /// Keeps what was prepared with what is known of the template, if that is given, and lets go of the view: while it is
    /// held, whoever writes to the table has to copy.
    pub(super) fn put_away(&mut self, profile: &Profile, quiet: Option<&mut Quiet>) {
        if let Some(quiet) = quiet {
            let by_template = |(at, _): &(usize, Box<dyn BoundFilter>)| profile.filter[*at].plugin.template_only();
            self.idle.filters.append(&mut self.filters);
            self.idle.filters.retain(by_template);
            let plan = &profile.plan;
            self.idle.scores.append(&mut self.scores);
            self.idle.scores.retain(|(at, _)| plan.is_asked_score(*at) && plan.scores_by_template(*at));
            self.idle.detach();
            std::mem::swap(&mut self.idle, &mut quiet.kit);
        }
        self.filters.clear();
        self.scores.clear();
        self.idle.filters.clear();
        self.idle.scores.clear();
    }

    /// All filters, those of the class among them, in the order of the profile. Filter `n` of the class is at the place
    /// `places[n]`.
    pub(super) fn all<'m>(&mut self, profile: &'m Profile, class: &'m Class) -> (Prepared<'m>, Vec<u8>) {
        let mut places = Vec::new();
        let mut filters = Vec::new();
        let mut own = self.filters.drain(..).peekable();
        for (at, bound) in class.filters() {
            while let Some((at, bound)) = own.next_if(|(own, _)| *own < at) {
                filters.push((profile.filter[at].name, Held::Own(bound)));
            }
            places.push(u8::try_from(filters.len()).unwrap_or(u8::MAX));
            filters.push((profile.filter[at].name, Held::Kept(bound)));
        }
        filters.extend(own.map(|(at, bound)| (profile.filter[at].name, Held::Own(bound))));
        (Prepared::of_filters(profile, filters), places)
    }
}

impl Scratch {
    /// Closes the rows of the class whose nodes turn the pod away for the sake of pods nominated for them.
    pub(super) fn close_nominated(
        &mut self,
        asked: &mut Asked,
        profile: &Profile,
        class: &mut Class,
        (view, overlay): (&View, &Overlay),
        pod: &PodInfo,
    ) {
        self.failed = false;
        if asked.nominated.is_empty() {
            return;
        }
        let (prepared, _) = asked.all(profile, class);
        let rejections: Vec<Option<(u8, Verdict)>> =
            asked.nominated.iter().map(|row| self.rejection(&prepared, view, overlay, pod, *row)).collect();
        drop(prepared);
        for (row, rejection) in asked.nominated.iter().zip(rejections) {
            if let Some((filter, verdict)) = rejection {
                class.borrow_rejected(*row, filter, verdict);
            }
        }
    }

    /// Lets the filters that are asked about every pod look at the nodes that the class leaves; the overlay reaches none of
    /// them. Who turned which node away is noted only where all are asked node by node, and all nodes are as the view shows
    /// them.
    fn filter_beyond(
        &mut self,
        asked: &mut Asked,
        profile: &Profile,
        class: &Class,
        (view, overlay): (&View, &Overlay),
        pod: &PodInfo,
    ) {
        self.failed = false;
        self.feasible.clone_from(&class.feasible);
        for (at, bound) in &asked.filters {
            if !bound.rows(&mut self.feasible) {
                self.filter_by_blocks(*at, &**bound, view);
            }
        }
        if overlay.is_empty() && asked.nominated.is_empty() {
            return;
        }
        let (prepared, _) = asked.all(profile, class);
        for row in overlay.rows().chain(asked.nominated.iter().copied()) {
            let rejection = self.rejection(&prepared, view, overlay, pod, row);
            let (lane, block) = (1_u64 << (row % 64), &mut self.feasible[row as usize / 64]);
            *block = if rejection.is_none() { *block | lane } else { *block & !lane };
            self.failed |= rejection.is_some_and(|(_, verdict)| verdict.code() == Code::Error);
        }
    }

    /// Lets one filter look at the nodes that are left, and notes which it turns away.
    fn filter_by_blocks(&mut self, at: usize, bound: &dyn BoundFilter, view: &View) {
        // By its number in the profile, until it is known who else has a say.
        let by = u8::try_from(at).unwrap_or(u8::MAX);
        self.rejected.resize(view.row_limit(), (0, Verdict::FITS));
        let mut out = [Verdict::FITS; 64];
        for ((first, _), feasible) in view.blocks().zip(&mut self.feasible) {
            if *feasible == 0 {
                continue;
            }
            self.walked += feasible.count_ones() as usize;
            bound.block(view, first, *feasible, &mut out);
            let fit = Verdict::fitting(&out);
            for lane in bits(*feasible & !fit) {
                let verdict = out[lane as usize];
                self.failed |= verdict.code() == Code::Error;
                self.rejected[(first + lane) as usize] = (by, verdict);
            }
            *feasible &= fit;
        }
    }

    /// Why a pod fits nowhere that the class left nodes for, or might have.
    fn unfit_beyond(&mut self, asked: &mut Asked, profile: &Profile, class: &Class, view: &View) -> Option<Outcome> {
        // A filter of the class may stand behind one that was not asked about the nodes it has turned away.
        let first_asked = asked.filters.iter().map(|(at, _)| *at).min()?;
        if class.rejects_after(first_asked) {
            return None;
        }
        self.feasible.clone_from(&class.feasible);
        for (at, bound) in &asked.filters {
            self.filter_by_blocks(*at, &**bound, view);
        }
        let (prepared, places) = asked.all(profile, class);
        let by_profile = filter::places(profile, &prepared);
        for row in view.rows() {
            let own = &mut self.rejected[row as usize];
            match class.rejection(row) {
                Some((filter, verdict)) => *own = (places[usize::from(filter)], verdict),
                None => own.0 = by_profile[usize::from(own.0)],
            }
        }
        Some(Outcome::Unfit(Arc::new(self.diagnose(&prepared, view, &[]))))
    }

    /// Adds the scores that are asked for every pod to the totals of the class; gives the best node and its total.
    fn score_beyond(
        &mut self,
        asked: &Asked,
        profile: &Profile,
        class: &Class,
        (view, overlay): (&View, &Overlay),
        by_class: bool,
        (tie_break, draw): (TieBreak, u64),
    ) -> (Row, i64) {
        if by_class {
            self.feasible.clone_from(&class.feasible);
        }
        self.common = class.common() + asked.common;
        if let Some(common) = self.sums.score(profile, &asked.scores, &self.feasible) {
            let (row, best) = self.sums.select(class, &self.feasible, by_class, view, (tie_break, draw));
            return (row, best + common + self.common);
        }
        class.copy_totals(&self.feasible, by_class, &mut self.totals);
        self.raw.resize(view.row_limit(), 0);
        let feasible: u32 = self.feasible.iter().map(|block| block.count_ones()).sum();
        self.walked += asked.scores.len() * feasible as usize;
        for (at, bound) in &asked.scores {
            self.score_bound(&profile.score[*at], bound, view, overlay, None);
        }
        self.select(view, tie_break, draw)
    }
}

/// Tells who was asked up to Filter, and how that went.
fn tell_of_filters(probe: &mut dyn Probe, profile: &Profile, class: &Class, asked: &Asked, feasible: u32) {
    let takes_part = |name: &str| {
        let mut filters = profile.filter.iter().enumerate().filter(|(_, f)| f.name == name).peekable();
        filters.peek().is_none()
            || filters.any(|(at, _)| class.filters_with(at) || asked.filters.iter().any(|(own, _)| *own == at))
    };
    for (at, point) in profile.pre_filter.iter().enumerate() {
        if !class.skips(at) && !asked.skipped.contains(&at) && takes_part(point.name) {
            probe.asked(Point::PreFilter, point.name);
        }
    }
    probe.ran(Point::PreFilter, Code::Success);
    for (at, point) in profile.filter.iter().enumerate() {
        if class.filters_with(at) || asked.filters.iter().any(|(own, _)| *own == at) {
            probe.asked(Point::Filter, point.name);
        }
    }
    probe.ran(Point::Filter, if feasible > 0 { Code::Success } else { Code::Unschedulable });
}

impl Class {
    /// The best of the feasible nodes, of which there are several, and its total.
    fn select(&self, view: &View, tie_break: TieBreak, draw: u64) -> Option<(Row, i64)> {
        let best = self.best();
        let row = match tie_break {
            TieBreak::Random => self.nth_best(best, below(draw, self.ties(best))),
            TieBreak::Name => self.first_best_by_name(best, view),
        }?;
        Some((row, i64::from(best) + self.common()))
    }

    /// The same for all pods of the class, as long as as many nodes turn them away in the same ways.
    fn shared_diagnosis(&mut self, profile: &Profile, view: &View) -> Arc<Diagnosis> {
        if let Some(kept) = self.kept_diagnosis(view.node_count()) {
            return kept;
        }
        let diagnosis = Arc::new(self.diagnosis(profile, view));
        self.keep_diagnosis(&diagnosis);
        diagnosis
    }

    /// Why the pods of the class fit nowhere.
    fn diagnosis(&self, profile: &Profile, view: &View) -> Diagnosis {
        let mut diagnosis = Diagnosis { node_count: view.node_count(), ..Diagnosis::default() };
        for (plugin, verdict, reasons, count) in self.rejections(profile) {
            diagnosis.count(plugin, verdict.code(), reasons, count);
        }
        diagnosis
    }
}
