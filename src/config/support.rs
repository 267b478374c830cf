//! What a valid configuration asks for that this scheduler cannot or must not do.

use std::collections::HashSet;

use plimsoll_plugins::args::GoDuration;
use plimsoll_plugins::catalog::Point;

use super::{Config, ConfigError};

const NOT_YET: &str = "is not supported yet";

impl Config {
    /// What kube-scheduler takes although it can never work, and then fails with at every pod.
    pub fn mistakes(&self) -> Vec<ConfigError> {
        let problem = |(index, extender)| {
            let problem = crate::extender::address_problem(extender)?;
            Some(self.origin.error(&format!("extenders[{index}].urlPrefix"), &problem))
        };
        self.extenders.iter().enumerate().filter_map(problem).collect()
    }

    /// What kube-scheduler does and this scheduler does not do yet, or cannot do; empty when all of it can be run. `supported` tells which
    /// plugins are built. Plugins that only the default set names are no error.
    pub fn unsupported(&self, supported: &dyn Fn(&str) -> bool) -> Vec<ConfigError> {
        let mut errors = self.mistakes();
        let mut fail = |field: &str, message: &str| errors.push(self.origin.error(field, message));
        if self.delay_cache_until_active {
            fail("delayCacheUntilActive", &format!("{NOT_YET}: standbys keep their caches warm"));
        }
        for (index, profile) in self.profiles.iter().enumerate() {
            let mut reported = HashSet::new();
            for point in Point::ALL {
                let placement = matches!(point, Point::PlacementGenerate | Point::PlacementScore);
                for plugin in profile.plugins.at(point).iter().filter(|plugin| plugin.explicit) {
                    let field = self.named_at(index, point, &plugin.name);
                    if !supported(&plugin.name) {
                        if reported.insert(field.clone()) {
                            fail(&field, &format!("plugin {:?} {NOT_YET}", plugin.name));
                        }
                    } else if placement && !field.contains(".multiPoint.") {
                        fail(&field, &format!("placement of groups of pods {NOT_YET}"));
                    }
                }
            }
        }
        errors.sort_by_key(|error| error.mark);
        errors
    }

    /// What `run` must not do with this configuration: take what belongs to the default scheduler without being told to, or
    /// elect a leader by numbers that cannot work.
    ///
    /// It looks at the fields as they are now, so flags that change them can be applied first; so should be the namespace of
    /// the process, where `leader_election.resource_namespace` is `None`.
    pub fn refusals(&self) -> Vec<ConfigError> {
        const PERMIT: &str =
            "set replaceDefaultScheduler: true in the PlimsollConfiguration if this scheduler is to replace it";
        // Nothing is taken from anybody, and there is no election.
        if self.is_shadow() {
            return Vec::new();
        }
        let mut errors = Vec::new();
        let mut fail = |field: &str, message: &str| errors.push(self.origin.error(field, message));
        let election = &self.leader_election;
        if !self.plimsoll.replace_default_scheduler {
            for (index, profile) in self.profiles.iter().enumerate() {
                if profile.scheduler_name == "default-scheduler" {
                    let message = format!("\"default-scheduler\" is the name of the cluster's own scheduler; {PERMIT}");
                    fail(&format!("profiles[{index}].schedulerName"), &message);
                }
            }
            let (name, namespace) = (election.resource_name.as_str(), election.resource_namespace.as_deref());
            if election.leader_elect && name == "kube-scheduler" && namespace == Some("kube-system") {
                let message =
                    format!("kube-system/kube-scheduler is the lease of the cluster's own scheduler; {PERMIT}");
                fail("leaderElection.resourceName", &message);
            }
        }
        for (field, message) in election.problems() {
            fail(field, &message);
        }
        // The elector spreads its tries by up to a fifth of the period; all of them must end before the deadline.
        if election.leader_elect && election.renew_deadline <= election.retry_period.mul_f64(1.2) {
            let message = format!(
                "must be longer than 1.2 times retryPeriod ({}), not {}",
                GoDuration::from(election.retry_period),
                GoDuration::from(election.renew_deadline)
            );
            fail("leaderElection.renewDeadline", &message);
        }
        errors.sort_by_key(|error| error.mark);
        errors
    }

    /// The field that names a plugin: at the point, or under `multiPoint`.
    fn named_at(&self, profile: usize, point: Point, plugin: &str) -> String {
        let Some(resolved) = self.profiles.get(profile) else { return String::new() };
        let here = resolved.sets.at(point).enabled.iter().position(|written| written.name == plugin);
        if let Some(index) = here {
            return format!("profiles[{profile}].plugins.{}.enabled[{index}].name", point.as_config_key());
        }
        // The set kept in the profile is the merged one, whose indexes are not those of the file.
        let list = format!("profiles[{profile}].plugins.multiPoint.enabled");
        let written = self.origin.scheduler.as_ref().and_then(|tree| tree.get(&list));
        let index = written.and_then(|node| match &node.value {
            super::source::Value::Sequence(items) => items.iter().position(|item| item.text("name") == Some(plugin)),
            _ => None,
        });
        index.map_or_else(|| list.clone(), |index| format!("{list}[{index}].name"))
    }
}
