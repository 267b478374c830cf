//! In what a profile differs from the default one.

use plimsoll_plugins::args::PluginArgs;
use plimsoll_plugins::catalog::{Point, is_weighted};

use crate::config::{Config, EnabledPlugin, ProfileConfig};

/// What differs, a line each: `filter: without NodePorts`.
pub(super) fn lines(profile: &ProfileConfig) -> Vec<String> {
    let defaults = Config::default();
    let Some(default) = defaults.profiles.first() else { return Vec::new() };
    let mut lines = Vec::new();
    for point in Point::ALL {
        let parts = at_point(point, profile.plugins.at(point), default.plugins.at(point));
        if !parts.is_empty() {
            lines.push(format!("{}: {}", point.as_config_key(), parts.join(", ")));
        }
    }
    for (plugin, args) in &profile.args {
        let usual = default.args.get(plugin).cloned().or_else(|| PluginArgs::default_for(plugin));
        if usual.as_ref() != Some(args) {
            lines.push(format!("arguments: of {plugin}"));
        }
    }
    lines
}

fn at_point(point: Point, ours: &[EnabledPlugin], default: &[EnabledPlugin]) -> Vec<String> {
    let find = |list: &[EnabledPlugin], name: &str| list.iter().find(|p| p.name == name).map(|p| p.weight);
    let weight =
        |plugin: &EnabledPlugin| if is_weighted(point) { format!("={}", plugin.weight) } else { String::new() };
    let mut parts: Vec<String> = Vec::new();
    parts.extend(default.iter().filter(|p| find(ours, &p.name).is_none()).map(|p| format!("without {}", p.name)));
    for plugin in ours {
        match find(default, &plugin.name) {
            None => parts.push(format!("with {}{}", plugin.name, weight(plugin))),
            Some(usual) if usual != plugin.weight => {
                parts.push(format!("{}{} instead of {usual}", plugin.name, weight(plugin)));
            }
            Some(_) => {}
        }
    }
    let common = |list: &[EnabledPlugin], other: &[EnabledPlugin]| -> Vec<String> {
        list.iter().filter(|p| find(other, &p.name).is_some()).map(|p| p.name.clone()).collect()
    };
    if common(ours, default) != common(default, ours) {
        parts.push("in another order".to_owned());
    }
    parts
}
