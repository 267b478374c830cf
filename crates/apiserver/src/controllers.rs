//! What works on the cluster by itself: the garbage collector, workload controllers and kubelets.

mod cron_job;
mod daemon_set;
mod deployment;
mod disruption;
mod garbage;
mod job;
mod kubelet;
mod owned;
mod replica_set;
mod schedule;
mod stateful_set;
mod taints;
mod volumes;
mod workloads;

use tokio::sync::mpsc;

pub(crate) use cron_job::run_once;
pub(crate) use garbage::Garbage;
pub(crate) use workloads::Workloads;

use crate::http::Web;

/// Starts all that the options ask for.
pub(crate) fn start(web: &Web, fire_requests: mpsc::Receiver<String>) {
    let options = &web.cluster.options;
    let spawn_garbage = garbage::run(web.cluster.clone());
    web.tasks.spawn(web.stop.clone().run_until_cancelled_owned(spawn_garbage));
    if options.controllers {
        let workloads = Workloads::new(web.cluster.clone(), fire_requests);
        web.tasks.spawn(web.stop.clone().run_until_cancelled_owned(workloads.run()));
        let taints = taints::Taints::new(web.cluster.clone());
        web.tasks.spawn(web.stop.clone().run_until_cancelled_owned(taints.run()));
    }
    if options.controllers && options.volumes {
        let volumes = volumes::Volumes::new(web.cluster.clone());
        web.tasks.spawn(web.stop.clone().run_until_cancelled_owned(volumes.run()));
    }
    if options.kubelets {
        let kubelets = kubelet::Kubelets::new(web.cluster.clone());
        web.tasks.spawn(web.stop.clone().run_until_cancelled_owned(kubelets.run()));
    }
}
