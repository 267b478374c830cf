//! `policy/v1`.

use std::collections::BTreeMap;

use plimsoll_framework::api;
use plimsoll_framework::labels::LabelSelector;
use plimsoll_framework::object::ObjectKind;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::decode;

/// PodDisruptionBudgets.
pub enum PodDisruptionBudgets {}

/// What a budget still allows, and to whom it applies.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PodDisruptionBudget {
    /// The pods it protects, in its namespace; `None` protects no pod, and neither does a selector that selects all of
    /// them (reference section 11.4).
    pub selector: Option<LabelSelector>,
    /// How many more pods may go.
    pub disruptions_allowed: i64,
    /// Names of pods whose going has been counted already.
    pub disrupted_pods: Box<[Box<str>]>,
}

#[derive(Deserialize)]
struct Raw {
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Spec {
    selector: Option<api::LabelSelector>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    disruptions_allowed: Option<i64>,
    disrupted_pods: Option<BTreeMap<Box<str>, IgnoredAny>>,
}

impl ObjectKind for PodDisruptionBudgets {
    const GROUP: &'static str = "policy";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "poddisruptionbudgets";
    const KIND: &'static str = "PodDisruptionBudget";
    type Object = PodDisruptionBudget;

    fn decode(json: &Value) -> Result<PodDisruptionBudget, String> {
        let raw: Raw = decode(json)?;
        let selector = raw.spec.and_then(|spec| spec.selector);
        let selector = selector.map(|s| LabelSelector::compile(&s)).transpose();
        let status = raw.status.unwrap_or(Status { disruptions_allowed: None, disrupted_pods: None });
        Ok(PodDisruptionBudget {
            selector: selector.map_err(|error| format!("spec.selector: {error}"))?,
            disruptions_allowed: status.disruptions_allowed.unwrap_or(0),
            disrupted_pods: status.disrupted_pods.unwrap_or_default().into_keys().collect(),
        })
    }
}
