//! What the benchmarks share: a stand-in cluster, the scheduler as a process of its own, and what is counted.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use plimsoll_apiserver::{Options, Server};
use serde_json::{Value, json};

/// Nodes of the benchmarks: 32 CPUs, 256 GiB, 110 pods.
pub(in crate::commands) fn node(number: usize, zone: &str) -> Value {
    let name = format!("node-{number}");
    let resources = json!({ "cpu": "32", "memory": "256Gi", "ephemeral-storage": "100Gi", "pods": "110" });
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "labels": {
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "topology.kubernetes.io/zone": zone,
        } },
        "spec": {},
        "status": {
            "capacity": resources, "allocatable": resources,
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

/// A pod of one of the templates: they differ in what they ask for.
pub(in crate::commands) fn pod(number: usize, template: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": format!("pod-{number}"), "namespace": "default", "labels": { "app": format!("app-{template}") } },
        "spec": {
            "schedulerName": "plimsoll",
            "containers": [{ "name": "main", "image": "registry.example/app:1", "resources": { "requests": {
                "cpu": format!("{}m", 100 + 10 * template), "memory": format!("{}Mi", 256 + 16 * template),
            } } }],
        },
    })
}

pub(in crate::commands) fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stderr(), "{line}").context("writing to standard error")
}

/// The scheduler, as a child process that ends with this.
pub(in crate::commands) struct Scheduler {
    child: Child,
    folder: PathBuf,
}

impl Scheduler {
    pub(in crate::commands) fn start(server: &Server, workers: Option<u16>) -> anyhow::Result<Self> {
        let port = server.address().map_or(0, |address| address.port());
        let folder = std::env::temp_dir().join(format!("plimsoll-bench-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).with_context(|| format!("writing {}", path.display())).map(|()| path)
        };
        let kubeconfig = write("kubeconfig", &server.kubeconfig())?;
        let own = workers.map_or_else(String::new, |w| format!("workers: {w}\n"));
        let config = write(
            "config.yaml",
            &format!(
                "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nleaderElection:\n  \
                 leaderElect: false\n---\napiVersion: config.plimsoll/v1alpha1\nkind: PlimsollConfiguration\n{own}"
            ),
        )?;
        let program = std::env::current_exe().context("finding this program")?;
        let child = Command::new(program)
            .args(["run", "--http-address", "0", "--secure-port", "0", "-v", "0", "--log-level", "error", "--config"])
            .arg(&config)
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .stdin(Stdio::null())
            .spawn()
            .context("starting the scheduler")?;
        Ok(Self { child, folder })
    }

    /// The number of its process.
    pub(in crate::commands) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails if it has ended.
    pub(in crate::commands) fn alive(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait().context("waiting for the scheduler")? {
            Some(status) => bail!("the scheduler ended: {status}"),
            None => Ok(()),
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to end.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

pub(in crate::commands) async fn stand_in(nodes: usize, pods: usize, recorded_calls: usize) -> anyhow::Result<Server> {
    let options = Options {
        controllers: false,
        kubelets: false,
        recorded_calls,
        history_limit: 4 * pods.max(10_000),
        ..Options::default()
    };
    let server = Server::start(options).await?;
    ensure!(server.load((0..nodes).map(|i| node(i, &format!("zone-{}", i % 3))).collect()) == nodes, "loading nodes");
    Ok(server)
}

/// How many bindings the stand-in has accepted.
pub(in crate::commands) fn binding_count(server: &Server) -> usize {
    accepted(server, "create", "binding")
}

/// How many calls about a subresource of pods the stand-in has carried out.
pub(in crate::commands) fn accepted(server: &Server, verb: &str, subresource: &str) -> usize {
    let counts = server.call_counts();
    let ours = counts.iter().filter(|c| {
        c.resource == "pods" && c.subresource == subresource && c.verb == verb && (200..300).contains(&c.code)
    });
    usize::try_from(ours.map(|c| c.count).sum::<u64>()).unwrap_or(usize::MAX)
}

/// The value below which this share of the sorted values lies.
pub(in crate::commands) fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length, rounded up")]
    let at = (share * as_f64(last)).ceil() as usize;
    sorted.get(at.min(last)).copied()
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
pub(in crate::commands) fn as_f64(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_values() {
        let values = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(percentile(&values, 0.0), Some(1.0));
        assert_eq!(percentile(&values, 0.5), Some(3.0));
        assert_eq!(percentile(&values, 1.0), Some(4.0));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
