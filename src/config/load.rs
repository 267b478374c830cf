//! From the bytes of a file to a [`Config`]: documents, decoding, rules, defaults.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use plimsoll_plugins::args::GoDuration;

use super::check::Check;
use super::decode::decode;
use super::documents::{self, Documents};
use super::error::{ConfigError, ConfigErrors, Fault};
use super::own::PlimsollConfiguration;
use super::resolved::{ClientConnectionConfig, LeaderElectionConfig};
use super::shadow::Mode;
use super::source::Node;
use super::v1::{self, KubeSchedulerConfiguration};
use super::{Config, Defaults, defaults, profile, reader, validate};

/// How many errors of a file are reported.
const MAX_ERRORS: usize = 100;

/// Where a configuration comes from: what later checks point into.
#[derive(Debug, Default)]
pub(super) struct Origin {
    /// Name of the file; empty without one.
    pub(super) file: String,
    /// The KubeSchedulerConfiguration in it.
    pub(super) scheduler: Option<Node>,
}

impl Origin {
    pub(super) fn error(&self, field: &str, message: &str) -> ConfigError {
        let mark = self.scheduler.as_ref().map(|tree| tree.locate(field));
        Fault::new(mark, field, message).in_file(&self.file)
    }
}

pub(super) fn from_bytes(file: &str, bytes: &[u8], defaults: &Defaults) -> Result<Config, ConfigErrors> {
    let invalid = |faults| invalid(file, faults);
    let text = documents::text(bytes).map_err(|fault| invalid(vec![fault]))?;
    let mut faults = Vec::new();
    let nodes = match reader::read(text, &mut faults) {
        Ok(nodes) => nodes,
        Err(fault) => {
            faults.push(fault);
            return Err(invalid(faults));
        }
    };
    let documents = documents::sort(nodes, &mut faults);
    match resolve(file, documents, &mut faults, defaults) {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(invalid(faults)),
    }
}

/// The errors in the order of the file, each once, and no more than a reader can use.
fn invalid(file: &str, mut faults: Vec<Fault>) -> ConfigErrors {
    faults.sort_by_key(|fault| fault.mark);
    let mut seen = HashSet::new();
    faults.retain(|fault| seen.insert((fault.field.clone(), fault.message.clone())));
    let more = faults.len().saturating_sub(MAX_ERRORS);
    faults.truncate(MAX_ERRORS);
    if more > 0 {
        faults.push(Fault::new(None, "", &format!("{more} more errors")));
    }
    ConfigErrors::Invalid { errors: faults.into_iter().map(|fault| fault.in_file(file)).collect() }
}

/// The configuration that an empty document stands for.
pub(super) fn without_file(defaults: &Defaults) -> Config {
    let mut check = Check::new(None);
    let mut config = build(&KubeSchedulerConfiguration::default(), defaults, &mut check);
    config.plimsoll = PlimsollConfiguration::default().resolve();
    config
}

fn resolve(file: &str, documents: Documents, faults: &mut Vec<Fault>, defaults: &Defaults) -> Option<Config> {
    let Documents { scheduler, plimsoll, mut warnings } = documents;
    let own = plimsoll.as_ref().and_then(|node| {
        let mut check = Check::new(Some(node));
        let decoded = decode(node, "", &[], |de| PlimsollConfiguration::deserialize(de));
        check.unreadable(decoded.faults);
        // With an element of a list left out, rules would be reported at the wrong index.
        if let Some(own) = decoded.value.as_ref().filter(|_| !decoded.shifted) {
            own.validate(&mut check);
        }
        warnings.append(&mut check.warnings);
        faults.extend(check.into_faults());
        decoded.value
    });
    let mut check = Check::new(scheduler.as_ref());
    let decoded =
        scheduler.as_ref().map(|node| decode(node, "", &[], |de| KubeSchedulerConfiguration::deserialize(de)));
    let (written, shifted) = match decoded {
        Some(decoded) => {
            check.unreadable(decoded.faults);
            (decoded.value, decoded.shifted)
        }
        None => (Some(KubeSchedulerConfiguration::default()), false),
    };
    // With an element of a list left out, rules would be reported at the wrong index.
    let config = written.filter(|_| !shifted).map(|written| build(&written, defaults, &mut check));
    let shadows = own.as_ref().is_some_and(|own| own.mode == Some(Mode::Shadow));
    if shadows && config.as_ref().is_some_and(|config| !config.extenders.is_empty()) {
        check.warn("extenders", "are not asked in mode Shadow");
    }
    warnings.append(&mut check.warnings);
    faults.extend(check.into_faults());
    let mut config = config?;
    config.plimsoll = own.unwrap_or_default().resolve();
    warnings.sort_by_key(|warning| warning.mark);
    config.warnings = warnings.into_iter().map(|warning| warning.in_file(file).to_string()).collect();
    config.origin = Arc::new(Origin { file: file.to_owned(), scheduler });
    Some(config)
}

/// Applies rules and defaults.
fn build(written: &KubeSchedulerConfiguration, defaults: &Defaults, check: &mut Check<'_>) -> Config {
    let leader_election = leader_election(&written.leader_election, defaults);
    validate::top_level(written, check);
    validate::leader_election(written, &leader_election, check);
    validate::extenders(&written.extenders, check);
    let profiles = profile::resolve_all(written, defaults, check);
    let extenders = written.extenders.iter().cloned().map(|mut extender| {
        extender.http_timeout = or_default(Some(extender.http_timeout), defaults::EXTENDER_TIMEOUT).into();
        extender
    });
    for (name, value) in [
        ("enableProfiling", written.enable_profiling),
        ("enableContentionProfiling", written.enable_contention_profiling),
    ] {
        if value == Some(true) {
            check.warn(name, "has no effect: profiles of the process are not served");
        }
    }
    let profiling = written.enable_profiling.unwrap_or(defaults.enable_profiling);
    Config {
        parallelism: written.parallelism.unwrap_or(defaults::PARALLELISM),
        percentage_of_nodes_to_score: written.percentage_of_nodes_to_score.unwrap_or(0),
        pod_initial_backoff_seconds: written
            .pod_initial_backoff_seconds
            .unwrap_or(defaults::POD_INITIAL_BACKOFF_SECONDS),
        pod_max_backoff_seconds: written.pod_max_backoff_seconds.unwrap_or(defaults::POD_MAX_BACKOFF_SECONDS),
        leader_election,
        client_connection: client_connection(&written.client_connection, defaults, check),
        enable_profiling: profiling,
        enable_contention_profiling: written.enable_contention_profiling.unwrap_or(profiling),
        profiles,
        extenders: extenders.collect(),
        delay_cache_until_active: written.delay_cache_until_active,
        plimsoll: PlimsollConfiguration::default().resolve(),
        warnings: Vec::new(),
        origin: Arc::default(),
    }
}

fn leader_election(written: &v1::LeaderElection, defaults: &Defaults) -> LeaderElectionConfig {
    let text = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
    LeaderElectionConfig {
        leader_elect: written.leader_elect.unwrap_or(true),
        lease_duration: or_default(written.lease_duration, defaults::LEASE_DURATION),
        renew_deadline: or_default(written.renew_deadline, defaults::RENEW_DEADLINE),
        retry_period: or_default(written.retry_period, defaults::RETRY_PERIOD),
        resource_lock: text(&written.resource_lock).unwrap_or_else(|| defaults::RESOURCE_LOCK.to_owned()),
        resource_name: text(&written.resource_name).unwrap_or_else(|| defaults.lease_name.clone()),
        resource_namespace: text(&written.resource_namespace).or_else(|| defaults.lease_namespace.clone()),
    }
}

fn client_connection(
    written: &v1::ClientConnection,
    defaults: &Defaults,
    check: &mut Check<'_>,
) -> ClientConnectionConfig {
    for (name, value) in [("contentType", &written.content_type), ("acceptContentTypes", &written.accept_content_types)]
    {
        if value.as_deref().is_some_and(|value| !value.is_empty() && !value.contains("json")) {
            check.warn(&format!("clientConnection.{name}"), "has no effect: requests and answers are application/json");
        }
    }
    let text = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
    ClientConnectionConfig {
        kubeconfig: text(&written.kubeconfig),
        accept_content_types: text(&written.accept_content_types).unwrap_or_default(),
        content_type: text(&written.content_type).unwrap_or_else(|| defaults.content_type.clone()),
        qps: written.qps.filter(|qps| *qps != 0.0).or(defaults.qps),
        burst: written.burst.filter(|burst| *burst != 0).or(defaults.burst),
    }
}

/// As in kube-scheduler, a duration of 0 is unset.
fn or_default(written: Option<GoDuration>, default: Duration) -> Duration {
    written.filter(|duration| *duration != GoDuration::default()).map_or(default, GoDuration::to_std)
}
