//! The catalog: every plugin by name, the extension points it takes part in, and what is enabled by default.
//!
//! It is data about plugins, not the plugins: a configuration can be read, checked and shown with it alone.

use std::borrow::Cow;

use plimsoll_framework::extensions::Extensions;
pub use plimsoll_framework::point::Point;

use crate::{ArgsError, RawArgs};

/// What the configuration has to know of a plugin.
#[derive(Clone, Debug)]
pub struct PluginInfo {
    /// Name, as configurations write it.
    pub name: Cow<'static, str>,
    /// The points that the plugin implements.
    pub points: Cow<'static, [Point]>,
    /// Whether it runs unless it is disabled.
    pub default_enabled: bool,
    /// Weight in the default set, if the set gives one; otherwise 1 where the plugin scores.
    pub default_weight: Option<i32>,
    /// How arguments are judged that have no kind in [`crate::args`]: by making the plugin of them.
    pub build: Option<fn(RawArgs<'_>) -> Result<Extensions, ArgsError>>,
}

impl PluginInfo {
    const fn by_default(name: &'static str, default_weight: Option<i32>, points: &'static [Point]) -> Self {
        Self {
            name: Cow::Borrowed(name),
            points: Cow::Borrowed(points),
            default_enabled: true,
            default_weight,
            build: None,
        }
    }

    const fn on_request(name: &'static str, points: &'static [Point]) -> Self {
        let (name, points) = (Cow::Borrowed(name), Cow::Borrowed(points));
        Self { name, points, default_enabled: false, default_weight: None, build: None }
    }

    /// Whether the plugin takes part in `point`.
    pub fn implements(&self, point: Point) -> bool {
        self.points.contains(&point)
    }
}

/// Whether plugins have a weight at `point`.
pub const fn is_weighted(point: Point) -> bool {
    matches!(point, Point::Score | Point::PlacementScore)
}

use Point::{
    Bind, Filter, Permit, PlacementGenerate, PlacementScore, PostFilter, PreBind, PreEnqueue, PreFilter, PreScore,
    QueueSort, Reserve, Score,
};

/// The in-tree plugins of Kubernetes 1.36, then Plimsoll's own; those of the default set first and in its order, which is
/// the order they run in.
static IN_TREE: [PluginInfo; 25] = [
    PluginInfo::by_default("SchedulingGates", None, &[PreEnqueue]),
    PluginInfo::by_default("PrioritySort", None, &[QueueSort]),
    PluginInfo::by_default("NodeUnschedulable", None, &[Filter]),
    PluginInfo::by_default("NodeName", None, &[Filter]),
    PluginInfo::by_default("TaintToleration", Some(3), &[Filter, PreScore, Score]),
    PluginInfo::by_default("NodeAffinity", Some(2), &[PreFilter, Filter, PreScore, Score]),
    PluginInfo::by_default("NodePorts", None, &[PreFilter, Filter]),
    PluginInfo::by_default("NodeResourcesFit", Some(1), &[PreFilter, Filter, PreScore, Score, PlacementScore]),
    PluginInfo::by_default("VolumeRestrictions", None, &[PreFilter, Filter]),
    PluginInfo::by_default("NodeVolumeLimits", None, &[PreFilter, Filter]),
    PluginInfo::by_default("VolumeBinding", None, &[PreFilter, Filter, PreScore, Score, Reserve, PreBind]),
    PluginInfo::by_default("VolumeZone", None, &[PreFilter, Filter]),
    PluginInfo::by_default("PodTopologySpread", Some(2), &[PreFilter, Filter, PreScore, Score]),
    PluginInfo::by_default("InterPodAffinity", Some(2), &[PreFilter, Filter, PreScore, Score]),
    PluginInfo::by_default(
        "DynamicResources",
        Some(2),
        &[PreEnqueue, PreFilter, Filter, PostFilter, Score, Reserve, PreBind],
    ),
    PluginInfo::by_default("DefaultPreemption", None, &[PreEnqueue, PostFilter]),
    PluginInfo::by_default("NodeResourcesBalancedAllocation", Some(1), &[PreScore, Score]),
    PluginInfo::by_default("ImageLocality", Some(1), &[Score]),
    PluginInfo::by_default("DefaultBinder", None, &[Bind]),
    PluginInfo::by_default("NodeDeclaredFeatures", None, &[PreFilter, Filter]),
    PluginInfo::on_request("GangScheduling", &[PreEnqueue, Permit]),
    PluginInfo::on_request("TopologyPlacementGenerator", &[PlacementGenerate]),
    PluginInfo::on_request("PodGroupPodsCount", &[PlacementScore]),
    PluginInfo::on_request("TierDedication", &[Filter]),
    PluginInfo::on_request("MostAvailableCPU", &[Score]),
];

/// The plugins that a configuration may name: the in-tree ones and those that a scheduler built on this library adds.
#[derive(Clone, Debug)]
pub struct Catalog {
    plugins: Vec<PluginInfo>,
}

impl Catalog {
    /// The in-tree plugins.
    pub fn in_tree() -> Self {
        Self { plugins: IN_TREE.to_vec() }
    }

    /// Adds a plugin; one with the same name is replaced, at its place in the order.
    pub fn add(&mut self, plugin: PluginInfo) {
        match self.plugins.iter_mut().find(|known| known.name == plugin.name) {
            Some(known) => *known = plugin,
            None => self.plugins.push(plugin),
        }
    }

    /// The plugin of that name, spelt exactly so.
    pub fn get(&self, name: &str) -> Option<&PluginInfo> {
        self.plugins.iter().find(|plugin| plugin.name == name)
    }

    /// All plugins, those of the default set in its order.
    pub fn iter(&self) -> impl Iterator<Item = &PluginInfo> {
        self.plugins.iter()
    }

    /// The plugins of the default set, in its order.
    pub fn default_set(&self) -> impl Iterator<Item = &PluginInfo> {
        self.plugins.iter().filter(|plugin| plugin.default_enabled)
    }
}

impl Default for Catalog {
    fn default() -> Self {
        Self::in_tree()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_and_keys_are_unique() {
        let catalog = Catalog::in_tree();
        let names: HashSet<_> = catalog.iter().map(|plugin| &plugin.name).collect();
        assert_eq!(names.len(), catalog.iter().count());
        let keys: HashSet<_> = Point::ALL.iter().map(|point| point.as_config_key()).collect();
        assert_eq!(keys.len(), Point::ALL.len());
        assert_eq!(catalog.default_set().count(), 20);
    }

    #[test]
    fn an_added_plugin_is_found_and_the_last_one_of_a_name_counts() {
        let mut catalog = Catalog::in_tree();
        catalog.add(PluginInfo::on_request("Mine", &[Filter]));
        catalog.add(PluginInfo::on_request("Mine", &[Score]));
        assert!(catalog.get("Mine").unwrap().implements(Score));
        assert!(!catalog.get("Mine").unwrap().implements(Filter));
        assert!(catalog.get("mine").is_none());
    }
}
