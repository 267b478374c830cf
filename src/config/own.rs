//! `PlimsollConfiguration`: what kube-scheduler's configuration has no word for. A second document in the same file.

use plimsoll_engine::memo::MemoSettings;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::plugin::EvictionPolicy;
use serde::{Deserialize, Serialize};

use super::Config;
use super::check::Check;
use super::coexistence::{Coexistence, CoexistenceConfig};
use super::shadow::{Mode, Shadow, ShadowConfig};

/// The API version.
pub(super) const API_VERSION: &str = "config.plimsoll/v1alpha1";
/// The kind.
pub(super) const KIND: &str = "PlimsollConfiguration";

/// More threads than this would wait for the one that commits.
const MAX_WORKERS: u16 = 64;
/// More questions at once than this no extender has been made for.
const MAX_EXTENDER_PARALLELISM: u16 = 256;

/// The document as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PlimsollConfiguration {
    /// Version of the document.
    pub api_version: String,
    /// Kind of the document.
    pub kind: String,
    /// Whether no pods are taken for the time being.
    pub paused: bool,
    /// Number of threads that decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u16>,
    /// How one of equally good nodes is chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tie_break: Option<TieBreak>,
    /// Seed of a random choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How many pods extenders are asked about at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extender_parallelism: Option<u16>,
    /// Whether the default scheduler's name and lease may be taken.
    pub replace_default_scheduler: bool,
    /// Which events are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_policy: Option<EventPolicy>,
    /// Which pods may be made to go for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preemption: Option<Preemption>,
    /// What is kept from one decision to the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memo: Option<Memo>,
    /// What is kept of past decisions, for whoever asks about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<DecisionHistory>,
    /// What is done for others that use the same nodes, and about them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coexistence: Option<Coexistence>,
    /// Whether pods are placed, or it is only said where they would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Whose decisions are compared with those made here, in mode `Shadow`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
}

/// What each worker keeps from one decision to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Memo {
    /// How much of it; 0 keeps nothing.
    pub budget_mebibytes: u32,
    /// Every how many decisions one is made again from nothing, to compare; 0 never.
    pub audit_every: u32,
}

impl Default for Memo {
    fn default() -> Self {
        Self { budget_mebibytes: 256, audit_every: 10_000 }
    }
}

impl From<Memo> for MemoSettings {
    fn from(configured: Memo) -> Self {
        let mebibytes = usize::try_from(configured.budget_mebibytes).unwrap_or(usize::MAX);
        // Builds with debug assertions audit every decision, as their tests do.
        let audit_every = if cfg!(debug_assertions) { 1 } else { configured.audit_every };
        Self { budget_bytes: mebibytes.saturating_mul(1 << 20), audit_every }
    }
}

/// What is kept of past decisions, for whoever asks about one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct DecisionHistory {
    /// How much of them, and of what has changed since; 0 keeps nothing.
    pub budget_mebibytes: u32,
}

impl Default for DecisionHistory {
    fn default() -> Self {
        Self { budget_mebibytes: 8 }
    }
}

impl DecisionHistory {
    pub(crate) fn bytes(self) -> usize {
        usize::try_from(self.budget_mebibytes).unwrap_or(usize::MAX).saturating_mul(1 << 20)
    }
}

/// Which pods may be made to go for the sake of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Preemption {
    /// What a PodDisruptionBudget is to it.
    pub pod_disruption_budgets: Budgets,
    /// Whether pods of other schedulers may be, too.
    pub other_schedulers: bool,
}

/// What a PodDisruptionBudget is to preemption.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Budgets {
    /// Kept where that is possible, as kube-scheduler does.
    #[default]
    BestEffort,
    /// Always kept.
    Strict,
}

/// Which events are written about pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventPolicy {
    /// All, as kube-scheduler does.
    #[default]
    All,
    /// All, but pods of one owner that find places within seconds are told together.
    Aggregated,
    /// None for pods that find a place.
    FailuresOnly,
}

/// How one of equally good nodes is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TieBreak {
    /// Each with the same chance.
    #[default]
    Random,
    /// The first by name.
    Name,
}

impl From<TieBreak> for plimsoll_engine::decide::TieBreak {
    fn from(configured: TieBreak) -> Self {
        match configured {
            TieBreak::Random => Self::Random,
            TieBreak::Name => Self::Name,
        }
    }
}

/// What is Plimsoll's own in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlimsollConfig {
    /// Whether no pods are taken for the time being: everything is watched, nothing is decided or written.
    pub paused: bool,
    /// Number of threads that decide, 1 to 64; `None` leaves it to the program (the cores, at most 4).
    pub workers: Option<u16>,
    /// How one of equally good nodes is chosen.
    pub tie_break: TieBreak,
    /// Seed of a random choice; `None` takes a new one at every start.
    pub seed: Option<u64>,
    /// How many pods extenders are asked about at once, 1 to 256.
    pub extender_parallelism: u16,
    /// Whether the profile `default-scheduler` and the lease `kube-system/kube-scheduler` may be taken.
    pub replace_default_scheduler: bool,
    /// Which events are written about pods.
    pub event_policy: EventPolicy,
    /// Which pods may be made to go for others.
    pub preemption: Preemption,
    /// What each worker keeps from one decision to the next.
    pub memo: Memo,
    /// What is kept of past decisions.
    pub history: DecisionHistory,
    /// What is done for others that use the same nodes, and about them.
    pub coexistence: CoexistenceConfig,
    /// Whether pods are placed, or it is only said where they would be.
    pub mode: Mode,
    /// Whose decisions are compared with those made here, in mode `Shadow`.
    pub shadow: ShadowConfig,
}

impl Config {
    /// Which pods may be made to go for others. Those of other schedulers are left alone unless that is switched on: they
    /// may have reasons of their own to be where they are.
    pub fn evictions(&self) -> EvictionPolicy {
        let configured = self.plimsoll.preemption;
        let ours = || self.scheduler_names().into_iter().map(Istr::new).collect();
        EvictionPolicy {
            schedulers: (!configured.other_schedulers).then(ours),
            strict_budgets: configured.pod_disruption_budgets == Budgets::Strict,
        }
    }
}

impl Default for PlimsollConfig {
    fn default() -> Self {
        PlimsollConfiguration::default().resolve()
    }
}

impl PlimsollConfiguration {
    pub(super) fn validate(&self, check: &mut Check<'_>) {
        if let Some(workers) = self.workers
            && !(1..=MAX_WORKERS).contains(&workers)
        {
            check.fail("workers", &format!("must be between 1 and {MAX_WORKERS}, not {workers}"));
        }
        if let Some(pods) = self.extender_parallelism
            && !(1..=MAX_EXTENDER_PARALLELISM).contains(&pods)
        {
            check.fail("extenderParallelism", &format!("must be between 1 and {MAX_EXTENDER_PARALLELISM}, not {pods}"));
        }
        self.coexistence.iter().for_each(|coexistence| coexistence.validate(check));
        self.shadow.iter().for_each(|shadow| shadow.validate(check));
        if self.shadow.is_some() && self.mode.unwrap_or_default() == Mode::Scheduler {
            check.warn("shadow", "has no effect without mode: Shadow");
        }
        if self.seed.is_some() && self.tie_break == Some(TieBreak::Name) {
            check.warn("seed", "has no effect with tieBreak: name");
        }
    }

    pub(super) fn resolve(&self) -> PlimsollConfig {
        PlimsollConfig {
            paused: self.paused,
            workers: self.workers,
            tie_break: self.tie_break.unwrap_or_default(),
            seed: self.seed,
            extender_parallelism: self.extender_parallelism.unwrap_or(1),
            replace_default_scheduler: self.replace_default_scheduler,
            event_policy: self.event_policy.unwrap_or_default(),
            preemption: self.preemption.unwrap_or_default(),
            memo: self.memo.unwrap_or_default(),
            history: self.history.unwrap_or_default(),
            coexistence: self.coexistence.clone().unwrap_or_default().resolve(),
            mode: self.mode.unwrap_or_default(),
            shadow: self.shadow.clone().unwrap_or_default().resolve(),
        }
    }
}
