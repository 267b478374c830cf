//! A good configuration, for people and for machines.

use std::io::{self, Write};

use plimsoll_plugins::catalog::{Point, is_weighted};

use super::against_default;
use super::resolution::{Difference, differences, resolution};
use crate::config::{Config, ConfigError, ProfileConfig};

/// A good configuration, and what `run` would say to it.
pub(super) struct Report<'a> {
    file: &'a str,
    config: &'a Config,
    /// The same file as kube-scheduler reads it; `None` where it refuses it.
    upstream: Option<&'a Config>,
    supported: &'a dyn Fn(&str) -> bool,
    unsupported: Vec<ConfigError>,
    refusals: Vec<ConfigError>,
}

impl<'a> Report<'a> {
    pub(super) fn new(
        file: &'a str,
        config: &'a Config,
        upstream: Option<&'a Config>,
        supported: &'a dyn Fn(&str) -> bool,
    ) -> Self {
        let (unsupported, refusals) = (config.unsupported(supported), config.refusals());
        Self { file, config, upstream, supported, unsupported, refusals }
    }

    fn differences(&self) -> Vec<Difference> {
        let not_done: Vec<&ConfigError> = self.unsupported.iter().chain(&self.refusals).collect();
        differences(self.upstream, self.config, &not_done)
    }

    pub(super) fn value(&self) -> serde_json::Value {
        let texts = |errors: &[ConfigError]| -> Vec<String> { errors.iter().map(ToString::to_string).collect() };
        let mut value = resolution(self.upstream.unwrap_or(self.config));
        value["differs"] = self.differences().iter().map(Difference::value).collect();
        let own = self.config.to_resolved();
        for part in ["kubeSchedulerConfiguration", "plimsollConfiguration", "warnings"] {
            value[part] = own[part].clone();
        }
        value["file"] = self.file.into();
        value["unsupported"] = texts(&self.unsupported).into();
        value["refused"] = texts(&self.refusals).into();
        value
    }

    pub(super) fn text(&self, out: &mut impl Write) -> io::Result<()> {
        let config = self.config;
        let verdict = if config.mistakes().is_empty() { "valid" } else { "valid for kube-scheduler, but cannot work" };
        writeln!(out, "{}: {verdict}", self.file)?;
        self.settings(out)?;
        for profile in &config.profiles {
            write_profile(profile, self.supported, out)?;
        }
        let points =
            || config.profiles.iter().flat_map(|p| Point::ALL.into_iter().flat_map(|point| p.plugins.at(point)));
        if points().any(|plugin| !(self.supported)(&plugin.name)) {
            writeln!(
                out,
                "\nPlugins in parentheses are not built yet; pods with rules that need them stay pending and say so."
            )?;
        }
        write_differences(&self.differences(), out)?;
        write_list(out, "Warnings", &config.warnings)?;
        write_list(out, "Not supported yet (run refuses this)", &self.unsupported)?;
        write_list(out, "Refused by run", &self.refusals)
    }

    fn settings(&self, out: &mut impl Write) -> io::Result<()> {
        let (config, election, client) = (self.config, &self.config.leader_election, &self.config.client_connection);
        let elected = if config.is_shadow() {
            "none in mode Shadow".to_owned()
        } else if election.leader_elect {
            format!(
                "{}/{} (lease {}, renew within {}, retry every {})",
                election.resource_namespace.as_deref().unwrap_or("<own namespace>"),
                election.resource_name,
                crate::config::show_duration(election.lease_duration),
                crate::config::show_duration(election.renew_deadline),
                crate::config::show_duration(election.retry_period),
            )
        } else {
            "off".to_owned()
        };
        let looked_at = match config.percentage_of_nodes_to_score {
            0 => "all".to_owned(),
            percentage => format!("{percentage}%"),
        };
        let unlimited = || "not limited".to_owned();
        let tie_break = match (config.plimsoll.tie_break, config.plimsoll.seed) {
            (crate::config::TieBreak::Name, _) => "by name".to_owned(),
            (crate::config::TieBreak::Random, None) => "random".to_owned(),
            (crate::config::TieBreak::Random, Some(seed)) => format!("random, seed {seed}"),
        };
        let workers = config.plimsoll.workers.map_or_else(|| "one a core, at most 4".to_owned(), |n| n.to_string());
        let (qps, burst) = (client.qps, client.burst);
        if config.is_shadow() {
            let names = config.scheduler_names().join(", ");
            writeln!(out, "  {:<16} Shadow: nothing is written; compared with {names}", "mode")?;
        }
        for (name, value) in [
            ("leader election", elected),
            (
                "API requests",
                qps.map_or_else(unlimited, |qps| {
                    let burst = burst.map_or_else(|| "100".to_owned(), |burst| burst.to_string());
                    format!("{qps} a second, burst {burst}")
                }),
            ),
            ("kubeconfig", client.kubeconfig.clone().unwrap_or_else(|| "in-cluster".to_owned())),
            ("nodes to score", looked_at),
            ("backoff", format!("{}s to {}s", config.pod_initial_backoff_seconds, config.pod_max_backoff_seconds)),
            ("extenders", config.extenders.len().to_string()),
            ("workers", workers),
            ("parallelism", format!("{} (of kube-scheduler; not used)", config.parallelism)),
            ("tie break", tie_break),
        ] {
            writeln!(out, "  {name:<16} {value}")?;
        }
        Ok(())
    }
}

/// Plugins that are enabled but not built are in parentheses.
fn write_profile(profile: &ProfileConfig, supported: &dyn Fn(&str) -> bool, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nProfile {}", profile.scheduler_name)?;
    if let Some(percentage) = profile.percentage_of_nodes_to_score {
        writeln!(out, "  {:<18} {percentage}%", "nodes to score")?;
    }
    for point in Point::ALL {
        let plugins = profile.plugins.at(point);
        if plugins.is_empty() {
            continue;
        }
        let names: Vec<String> = plugins
            .iter()
            .map(|plugin| {
                let weight = if is_weighted(point) { format!("={}", plugin.weight) } else { String::new() };
                let (before, after) = if supported(&plugin.name) { ("", "") } else { ("(", ")") };
                format!("{before}{}{weight}{after}", plugin.name)
            })
            .collect();
        writeln!(out, "  {:<18} {}", point.as_config_key(), names.join(" "))?;
    }
    let differs = against_default::lines(profile);
    if differs.is_empty() {
        return writeln!(out, "  as the default profile");
    }
    writeln!(out, "  differs from the default profile:")?;
    differs.iter().try_for_each(|line| writeln!(out, "    {line}"))
}

/// What this scheduler does otherwise than kube-scheduler with the same file, as a table.
fn write_differences(differences: &[Difference], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nOtherwise than in kube-scheduler")?;
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.set_header(["FIELD", "KUBE-SCHEDULER", "PLIMSOLL", "WHY"]);
    differences.iter().for_each(|difference| {
        table.add_row(difference.row());
    });
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().try_for_each(|line| writeln!(out, "  {}", line.trim_end()))
}

fn write_list(out: &mut impl Write, title: &str, items: &[impl std::fmt::Display]) -> io::Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}")?;
    for item in items {
        writeln!(out, "  {item}")?;
    }
    Ok(())
}
