//! Profiles: their plugins and the arguments of these.

use std::collections::BTreeMap;

use plimsoll_plugins::ArgsError;
use plimsoll_plugins::args::{FieldError, PluginArgs};

use super::check::Check;
use super::decode::decode;
use super::expand::{EnabledPlugins, expand, merged_multi_point, no_such_plugin};
use super::resolved::ProfileConfig;
use super::source::Node;
use super::v1::{self, KubeSchedulerConfiguration, Profile};
use super::{Defaults, validate};

/// Resolves all profiles; without any there is one.
pub(super) fn resolve_all(
    written: &KubeSchedulerConfiguration,
    defaults: &Defaults,
    check: &mut Check<'_>,
) -> Vec<ProfileConfig> {
    let mut profiles = written.profiles.clone();
    if profiles.is_empty() {
        profiles.push(Profile::default());
    }
    if let [only] = profiles.as_mut_slice()
        && only.scheduler_name.is_none()
    {
        only.scheduler_name = Some(defaults.scheduler_name.clone());
    }
    validate::profiles_together(&profiles, check);
    let ignored: Vec<String> = written
        .extenders
        .iter()
        .flat_map(|extender| &extender.managed_resources)
        .filter(|resource| resource.ignored_by_scheduler)
        .map(|resource| resource.name.clone())
        .collect();
    (0..).zip(profiles).map(|(index, profile)| resolve(index, profile, &ignored, defaults, check)).collect()
}

fn resolve(
    index: usize,
    profile: Profile,
    ignored_resources: &[String],
    defaults: &Defaults,
    check: &mut Check<'_>,
) -> ProfileConfig {
    validate::profile(index, &profile, check);
    let path = format!("profiles[{index}].plugins");
    let errors = check.count();
    let plugins = expand(&profile.plugins, &defaults.catalog, &path, check);
    // A plugin that is named wrongly is missing too; one error is enough.
    if check.count() == errors {
        validate::plugin_counts(&path, &plugins, check);
    }
    let mut args = arguments(index, &profile, &plugins, defaults, check);
    if !ignored_resources.is_empty()
        && let Some(PluginArgs::NodeResourcesFit(fit)) = args.get_mut("NodeResourcesFit")
    {
        // What an extender manages alone replaces the list, as in kube-scheduler.
        fit.ignored_resources = ignored_resources.to_vec();
    }
    let multi_point = merged_multi_point(&profile.plugins.multi_point, &defaults.catalog);
    ProfileConfig {
        scheduler_name: profile.scheduler_name.unwrap_or_default(),
        percentage_of_nodes_to_score: profile.percentage_of_nodes_to_score,
        plugins,
        args,
        sets: v1::Plugins { multi_point, ..profile.plugins },
    }
}

fn arguments(
    index: usize,
    profile: &Profile,
    plugins: &EnabledPlugins,
    defaults: &Defaults,
    check: &mut Check<'_>,
) -> BTreeMap<String, PluginArgs> {
    let mut args = BTreeMap::new();
    for (entry, config) in profile.plugin_config.iter().enumerate() {
        let path = format!("profiles[{index}].pluginConfig[{entry}]");
        if config.name.is_empty() {
            check.fail(&format!("{path}.name"), "is required");
            continue;
        }
        if let Some(warning) = idle(&config.name, plugins, defaults) {
            check.warn(&format!("{path}.name"), &warning);
        }
        let tree = check.tree();
        let written = tree.and_then(|tree| tree.get(&format!("{path}.args"))).filter(|node| !node.is_null());
        let decoded = match written {
            Some(node) => decode_arguments(&config.name, node, &format!("{path}.args"), check),
            None => PluginArgs::default_for(&config.name),
        };
        let Some(decoded) = decoded else { continue };
        for error in faults(&config.name, &decoded, defaults) {
            let below = if error.field.is_empty() { String::new() } else { format!(".{}", error.field) };
            let field = format!("{path}.args{below}");
            // kube-scheduler checks these arguments when it makes the plugin, so never for one that does not run.
            if matches!(decoded, PluginArgs::NodeResourcesFit(_)) && !plugins.contains(&config.name) {
                check.warn(&field, &error.message);
            } else {
                check.fail(&field, &error.message);
            }
        }
        args.entry(config.name.clone()).or_insert(decoded);
    }
    for plugin in PluginArgs::PLUGINS.into_iter().filter(|plugin| plugins.contains(plugin)) {
        if let Some(default) = PluginArgs::default_for(plugin) {
            args.entry(plugin.to_owned()).or_insert(default);
        }
    }
    args
}

/// Every rule that arguments break. Those of a plugin that was added are its own business: it is made of them.
fn faults(plugin: &str, args: &PluginArgs, defaults: &Defaults) -> Vec<FieldError> {
    let PluginArgs::Other(value) = args else { return args.validate() };
    let build = defaults.catalog.get(plugin).and_then(|info| info.build);
    let made = build.map_or(Ok(()), |build| build(Some(value)).map(drop));
    made.err().iter().map(ArgsError::to_field_error).collect()
}

/// Why arguments of a plugin do nothing, if so.
fn idle(name: &str, plugins: &EnabledPlugins, defaults: &Defaults) -> Option<String> {
    let Some(info) = defaults.catalog.get(name) else {
        return Some(format!("the arguments have no effect: {}", no_such_plugin(name, &defaults.catalog)));
    };
    if !plugins.contains(name) {
        return Some(format!("the arguments have no effect: plugin {name:?} is not enabled"));
    }
    let in_tree = plimsoll_plugins::catalog::Catalog::in_tree();
    let takes_none = PluginArgs::default_for(name).is_none() && in_tree.get(&info.name).is_some();
    takes_none.then(|| format!("the arguments have no effect: plugin {name:?} takes none"))
}

fn decode_arguments(plugin: &str, node: &Node, path: &str, check: &mut Check<'_>) -> Option<PluginArgs> {
    let typed = PluginArgs::default_for(plugin).is_some();
    let kind = format!("{plugin}Args");
    let mut ignored: &[&str] = &[];
    if typed {
        ignored = &["apiVersion", "kind"];
        if let Some(written) = node.text("kind").filter(|written| !written.is_empty() && *written != kind) {
            let message = format!("must be {kind} for plugin {plugin}, not {:?}", super::hints::clip(written));
            check.fail(&format!("{path}.kind"), &message);
        }
        let group = |version: &str| version.split('/').next() == Some(v1::GROUP);
        if let Some(version) = node.text("apiVersion").filter(|version| !version.is_empty() && !group(version)) {
            let message = format!("must be {}/v1, not {:?}", v1::GROUP, super::hints::clip(version));
            check.fail(&format!("{path}.apiVersion"), &message);
        }
    }
    let decoded = decode(node, path, ignored, |de| PluginArgs::deserialize_for(plugin, de));
    let usable = !decoded.shifted;
    check.unreadable(decoded.faults);
    decoded.value.filter(|_| usable)
}
