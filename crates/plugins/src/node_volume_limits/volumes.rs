//! Which volumes of CSI drivers a pod uses.

use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::Objects;
use plimsoll_framework::pod::{PodInfo, VolumeUse};

use crate::claims::{ClaimVolume, claim_not_found, foreign_claim};
use crate::kinds::storage::{
    CsiNode, InTreePlugin, PersistentVolumeClaim, PersistentVolumeClaimKind, PersistentVolumeKind, Source,
    StorageClassKind,
};

/// A volume, told apart from every other one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Unique {
    /// Its driver.
    pub(super) driver: Istr,
    id: Id,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Id {
    /// What the driver calls it.
    Handle(Istr),
    /// The claim it will be made for.
    Claim { namespace: Istr, name: Istr },
}

impl Unique {
    pub(super) fn volume(driver: &Istr, handle: &Istr) -> Self {
        Self { driver: driver.clone(), id: Id::Handle(handle.clone()) }
    }
}

/// A volume that may have to be attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// It counts on no node.
    Nothing,
    /// It counts on every node.
    Counted(Unique),
    /// It counts on nodes where the driver has taken over from the plugin. Cannot be told of a volume with a wrong name.
    InTree(InTreePlugin, Result<Unique, String>),
}

impl Use {
    /// The volume, where it counts on a node.
    pub(super) fn counted_on(&self, node: Option<&CsiNode>) -> Result<Option<&Unique>, &str> {
        match self {
            Self::Nothing => Ok(None),
            Self::Counted(unique) => Ok(Some(unique)),
            Self::InTree(plugin, _) if !plugin.counts_on(node) => Ok(None),
            Self::InTree(_, unique) => unique.as_ref().map(Some).map_err(String::as_str),
        }
    }
}

/// Why it cannot be told which volume a pod uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is no such claim.
    Missing(String),
    /// The claim cannot be the pod's.
    Fault(String),
}

/// What leads from a pod to its volumes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Volumes {
    pub(super) claims: Objects<PersistentVolumeClaimKind>,
    pub(super) persistent: Objects<PersistentVolumeKind>,
    pub(super) classes: Objects<StorageClassKind>,
}

impl Volumes {
    /// The volumes of a pod, in their order.
    pub(super) fn of_pod(&self, pod: &PodInfo) -> impl Iterator<Item = Result<Use, Trouble>> {
        pod.spec.volumes.iter().map(move |volume| self.of_volume(pod, volume))
    }

    fn of_volume(&self, pod: &PodInfo, volume: &VolumeUse) -> Result<Use, Trouble> {
        let Some(ClaimVolume { name, ephemeral }) = ClaimVolume::of(pod, volume) else {
            return Ok(inline(volume));
        };
        if name.is_empty() {
            return Err(Trouble::Fault("PersistentVolumeClaim had no name".to_owned()));
        }
        let Some(claim) = self.claims.get(&pod.key.namespace, &name) else {
            let what = claim_not_found(&name);
            return Err(Trouble::Missing(format!("looking up PVC {}/{name}: {what}", pod.key.namespace)));
        };
        match foreign_claim(pod, claim).filter(|_| ephemeral) {
            Some(text) => Err(Trouble::Fault(text)),
            None => Ok(self.of_claim(claim)),
        }
    }

    fn of_claim(&self, claim: &PersistentVolumeClaim) -> Use {
        let named = Some(&claim.volume_name).filter(|name| !name.is_empty());
        let Some(volume) = named.and_then(|name| self.persistent.get(&Istr::default(), name)) else {
            return self.of_class(claim);
        };
        match &volume.source {
            Source::Csi { driver, handle } if driver.is_empty() || handle.is_empty() => Use::Nothing,
            Source::Csi { driver, handle } => Use::Counted(Unique::volume(driver, handle)),
            Source::InTree(source) => match &source.translated {
                Ok(translated) if !translated.handle.is_empty() => {
                    let driver = Istr::new(source.plugin.driver());
                    Use::InTree(source.plugin, Ok(Unique::volume(&driver, &translated.handle)))
                }
                _ => Use::Nothing,
            },
            Source::Other => Use::Nothing,
        }
    }

    /// A volume that is still to be made. Without a class it would have to be bound by now, so that it need not be counted.
    fn of_class(&self, claim: &PersistentVolumeClaim) -> Use {
        let class = Some(&claim.class).filter(|class| !class.is_empty());
        let Some(class) = class.and_then(|class| self.classes.get(&Istr::default(), class)) else {
            return Use::Nothing;
        };
        let id = Id::Claim { namespace: claim.namespace.clone(), name: claim.name.clone() };
        match InTreePlugin::by_name(&class.provisioner) {
            Some(plugin) => Use::InTree(plugin, Ok(Unique { driver: Istr::new(plugin.driver()), id })),
            None if class.provisioner.is_empty() => Use::Nothing,
            None => Use::Counted(Unique { driver: class.provisioner.clone(), id }),
        }
    }
}

fn inline(volume: &VolumeUse) -> Use {
    let Some(plugin) = InTreePlugin::of_inline(volume) else { return Use::Nothing };
    match InTreePlugin::inline_handle(volume) {
        Ok(None) => Use::Nothing,
        Ok(Some(handle)) => Use::InTree(plugin, Ok(Unique::volume(&Istr::new(plugin.driver()), &handle))),
        Err(why) => Use::InTree(plugin, Err(format!("converting volume from inline to csi: {why}"))),
    }
}
