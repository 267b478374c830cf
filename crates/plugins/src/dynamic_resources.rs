//! DynamicResources (all its points but NormalizeScore): claims of devices. Devices are not allocated yet: pods that need
//! some are held back when they are admitted (see [`crate::unsupported`]), and for all others the plugin answers as
//! kube-scheduler's does. Reference section 7.

use plimsoll_framework::assume::Assumption;
use plimsoll_framework::cluster_event::Registration;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::{KindRef, Objects};
use plimsoll_framework::plugin::{
    EnqueueExtensions, Filter, Plugin, PostFilter, PostFilterContext, PostFilterVerdict, PreBind, PreBindAnswer,
    PreEnqueue, PreFilter, PreFilterVerdict, Refusal, Reserve, Score,
};
use plimsoll_framework::pod::{PodInfo, PodSpecInfo};
use plimsoll_framework::read::{ObjectsOf, Spec};
use plimsoll_framework::verdict::{PluginError, Rejection, Verdict};

use crate::kinds::devices::DeviceClassKind;

/// Every class of devices has a resource of this prefix and its name.
const IMPLICIT: &str = "deviceclass.resource.kubernetes.io/";

const REASON_POST_FILTER: &str = "no new claims to deallocate";

/// Sees to claims of devices, which no pod that comes this far has.
#[derive(Clone, Copy, Debug, Default)]
pub struct DynamicResources;

impl Plugin for DynamicResources {
    const NAME: &'static str = "DynamicResources";

    fn kinds(&self) -> Vec<KindRef> {
        vec![KindRef::of::<DeviceClassKind>()]
    }

    /// Without classes, what a pod asks for is found on nodes that have it by themselves, or not at all.
    fn waits_for_kinds(&self, _: &PodInfo) -> bool {
        false
    }
}

/// Where the pod asks for devices, if it does.
pub(crate) fn asks_for_devices(pod: &PodSpecInfo, classes: &Objects<DeviceClassKind>) -> Option<String> {
    if !pod.resource_claims.is_empty() {
        return Some("spec.resourceClaims".to_owned());
    }
    let global = Istr::default();
    let class_of = |resource: &Istr| {
        let implicit = resource.strip_prefix(IMPLICIT).and_then(|name| classes.get(&global, &Istr::new(name)));
        let explicit =
            || classes.iter().map(|(_, _, class)| class).find(|c| c.extended_resource.as_ref() == Some(resource));
        implicit.or_else(explicit)
    };
    let asked = pod.requests.filter.scalars.iter().filter(|(_, amount)| *amount != 0);
    asked.map(|(resource, _)| resource).find_map(|resource| {
        class_of(resource)?;
        Some(format!("resource {resource}, which a DeviceClass provides"))
    })
}

/// No pod is ever turned away.
impl EnqueueExtensions for DynamicResources {
    fn registrations(&self) -> Vec<Registration> {
        Vec::new()
    }
}

impl PreEnqueue for DynamicResources {
    fn pre_enqueue(&self, _: &PodInfo) -> Result<(), Rejection> {
        Ok(())
    }
}

impl PreFilter for DynamicResources {
    type Pod = Spec;
    type Cluster = ObjectsOf<DeviceClassKind>;

    fn pre_filter(&self, pod: &PodSpecInfo, classes: Objects<DeviceClassKind>) -> PreFilterVerdict {
        match asks_for_devices(pod, &classes) {
            None => PreFilterVerdict::Skip,
            Some(field) => PreFilterVerdict::Fail(PluginError {
                message: format!("the allocation of devices ({field}) is not supported by this version"),
            }),
        }
    }
}

impl Filter for DynamicResources {
    type Pod = Spec;
    type Cluster = ();
    type Node = ();
    type State = ();

    fn prepare(&self, _: &PodSpecInfo, (): ()) -> Option<()> {
        None
    }

    fn filter(&self, (): &(), (): ()) -> Verdict {
        Verdict::FITS
    }

    fn reasons(&self, (): &(), _: u32) -> Vec<String> {
        Vec::new()
    }
}

impl PostFilter for DynamicResources {
    fn post_filter(&self, _: &PodInfo, context: &PostFilterContext<'_>) -> Result<PostFilterVerdict, PluginError> {
        // kube-scheduler's plugin looks for what its PreFilter left behind, which did not run after a plugin before it
        // had turned the pod away for good (reference section 7.6). Its message ends in these words.
        if context.not_asked.contains(&Self::NAME) {
            return Err(PluginError { message: "not found".to_owned() });
        }
        let rejection = Rejection::unschedulable(REASON_POST_FILTER);
        Ok(PostFilterVerdict::Reject { rejection, clears_nomination: false })
    }

    /// It has no claims to deallocate, so it changes nothing at all.
    fn only_preempts(&self) -> bool {
        true
    }
}

/// The same on every node, but a score all the same.
impl Score for DynamicResources {
    type Pod = Spec;
    type Cluster = ();
    type Node = ();
    type State = ();

    fn prepare(&self, _: &PodSpecInfo, (): ()) -> Option<()> {
        None
    }

    fn score(&self, (): &(), (): ()) -> i64 {
        0
    }
}

impl Reserve for DynamicResources {
    type Cluster = ();

    fn reserve(&self, _: &PodInfo, _: &NodeInfo, (): ()) -> Result<Vec<Assumption>, Refusal> {
        Ok(Vec::new())
    }
}

impl PreBind for DynamicResources {
    type Cluster = ();
    type Awaited = ();

    fn pre_bind(&self, _: &PodInfo, _: &NodeInfo, _: &[Assumption], (): ()) -> Result<PreBindAnswer<()>, PluginError> {
        Ok(PreBindAnswer::nothing())
    }
}

#[cfg(test)]
mod tests;
