//! The same for the log, where nothing can be asked for: at SIGUSR2, as with kube-scheduler.

use super::compare::Difference;
use super::{CachePick, Inspect, InspectError, QueuePick, cut};

/// So many pods, and as many nodes, get a line each.
const LINES: usize = 200;
/// A list of pods in a line is cut to so many bytes.
const PODS_BYTES: usize = 2048;

impl Inspect {
    /// Writes what the scheduler knows into the log.
    pub(crate) async fn dump(&self) {
        for (what, dumped) in [
            ("the queue", self.dump_queue().await),
            ("the cache", self.dump_cache().await),
            ("the comparison with the API server", self.dump_comparison().await),
        ] {
            if let Err(error) = dumped {
                tracing::warn!(%error, "dump of {what}");
            }
        }
    }

    async fn dump_queue(&self) -> Result<(), InspectError> {
        let page = self.queue(QueuePick { limit: LINES, after: None, part: None }).await?;
        let counts: Vec<String> = page.counts.iter().map(|(part, count)| format!("{part}={count}")).collect();
        let all: usize = page.counts.values().sum();
        tracing::info!(left_out = all.saturating_sub(page.pods.len()), "dump of the queue: {}", counts.join(" "));
        for waiting in &page.pods {
            tracing::info!(
                pod = %format_args!("{}/{}", waiting.pod.namespace, waiting.pod.name),
                uid = waiting.pod.uid,
                part = waiting.part.as_str(),
                attempts = waiting.attempts,
                waiting_seconds = waiting.waiting_seconds,
                plugins = waiting.plugins.join(","),
                message = waiting.message.as_deref().unwrap_or_default(),
                "dump of the queue"
            );
        }
        Ok(())
    }

    async fn dump_cache(&self) -> Result<(), InspectError> {
        let page = self.cache(CachePick { limit: LINES, after: None, node: None }).await?;
        let counts = &page.counts;
        tracing::info!(
            left_out = counts.nodes.saturating_sub(page.nodes.len()),
            "dump of the cache: nodes={} pods={} assumedPods={}",
            counts.nodes,
            counts.pods,
            counts.assumed_pods
        );
        for node in &page.nodes {
            let requested: Vec<String> = node.requested.iter().map(|(name, n)| format!("{name}={n}")).collect();
            let pods: Vec<String> =
                node.pods.iter().map(|pod| format!("{}/{}", pod.pod.namespace, pod.pod.name)).collect();
            let pods = cut(&pods.join(","), PODS_BYTES);
            tracing::info!(
                node = node.name,
                count = node.pod_count,
                requested = requested.join(" "),
                pods,
                "dump of the cache"
            );
        }
        Ok(())
    }

    async fn dump_comparison(&self) -> Result<(), InspectError> {
        let comparison = self.compare().await?;
        let (all, named) = (comparison.differences.len(), comparison.named().count());
        tracing::info!(left_out = all - named, "comparison of the cache with the API server: {all} differences");
        for difference in comparison.named() {
            tracing::warn!("cache mismatch: {difference}");
        }
        Ok(())
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NodeMissing { name } => write!(f, "node {name} is missing"),
            Self::NodeRedundant { name } => write!(f, "node {name} is not there any more"),
            Self::PodMissing { pod } => write!(f, "pod {}/{} is missing", pod.namespace, pod.name),
            Self::PodRedundant { pod } => write!(f, "pod {}/{} is not there any more", pod.namespace, pod.name),
            Self::PodElsewhere { pod, cache, api_server } => {
                write!(f, "pod {}/{} is on {api_server:?}, not on {cache:?}", pod.namespace, pod.name)
            }
        }
    }
}
