//! The status of a PodGroup. Only that of `scheduling.k8s.io` is written: the others have controllers of their own.

use plimsoll_framework::object::KindId;
use plimsoll_framework::pod::{GroupKey, NamedBy};

use crate::effect::{Effect, PodGroupStatus, Reason};
use crate::engine::Engine;
use crate::gang::{self, NativePodGroups};

impl Engine {
    /// Writes what came of an attempt, if it says something new. What is placed is never called unplaced again.
    pub(super) fn write_group_status(&mut self, key: &GroupKey, unscheduled: Option<(Reason, String)>) {
        if key.by == NamedBy::Size {
            return;
        }
        let kind = KindId::of::<NativePodGroups>();
        let Some(version) = self.gangs.served.get(&kind).cloned() else { return };
        let Some(group) = gang::object(self.cache.table().view().cluster(), kind, key) else { return };
        // A name may also be that of an object of another API group, which then is the one that counts.
        if self.pod_group(key).is_none_or(|counts| counts.uid != group.uid) {
            return;
        }
        let said = group.scheduled.as_ref();
        let is = said.map_or("", |condition| &condition.status);
        let same = match &unscheduled {
            None => is == "True",
            Some((reason, text)) => {
                let words = said.is_some_and(|c| c.reason == reason.as_str() && c.message == *text);
                is == "True" || (is == "False" && words)
            }
        };
        if same {
            return;
        }
        let transition = is != if unscheduled.is_none() { "True" } else { "False" };
        self.effects.push_back(Effect::PodGroupStatus(Box::new(PodGroupStatus {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            uid: group.uid,
            version,
            generation: group.generation,
            unscheduled,
            transition,
        })));
    }
}
