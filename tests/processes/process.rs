//! The program as a process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::until;

/// A replica; it is killed when this is dropped.
pub(crate) struct Process {
    /// Who it is to the API server.
    pub(crate) user: String,
    child: Child,
    log: PathBuf,
    /// Whether it was told to end.
    pub(crate) told_to_end: bool,
}

/// How a process ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Code(i32),
    Killed,
}

impl Process {
    /// Starts `plimsoll run` as this user, as if outside any cluster.
    pub(crate) fn start(folder: &Path, user: &str, kubeconfig: &str, config: &str) -> Self {
        let path = |end: &str| folder.join(format!("{user}.{end}"));
        std::fs::write(path("kubeconfig"), kubeconfig).unwrap();
        std::fs::write(path("yaml"), config).unwrap();
        let log = path("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        for name in ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBECONFIG", "RUST_LOG"] {
            command.env_remove(name);
        }
        command.args(["run", "--http-address", "0", "--secure-port", "0"]);
        command.arg("--kubeconfig").arg(path("kubeconfig")).arg("--config").arg(path("yaml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        Self { user: user.to_owned(), child: command.spawn().unwrap(), log, told_to_end: false }
    }

    /// Sends a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "sending {name} to {}", self.user);
    }

    /// Tells it to end in good order.
    pub(crate) fn terminate(&mut self) {
        self.told_to_end = true;
        self.signal("TERM");
    }

    /// How it has ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<End> {
        let status = self.child.try_wait().unwrap()?;
        Some(status.code().map_or(End::Killed, End::Code))
    }

    pub(crate) fn wait(&mut self) -> End {
        let (user, mut end) = (self.user.clone(), None);
        until(&format!("{user} to end"), || {
            end = self.ended();
            end.is_some()
        });
        end.unwrap()
    }

    /// What it has said so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    /// Has it compare its cache with the API server's lists; gives how many differences it finds, or nothing when it has
    /// ended meanwhile.
    pub(crate) fn differences(&mut self) -> Option<u64> {
        const SAYS: &str = "comparison of the cache with the API server: ";
        let before = self.log().matches(SAYS).count();
        if self.ended().is_some() {
            return None;
        }
        self.signal("USR2");
        let what = format!("{} to compare its cache", self.user);
        until(&what, || self.log().matches(SAYS).count() > before || self.ended().is_some());
        let log = self.log();
        if log.matches(SAYS).count() == before {
            return None;
        }
        let said = log.rsplit(SAYS).next().unwrap();
        Some(said.split(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("no number of differences: {said}")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(6_000);
            println!("--- {} said last:\n{}", self.user, log.get(from..).unwrap_or(&log));
        }
    }
}
