//! The arguments of the in-tree plugins: one file a kind, plain data with the defaults and rules of
//! `kubescheduler.config.k8s.io/v1`, or Plimsoll's own.
//!
//! Decoding is serde's; what a value may be is told by [`PluginArgs::validate`], which gives every error and the field it is in.

mod default_preemption;
mod duration;
mod dynamic_resources;
mod inter_pod_affinity;
mod names;
mod node_affinity;
mod node_resources_balanced_allocation;
mod node_resources_fit;
mod pod_topology_spread;
mod resources;
mod tier_dedication;
mod volume_binding;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

pub use default_preemption::DefaultPreemptionArgs;
pub use duration::{DurationError, GoDuration};
pub use dynamic_resources::DynamicResourcesArgs;
pub use inter_pod_affinity::InterPodAffinityArgs;
pub use names::{is_extended_resource_name, label_name_error, label_value_error};
pub use node_affinity::{
    NodeAffinity, NodeAffinityArgs, NodeSelector, NodeSelectorOperator, NodeSelectorRequirement, NodeSelectorTerm,
    PreferredSchedulingTerm,
};
pub use node_resources_balanced_allocation::NodeResourcesBalancedAllocationArgs;
pub use node_resources_fit::{NodeResourcesFitArgs, RequestedToCapacityRatio, ScoringStrategy, ScoringStrategyType};
pub use pod_topology_spread::{
    DefaultingType, NodeInclusionPolicy, PodTopologySpreadArgs, SpreadConstraint, WhenUnsatisfiable,
};
pub use resources::{ResourceSpec, UtilizationShapePoint};
pub use tier_dedication::TierDedicationArgs;
pub use volume_binding::VolumeBindingArgs;

/// A value that is not allowed, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the field below the arguments, such as `scoringStrategy.resources[0].weight`.
    pub field: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl FieldError {
    /// An error at `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// The arguments of one plugin, `profiles[].pluginConfig[].args`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum PluginArgs {
    /// Of `DefaultPreemption`.
    DefaultPreemption(DefaultPreemptionArgs),
    /// Of `DynamicResources`.
    DynamicResources(DynamicResourcesArgs),
    /// Of `InterPodAffinity`.
    InterPodAffinity(InterPodAffinityArgs),
    /// Of `NodeAffinity`.
    NodeAffinity(NodeAffinityArgs),
    /// Of `NodeResourcesBalancedAllocation`.
    NodeResourcesBalancedAllocation(NodeResourcesBalancedAllocationArgs),
    /// Of `NodeResourcesFit`.
    NodeResourcesFit(NodeResourcesFitArgs),
    /// Of `PodTopologySpread`.
    PodTopologySpread(PodTopologySpreadArgs),
    /// Of `TierDedication`.
    TierDedication(TierDedicationArgs),
    /// Of `VolumeBinding`.
    VolumeBinding(VolumeBindingArgs),
    /// Of a plugin whose arguments are not known here: as written.
    Other(serde_json::Value),
}

impl PluginArgs {
    /// The plugins that have a kind of arguments of their own, sorted.
    pub const PLUGINS: [&'static str; 9] = [
        "DefaultPreemption",
        "DynamicResources",
        "InterPodAffinity",
        "NodeAffinity",
        "NodeResourcesBalancedAllocation",
        "NodeResourcesFit",
        "PodTopologySpread",
        "TierDedication",
        "VolumeBinding",
    ];

    /// The arguments of `plugin` when none are written; `None` for plugins without a kind of arguments.
    pub fn default_for(plugin: &str) -> Option<Self> {
        Some(match plugin {
            "DefaultPreemption" => Self::DefaultPreemption(Default::default()),
            "DynamicResources" => Self::DynamicResources(Default::default()),
            "InterPodAffinity" => Self::InterPodAffinity(Default::default()),
            "NodeAffinity" => Self::NodeAffinity(Default::default()),
            "NodeResourcesBalancedAllocation" => Self::NodeResourcesBalancedAllocation(Default::default()),
            "NodeResourcesFit" => Self::NodeResourcesFit(Default::default()),
            "PodTopologySpread" => Self::PodTopologySpread(Default::default()),
            "TierDedication" => Self::TierDedication(Default::default()),
            "VolumeBinding" => Self::VolumeBinding(Default::default()),
            _ => return None,
        })
    }

    /// Decodes the arguments of `plugin` and sets what is left out to its default.
    ///
    /// # Errors
    /// What the deserializer reports: fields of a wrong type or, for plugins with a kind of their own, unknown fields.
    pub fn deserialize_for<'de, D: Deserializer<'de>>(plugin: &str, deserializer: D) -> Result<Self, D::Error> {
        Ok(match plugin {
            "DefaultPreemption" => Self::DefaultPreemption(Deserialize::deserialize(deserializer)?),
            "DynamicResources" => Self::DynamicResources(Deserialize::deserialize(deserializer)?),
            "InterPodAffinity" => Self::InterPodAffinity(Deserialize::deserialize(deserializer)?),
            "NodeAffinity" => Self::NodeAffinity(Deserialize::deserialize(deserializer)?),
            "NodeResourcesBalancedAllocation" => {
                Self::NodeResourcesBalancedAllocation(Deserialize::deserialize(deserializer)?)
            }
            "NodeResourcesFit" => Self::NodeResourcesFit(Deserialize::deserialize(deserializer)?),
            "PodTopologySpread" => Self::PodTopologySpread(Deserialize::deserialize(deserializer)?),
            "TierDedication" => Self::TierDedication(Deserialize::deserialize(deserializer)?),
            "VolumeBinding" => Self::VolumeBinding(Deserialize::deserialize(deserializer)?),
            _ => Self::Other(Deserialize::deserialize(deserializer)?),
        })
    }

    /// Every rule that the arguments break; empty when they are good.
    pub fn validate(&self) -> Vec<FieldError> {
        match self {
            Self::DefaultPreemption(args) => args.validate(),
            Self::DynamicResources(args) => args.validate(),
            Self::InterPodAffinity(args) => args.validate(),
            Self::NodeAffinity(args) => args.validate(),
            Self::NodeResourcesBalancedAllocation(args) => args.validate(),
            Self::NodeResourcesFit(args) => args.validate(),
            Self::PodTopologySpread(args) => args.validate(),
            Self::TierDedication(args) => args.validate(),
            Self::VolumeBinding(args) => args.validate(),
            Self::Other(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(plugin: &str, args: serde_json::Value) -> Vec<String> {
        let args = PluginArgs::deserialize_for(plugin, args).unwrap();
        args.validate().into_iter().map(|error| error.field).collect()
    }

    fn requirement(key: &str, operator: &str, values: &[&str]) -> serde_json::Value {
        json!({"key": key, "operator": operator, "values": values})
    }

    #[test]
    fn defaults_break_no_rule() {
        for plugin in PluginArgs::PLUGINS {
            let empty = PluginArgs::deserialize_for(plugin, json!({})).unwrap();
            assert_eq!(Some(&empty), PluginArgs::default_for(plugin).as_ref(), "{plugin}");
            assert_eq!(empty.validate(), [], "{plugin}");
            let written = serde_json::to_value(&empty).unwrap();
            assert_eq!(PluginArgs::deserialize_for(plugin, written).unwrap(), empty, "{plugin}");
            assert!(PluginArgs::deserialize_for(plugin, json!({"noSuchField": 1})).is_err(), "{plugin}");
        }
        assert_eq!(PluginArgs::default_for("NodePorts"), None);
    }

    #[test]
    fn broken_rules_name_their_field() {
        let balanced = "NodeResourcesBalancedAllocation";
        let twice = json!({"resources": [{"name": "cpu"}, {"name": "cpu", "weight": 2}]});
        assert_eq!(fields(balanced, twice), ["resources[1].name", "resources[1].weight"]);
        let timeouts = json!({"filterTimeout": "-1s", "bindingTimeout": "999ms"});
        assert_eq!(fields("DynamicResources", timeouts), ["filterTimeout", "bindingTimeout"]);
        let ratio = json!({"scoringStrategy": {"type": "MostAllocated", "requestedToCapacityRatio": {"shape": []}}});
        let path = "scoringStrategy.requestedToCapacityRatio";
        assert_eq!(fields("NodeResourcesFit", ratio), [path.to_owned(), format!("{path}.shape")]);
        let names = json!({"ignoredResources": ["-"], "ignoredResourceGroups": ["a b"]});
        assert_eq!(fields("NodeResourcesFit", names), ["ignoredResources[0]", "ignoredResourceGroups[0]"]);
    }

    #[test]
    fn tiers() {
        let rows = [
            (json!({"labelKey": ""}), &["labelKey"][..]),
            (json!({"labelKey": "a b"}), &["labelKey"]),
            (json!({"labelKey": "example.com/tier", "closed": [], "dedicated": ["a", "b"]}), &[]),
            (json!({"closed": ["cronjob"]}), &["dedicated[0]"]),
            (json!({"closed": ["a", "b", "a"], "dedicated": ["c", "b"]}), &["closed[2]", "dedicated[1]"]),
            (json!({"closed": ["a/b"], "dedicated": ["ok", "-"]}), &["closed[0]", "dedicated[1]"]),
        ];
        for (args, expect) in rows {
            assert_eq!(fields("TierDedication", args.clone()), expect, "{args}");
        }
        let both = PluginArgs::deserialize_for("TierDedication", json!({"closed": ["cronjob"]})).unwrap();
        assert_eq!(both.validate()[0].to_string(), "dedicated[0]: \"cronjob\" is listed twice: it is closed[0] too");
    }

    #[test]
    fn added_affinity() {
        for (expression, field) in [
            (requirement("a", "In", &["b"]), None),
            (requirement("a", "In", &[]), Some("values")),
            (requirement("a", "Exists", &["b"]), Some("values")),
            (requirement("a", "Gt", &["x"]), Some("values")),
            (requirement("a", "Lt", &["3"]), None),
            (requirement("a", "In", &["b/c"]), Some("values[0]")),
            (requirement("-", "Exists", &[]), Some("key")),
        ] {
            let terms = json!([{"matchExpressions": [expression]}]);
            let args = json!({"addedAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
            let path =
                "addedAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0]";
            let expected: Vec<String> = field.into_iter().map(|field| format!("{path}.{field}")).collect();
            assert_eq!(fields("NodeAffinity", args), expected);
        }
        for (expression, field) in [
            (requirement("metadata.name", "In", &["n"]), None),
            (requirement("metadata.name", "In", &["n", "m"]), Some("values")),
            (requirement("metadata.name", "Exists", &[]), Some("operator")),
        ] {
            let preferred = json!([{"weight": 1, "preference": {"matchFields": [expression]}}]);
            let args = json!({"addedAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}});
            let path = "addedAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchFields[0]";
            let expected: Vec<String> = field.into_iter().map(|field| format!("{path}.{field}")).collect();
            assert_eq!(fields("NodeAffinity", args), expected);
        }
    }
}
