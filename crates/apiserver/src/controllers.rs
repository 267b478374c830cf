//! What works on the cluster by itself: the garbage collector, workload controllers and kubelets.

mod garbage;

use tokio::sync::mpsc;

pub(crate) use garbage::Garbage;

use crate::http::Web;

/// Starts all that the options ask for.
pub(crate) fn start(web: &Web, _fire_requests: mpsc::Receiver<String>) {
    web.tasks.spawn(web.stop.clone().run_until_cancelled_owned(garbage::run(web.cluster.clone())));
}
