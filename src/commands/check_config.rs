//! `plimsoll check-config`: what a configuration resolves to, or everything that is wrong with it.

mod against_default;
mod report;
mod resolution;

use std::io::{self, Read, Write};
use std::path::Path;

use self::report::Report;
use crate::config::{Config, ConfigErrors, Defaults, MAX_FILE_BYTES};
use clap::ValueEnum;

/// Arguments of `check-config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration files; `-` is standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// Form of the result.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Forms of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For machines.
    Json,
    /// For machines and people.
    Yaml,
}

/// Checks the files with standard input, output and error. `supported` tells which plugins are built, `defaults` which exist
/// and what holds where a file says nothing.
///
/// Returns the exit code: 0 when all files are good, 2 when one is not or cannot work, 1 when the result cannot be written.
pub fn run(args: &Args, defaults: &Defaults, supported: &dyn Fn(&str) -> bool) -> i32 {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    let mut check = Check { defaults, supported, input: io::stdin().lock(), out: &mut out, err: &mut err };
    check.all(args).unwrap_or_else(|error| {
        // Whoever was reading has seen enough.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return 0;
        }
        // Standard error may be gone, too, and then there is nobody to tell.
        let _ = writeln!(err, "writing the result: {error}");
        1
    })
}

/// A run of the command.
struct Check<'a, I, O, E> {
    defaults: &'a Defaults,
    supported: &'a dyn Fn(&str) -> bool,
    input: I,
    out: O,
    err: E,
}

impl<I: Read, O: Write, E: Write> Check<'_, I, O, E> {
    fn all(&mut self, args: &Args) -> io::Result<i32> {
        let mut code = 0;
        for (index, file) in args.files.iter().enumerate() {
            match self.read(file) {
                Ok((config, upstream)) => {
                    if index > 0 && args.output == Output::Text {
                        writeln!(self.out)?;
                    }
                    self.good(file, &config, upstream.as_ref(), args.output)?;
                    // It is shown all the same: it resolves as in kube-scheduler.
                    let errors = config.mistakes();
                    if !errors.is_empty() {
                        code = 2;
                        self.bad(&ConfigErrors::Invalid { errors })?;
                    }
                }
                Err(error) => {
                    code = 2;
                    self.bad(&error)?;
                }
            }
        }
        self.out.flush()?;
        Ok(code)
    }

    /// The configuration as `run` takes it, and as kube-scheduler would.
    fn read(&mut self, file: &str) -> Result<(Config, Option<Config>), ConfigErrors> {
        let upstream = Defaults { catalog: self.defaults.catalog.clone(), ..Defaults::kube_scheduler() };
        if file != "-" {
            let config = Config::load(Path::new(file), self.defaults)?;
            return Ok((config, Config::load(Path::new(file), &upstream).ok()));
        }
        let mut text = Vec::new();
        // One byte more than is allowed tells a file that is too large.
        let limit = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
        let unread = |source| ConfigErrors::Read { file: file.into(), source };
        (&mut self.input).take(limit).read_to_end(&mut text).map_err(unread)?;
        let config = Config::read(file, text.as_slice(), self.defaults)?;
        Ok((config, Config::read(file, text.as_slice(), &upstream).ok()))
    }

    fn good(&mut self, file: &str, config: &Config, upstream: Option<&Config>, output: Output) -> io::Result<()> {
        let report = Report::new(file, config, upstream, self.supported);
        match output {
            Output::Text => report.text(&mut self.out),
            Output::Json => writeln!(self.out, "{:#}", report.value()),
            Output::Yaml => write!(self.out, "---\n{}", yaml(&report.value())?),
        }
    }

    fn bad(&mut self, error: &ConfigErrors) -> io::Result<()> {
        write!(self.err, "{error}")?;
        if let Some(cause) = std::error::Error::source(error) {
            write!(self.err, ": {cause}")?;
        }
        writeln!(self.err)
    }
}

fn yaml(value: &serde_json::Value) -> io::Result<String> {
    let text = serde_saphyr::to_string(value).map_err(io::Error::other)?;
    Ok(text.trim_start_matches("---\n").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";

    /// Exit code, output and errors, with `input` as standard input.
    fn check(file: &str, input: &str, output: Output) -> (i32, String, String) {
        let args = Args { files: vec![file.to_owned()], output };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let defaults = &Defaults::plimsoll();
        let supported = &|plugin: &str| plugin != "VolumeZone";
        let code =
            Check { defaults, supported, input: input.as_bytes(), out: &mut out, err: &mut err }.all(&args).unwrap();
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn a_good_file_is_summed_up() {
        let text = format!(
            "{HEAD}profiles:\n- plugins:\n    multiPoint: {{disabled: [{{name: \"*\"}}], enabled: \
             [{{name: PrioritySort}}, {{name: DefaultBinder}}, {{name: NodeResourcesFit, weight: 5}}, {{name: VolumeZone}}]}}\n"
        );
        let (code, out, err) = check("-", &text, Output::Text);
        assert_eq!((code, err.as_str()), (0, ""));
        for line in [
            "-: valid",
            "  leader election  <own namespace>/plimsoll (lease 15s, renew within 10s, retry every 2s)",
            "  API requests     not limited",
            "Profile plimsoll",
            "  filter             NodeResourcesFit (VolumeZone)",
            "  score              NodeResourcesFit=5",
            "Not supported yet (run refuses this)",
        ] {
            assert!(out.lines().any(|found| found == line), "{line:?} is not in\n{out}");
        }
    }

    #[test]
    fn machines_get_what_people_get() {
        let (code, out, _) = check("-", HEAD, Output::Json);
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(code, 0);
        assert_eq!(value["profiles"][0]["plugins"]["score"][0]["weight"], 3);
        assert_eq!(value["kubeSchedulerConfiguration"]["parallelism"], 16);
        let (_, out, _) = check("-", HEAD, Output::Yaml);
        let yaml: serde_json::Value = serde_saphyr::from_str(&out).unwrap();
        assert_eq!(yaml, value);
    }

    #[test]
    fn a_bad_file_gives_all_errors_and_code_2() {
        let (code, out, err) = check("-", &format!("{HEAD}parallelism: 0\nfoo: 1\n"), Output::Text);
        assert_eq!((code, out.as_str()), (2, ""));
        assert_eq!(err.lines().count(), 2);
        assert!(err.starts_with("-:3:14: parallelism: must be 1 or more, not 0\n"), "{err}");
    }

    #[test]
    fn a_missing_file_gives_its_cause() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("none.yaml").display().to_string();
        let (code, _, err) = check(&path, "", Output::Text);
        assert_eq!(code, 2);
        assert!(err.contains("none.yaml: ") && err.contains("No such file"), "{err}");
    }
}
