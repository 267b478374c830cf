//! Logs: one line an event to standard error, as text or JSON, with times in UTC (RFC 3339).
//!
//! How much is said is a number as in Kubernetes' own programs (`-v`), or a filter such as `info,plimsoll=debug`; both
//! can be changed while the program runs, through [`LogHandle`].

use std::io::IsTerminal as _;
use std::str::FromStr;

use thiserror::Error;
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

/// A filter longer than this is refused.
const MAX_FILTER_BYTES: usize = 1024;

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; coloured on a terminal unless `NO_COLOR` is set.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Kubernetes' numbers: 0 and 1 say what an operator must know, 2 and 3 also what libraries tell, 4 and 5 are for
    /// debugging, 6 and above trace every step.
    Verbosity(u8),
    /// Directives `level` or `target=level`, separated by commas; the most specific one counts.
    Filter(String),
}

impl Default for LogLevel {
    fn default() -> Self {
        Self::Verbosity(2)
    }
}

/// Why logging is not as wanted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// No such format.
    #[error("log format {0:?}: known are text and json")]
    Format(String),
    /// The filter cannot be used.
    #[error("log filter {filter:?}: {problem}")]
    Filter {
        /// The filter, cut to a sensible length.
        filter: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Somebody has set up logging for this process before.
    #[error("logging is set up already")]
    AlreadySet,
    /// The subscriber that the handle belonged to is gone.
    #[error("logging has ended")]
    Ended,
}

impl FromStr for LogFormat {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(LogError::Format(other.to_owned())),
        }
    }
}

impl LogLevel {
    /// The filter that this stands for.
    fn directives(&self) -> String {
        let directives = match self {
            Self::Verbosity(0 | 1) => "warn,plimsoll=info".to_owned(),
            Self::Verbosity(2 | 3) => "info".to_owned(),
            Self::Verbosity(4 | 5) => "info,plimsoll=debug".to_owned(),
            Self::Verbosity(_) => "debug,plimsoll=trace".to_owned(),
            Self::Filter(filter) => filter.split(',').map(str::trim).collect::<Vec<_>>().join(","),
        };
        // At lower levels kube's client writes whole objects into the log when it cannot decode them, Secrets too, and
        // its watcher repeats every retry of what is said once here. Whoever wants that has to name it.
        ["kube_client", "kube_runtime"]
            .into_iter()
            .fold(directives, |all, library| if all.contains(library) { all } else { format!("{all},{library}=error") })
    }

    fn filter(&self) -> Result<EnvFilter, LogError> {
        if let Self::Filter(filter) = self {
            check(filter).map_err(|problem| refuse(filter, problem))?;
        }
        // Regular expressions from outside could take long to match.
        EnvFilter::builder()
            .with_regex(false)
            .parse(self.directives())
            .map_err(|problem| refuse(&self.directives(), problem.to_string()))
    }
}

fn refuse(filter: &str, problem: String) -> LogError {
    LogError::Filter { filter: filter.chars().take(100).collect(), problem }
}

/// Refuses what would silence everything: the filter's grammar takes any word for the name of a target.
fn check(filter: &str) -> Result<(), String> {
    if filter.len() > MAX_FILTER_BYTES {
        return Err(format!("longer than {MAX_FILTER_BYTES} bytes"));
    }
    let is_level =
        |word: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&word.to_lowercase().as_str());
    match filter.split(',').map(str::trim).find(|word| !word.contains('=') && !is_level(word)) {
        Some("") => Err("empty; say for example info,plimsoll=debug".to_owned()),
        Some(word) => Err(format!("{word:?} is no level; known are off, error, warn, info, debug and trace")),
        None => Ok(()),
    }
}

/// Changes how much is said, while the program runs.
#[derive(Clone)]
pub struct LogHandle(reload::Handle<EnvFilter, Registry>);

impl LogHandle {
    /// Says more or less from now on.
    ///
    /// # Errors
    /// When the filter cannot be used; the old one then stays.
    pub fn set(&self, level: &LogLevel) -> Result<(), LogError> {
        self.0.reload(level.filter()?).map_err(|_| LogError::Ended)
    }

    /// The filter in use.
    ///
    /// # Errors
    /// When the subscriber is gone.
    pub fn current(&self) -> Result<String, LogError> {
        self.0.with_current(ToString::to_string).map_err(|_| LogError::Ended)
    }
}

impl std::fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LogHandle").field(&self.current().ok()).finish()
    }
}

/// Sets up logging for the whole process. Once.
///
/// # Errors
/// When the filter cannot be used, or logging is set up already.
pub fn init(format: LogFormat, level: &LogLevel) -> Result<LogHandle, LogError> {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colours = std::io::stderr().is_terminal() && !no_color;
    let (subscriber, handle) = subscriber(format, level, std::io::stderr, colours)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::AlreadySet)?;
    Ok(handle)
}

/// Logging into any writer, with the handle to change it: for programs that set up more than this.
///
/// # Errors
/// When the filter cannot be used.
pub fn subscriber<W>(
    format: LogFormat,
    level: &LogLevel,
    writer: W,
    colours: bool,
) -> Result<(impl Subscriber + Send + Sync + use<W>, LogHandle), LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(level.filter()?);
    let lines = fmt::layer().with_writer(writer).with_ansi(colours);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    Ok((Registry::default().with(filter).with(lines), LogHandle(handle)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn take(&self) -> String {
            String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
        }
    }

    fn set_up(format: LogFormat, level: &LogLevel) -> (Written, impl Subscriber + Send + Sync + use<>, LogHandle) {
        let written = Written::default();
        let writer = written.clone();
        let (subscriber, handle) = subscriber(format, level, move || writer.clone(), false).unwrap();
        (written, subscriber, handle)
    }

    #[test]
    fn text_and_json_carry_utc_times_levels_and_fields() {
        let (written, subscriber, _handle) = set_up(LogFormat::Text, &LogLevel::default());
        tracing::subscriber::with_default(subscriber, || tracing::info!(node = "n1", "bound"));
        let line = written.take();
        let time = line.split_whitespace().next().unwrap();
        assert!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(), "{line}");
        assert!(line.contains("INFO plimsoll::logging::tests: bound node=\"n1\""), "{line}");

        let (written, subscriber, _handle) = set_up(LogFormat::Json, &LogLevel::default());
        tracing::subscriber::with_default(subscriber, || tracing::warn!(node = "n1", "bound"));
        let line: serde_json::Value = serde_json::from_str(&written.take()).unwrap();
        assert_eq!((&line["level"], &line["message"], &line["node"]), (&"WARN".into(), &"bound".into(), &"n1".into()));
        assert!(line["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    }

    #[test]
    fn the_level_can_be_changed_while_running() {
        let (written, subscriber, handle) = set_up(LogFormat::Text, &LogLevel::Verbosity(0));
        tracing::subscriber::with_default(subscriber, || {
            let said = || {
                tracing::info!(target: "plimsoll::x", "a");
                tracing::debug!(target: "plimsoll_engine", "b");
                tracing::trace!(target: "plimsoll", "c");
                tracing::info!(target: "hyper", "d");
                tracing::warn!(target: "kube_client::client", "e");
                let lines = written.take();
                lines.lines().filter_map(|line| line.chars().last()).collect::<String>()
            };
            assert_eq!(said(), "a");
            for (verbosity, expected) in
                [(1, "a"), (2, "ad"), (3, "ad"), (4, "abd"), (5, "abd"), (6, "abcd"), (255, "abcd")]
            {
                handle.set(&LogLevel::Verbosity(verbosity)).unwrap();
                assert_eq!(said(), expected, "-v {verbosity}");
            }
            handle.set(&LogLevel::Filter("off,hyper=info".to_owned())).unwrap();
            assert_eq!(said(), "d");
            assert!(handle.set(&LogLevel::Filter("loud".to_owned())).is_err());
            assert_eq!(said(), "d", "a refused filter changes nothing");
            handle.set(&LogLevel::Filter("warn,kube_client=warn".to_owned())).unwrap();
            assert_eq!(said(), "e");
        });
        assert!(matches!(handle.set(&LogLevel::default()), Err(LogError::Ended)));
    }

    #[test]
    fn filters_that_make_no_sense_are_refused() {
        for filter in ["", " ", "loud", "info,,debug", "info,plimsoll", "plimsoll=loud", "a=b=c", &"info,".repeat(500)]
        {
            let error = LogLevel::Filter(filter.to_owned()).filter().unwrap_err();
            assert!(error.to_string().starts_with("log filter "), "{error}");
        }
        for filter in ["info", "WARN", "info, plimsoll=debug", "off,plimsoll::lease=trace"] {
            assert!(LogLevel::Filter(filter.to_owned()).filter().is_ok(), "{filter}");
        }
        assert_eq!("json".parse::<LogFormat>().unwrap(), LogFormat::Json);
        assert!("yaml".parse::<LogFormat>().is_err());
    }
}
