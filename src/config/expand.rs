//! From enabled and disabled plugins to the plugins that run at each point, in order.
//!
//! The rules are kube-scheduler's. The set `multiPoint` is merged with the default set; then, at each point, come first the
//! plugins enabled there that `multiPoint` has too, then the rest of `multiPoint`, then what else is enabled there.

use std::collections::{BTreeMap, HashSet};

use plimsoll_plugins::catalog::{Catalog, PluginInfo, Point, is_weighted};

use super::check::Check;
use super::hints;
use super::v1::{Plugin, PluginSet, Plugins};

/// Plugins that Kubernetes had and removed; what they did is done by NodeVolumeLimits.
pub(super) const REMOVED: [&str; 4] = ["AzureDiskLimits", "CinderLimits", "EBSLimits", "GCEPDLimits"];

/// A plugin that runs at a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnabledPlugin {
    /// Name.
    pub name: String,
    /// Weight, 1 or more, at points where plugins have one; 0 elsewhere.
    pub weight: i32,
    /// Whether the file asks for it by name, here or under `multiPoint`; otherwise it is of the default set. A file that
    /// writes out the whole default set under `multiPoint` asks for nothing by that.
    pub explicit: bool,
}

/// The plugins that run, by point.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnabledPlugins {
    points: BTreeMap<Point, Vec<EnabledPlugin>>,
}

impl EnabledPlugins {
    /// The plugins that run at `point`, in order.
    pub fn at(&self, point: Point) -> &[EnabledPlugin] {
        self.points.get(&point).map_or(&[], Vec::as_slice)
    }

    /// Whether `name` runs at any point.
    pub fn contains(&self, name: &str) -> bool {
        self.points.values().flatten().any(|plugin| plugin.name == name)
    }
}

/// A plugin of the merged `multiPoint` set.
struct MultiPoint<'a> {
    name: &'a str,
    weight: i32,
    /// Its index in the file's own list.
    written: Option<usize>,
    /// Whether the file asks for it beyond the default set.
    explicit: bool,
}

/// Resolves the plugins of a profile whose `plugins` stand at `path`.
pub(super) fn expand(plugins: &Plugins, catalog: &Catalog, path: &str, check: &mut Check<'_>) -> EnabledPlugins {
    check_names(plugins, catalog, path, check);
    let merged = merge(&plugins.multi_point, catalog);
    let mut repeated = HashSet::new();
    let mut points = BTreeMap::new();
    for point in Point::ALL {
        let set = plugins.at(point);
        let all_disabled = set.disabled.iter().any(|plugin| plugin.name == "*");
        let mut overrides: HashSet<&str> = HashSet::new();
        let mut shared: Vec<&MultiPoint<'_>> = Vec::new();
        for entry in merged.iter().filter(|_| !all_disabled) {
            if !implements(catalog, entry.name, point) || set.disables(entry.name) {
                continue;
            }
            if set.enabled.iter().any(|plugin| plugin.name == entry.name) {
                overrides.insert(entry.name);
            } else if shared.iter().any(|known| known.name == entry.name) {
                repeated.extend(entry.written);
            } else {
                shared.push(entry);
            }
        }
        let named = |first: bool| {
            let overrides = &overrides;
            set.enabled.iter().filter(move |plugin| overrides.contains(plugin.name.as_str()) == first)
        };
        let mut list: Vec<EnabledPlugin> =
            named(true).map(|plugin| enabled(point, &plugin.name, plugin.weight, true)).collect();
        list.extend(shared.iter().map(|entry| enabled(point, entry.name, entry.weight, entry.explicit)));
        list.extend(named(false).map(|plugin| enabled(point, &plugin.name, plugin.weight, true)));
        points.insert(point, list);
    }
    for index in repeated {
        let field = format!("{path}.multiPoint.enabled[{index}].name");
        check.fail(&field, &format!("plugin {:?} is enabled twice", plugins.multi_point.enabled[index].name));
    }
    EnabledPlugins { points }
}

/// The default set with what the file says of it: a plugin named again keeps its place and takes the new weight.
pub(super) fn merged_multi_point(custom: &PluginSet, catalog: &Catalog) -> PluginSet {
    let enabled = merge(custom, catalog)
        .into_iter()
        .map(|entry| Plugin { name: entry.name.to_owned(), weight: entry.weight })
        .collect();
    PluginSet { enabled, disabled: custom.disabled.clone() }
}

fn merge<'a>(custom: &'a PluginSet, catalog: &'a Catalog) -> Vec<MultiPoint<'a>> {
    let mut merged = Vec::new();
    let mut placed = HashSet::new();
    let spelled_out = spells_out_defaults(custom, catalog);
    for default in catalog.default_set().filter(|default| !custom.disables(&default.name)) {
        // Of several entries of one name the last takes the place; the others are found to be repeated later.
        let written = custom.enabled.iter().rposition(|plugin| plugin.name == default.name);
        let weight = match written {
            Some(index) => custom.enabled[index].weight,
            None => default.default_weight.unwrap_or(0),
        };
        placed.extend(written);
        let explicit = written.is_some() && !(spelled_out && weight == default.default_weight.unwrap_or(0));
        merged.push(MultiPoint { name: &default.name, weight, written, explicit });
    }
    for (index, plugin) in custom.enabled.iter().enumerate().filter(|(index, _)| !placed.contains(index)) {
        merged.push(MultiPoint { name: &plugin.name, weight: plugin.weight, written: Some(index), explicit: true });
    }
    merged
}

/// Whether the list names every plugin of the default set that it does not disable, as a configuration written out does.
fn spells_out_defaults(custom: &PluginSet, catalog: &Catalog) -> bool {
    let named: HashSet<&str> = custom.enabled.iter().map(|plugin| plugin.name.as_str()).collect();
    !named.is_empty()
        && catalog.default_set().all(|plugin| named.contains(plugin.name.as_ref()) || custom.disables(&plugin.name))
}

fn enabled(point: Point, name: &str, weight: i32, explicit: bool) -> EnabledPlugin {
    let weight = match (is_weighted(point), weight) {
        (false, _) => 0,
        (true, 0) => 1,
        (true, weight) => weight,
    };
    EnabledPlugin { name: name.to_owned(), weight, explicit }
}

fn implements(catalog: &Catalog, name: &str, point: Point) -> bool {
    catalog.get(name).is_some_and(|plugin| plugin.implements(point))
}

/// Checks each name and weight where it is written.
fn check_names(plugins: &Plugins, catalog: &Catalog, path: &str, check: &mut Check<'_>) {
    for (index, plugin) in plugins.multi_point.enabled.iter().enumerate() {
        let field = format!("{path}.multiPoint.enabled[{index}]");
        match catalog.get(&plugin.name) {
            None => check.fail(&format!("{field}.name"), &unknown_plugin(&plugin.name, catalog)),
            Some(info) => check_weight(plugin, info.implements(Point::Score), &field, check),
        }
    }
    for point in Point::ALL {
        let mut seen = HashSet::new();
        for (index, plugin) in plugins.at(point).enabled.iter().enumerate() {
            let field = format!("{path}.{}.enabled[{index}]", point.as_config_key());
            let name = format!("{field}.name");
            match catalog.get(&plugin.name) {
                None => check.fail(&name, &unknown_plugin(&plugin.name, catalog)),
                Some(info) if !info.implements(point) => check.fail(&name, &wrong_point(info, point)),
                Some(_) if !seen.insert(&plugin.name) => {
                    check.fail(&name, &format!("plugin {:?} is enabled twice", plugin.name));
                }
                Some(_) => check_weight(plugin, is_weighted(point), &field, check),
            }
        }
    }
    for (key, set) in plugins.sets() {
        for (index, plugin) in set.disabled.iter().enumerate() {
            if plugin.name != "*" && catalog.get(&plugin.name).is_none() {
                let field = format!("{path}.{key}.disabled[{index}].name");
                check.warn(&field, &format!("nothing is disabled: {}", no_such_plugin(&plugin.name, catalog)));
            }
        }
    }
}

fn check_weight(plugin: &Plugin, scores: bool, field: &str, check: &mut Check<'_>) {
    if scores && plugin.weight < 0 {
        let message = format!("must be between 0 (which means 1) and {}, not {}", i32::MAX, plugin.weight);
        check.fail(&format!("{field}.weight"), &message);
    }
}

fn wrong_point(info: &PluginInfo, point: Point) -> String {
    let points: Vec<&str> = info.points.iter().map(|point| point.as_config_key()).collect();
    format!("plugin {:?} does not take part in {}, only in {}", info.name, point.as_config_key(), points.join(", "))
}

/// The message for a name that no plugin has.
pub(super) fn unknown_plugin(name: &str, catalog: &Catalog) -> String {
    if name.is_empty() {
        return "is required".to_owned();
    }
    let shown = hints::clip(name);
    if REMOVED.contains(&name) {
        return format!("plugin {shown:?} was removed from Kubernetes; NodeVolumeLimits counts these volumes");
    }
    let names = || catalog.iter().map(|plugin| plugin.name.as_ref());
    match hints::nearest(name, names()) {
        Some(nearest) => format!("unknown plugin {shown:?}; did you mean {nearest:?}?"),
        None => format!("unknown plugin {shown:?}; known are {}", names().collect::<Vec<_>>().join(", ")),
    }
}

/// The same in short, where such a name is allowed.
pub(super) fn no_such_plugin(name: &str, catalog: &Catalog) -> String {
    let shown = hints::clip(name);
    match hints::nearest(name, catalog.iter().map(|plugin| plugin.name.as_ref())) {
        Some(nearest) => format!("there is no plugin {shown:?}; did you mean {nearest:?}?"),
        None => format!("there is no plugin {shown:?}"),
    }
}
