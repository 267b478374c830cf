//! The loop of the workload controllers: what changed is queued, each queued object is reconciled once.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use tokio::{sync::mpsc, time::Instant};

use super::{
    cron_job::{self, CronJobs},
    daemon_set, deployment, disruption, job, replica_set, stateful_set,
};
use crate::{
    cluster::Cluster,
    kinds::Role,
    store::{Follower, News},
    stored::{Change, Happened, Stored},
};

/// The kinds that are looked after, owners before what they own.
const ROLES: [Role; 8] = [
    Role::Deployment,
    Role::ReplicaSet,
    Role::ReplicationController,
    Role::StatefulSet,
    Role::DaemonSet,
    Role::Job,
    Role::CronJob,
    Role::PodDisruptionBudget,
];

/// How many objects are reconciled before requests get a turn.
const TURN: usize = 16;

pub(crate) struct Workloads {
    cluster: Arc<Cluster>,
    /// One for each of `ROLES`, and one each for pods and nodes.
    followers: Vec<(Role, Follower)>,
    /// What is to be reconciled: place in `ROLES` and key.
    queue: BTreeSet<(usize, String)>,
    /// The looked-after objects by UID.
    known: HashMap<Box<str>, (usize, String)>,
    /// Keys of the disruption budgets.
    budgets: BTreeSet<String>,
    /// Keys of the DaemonSets.
    daemon_sets: BTreeSet<String>,
    fire_requests: mpsc::Receiver<String>,
    cron_jobs: CronJobs,
    /// When a CronJob is due or a Job has been over for long enough.
    next_look: Option<Instant>,
    /// Keys of the Jobs that are to be deleted some time after their end.
    expiring: BTreeSet<String>,
}

impl Workloads {
    pub(crate) fn new(cluster: Arc<Cluster>, fire_requests: mpsc::Receiver<String>) -> Self {
        let roles = ROLES.into_iter().chain([Role::Pod, Role::Node]);
        let followers = roles.map(|role| (role, cluster.store_of(role).follow(0))).collect();
        Self {
            cluster,
            followers,
            queue: BTreeSet::new(),
            known: HashMap::new(),
            budgets: BTreeSet::new(),
            daemon_sets: BTreeSet::new(),
            fire_requests,
            cron_jobs: CronJobs::default(),
            next_look: None,
            expiring: BTreeSet::new(),
        }
    }

    /// Looks after everything for ever.
    pub(super) async fn run(mut self) {
        loop {
            self.look();
            if self.queue.is_empty() {
                self.wait().await;
            }
            for _ in 0..TURN {
                let Some((place, key)) = self.queue.pop_first() else { break };
                self.reconcile(place, &key);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Works until nothing more follows from what there is, and does not wait for anything.
    pub(crate) fn settle(mut self) {
        loop {
            self.look();
            let Some((place, key)) = self.queue.pop_first() else { return };
            self.reconcile(place, &key);
        }
    }

    async fn wait(&mut self) {
        let next = self.next_look.unwrap_or_else(|| Instant::now() + std::time::Duration::from_secs(3600));
        let news = futures::future::select_all(self.followers.iter_mut().map(|(_, f)| Box::pin(f.wait())));
        let time_has_come = tokio::select! {
            biased;
            _ = news => false,
            Some(key) = self.fire_requests.recv() => {
                cron_job::fire(&self.cluster, &key);
                false
            }
            () = tokio::time::sleep_until(next) => true,
        };
        if time_has_come {
            self.next_look = None;
            self.queue_all(Role::CronJob);
            let place = ROLES.iter().position(|role| *role == Role::Job);
            let expiring = std::mem::take(&mut self.expiring);
            self.queue.extend(place.into_iter().flat_map(|place| expiring.iter().map(move |key| (place, key.clone()))));
        }
    }

    /// Queues what follows from the changes since the last look.
    fn look(&mut self) {
        for index in 0..self.followers.len() {
            loop {
                let (role, follower) = &mut self.followers[index];
                let role = *role;
                match follower.news(1024) {
                    News::Changes(changes) if changes.is_empty() => break,
                    News::Changes(changes) => changes.iter().for_each(|change| self.note(role, change)),
                    // Fallen behind, or cut together with the watches: everything is looked at again.
                    News::Everything(objects) => {
                        objects.iter().for_each(|object| self.note_object(role, object, Happened::Modified));
                        break;
                    }
                }
            }
        }
    }

    fn queue_all(&mut self, role: Role) {
        let (objects, _) = self.cluster.store_of(role).all();
        for object in objects {
            self.note_object(role, &object, Happened::Modified);
        }
    }

    fn note(&mut self, role: Role, change: &Change) {
        self.note_object(role, &change.object, change.happened);
    }

    fn note_object(&mut self, role: Role, object: &Stored, happened: Happened) {
        if role == Role::Node {
            return self.queue_daemon_sets();
        }
        for owner in &object.owners {
            if let Some((place, key)) = self.known.get(owner) {
                self.queue.insert((*place, key.clone()));
            }
        }
        let key = self.cluster.kinds.role(role).key(&object.namespace, &object.name);
        match ROLES.iter().position(|known| *known == role) {
            Some(place) if happened == Happened::Deleted => {
                self.known.remove(&object.uid);
                self.cron_jobs.forget(&object.uid);
                self.queue.remove(&(place, key.clone()));
                match role {
                    Role::PodDisruptionBudget => _ = self.budgets.remove(&key),
                    Role::DaemonSet => _ = self.daemon_sets.remove(&key),
                    _ => {}
                }
            }
            Some(place) => {
                self.known.insert(object.uid.clone(), (place, key.clone()));
                match role {
                    Role::PodDisruptionBudget => _ = self.budgets.insert(key.clone()),
                    Role::DaemonSet => _ = self.daemon_sets.insert(key.clone()),
                    _ => {}
                }
                self.queue.insert((place, key));
            }
            None => self.queue_budgets(&object.namespace),
        }
    }

    /// A pod changed: the budgets of its namespace may count differently now.
    fn queue_budgets(&mut self, namespace: &str) {
        if self.budgets.is_empty() {
            return;
        }
        let place = ROLES.len() - 1;
        let prefix = format!("{namespace}/");
        let budgets = self.budgets.range(prefix.clone()..).take_while(|key| key.starts_with(&prefix));
        self.queue.extend(budgets.map(|key| (place, key.clone())));
    }

    /// A node changed: DaemonSets may want a pod there now, or none any more.
    fn queue_daemon_sets(&mut self) {
        if let Some(place) = ROLES.iter().position(|role| *role == Role::DaemonSet) {
            self.queue.extend(self.daemon_sets.iter().map(|key| (place, key.clone())));
        }
    }

    fn reconcile(&mut self, place: usize, key: &str) {
        let role = ROLES[place];
        let Some(object) = self.cluster.store_of(role).get(key).filter(|object| !object.deleting) else { return };
        match role {
            Role::Deployment => deployment::reconcile(&self.cluster, &object),
            Role::ReplicaSet | Role::ReplicationController => replica_set::reconcile(&self.cluster, role, &object),
            Role::DaemonSet => daemon_set::reconcile(&self.cluster, &object),
            Role::StatefulSet => stateful_set::reconcile(&self.cluster, &object),
            Role::Job => {
                let next = job::reconcile(&self.cluster, &object);
                if next.is_some() {
                    self.expiring.insert(key.to_owned());
                }
                self.next_look = [self.next_look, next].into_iter().flatten().min();
            }
            Role::CronJob => {
                let next = self.cron_jobs.reconcile(&self.cluster, &object);
                self.next_look = [self.next_look, next].into_iter().flatten().min();
            }
            _ => disruption::reconcile(&self.cluster, &object),
        }
    }
}
