//! Which plugins of a profile have answers that are kept.

use plimsoll_framework::extensions::PreScoreDyn;
use plimsoll_framework::plugin::MAX_NODE_SCORE;
use plimsoll_framework::read::Groups;

use crate::profile::Profile;

/// The plugins of a profile, by whether their answers serve every pod with the same spec and follow from one node.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Whether anything is kept at all.
    on: bool,
    /// By their numbers in the profile: PreFilter plugins that are asked about every pod.
    asked_pre_filters: Vec<usize>,
    pub(super) kept_pre_filters: Vec<usize>,
    /// With the PreFilter of the same plugin, if it has one.
    asked_filters: Vec<(usize, Option<usize>)>,
    pub(super) kept_filters: Vec<usize>,
    asked_scores: Vec<usize>,
    /// By the number of the scorer: the PreScore of the same plugin.
    pre_scores: Vec<Vec<usize>>,
    /// What those that are asked about every pod, and say the same of all of a template, read of the cluster.
    template_groups: Groups,
    /// What those whose answers are kept read of the cluster.
    kept_groups: Groups,
    by_template: Vec<usize>,
    pub(super) kept_scores: Vec<usize>,
}

impl Plan {
    /// The plan for a profile that is complete.
    pub(crate) fn of(profile: &Profile) -> Self {
        let mut plan = Self::default();
        for (at, point) in profile.pre_filter.iter().enumerate() {
            let list = if point.plugin.spec_only() { &mut plan.kept_pre_filters } else { &mut plan.asked_pre_filters };
            list.push(at);
        }
        for (at, point) in profile.filter.iter().enumerate() {
            let asked = plan.asked_pre_filters.iter().any(|pre| profile.pre_filter[*pre].name == point.name);
            let kept = point.plugin.spec_only() && !point.plugin.groups().reads_other_rows() && !asked;
            if kept {
                plan.kept_filters.push(at);
            } else {
                plan.asked_filters.push((at, profile.pre_filter.iter().position(|pre| pre.name == point.name)));
            }
        }
        for (at, scorer) in profile.score.iter().enumerate() {
            let pre_scores = profile.pre_score.iter().enumerate().filter(|(_, pre)| pre.name == scorer.name);
            let pre_scores: Vec<usize> = pre_scores.map(|(pre, _)| pre).collect();
            let asked = pre_scores.iter().any(|pre| !profile.pre_score[*pre].plugin.spec_only());
            let by_template = |pre: &usize| profile.pre_score[*pre].plugin.template_only();
            if scorer.plugin.template_only() && pre_scores.iter().all(by_template) {
                plan.by_template.push(at);
            }
            plan.pre_scores.push(pre_scores);
            let kept = scorer.plugin.spec_only() && !scorer.plugin.groups().reads_other_rows() && !asked;
            if kept { &mut plan.kept_scores } else { &mut plan.asked_scores }.push(at);
        }
        let asked_filters: Vec<usize> = plan.asked_filters.iter().map(|(at, _)| *at).collect();
        plan.template_groups =
            read_by(profile, (&plan.asked_pre_filters, &asked_filters, &plan.asked_scores), |_| true);
        plan.kept_groups =
            read_by(profile, (&plan.kept_pre_filters, &plan.kept_filters, &plan.kept_scores), |pre| pre.spec_only());
        // Totals are kept in 32 bits.
        let greatest =
            profile.score.iter().fold(0_i64, |sum, s| sum.saturating_add(s.weight.saturating_mul(MAX_NODE_SCORE)));
        plan.on = greatest < i64::from(i32::MAX) && profile.filter.len() < usize::from(u8::MAX);
        plan
    }

    pub(super) fn kept_groups(&self) -> Groups {
        self.kept_groups
    }

    pub(crate) fn template_groups(&self) -> Groups {
        self.template_groups
    }

    pub(crate) fn asked_pre_filters(&self) -> &[usize] {
        &self.asked_pre_filters
    }

    pub(crate) fn asked_filters(&self) -> &[(usize, Option<usize>)] {
        &self.asked_filters
    }

    pub(crate) fn asked_scores(&self) -> &[usize] {
        &self.asked_scores
    }

    pub(crate) fn is_asked_score(&self, at: usize) -> bool {
        self.asked_scores.contains(&at)
    }

    /// Whether a scorer that is asked says the same of all pods of a template.
    pub(crate) fn scores_by_template(&self, at: usize) -> bool {
        self.by_template.contains(&at)
    }

    /// The PreScore plugins, by their numbers, that have a veto on a scorer.
    pub(crate) fn pre_scores_of(&self, at: usize) -> &[usize] {
        &self.pre_scores[at]
    }

    /// Whether there are rows for pods of the profile.
    pub(crate) fn keeps_rows(&self) -> bool {
        self.on
    }
}

/// What these plugins, by their numbers at PreFilter, Filter and Score, and some at PreScore read of the cluster.
fn read_by(
    profile: &Profile,
    (pre_filters, filters, scores): (&[usize], &[usize], &[usize]),
    pre_scores: impl Fn(&dyn PreScoreDyn) -> bool,
) -> Groups {
    let pre_filters = pre_filters.iter().map(|at| profile.pre_filter[*at].plugin.groups());
    let filters = filters.iter().map(|at| profile.filter[*at].plugin.groups());
    let scores = scores.iter().map(|at| profile.score[*at].plugin.groups());
    let pre_scores = profile.pre_score.iter().filter(|pre| pre_scores(&*pre.plugin)).map(|pre| pre.plugin.groups());
    pre_filters.chain(filters).chain(scores).chain(pre_scores).fold(Groups::NONE, Groups::union)
}
