//! Configuration: `KubeSchedulerConfiguration`, and beside it what is Plimsoll's own.
//!
//! A file is YAML or JSON with one or two documents. [`Config::load`] decodes it strictly, sets defaults, checks every rule of
//! kube-scheduler and resolves the plugins of each profile; what is wrong comes back all at once, each error with its line.
//! Whether something is *valid* is decided here; whether it can be *run* is told by [`Config::unsupported`] and
//! [`Config::refusals`].

mod check;
mod coexistence;
mod decode;
mod defaults;
mod deserializer;
mod documents;
mod error;
mod expand;
mod extender;
mod hints;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod laws;
mod load;
mod own;
mod profile;
mod reader;
mod render;
mod resolved;
pub(crate) mod scalar;
mod shadow;
mod source;
mod support;
pub mod v1;
mod validate;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

pub use coexistence::{Amount, Coexistence, CoexistenceConfig, HeadroomPool};
pub use defaults::Defaults;
pub use error::{ConfigError, ConfigErrors, Mark};
pub use expand::{EnabledPlugin, EnabledPlugins};
pub use own::{Budgets, EventPolicy, PlimsollConfig, PlimsollConfiguration, Preemption, TieBreak};
pub(crate) use render::duration as show_duration;
pub use resolved::{ClientConnectionConfig, LeaderElectionConfig, ProfileConfig};
pub use shadow::{Mode, Shadow, ShadowConfig};

use load::Origin;

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// A checked configuration, with defaults set and plugins resolved.
#[derive(Clone, Debug)]
pub struct Config {
    /// Number of kube-scheduler's threads, 1 or more. It is shown; it does not set the number of workers.
    pub parallelism: i32,
    /// How many of the nodes are looked at, in percent (0 to 100); 0 leaves it to the scheduler, which looks at all.
    pub percentage_of_nodes_to_score: i32,
    /// First wait of a pod after a failed attempt, 1 or more.
    pub pod_initial_backoff_seconds: i64,
    /// Longest such wait, at least the first.
    pub pod_max_backoff_seconds: i64,
    /// How the active scheduler is chosen.
    pub leader_election: LeaderElectionConfig,
    /// How the API server is reached.
    pub client_connection: ClientConnectionConfig,
    /// Whether profiles of the process are served.
    pub enable_profiling: bool,
    /// Whether profiles of its locks are served.
    pub enable_contention_profiling: bool,
    /// The profiles, at least one, with different names.
    pub profiles: Vec<ProfileConfig>,
    /// Webhooks that take part in decisions.
    pub extenders: Vec<v1::Extender>,
    /// Whether a standby keeps its cache empty.
    pub delay_cache_until_active: bool,
    /// What is Plimsoll's own.
    pub plimsoll: PlimsollConfig,
    /// What is worth saying once, though it is allowed. Each names its place.
    pub warnings: Vec<String>,
    origin: Arc<Origin>,
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When the file cannot be read, and for everything in it that is not allowed.
    pub fn load(path: &Path, defaults: &Defaults) -> Result<Self, ConfigErrors> {
        let unread = |source| ConfigErrors::Read { file: path.to_owned(), source };
        let file = File::open(path).map_err(unread)?;
        Self::read(&path.display().to_string(), file, defaults).map_err(|error| match error {
            ConfigErrors::Read { source, .. } => unread(source),
            invalid => invalid,
        })
    }

    /// Reads a configuration from `input`, for instance standard input, under the name `file_name`. No more than
    /// [`MAX_FILE_BYTES`] is taken into memory.
    ///
    /// # Errors
    /// When reading fails, and for everything that is not allowed.
    pub fn read(file_name: &str, input: impl Read, defaults: &Defaults) -> Result<Self, ConfigErrors> {
        let mut bytes = Vec::new();
        // One byte more than is allowed tells a file that is too large from one that just fits.
        let limit = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
        input
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(|source| ConfigErrors::Read { file: file_name.into(), source })?;
        load::from_bytes(file_name, &bytes, defaults)
    }

    /// Reads a configuration from `text`; messages call it `file_name`.
    ///
    /// # Errors
    /// For everything in it that is not allowed.
    pub fn parse(file_name: &str, text: &str, defaults: &Defaults) -> Result<Self, ConfigErrors> {
        load::from_bytes(file_name, text.as_bytes(), defaults)
    }
}

/// What holds without a file: one profile named `plimsoll` with the default plugins.
impl Default for Config {
    fn default() -> Self {
        load::without_file(&Defaults::plimsoll())
    }
}
