//! Plimsoll's in-tree scheduling policies, one file each, and the registry that makes them by name.
//!
//! Each plugin does what kube-scheduler 1.36's plugin of the same name does, reasons and integers included; those at the
//! end of [`IN_TREE`] are Plimsoll's own, and off unless a profile enables them. A plugin is registered by one line there.

mod claims;
mod columns;
mod decode;
mod hints;
#[cfg(test)]
mod testing;
mod unsupported;

pub mod args;
pub mod catalog;
pub mod default_binder;
pub mod default_preemption;
pub mod dynamic_resources;
pub mod image_locality;
pub mod inter_pod_affinity;
pub mod kinds;
mod lanes;
pub mod most_available_cpu;
pub mod node_affinity;
pub mod node_declared_features;
pub mod node_name;
pub mod node_ports;
pub mod node_resources_balanced_allocation;
pub mod node_resources_fit;
pub mod node_unschedulable;
pub mod node_volume_limits;
pub mod pod_topology_spread;
pub mod priority_sort;
pub mod scheduling_gates;
pub mod taint_toleration;
pub mod tier_dedication;
pub mod volume_binding;
pub mod volume_restrictions;
pub mod volume_zone;

use plimsoll_framework::extensions::Extensions;

pub use decode::{ArgsError, RawArgs, decode};
pub use unsupported::unsupported;

/// A plugin that can be made.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name in configurations, messages and metrics.
    pub name: &'static str,
    /// What its score counts unless the configuration says otherwise; 0 for plugins without a score.
    pub default_weight: i64,
    /// Makes it from its arguments; fails when they cannot be read. It has to make one from no arguments too: what it
    /// extends is learnt from that one.
    pub build: fn(RawArgs<'_>) -> Result<Extensions, ArgsError>,
}

/// The plugins there are, in the order in which the default configuration enables them; then those it does not enable.
pub static IN_TREE: &[Entry] = &[
    entry("SchedulingGates", 0, |_| {
        Ok(Extensions::of(scheduling_gates::SchedulingGates).enqueue().pre_enqueue().done())
    }),
    entry("PrioritySort", 0, |_| Ok(Extensions::of(priority_sort::PrioritySort).queue_sort().done())),
    entry("NodeUnschedulable", 0, |_| {
        Ok(Extensions::of(node_unschedulable::NodeUnschedulable::default()).enqueue().filter().done())
    }),
    entry("NodeName", 0, |_| Ok(Extensions::of(node_name::NodeName).enqueue().filter().done())),
    entry("TaintToleration", 3, |_| {
        Ok(Extensions::of(taint_toleration::TaintToleration).enqueue().filter().pre_score().score().done())
    }),
    entry("NodeAffinity", 2, |args| {
        let plugin = decode::node_affinity(args)?;
        Ok(Extensions::of(plugin).enqueue().pre_filter().filter().pre_score().score().done())
    }),
    entry("NodePorts", 0, |_| Ok(Extensions::of(node_ports::NodePorts).enqueue().pre_filter().filter().done())),
    entry("NodeResourcesFit", 1, |args| {
        let plugin = decode::node_resources_fit(args)?;
        Ok(Extensions::of(plugin).enqueue().pre_filter().filter().pre_score().score().done())
    }),
    entry("VolumeRestrictions", 0, |_| {
        Ok(Extensions::of(volume_restrictions::VolumeRestrictions).enqueue().pre_filter().filter().done())
    }),
    entry("NodeVolumeLimits", 0, |_| {
        Ok(Extensions::of(node_volume_limits::NodeVolumeLimits).enqueue().pre_filter().filter().done())
    }),
    entry("VolumeBinding", 1, |args| {
        let line = Extensions::of(decode::volume_binding(args)?).enqueue().pre_filter().filter();
        Ok(line.pre_score().score().reserve().pre_bind().done())
    }),
    entry("VolumeZone", 0, |_| {
        Ok(Extensions::of(volume_zone::VolumeZone::default()).enqueue().pre_filter().filter().done())
    }),
    entry("PodTopologySpread", 2, |args| {
        let plugin = decode::pod_topology_spread(args)?;
        Ok(Extensions::of(plugin).enqueue().pre_filter().filter().pre_score().score_over_feasible().done())
    }),
    entry("InterPodAffinity", 2, |args| {
        let plugin = decode::inter_pod_affinity(args)?;
        Ok(Extensions::of(plugin).enqueue().pre_filter().filter().pre_score().score().done())
    }),
    entry("DynamicResources", 2, |args| {
        let line = Extensions::of(decode::dynamic_resources(args)?).enqueue().pre_enqueue().pre_filter().filter();
        Ok(line.post_filter().score().reserve().pre_bind().done())
    }),
    entry("DefaultPreemption", 0, |args| {
        Ok(Extensions::of(decode::default_preemption(args)?).enqueue().pre_enqueue().post_filter().done())
    }),
    entry("NodeResourcesBalancedAllocation", 1, |args| {
        Ok(Extensions::of(decode::balanced_allocation(args)?).pre_score().score().done())
    }),
    entry("ImageLocality", 1, |_| Ok(Extensions::of(image_locality::ImageLocality).score().done())),
    entry("DefaultBinder", 0, |_| Ok(Extensions::of(default_binder::DefaultBinder).bind().done())),
    entry("NodeDeclaredFeatures", 0, |_| {
        Ok(Extensions::of(node_declared_features::NodeDeclaredFeatures).enqueue().pre_filter().filter().done())
    }),
    entry("TierDedication", 0, |args| Ok(Extensions::of(decode::tier_dedication(args)?).enqueue().filter().done())),
    entry("MostAvailableCPU", 1, |_| Ok(Extensions::of(most_available_cpu::MostAvailableCpu).score().done())),
];

const fn entry(
    name: &'static str,
    default_weight: i64,
    build: fn(RawArgs<'_>) -> Result<Extensions, ArgsError>,
) -> Entry {
    Entry { name, default_weight, build }
}

/// The plugin of this name, if it is one of [`IN_TREE`].
pub fn lookup(name: &str) -> Option<&'static Entry> {
    IN_TREE.iter().find(|entry| entry.name == name)
}
