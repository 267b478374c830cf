//! The commands of the program.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage or input. Results go to standard output, everything else to standard
//! error.

#[cfg(feature = "tools")]
pub mod apiserver;
#[cfg(feature = "tools")]
pub mod bench;
pub mod check_config;
#[cfg(feature = "tools")]
pub mod demo;
pub mod explain;
pub mod extender;
pub mod foreign_flags;
#[cfg(feature = "tools")]
pub mod replay;
pub mod run;
#[cfg(feature = "tools")]
pub mod simulate;
pub mod smoke_test;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config::Defaults;
use crate::registry::Registry;

/// A Kubernetes scheduler: kube-scheduler's rules, decided in microseconds.
///
/// Without a command it runs the scheduler, as `plimsoll run` does.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, args_conflicts_with_subcommands = true, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the scheduler.
    Run(Box<run::Args>),
    /// Check configuration files and show what they resolve to.
    CheckConfig(check_config::Args),
    /// Serve the extender protocol: another scheduler asks, Plimsoll's plugins answer.
    Extender(Box<extender::Args>),
    /// Tell why a pod goes where it goes, or nowhere: every node's verdict and score, from files or from the scheduler that runs.
    Explain(Box<explain::Args>),
    /// Let the scheduler that runs place a pod, tell where it went or why nowhere, and take the pod away again.
    SmokeTest(smoke_test::Args),
    /// See it work: a cluster, workloads and the scheduler in one process; no cluster is touched.
    #[cfg(feature = "tools")]
    Demo(demo::Args),
    /// Tell where pods would go: nodes, pods and workloads from files; no cluster is touched.
    #[cfg(feature = "tools")]
    Simulate(simulate::Args),
    /// Run again what `plimsoll run --record` wrote down, and compare what the engine asks for; no cluster is touched.
    #[cfg(feature = "tools")]
    Replay(replay::Args),
    /// Run the stand-in API server alone, to point kubectl and the scheduler at.
    #[cfg(feature = "tools")]
    Apiserver(apiserver::Args),
    /// Measure: the whole path, decisions alone, preemption, floods of pods that fit nowhere, the stand-in.
    #[cfg(feature = "tools")]
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Print the completion script of a shell.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    main_with(&Registry::default())
}

/// Runs the program with these plugins: for schedulers that bring their own.
pub fn main_with(registry: &Registry) -> ExitCode {
    let (arguments, ignored) = foreign_flags::split(std::env::args_os());
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let code = match cli.command {
        None => run::main(&cli.run, &ignored, registry),
        Some(Command::Run(args)) => run::main(&args, &ignored, registry),
        Some(Command::CheckConfig(args)) => {
            let mut defaults = Defaults::plimsoll();
            registry.add_to(&mut defaults.catalog);
            check_config::run(&args, &defaults, &|name| registry.contains(name))
        }
        Some(Command::Extender(args)) => extender::main(&args, registry),
        Some(Command::Explain(args)) => explain::main(&args, registry),
        Some(Command::SmokeTest(args)) => smoke_test::main(&args),
        #[cfg(feature = "tools")]
        Some(Command::Demo(args)) => demo::main(&args),
        #[cfg(feature = "tools")]
        Some(Command::Simulate(args)) => simulate::main(&args, registry),
        #[cfg(feature = "tools")]
        Some(Command::Replay(args)) => replay::main(&args, registry),
        #[cfg(feature = "tools")]
        Some(Command::Apiserver(args)) => apiserver::main(&args),
        #[cfg(feature = "tools")]
        Some(Command::Bench(what)) => bench::main(&what, registry),
        Some(Command::Completion { shell }) => {
            clap_complete::generate(shell, &mut Cli::command(), "plimsoll", &mut std::io::stdout());
            0
        }
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// What a scheduler does beside deciding is done by one thread: most of it is waiting, and what two threads would wake each
/// other for costs more than what they would share.
fn scheduler_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    use anyhow::Context as _;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().context("starting the runtime")
}

/// Says on standard error that something failed, and why; gives the exit code.
fn fail(error: &anyhow::Error, code: i32) -> i32 {
    use std::io::Write as _;
    // Without standard error there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    code
}

/// Writes a result to standard output.
fn write_out(text: &[u8]) -> anyhow::Result<()> {
    use std::io::{ErrorKind, Write as _};

    use anyhow::Context as _;
    match std::io::stdout().write_all(text) {
        // Whoever reads has seen enough, as `head` does.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("writing to standard output"),
    }
}

/// Runs a command's work to its end; gives the exit code.
#[cfg(feature = "tools")]
fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> i32 {
    use anyhow::Context as _;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime");
    match runtime.and_then(|runtime| runtime.block_on(work)) {
        Ok(()) => 0,
        Err(error) => fail(&error, 1),
    }
}

/// Cancels a token at SIGINT or SIGTERM; at a second one the process ends at once.
fn cancel_on_signal(token: tokio_util::sync::CancellationToken) -> anyhow::Result<()> {
    use anyhow::Context as _;
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    tokio::spawn(async move {
        for second in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if second {
                tracing::warn!("second signal: ending at once");
                std::process::exit(1);
            }
            token.cancel();
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn running_is_what_happens_without_a_command() {
        let cli = Cli::try_parse_from(["plimsoll", "--config", "x.yaml"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.run.config.as_deref(), Some(std::path::Path::new("x.yaml")));
        assert!(Cli::try_parse_from(["plimsoll", "--confg", "x.yaml"]).is_err());
        assert!(Cli::try_parse_from(["plimsoll", "run", "something"]).is_err());
    }
}
