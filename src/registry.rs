//! The plugins there are, and the profiles made of them.
//!
//! A scheduler with plugins of its own adds an [`Entry`] for each to a [`Registry`], and hands that to
//! [`crate::commands::main_with`]; `docs/writing-a-plugin.md` walks through it.

use std::sync::Arc;

use anyhow::Context as _;
use hashbrown::{HashMap, HashSet};
use plimsoll_engine::engine::Admission;
use plimsoll_engine::profile::{Profile, ProfileBuilder};
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::point::Point;
use plimsoll_plugins::IN_TREE;
pub use plimsoll_plugins::args::FieldError;
use plimsoll_plugins::catalog::{Catalog, PluginInfo};
pub use plimsoll_plugins::{ArgsError, Entry, RawArgs, decode};

use crate::config::{Config, ProfileConfig};

/// The plugins that a scheduler can be made of: the in-tree ones, and those that are added.
#[derive(Clone, Debug)]
pub struct Registry {
    entries: Vec<Entry>,
}

impl Default for Registry {
    fn default() -> Self {
        Self { entries: IN_TREE.to_vec() }
    }
}

impl Registry {
    /// Adds a plugin; one of the same name is replaced.
    pub fn add(&mut self, entry: Entry) {
        self.entries.retain(|e| e.name != entry.name);
        self.entries.push(entry);
    }

    /// Whether there is a plugin of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Tells a catalog of plugins that were added, so that configurations may name them.
    pub fn add_to(&self, catalog: &mut Catalog) {
        for entry in &self.entries {
            if catalog.get(entry.name).is_some() {
                continue;
            }
            // What a plugin extends is known once it is made, which it is from no arguments.
            let points = (entry.build)(None).map(|plugin| plugin.points()).unwrap_or_default();
            let default_weight = i32::try_from(entry.default_weight).ok().filter(|w| *w > 0);
            catalog.add(PluginInfo {
                name: entry.name.into(),
                points: points.into(),
                default_enabled: false,
                default_weight,
                build: Some(entry.build),
            });
        }
    }

    /// The name of a plugin for good.
    #[cfg(feature = "tools")]
    pub(crate) fn name_of(&self, name: &str) -> Option<&'static str> {
        self.get(name).map(|entry| entry.name)
    }

    fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.name == name)
    }

    /// Makes the profiles of a configuration. Plugins that it enables by default and that are not built are left out.
    ///
    /// # Errors
    /// When a plugin refuses its arguments, or a profile lacks what every profile needs.
    pub fn profiles(&self, config: &Config) -> anyhow::Result<Vec<Profile>> {
        config
            .profiles
            .iter()
            .map(|p| {
                let percentage = p.percentage_of_nodes_to_score.unwrap_or(config.percentage_of_nodes_to_score);
                self.profile(p, percentage).with_context(|| format!("making profile {:?}", p.scheduler_name))
            })
            .collect()
    }

    fn profile(&self, config: &ProfileConfig, percentage_of_nodes_to_score: i32) -> anyhow::Result<Profile> {
        let mut builder = ProfileBuilder::new(config.scheduler_name.as_str().into());
        builder.percentage_of_nodes_to_score(percentage_of_nodes_to_score);
        let mut made: HashMap<&'static str, Extensions> = HashMap::new();
        // Placement of groups of pods is not built; whoever asks for it by name is refused before.
        for point in Point::ALL.into_iter().filter(|p| *p <= Point::PostBind) {
            for enabled in config.plugins.at(point) {
                let Some(entry) = self.get(&enabled.name) else { continue };
                let plugin = match made.entry(entry.name) {
                    hashbrown::hash_map::Entry::Occupied(made) => made.into_mut(),
                    hashbrown::hash_map::Entry::Vacant(place) => {
                        let args = config.args.get(entry.name).map(serde_json::to_value).transpose();
                        let args = args.with_context(|| format!("reading the arguments of {}", entry.name))?;
                        place.insert((entry.build)(args.as_ref())?)
                    }
                };
                builder.enable(point, plugin, i64::from(enabled.weight))?;
            }
        }
        Ok(builder.build()?)
    }

    /// The plugins that a configuration enables by default and that are not built, each once.
    pub fn left_out(&self, config: &Config) -> Vec<String> {
        let enabled = config.profiles.iter().flat_map(|p| Point::ALL.into_iter().flat_map(|point| p.plugins.at(point)));
        let mut names: Vec<String> = enabled.map(|e| e.name.clone()).filter(|name| !self.contains(name)).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Holds back pods that ask for something this version does not do. Whoever switched the plugin that would see to it
    /// off in a profile does not want it done.
    pub fn admission(&self, config: &Config) -> Admission {
        let wanted: HashMap<String, HashSet<String>> = config
            .profiles
            .iter()
            .map(|p| {
                let names = Point::ALL.into_iter().flat_map(|point| p.plugins.at(point)).map(|e| e.name.clone());
                (p.scheduler_name.clone(), names.collect())
            })
            .collect();
        Arc::new(move |pod, profile, cluster| {
            let wanted = wanted.get(profile.name.as_str())?;
            plimsoll_plugins::unsupported(pod, cluster, &|plugin| !wanted.contains(plugin))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_profile_is_made_of_what_is_built() {
        let profiles = Registry::default().profiles(&Config::default()).unwrap();
        let filters: Vec<&str> = profiles[0].filter.iter().map(|f| f.name).collect();
        assert_eq!(
            filters,
            [
                "NodeUnschedulable",
                "NodeName",
                "TaintToleration",
                "NodeAffinity",
                "NodePorts",
                "NodeResourcesFit",
                "VolumeRestrictions",
                "NodeVolumeLimits",
                "VolumeBinding",
                "VolumeZone",
                "PodTopologySpread",
                "InterPodAffinity",
                "DynamicResources",
                "NodeDeclaredFeatures"
            ]
        );
        let scores: Vec<(&str, i64)> = profiles[0].score.iter().map(|s| (s.name, s.weight)).collect();
        assert_eq!(
            scores,
            [
                ("TaintToleration", 3),
                ("NodeAffinity", 2),
                ("NodeResourcesFit", 1),
                ("VolumeBinding", 1),
                ("PodTopologySpread", 2),
                ("InterPodAffinity", 2),
                ("DynamicResources", 2),
                ("NodeResourcesBalancedAllocation", 1),
                ("ImageLocality", 1)
            ]
        );
    }

    #[test]
    fn plugins_extend_the_points_that_the_catalog_says() {
        let catalog = Catalog::in_tree();
        for entry in IN_TREE {
            let built = (entry.build)(None).unwrap().points();
            let info = catalog.get(entry.name).unwrap();
            let listed: Vec<Point> = info.points.iter().copied().filter(|p| *p <= Point::PostBind).collect();
            assert_eq!(built, listed, "{}", entry.name);
        }
    }

    #[test]
    fn pods_that_ask_for_what_is_not_done_are_held_back() {
        let registry = Registry::default();
        let pod = |spec: &str| {
            let json = format!(r#"{{"metadata":{{"name":"p","namespace":"d"}},"spec":{spec}}}"#);
            plimsoll_framework::pod::PodParser::default().parse(&serde_json::from_str(&json).unwrap())
        };
        let cluster = plimsoll_framework::cluster::ClusterInfo::default();
        let without = r#"{"apiVersion":"kubescheduler.config.k8s.io/v1","kind":"KubeSchedulerConfiguration",
            "profiles":[{"plugins":{"multiPoint":{"disabled":[{"name":"DynamicResources"}]}}}]}"#;
        let without = Config::parse("config", without, &crate::config::Defaults::kube_scheduler()).unwrap();
        let needs = "needs DynamicResources (spec.resourceClaims), which this version does not support yet";
        for (config, expect) in [(Config::default(), Some(needs)), (without, None)] {
            let admission = registry.admission(&config);
            let profile = registry.profiles(&config).unwrap().remove(0);
            let claim = pod(r#"{"resourceClaims":[{"name":"c"}]}"#);
            assert_eq!(admission(&claim, &profile, &cluster).as_deref(), expect);
            assert_eq!(admission(&pod("{}"), &profile, &cluster), None);
        }
    }
}
