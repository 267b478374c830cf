//! The rules of `KubeSchedulerConfiguration` that concern no plugin's arguments. They are kube-scheduler's.

use std::collections::{HashMap, HashSet};

use plimsoll_plugins::args::{GoDuration, is_extended_resource_name};
use plimsoll_plugins::catalog::{Catalog, Point};

use super::check::Check;
use super::expand::REMOVED;
use super::resolved::LeaderElectionConfig;
use super::v1::{Extender, KubeSchedulerConfiguration, Profile};
use super::{EnabledPlugins, defaults, expand};

/// Checks the fields at the top of the document.
pub(super) fn top_level(written: &KubeSchedulerConfiguration, check: &mut Check<'_>) {
    if let Some(parallelism) = written.parallelism
        && parallelism <= 0
    {
        check.fail("parallelism", &format!("must be 1 or more, not {parallelism}"));
    }
    percentage(written.percentage_of_nodes_to_score, "percentageOfNodesToScore", check);
    let initial = written.pod_initial_backoff_seconds.unwrap_or(defaults::POD_INITIAL_BACKOFF_SECONDS);
    let longest = written.pod_max_backoff_seconds.unwrap_or(defaults::POD_MAX_BACKOFF_SECONDS);
    if initial <= 0 {
        check.fail("podInitialBackoffSeconds", &format!("must be 1 or more, not {initial}"));
    }
    if longest < initial {
        let message = format!("must be at least podInitialBackoffSeconds ({initial}), not {longest}");
        check.fail("podMaxBackoffSeconds", &message);
    }
    if let Some(burst) = written.client_connection.burst
        && burst < 0
    {
        check.fail("clientConnection.burst", &format!("must be 0 or more, not {burst}"));
    }
}

/// Checks how the leader is chosen, if one is.
pub(super) fn leader_election(
    written: &KubeSchedulerConfiguration,
    resolved: &LeaderElectionConfig,
    check: &mut Check<'_>,
) {
    if !resolved.leader_elect {
        return;
    }
    let election = &written.leader_election;
    let durations = [
        ("leaseDuration", election.lease_duration),
        ("renewDeadline", election.renew_deadline),
        ("retryPeriod", election.retry_period),
    ];
    let mut negative = false;
    for (name, duration) in durations {
        if let Some(duration) = duration.filter(|duration| *duration < GoDuration::default()) {
            negative = true;
            check.fail(&format!("leaderElection.{name}"), &format!("must be longer than 0s, not {duration}"));
        }
    }
    // A negative duration is none at all in what was resolved, and would break the other rules in a misleading way.
    if !negative {
        for (field, message) in resolved.problems() {
            check.fail(field, &message);
        }
    }
}

/// Checks one profile apart from its plugins and their arguments.
pub(super) fn profile(index: usize, profile: &Profile, check: &mut Check<'_>) {
    let path = format!("profiles[{index}]");
    if profile.scheduler_name.as_deref().is_none_or(str::is_empty) {
        check.fail(&format!("{path}.schedulerName"), "is required");
    }
    percentage(profile.percentage_of_nodes_to_score, &format!("{path}.percentageOfNodesToScore"), check);
    let mut seen = HashSet::new();
    for (entry, config) in profile.plugin_config.iter().enumerate() {
        let field = format!("{path}.pluginConfig[{entry}]");
        if !seen.insert(&config.name) {
            check.fail(&field, &format!("arguments of plugin {:?} are given twice", config.name));
        } else if REMOVED.contains(&config.name.as_str()) {
            check.fail(&format!("{field}.name"), &expand::unknown_plugin(&config.name, &Catalog::in_tree()));
        }
    }
}

/// Checks what all profiles must have in common.
pub(super) fn profiles_together(profiles: &[Profile], check: &mut Check<'_>) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (index, profile) in profiles.iter().enumerate() {
        let Some(name) = profile.scheduler_name.as_deref().filter(|name| !name.is_empty()) else { continue };
        if let Some(first) = seen.get(name) {
            let message = format!("{name:?} is the name of profiles[{first}] already; names must differ");
            check.fail(&format!("profiles[{index}].schedulerName"), &message);
        } else {
            seen.insert(name, index);
        }
    }
    let Some((first, others)) = profiles.split_first() else { return };
    let sorting = &first.plugins.queue_sort;
    if sorting.enabled.len() > 1 {
        check.fail("profiles[0].plugins.queueSort.enabled", "only one queue sort plugin can be enabled");
    }
    let arguments = |profile: &Profile| {
        let name = sorting.enabled.first().map_or("PrioritySort", |plugin| plugin.name.as_str());
        profile.plugin_config.iter().find(|config| config.name == name).map(|config| config.args.clone())
    };
    for (index, profile) in (1..).zip(others) {
        if profile.plugins.queue_sort != *sorting {
            let message = "must be the same in all profiles: they share one queue";
            check.fail(&format!("profiles[{index}].plugins.queueSort"), message);
        }
        if arguments(profile) != arguments(first) {
            let message = "arguments of the queue sort plugin must be the same in all profiles: they share one queue";
            check.fail(&format!("profiles[{index}].pluginConfig"), message);
        }
    }
}

/// Checks that the plugins of a profile can schedule at all.
pub(super) fn plugin_counts(path: &str, plugins: &EnabledPlugins, check: &mut Check<'_>) {
    let sorts = plugins.at(Point::QueueSort).len();
    if sorts != 1 {
        check
            .fail(&format!("{path}.queueSort"), &format!("exactly one queue sort plugin must be enabled, not {sorts}"));
    }
    if plugins.at(Point::Bind).is_empty() {
        check.fail(&format!("{path}.bind"), "at least one bind plugin must be enabled");
    }
    let generators = plugins.at(Point::PlacementGenerate).len();
    if generators > 1 {
        let message = format!("at most one plugin can generate placements, not {generators}");
        check.fail(&format!("{path}.placementGenerate"), &message);
    }
}

/// Checks the extenders.
pub(super) fn extenders(extenders: &[Extender], check: &mut Check<'_>) {
    let mut managed = HashSet::new();
    for (index, extender) in extenders.iter().enumerate() {
        let path = format!("extenders[{index}]");
        if !extender.prioritize_verb.is_empty() && extender.weight <= 0 {
            let message = format!("must be 1 or more with a prioritizeVerb, not {}", extender.weight);
            check.fail(&format!("{path}.weight"), &message);
        }
        for (entry, resource) in extender.managed_resources.iter().enumerate() {
            let field = format!("{path}.managedResources[{entry}].name");
            if !is_extended_resource_name(&resource.name) {
                check.fail(&field, "must be the name of an extended resource, such as example.com/gpu");
            } else if !managed.insert(&resource.name) {
                check.fail(&field, &format!("{:?} is managed already; each resource can be named once", resource.name));
            }
        }
    }
    let binders = extenders.iter().filter(|extender| !extender.bind_verb.is_empty()).count();
    if binders > 1 {
        check.fail("extenders", &format!("only one extender can have a bindVerb, not {binders}"));
    }
}

fn percentage(value: Option<i32>, field: &str, check: &mut Check<'_>) {
    if let Some(value) = value
        && !(0..=100).contains(&value)
    {
        check.fail(field, &format!("must be between 0 and 100, not {value}"));
    }
}
