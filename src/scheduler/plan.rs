//! What a configuration comes to, checked: nothing of it can be refused any more once something has been started by it.

use std::sync::Arc;

use plimsoll_engine::gang;
use plimsoll_engine::profile::Profile;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::KindRef;

use super::Scheduler;
use crate::config::Config;
use crate::extender::Extenders;

/// What a scheduler is made of that the configuration decides.
pub(super) struct Plan {
    pub(super) config: Arc<Config>,
    pub(super) profiles: Vec<Profile>,
    /// Annotations and further kinds that plugins read.
    pub(super) annotation_keys: Vec<Istr>,
    pub(super) kinds: Vec<KindRef>,
    pub(super) extenders: Option<Arc<Extenders>>,
}

impl Plan {
    /// What `config` comes to.
    ///
    /// # Errors
    /// When a plugin refuses its arguments, or an extender cannot be asked.
    pub(super) fn of(scheduler: &Scheduler, config: Arc<Config>) -> anyhow::Result<Self> {
        let mut profiles = scheduler.registry.profiles(&config)?;
        let client = scheduler.clients.watch.clone();
        // Who only shadows others asks nobody.
        let extenders = if config.is_shadow() { None } else { Extenders::new(&config, client, &scheduler.metrics)? };
        let extenders = extenders.map(Arc::new);
        if let Some(extenders) = &extenders {
            profiles.iter_mut().for_each(|profile| profile.set_extenders(extenders.interest()));
        }
        let left_out = scheduler.registry.left_out(&config);
        if !left_out.is_empty() {
            tracing::warn!(
                plugins = left_out.join(", "),
                "not built yet and left out; pods with rules that need them stay pending and say so"
            );
        }
        let (annotation_keys, kinds) = read_by(&profiles);
        Ok(Self { config, profiles, annotation_keys, kinds, extenders })
    }
}

/// The annotations and further kinds that the plugins of these profiles read, each once.
pub(crate) fn read_by(profiles: &[Profile]) -> (Vec<Istr>, Vec<KindRef>) {
    let mut annotation_keys: Vec<Istr> = profiles.iter().flat_map(|p| p.annotation_keys.iter().cloned()).collect();
    annotation_keys.sort();
    annotation_keys.dedup();
    let mut kinds: Vec<KindRef> = Vec::new();
    for kind in profiles.iter().flat_map(|p| p.kinds.iter().copied()).chain(gang::kinds()) {
        if !kinds.iter().any(|k| k.id == kind.id) {
            kinds.push(kind);
        }
    }
    (annotation_keys, kinds)
}
