//! `mode` and `shadow`: whether pods are placed, or it is only said where they would be.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::Config;
use super::check::Check;

/// Each name is a watch of its own.
const MAX_NAMES: usize = 16;
/// Kubernetes' limit on the name of a scheduler.
const LONGEST_NAME: usize = 253;
/// Who is watched where nothing else is said.
const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// What the program does with its decisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// It binds pods.
    #[default]
    Scheduler,
    /// It writes nothing, and compares them with those of other schedulers.
    Shadow,
}

/// The section as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Shadow {
    /// The schedulers whose pods are decided for comparison.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler_names: Option<Vec<String>>,
}

/// The section with its defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowConfig {
    /// The schedulers whose pods are decided for comparison: 1 to 16 different names.
    pub scheduler_names: Vec<String>,
}

impl Shadow {
    pub(super) fn validate(&self, check: &mut Check<'_>) {
        let Some(names) = &self.scheduler_names else { return };
        if !(1..=MAX_NAMES).contains(&names.len()) {
            let message = format!("must be between 1 and {MAX_NAMES} names, not {}", names.len());
            return check.fail("shadow.schedulerNames", &message);
        }
        let mut seen = HashSet::new();
        for (at, name) in names.iter().enumerate() {
            let field = format!("shadow.schedulerNames[{at}]");
            if name.is_empty() || name.len() > LONGEST_NAME {
                check.fail(&field, &format!("must have between 1 and {LONGEST_NAME} characters, not {}", name.len()));
            } else if !seen.insert(name) {
                check.fail(&field, &format!("is here twice: {name:?}"));
            }
        }
    }

    pub(super) fn resolve(self) -> ShadowConfig {
        let default = || vec![DEFAULT_SCHEDULER.to_owned()];
        ShadowConfig { scheduler_names: self.scheduler_names.unwrap_or_else(default) }
    }
}

impl ShadowConfig {
    /// As it is written.
    pub(super) fn to_section(&self) -> Shadow {
        Shadow { scheduler_names: Some(self.scheduler_names.clone()) }
    }
}

impl Config {
    /// Whether nothing is written.
    pub fn is_shadow(&self) -> bool {
        self.plimsoll.mode == Mode::Shadow
    }

    /// The names by which pods are told to be decided here: those of the profiles, or of the schedulers that are watched.
    pub fn scheduler_names(&self) -> Vec<&str> {
        match self.plimsoll.mode {
            Mode::Scheduler => self.profiles.iter().map(|profile| profile.scheduler_name.as_str()).collect(),
            Mode::Shadow => self.plimsoll.shadow.scheduler_names.iter().map(String::as_str).collect(),
        }
    }

    /// The profile that decides the pods of a scheduler: that of its name, or the first.
    pub fn profile_for(&self, scheduler_name: &str) -> Option<&super::ProfileConfig> {
        self.profiles.iter().find(|profile| profile.scheduler_name == scheduler_name).or_else(|| self.profiles.first())
    }
}
