//! What the benchmarks share: a stand-in cluster, the scheduler as a process of its own, and what is counted.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use plimsoll_apiserver::{Options, Server, TlsOptions, User};
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

/// How a scheduler is started.
#[derive(Clone, Debug, Default)]
pub(in crate::commands) struct Launch {
    /// Deciding threads; without it, its own default.
    pub(in crate::commands) workers: Option<u16>,
    /// Which events it writes; without it, its own default.
    pub(in crate::commands) event_policy: Option<String>,
    /// Whether it elects a leader, and with which lease: `leaseDuration` and the like.
    pub(in crate::commands) election: Option<String>,
    /// Who it is; without it, whoever the stand-in's kubeconfig is for.
    pub(in crate::commands) kubeconfig: Option<String>,
    /// By which name pods choose it; without it, its usual one.
    pub(in crate::commands) name: Option<String>,
    /// Where it serves metrics over HTTP; nowhere without it.
    pub(in crate::commands) metrics: Option<SocketAddr>,
}

impl Launch {
    fn config(&self) -> String {
        let election = match &self.election {
            Some(lease) => format!("{{leaderElect: true, {lease}}}"),
            None => "{leaderElect: false}".to_owned(),
        };
        let workers = self.workers.map_or_else(String::new, |w| format!("workers: {w}\n"));
        let policy = self.event_policy.as_ref().map_or_else(String::new, |p| format!("eventPolicy: {p}\n"));
        let name = self.name.as_ref().map_or_else(String::new, |n| format!("profiles: [{{schedulerName: {n}}}]\n"));
        format!(
            "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nleaderElection: {election}\n{name}---\n\
             apiVersion: config.plimsoll/v1alpha1\nkind: PlimsollConfiguration\n{workers}{policy}"
        )
    }

    /// Starts the scheduler.
    pub(in crate::commands) fn start(&self, server: &Server) -> anyhow::Result<Scheduler> {
        let files = Files::new()?;
        let kubeconfig = files.write("kubeconfig", &self.kubeconfig.clone().unwrap_or_else(|| server.kubeconfig()))?;
        let config = files.write("config.yaml", &self.config())?;
        let metrics = self.metrics.map_or_else(|| "0".to_owned(), |address| address.to_string());
        let mut command = this_program()?;
        command.args(["run", "--http-address", &metrics, "--secure-port", "0", "-v", "0", "--log-level", "error"]);
        command.arg("--config").arg(&config).arg("--kubeconfig").arg(&kubeconfig);
        Scheduler::spawn(&mut command, files)
    }
}

/// This program, to be started once more.
pub(in crate::commands) fn this_program() -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("finding this program")?);
    command.stdin(Stdio::null());
    Ok(command)
}

/// A folder for the files of a child process, which goes with this.
pub(in crate::commands) struct Files(tempfile::TempDir);

impl Files {
    pub(in crate::commands) fn new() -> anyhow::Result<Self> {
        let made = tempfile::Builder::new().prefix("plimsoll-bench-").tempdir();
        Ok(Self(made.context("making a temporary folder")?))
    }

    pub(in crate::commands) fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display())).map(|()| path)
    }
}

/// The scheduler, or what stands in for it, as a child process that ends with this.
pub(in crate::commands) struct Scheduler {
    child: Child,
    _files: Files,
}

impl Scheduler {
    pub(in crate::commands) fn start(server: &Server, workers: Option<u16>) -> anyhow::Result<Self> {
        Launch { workers, ..Launch::default() }.start(server)
    }

    /// Starts a child that needs these files.
    pub(in crate::commands) fn spawn(command: &mut Command, files: Files) -> anyhow::Result<Self> {
        Ok(Self { child: command.spawn().context("starting the scheduler")?, _files: files })
    }

    /// The number of its process.
    pub(in crate::commands) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails if it has ended.
    pub(in crate::commands) fn alive(&mut self) -> anyhow::Result<()> {
        match self.ended()? {
            Some(status) => bail!("the scheduler ended: {status}"),
            None => Ok(()),
        }
    }

    /// How it has ended, if it has.
    pub(in crate::commands) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child.try_wait().context("waiting for the scheduler")
    }

    /// Sends it a signal, such as `STOP`.
    pub(in crate::commands) fn signal(&self, name: &str) -> anyhow::Result<()> {
        let sent = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        ensure!(sent.context("sending a signal")?.success(), "sending SIG{name} to the scheduler");
        Ok(())
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A stand-in without anybody who makes or runs pods, of so many nodes.
pub(in crate::commands) async fn stand_in(nodes: usize, pods: usize, recorded_calls: usize) -> anyhow::Result<Server> {
    stand_in_with(nodes, bare(pods, recorded_calls, false)).await
}

/// Options of a stand-in without anybody who makes or runs pods.
pub(in crate::commands) fn bare(pods: usize, recorded_calls: usize, tls: bool) -> Options {
    let administrator = || TlsOptions { client: Some(User::administrator("bench")), ..TlsOptions::default() };
    Options {
        controllers: false,
        kubelets: false,
        recorded_calls,
        history_limit: 4 * pods.max(10_000),
        tls: tls.then(administrator),
        ..Options::default()
    }
}

pub(in crate::commands) async fn stand_in_with(nodes: usize, options: Options) -> anyhow::Result<Server> {
    let server = Server::start(options).await?;
    let made = (0..nodes).map(|i| node(i, &format!("zone-{}", zone_of(i)))).collect();
    ensure!(server.load(made) == nodes, "loading nodes");
    Ok(server)
}

/// The zone of a node.
pub(in crate::commands) fn zone_of(node: usize) -> usize {
    node % 3
}

/// Waits until `done`, as long as the scheduler lives.
pub(in crate::commands) async fn until(
    what: &str,
    limit: Duration,
    scheduler: &mut Scheduler,
    mut done: impl FnMut() -> bool,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !done() {
        scheduler.alive()?;
        ensure!(begun.elapsed() < limit, "waited {} s for {what}", limit.as_secs());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// How many watches of a resource have begun.
pub(in crate::commands) fn watches(server: &Server, resource: &str) -> u64 {
    let counts = server.call_counts();
    counts.iter().filter(|c| c.resource == resource && c.verb == "watch" && c.code == 200).map(|c| c.count).sum()
}

/// How many bindings the stand-in has accepted.
pub(in crate::commands) fn binding_count(server: &Server) -> usize {
    accepted(server, "create", ("pods", "binding"))
}

/// How many calls about a resource or a subresource of it the stand-in has carried out.
pub(in crate::commands) fn accepted(server: &Server, verb: &str, (resource, subresource): (&str, &str)) -> usize {
    let counts = server.call_counts();
    let ours = counts.iter().filter(|c| {
        c.resource == resource && c.subresource == subresource && c.verb == verb && (200..300).contains(&c.code)
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
