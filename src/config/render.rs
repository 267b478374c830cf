//! A configuration written out again: for `/configz`, for `--write-config-to` and for `check-config`.
//!
//! Nothing secret is written: keys and certificates of extenders are redacted, and so are a password and a query in an
//! extender's address.

use serde_json::{Map, Value, json};

use plimsoll_plugins::args::GoDuration;
use plimsoll_plugins::catalog::{Point, is_weighted};

use super::own::{self, PlimsollConfiguration};
use super::v1::{self, KubeSchedulerConfiguration, PluginConfig, Profile};
use super::{Config, ProfileConfig};

impl Config {
    /// The configuration as a `KubeSchedulerConfiguration` of `v1` with all defaults set. Read again it gives the same
    /// configuration, except for redacted secrets.
    pub fn to_v1(&self) -> KubeSchedulerConfiguration {
        let election = &self.leader_election;
        let client = &self.client_connection;
        KubeSchedulerConfiguration {
            api_version: format!("{}/v1", v1::GROUP),
            kind: v1::KIND.to_owned(),
            parallelism: Some(self.parallelism),
            leader_election: v1::LeaderElection {
                leader_elect: Some(election.leader_elect),
                lease_duration: Some(election.lease_duration.into()),
                renew_deadline: Some(election.renew_deadline.into()),
                retry_period: Some(election.retry_period.into()),
                resource_lock: Some(election.resource_lock.clone()),
                resource_name: Some(election.resource_name.clone()),
                resource_namespace: election.resource_namespace.clone(),
            },
            client_connection: v1::ClientConnection {
                kubeconfig: client.kubeconfig.clone(),
                accept_content_types: Some(client.accept_content_types.clone()),
                content_type: Some(client.content_type.clone()),
                qps: client.qps,
                burst: client.burst,
            },
            enable_profiling: Some(self.enable_profiling),
            enable_contention_profiling: Some(self.enable_contention_profiling),
            percentage_of_nodes_to_score: Some(self.percentage_of_nodes_to_score),
            pod_initial_backoff_seconds: Some(self.pod_initial_backoff_seconds),
            pod_max_backoff_seconds: Some(self.pod_max_backoff_seconds),
            profiles: self.profiles.iter().map(ProfileConfig::to_v1).collect(),
            extenders: self.extenders.iter().map(without_secrets).collect(),
            delay_cache_until_active: self.delay_cache_until_active,
        }
    }

    /// What is Plimsoll's own, as the second document.
    pub fn to_plimsoll(&self) -> PlimsollConfiguration {
        PlimsollConfiguration {
            api_version: own::API_VERSION.to_owned(),
            kind: own::KIND.to_owned(),
            paused: self.plimsoll.paused,
            workers: self.plimsoll.workers,
            tie_break: Some(self.plimsoll.tie_break),
            seed: self.plimsoll.seed,
            extender_parallelism: Some(self.plimsoll.extender_parallelism),
            replace_default_scheduler: self.plimsoll.replace_default_scheduler,
            event_policy: Some(self.plimsoll.event_policy),
            preemption: Some(self.plimsoll.preemption),
            memo: Some(self.plimsoll.memo),
            history: Some(self.plimsoll.history),
            coexistence: Some(self.plimsoll.coexistence.to_section()),
            mode: Some(self.plimsoll.mode),
            // Where it means nothing it is left out: read again, it would be warned of.
            shadow: self.is_shadow().then(|| self.plimsoll.shadow.to_section()),
        }
    }

    /// Both documents as a YAML file.
    ///
    /// # Errors
    /// When a value has no form in YAML; no configuration that was read has one.
    pub fn to_yaml(&self) -> Result<String, serde_saphyr::SerializeError> {
        let scheduler = serde_saphyr::to_string(&json!(self.to_v1()))?;
        let own = serde_saphyr::to_string(&json!(self.to_plimsoll()))?;
        Ok(format!("{}---\n{}", scheduler.trim_start_matches("---\n"), own.trim_start_matches("---\n")))
    }

    /// The configuration with the plugins that run at each point, for machines that look into it.
    pub fn to_resolved(&self) -> Value {
        let profiles: Vec<Value> = self.profiles.iter().map(ProfileConfig::to_resolved).collect();
        json!({
            "kubeSchedulerConfiguration": self.to_v1(),
            "plimsollConfiguration": self.to_plimsoll(),
            "profiles": profiles,
            "warnings": self.warnings,
        })
    }
}

impl ProfileConfig {
    fn to_v1(&self) -> Profile {
        let plugin_config = self.args.iter().map(|(name, args)| PluginConfig { name: name.clone(), args: json!(args) });
        Profile {
            scheduler_name: Some(self.scheduler_name.clone()),
            percentage_of_nodes_to_score: self.percentage_of_nodes_to_score,
            plugins: self.sets.clone(),
            plugin_config: plugin_config.collect(),
        }
    }

    fn to_resolved(&self) -> Value {
        let mut points = Map::new();
        for point in Point::ALL {
            let list = self.plugins.at(point).iter().map(|plugin| {
                let mut entry = json!({"name": plugin.name, "explicit": plugin.explicit});
                if is_weighted(point) {
                    entry["weight"] = json!(plugin.weight);
                }
                entry
            });
            points.insert(point.as_config_key().to_owned(), list.collect());
        }
        json!({"schedulerName": self.scheduler_name, "plugins": points})
    }
}

/// The extender, with `<redacted>` for what stands before the `@` of its address, and for its query.
fn without_secrets(extender: &v1::Extender) -> v1::Extender {
    let mut extender = extender.clone();
    if let Some((address, _)) = extender.url_prefix.split_once('?') {
        extender.url_prefix = format!("{address}?<redacted>");
    }
    if let Some((scheme, rest)) = extender.url_prefix.split_once("://") {
        let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if let Some((_, host)) = host.rsplit_once('@') {
            extender.url_prefix = format!("{scheme}://<redacted>@{host}{path}");
        }
    }
    extender
}

/// A duration as a configuration writes it.
pub(crate) fn duration(duration: std::time::Duration) -> String {
    GoDuration::from(duration).to_string()
}
