//! Volumes: claims are bound to volumes that fit, or get one made by a stand-in provisioner.

mod binding;
mod fit;
mod provision;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    cluster::Cluster,
    json,
    kinds::Role,
    ops::{DeleteOptions, Target},
    store::{Follower, News},
    stored::{Change, Happened, Stored},
};

/// How many objects are looked at before requests get a turn.
const TURN: usize = 32;

/// The kinds that are followed.
const ROLES: [Role; 3] = [Role::PersistentVolume, Role::PersistentVolumeClaim, Role::StorageClass];

/// Keeps a volume that was made for a claim from going before the claim.
const VOLUME_FINALIZER: &str = "kubernetes.io/pv-protection";

/// Looks after claims and volumes.
pub(super) struct Volumes {
    cluster: Arc<Cluster>,
    followers: Vec<(Role, Follower)>,
    claims: BTreeSet<String>,
    volumes: BTreeSet<String>,
    /// Claims that found no volume: each new volume may be theirs.
    waiting: BTreeSet<String>,
}

impl Volumes {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        let followers = ROLES.map(|role| (role, cluster.store_of(role).follow(0))).into();
        let (claims, volumes, waiting) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Self { cluster, followers, claims, volumes, waiting }
    }

    /// Looks after them for ever.
    pub(super) async fn run(mut self) {
        loop {
            self.look();
            if self.claims.is_empty() && self.volumes.is_empty() {
                let news = futures::future::select_all(self.followers.iter_mut().map(|(_, f)| Box::pin(f.wait())));
                // Claims with a node chosen may wait for its labels, of which no news comes here.
                let _ = tokio::time::timeout(Duration::from_secs(60), news).await;
            }
            for _ in 0..TURN {
                // Volumes first: what is free by then may be what a claim needs.
                if let Some(name) = self.volumes.pop_first() {
                    self.look_after_volume(&name);
                } else if let Some(key) = self.claims.pop_first() {
                    self.look_after_claim(key);
                } else {
                    break;
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Notes what the changes since the last look concern.
    fn look(&mut self) {
        for index in 0..self.followers.len() {
            loop {
                let (role, follower) = &mut self.followers[index];
                let role = *role;
                match follower.news(1024) {
                    News::Changes(changes) if changes.is_empty() => break,
                    News::Changes(changes) => changes.iter().for_each(|change| self.note(role, change)),
                    // Fallen behind, or cut together with the watches: everything is looked at again.
                    News::Everything(_) => {
                        self.note_all();
                        break;
                    }
                }
            }
        }
    }

    fn note_all(&mut self) {
        let keys = |role| {
            let (objects, _) = self.cluster.store_of(role).all();
            let kind = self.cluster.kinds.role(role);
            objects.iter().map(|object| kind.key(&object.namespace, &object.name)).collect::<BTreeSet<_>>()
        };
        self.claims = keys(Role::PersistentVolumeClaim);
        self.volumes = keys(Role::PersistentVolume);
    }

    fn note(&mut self, role: Role, change: &Change) {
        let object = &change.object;
        match role {
            Role::PersistentVolumeClaim => {
                let key = self.cluster.kinds.role(role).key(&object.namespace, &object.name);
                if change.happened == Happened::Deleted {
                    self.claims.remove(&key);
                    self.waiting.remove(&key);
                    self.volumes.insert(json::text(&object.value(), &["spec", "volumeName"]).to_owned());
                } else {
                    self.claims.insert(key);
                }
            }
            Role::PersistentVolume => {
                self.volumes.insert(object.name.to_string());
                self.claims.append(&mut self.waiting.clone());
            }
            _ => self.claims.append(&mut self.waiting.clone()),
        }
    }

    fn look_after_claim(&mut self, key: String) {
        let Some(claim) = self.cluster.store_of(Role::PersistentVolumeClaim).get(&key) else { return };
        if binding::settle(&self.cluster, &claim) {
            self.waiting.remove(&key);
        } else {
            self.waiting.insert(key);
        }
    }

    /// Sets a volume's phase, and gives it free or deletes it when its claim is gone.
    fn look_after_volume(&self, name: &str) {
        let Some(stored) = self.cluster.store_of(Role::PersistentVolume).get(name) else { return };
        let volume = stored.value();
        let claim = claim_of(&self.cluster, &volume);
        let uid = json::text(&volume, &["spec", "claimRef", "uid"]);
        let phase = match &claim {
            Some(claim) if json::text(&claim.value(), &["spec", "volumeName"]) == name => "Bound",
            // Meant for a claim that is not bound to it yet.
            Some(_) => "Available",
            None if !uid.is_empty() => return self.release(&stored, &volume),
            None => "Available",
        };
        self.set_phase(&stored, phase);
        if stored.deleting && phase != "Bound" {
            self.unprotect(&stored);
        }
    }

    /// The claim is gone: what becomes of the volume is its own policy.
    fn release(&self, stored: &Stored, volume: &Value) {
        if json::text(volume, &["spec", "persistentVolumeReclaimPolicy"]) != "Delete" {
            self.set_phase(stored, "Released");
            if stored.deleting {
                self.unprotect(stored);
            }
            return;
        }
        self.unprotect(stored);
        let options = DeleteOptions { uid: Some(stored.uid.to_string()), ..DeleteOptions::default() };
        // Already gone is as good.
        let _ = self.cluster.delete(Target::of(self.cluster.kinds.role(Role::PersistentVolume), stored), &options);
    }

    fn unprotect(&self, stored: &Stored) {
        let target = Target::of(self.cluster.kinds.role(Role::PersistentVolume), stored);
        // Gone is as good.
        let _ = self.cluster.change(target, crate::ops::Part::Main, false, |mut volume| {
            json::array_at(&mut volume, &["metadata", "finalizers"]).retain(|finalizer| finalizer != VOLUME_FINALIZER);
            Ok(volume)
        });
    }

    fn set_phase(&self, stored: &Stored, phase: &str) {
        let target = Target::of(self.cluster.kinds.role(Role::PersistentVolume), stored);
        // A volume that went needs no phase.
        let _ = self.cluster.edit(target, |volume| {
            let changed = json::text(volume, &["status", "phase"]) != phase;
            json::set(volume, &["status", "phase"], phase);
            Ok(changed)
        });
    }
}

/// The claim that a volume is bound to or meant for, unless another of its name has taken its place.
fn claim_of(cluster: &Cluster, volume: &Value) -> Option<Arc<Stored>> {
    let reference = |field| json::text(volume, &["spec", "claimRef", field]);
    let kind = cluster.kinds.role(Role::PersistentVolumeClaim);
    let claim = cluster.store(kind).get(&kind.key(reference("namespace"), reference("name")))?;
    matches!(reference("uid"), uid if uid.is_empty() || uid == &*claim.uid).then_some(claim)
}
