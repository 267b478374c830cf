//! Where the connection settings come from, and what can be wrong with them.

use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use thiserror::Error;

/// A kubeconfig larger than this is not one.
const MAX_KUBECONFIG_BYTES: u64 = 1 << 20;

/// Where to find the API server and our credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A kubeconfig file; its current context is used.
    Kubeconfig(PathBuf),
    /// The service account that Kubernetes mounts into every pod.
    InCluster,
}

impl Source {
    /// The kubeconfig that was named, or else the in-cluster account. There is no third place.
    pub fn from_flag(kubeconfig: Option<&Path>) -> Self {
        kubeconfig.map_or(Self::InCluster, |path| Self::Kubeconfig(path.to_owned()))
    }

    /// Where kubectl looks: `$KUBECONFIG`, `~/.kube/config`, the in-cluster account. For commands that only read, on
    /// somebody's order.
    pub(crate) fn usual() -> Result<Self, ClientError> {
        if let Some(named) = std::env::var_os("KUBECONFIG").filter(|named| !named.is_empty()) {
            let mut files = std::env::split_paths(&named);
            return match (files.next(), files.next()) {
                (Some(only), None) => Ok(Self::Kubeconfig(only)),
                _ => Err(ClientError::SeveralKubeconfigs),
            };
        }
        let of_user = std::env::home_dir().map(|home| home.join(".kube/config")).filter(|file| file.exists());
        Ok(of_user.map_or(Self::InCluster, Self::Kubeconfig))
    }
}

/// Why no client could be made. All of these are wrong input: trying again does not help.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The kubeconfig could not be read.
    #[error("reading kubeconfig {}", path.display())]
    ReadKubeconfig {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The kubeconfig was read, but cannot be used.
    #[error("kubeconfig {}: {problem}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// `$KUBECONFIG` is a list, which is not merged here.
    #[error("$KUBECONFIG names several files: name one with --kubeconfig")]
    SeveralKubeconfigs,
    /// No kubeconfig was named and this process does not run in a pod.
    #[error(
        "no cluster to connect to: name a file with --kubeconfig (or clientConnection.kubeconfig in the file given \
         with --config), or run in a pod (KUBERNETES_SERVICE_HOST is not set, so this is none)"
    )]
    NotInCluster,
    /// This process seems to run in a pod, but its account cannot be used.
    #[error("using the in-cluster account: {problem}")]
    InCluster {
        /// What is wrong with it.
        problem: String,
    },
    /// The settings are complete, but the credentials do not work out.
    #[error("preparing credentials for {address}: {problem}")]
    Credentials {
        /// The API server.
        address: String,
        /// What is wrong with them.
        problem: String,
    },
}

impl ClientError {
    /// `source` was read, and something in it does not work.
    // kube's errors repeat their cause in their own text: taken as text, the cause is said once.
    pub(super) fn unusable(source: &Source, problem: &dyn std::fmt::Display) -> Self {
        let problem = problem.to_string();
        match source {
            Source::Kubeconfig(path) => Self::Kubeconfig { path: path.clone(), problem },
            Source::InCluster => Self::InCluster { problem },
        }
    }
}

/// Reads the settings of `source`.
pub(super) async fn load(source: &Source) -> Result<Config, ClientError> {
    match source {
        Source::Kubeconfig(path) => from_file(path).await,
        Source::InCluster => in_cluster(std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()),
    }
}

pub(super) fn in_cluster(in_a_pod: bool) -> Result<Config, ClientError> {
    if !in_a_pod {
        return Err(ClientError::NotInCluster);
    }
    Config::incluster_env().map_err(|problem| ClientError::unusable(&Source::InCluster, &problem))
}

async fn from_file(path: &Path) -> Result<Config, ClientError> {
    let broken = |problem: String| ClientError::Kubeconfig { path: path.to_owned(), problem };
    check_file(path)?;
    let kubeconfig = Kubeconfig::read_from(path).map_err(|error| match error {
        KubeconfigError::ReadConfig(source, path) => ClientError::ReadKubeconfig { path, source },
        // The parser quotes the lines around the place, and those may hold a token.
        KubeconfigError::Parse(error) => broken(format!("not valid YAML for a kubeconfig: {}", place_only(&error))),
        other => broken(other.to_string()),
    })?;
    check_context(&kubeconfig).map_err(broken)?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| ClientError::Kubeconfig { path: path.to_owned(), problem: error.to_string() })
}

/// Refuses what is not a file of a sensible size, before it is read into memory.
fn check_file(path: &Path) -> Result<(), ClientError> {
    let found =
        std::fs::metadata(path).map_err(|source| ClientError::ReadKubeconfig { path: path.to_owned(), source })?;
    let problem = if found.is_dir() {
        "is a directory, not a file".to_owned()
    } else if found.len() > MAX_KUBECONFIG_BYTES {
        format!("is {} bytes long; at most {MAX_KUBECONFIG_BYTES} are read", found.len())
    } else {
        return Ok(());
    };
    Err(ClientError::Kubeconfig { path: path.to_owned(), problem })
}

/// Looks at the current context, with better words than kube has, and at what kube would pass over in silence.
fn check_context(kubeconfig: &Kubeconfig) -> Result<(), String> {
    let name = kubeconfig.current_context.as_deref().filter(|name| !name.is_empty());
    let name = name.ok_or("current-context is not set")?;
    let context = kubeconfig.contexts.iter().find(|context| context.name == name);
    let context = context
        .and_then(|named| named.context.as_ref())
        .ok_or_else(|| format!("current-context is {name:?}, but contexts has no such entry"))?;
    let cluster = kubeconfig.clusters.iter().find(|cluster| cluster.name == context.cluster);
    let cluster = cluster.and_then(|named| named.cluster.as_ref()).ok_or_else(|| {
        format!("context {name:?} uses cluster {:?}, but clusters has no such entry", context.cluster)
    })?;
    if cluster.server.as_deref().is_none_or(str::is_empty) {
        return Err(format!("cluster {:?} has no server", context.cluster));
    }
    // Ignoring it would send credentials past the proxy they are meant to go through.
    if cluster.proxy_url.as_deref().is_some_and(|url| !url.is_empty()) {
        return Err(format!("cluster {:?} sets proxy-url, which is not supported yet", context.cluster));
    }
    // kube would go on as system:anonymous, and every call would be refused later.
    match context.user.as_deref().filter(|user| !user.is_empty()) {
        Some(user) if !kubeconfig.auth_infos.iter().any(|known| known.name == user) => {
            Err(format!("context {name:?} uses user {user:?}, but users has no such entry"))
        }
        _ => Ok(()),
    }
}

fn place_only(error: &serde_saphyr::Error) -> String {
    match error.location() {
        Some(place) => format!("line {}, column {}", place.line(), place.column()),
        None => "it could not be parsed".to_owned(),
    }
}
