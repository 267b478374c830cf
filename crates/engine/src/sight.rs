//! What of the cluster cannot be seen, and which pods wait for that.

use std::collections::BTreeSet;
use std::sync::Arc;

use plimsoll_framework::extensions::SightDyn;
use plimsoll_framework::object::{KindId, KindRef};
use plimsoll_framework::pod::PodInfo;

use crate::profile::Profile;

/// What cannot be seen, because reading it is not permitted.
#[derive(Default)]
pub(crate) struct Hidden {
    kinds: Vec<KindId>,
    namespaces: bool,
}

impl Hidden {
    /// Whether objects of a further kind, or with `None` namespaces, are hidden from now on; whether they were not or
    /// were before.
    pub(crate) fn set(&mut self, kind: Option<KindId>, hidden: bool) -> bool {
        let Some(kind) = kind else { return std::mem::replace(&mut self.namespaces, hidden) != hidden };
        if self.kinds.contains(&kind) == hidden {
            return false;
        }
        if hidden {
            self.kinds.push(kind)
        } else {
            self.kinds.retain(|known| *known != kind)
        }
        true
    }

    fn is_nothing(&self) -> bool {
        self.kinds.is_empty() && !self.namespaces
    }
}

/// What a plugin has to see.
#[derive(Clone)]
pub struct Sight {
    /// The plugin.
    pub plugin: &'static str,
    /// Further kinds that it reads.
    pub kinds: Vec<KindRef>,
    /// Which pods wait for them.
    pub waits: Arc<dyn SightDyn>,
}

impl Profile {
    /// What a pod waits for that cannot be seen, put into words; `None` where it can be placed without.
    pub(crate) fn needs_to_see(&self, pod: &PodInfo, hidden: &Hidden) -> Option<String> {
        if hidden.is_nothing() {
            return None;
        }
        self.sights.iter().find_map(|sight| {
            let missing: BTreeSet<&str> =
                sight.kinds.iter().filter(|kind| hidden.kinds.contains(&kind.id)).map(|kind| kind.plural).collect();
            let namespaces = hidden.namespaces && sight.waits.waits_for_namespaces(pod);
            let missing: Vec<&str> = if missing.is_empty() || !sight.waits.waits_for_kinds(pod) {
                namespaces.then_some("namespaces").into_iter().collect()
            } else {
                missing.into_iter().chain(namespaces.then_some("namespaces")).collect()
            };
            (!missing.is_empty()).then(|| {
                let (plugin, missing) = (sight.plugin, missing.join(", "));
                format!("{plugin} has to see {missing}, which this scheduler is not permitted to list and watch")
            })
        })
    }
}
