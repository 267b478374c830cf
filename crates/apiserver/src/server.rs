//! The server as its users hold it.

mod objects;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{io::DuplexStream, net::TcpListener, sync::mpsc};
use tokio_util::sync::DropGuard;

use crate::{
    cluster::Cluster,
    controllers,
    failure::Failure,
    faults::{Faults, Ordered},
    http::{Web, accept_all, serve},
    ops::Target,
    options::Options,
    recorder::{Call, CallCount},
    store::Store,
    tls::Tls,
};

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address could not be listened on.
    #[error("listening on {address}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The Kubernetes minor is not one that can be presented.
    #[error("presenting Kubernetes 1.{0}: supported are 1.31 to 1.37")]
    Minor(u32),
    /// The certificates could not be made.
    #[error("making certificates")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A running server. Dropping it stops it at once; [`Server::shutdown`] lets requests under way finish.
#[derive(Debug)]
pub struct Server {
    web: Web,
    tls: Option<Arc<Tls>>,
    /// None when it is reached through memory alone.
    address: Option<SocketAddr>,
    _stop_on_drop: DropGuard,
}

/// How long requests under way may take when the server stops.
const DRAIN: Duration = Duration::from_secs(2);

impl Server {
    /// Starts a server on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on, certificates cannot be made, or the minor is not supported.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let asked = options.listen;
        let tls = options.tls.as_ref().map(Tls::new).transpose();
        let tls = tls.map_err(|error| StartError::Tls(error.into()))?.map(Arc::new);
        let mut server = Self::in_memory(options)?;
        let listen = |source| StartError::Listen { address: asked, source };
        let listener = TcpListener::bind(asked).await.map_err(listen)?;
        server.address = Some(listener.local_addr().map_err(listen)?);
        server.web.tasks.spawn(accept_all(server.web.clone(), listener, tls.clone()));
        server.tls = tls;
        Ok(server)
    }

    /// Starts a server on the current tokio runtime that is reached by [`Server::connect`] alone. On a runtime of one
    /// thread with paused time what it does depends on nothing but its options and what it is asked.
    ///
    /// # Errors
    ///
    /// When the minor is not supported.
    pub fn in_memory(options: Options) -> Result<Self, StartError> {
        if !(31..=37).contains(&options.minor) {
            return Err(StartError::Minor(options.minor));
        }
        let (fired, fire_requests) = mpsc::channel(64);
        let web = Web::new(Cluster::new(options, fired));
        controllers::start(&web, fire_requests);
        Ok(Self { tls: None, address: None, _stop_on_drop: web.stop.clone().drop_guard(), web })
    }

    /// The address it listens on; none when it is reached through memory alone.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Its base URL, such as `http://127.0.0.1:34567`, or `https` where it does TLS. One that is reached through memory has a name that no resolver
    /// knows.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.address.map_or_else(|| "http://in-memory.invalid".to_owned(), |address| format!("{scheme}://{address}"))
    }

    /// A kubeconfig, in YAML, with this server as its only cluster.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        // Where permissions are looked at, whoever starts the server is to keep control of it.
        let administrator = self.web.cluster.options.tokens.iter().find(|(_, user)| user.may_do_everything());
        let token = || administrator.map(|(token, _)| token_field(token));
        let certificate = self.tls.as_ref().and_then(|tls| tls.user_fields());
        self.kubeconfig_as(&certificate.or_else(token).unwrap_or_else(|| "{}".to_owned()))
    }

    /// The same for whoever has this token.
    #[must_use]
    pub fn kubeconfig_of(&self, token: &str) -> String {
        self.kubeconfig_as(&token_field(token))
    }

    fn kubeconfig_as(&self, user: &str) -> String {
        let trust = self.tls.as_ref().map_or_else(String::new, |tls| format!("    {}\n", tls.cluster_fields()));
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: plimsoll\nclusters:\n- name: plimsoll\n  cluster:\n    \
             server: {}\n{trust}users:\n- name: plimsoll\n  user: {user}\ncontexts:\n- name: plimsoll\n  context:\n    cluster: \
             plimsoll\n    user: plimsoll\n",
            self.url()
        )
    }

    /// A connection to the server without a socket, for tests that simulate a whole cluster in one process.
    ///
    /// # Errors
    ///
    /// Connection refused, while it is down or has stopped.
    pub fn connect(&self) -> io::Result<DuplexStream> {
        let down = self.web.admit().ok_or(io::ErrorKind::ConnectionRefused)?;
        let (near, far) = tokio::io::duplex(256 * 1024);
        self.web.tasks.spawn(serve(self.web.clone(), far, None, down));
        Ok(near)
    }

    /// Restarts as an API server does that keeps its store: drops all connections at once, serves none for `down_for`,
    /// and has forgotten the history of changes then. Objects, controllers and kubelets go on.
    pub fn restart(&self, down_for: Duration) {
        self.faults().note(Ordered::Restart);
        self.web.go_down(down_for);
        for store in self.web.cluster.stores() {
            store.compact();
        }
    }

    /// Stops: ends watches and idle connections, lets requests under way finish, and waits for that for two seconds.
    pub async fn shutdown(self) {
        self.web.stop.cancel();
        self.web.tasks.close();
        // Whatever is not done by then is dropped with its connection's task when the runtime ends.
        let _ = tokio::time::timeout(DRAIN, self.web.tasks.wait()).await;
    }

    /// The rules by which requests go wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.web.cluster.faults
    }

    /// Ends all watches of a resource; `abruptly` without the proper end of the response.
    ///
    /// # Errors
    ///
    /// When there is no such resource.
    pub fn cut_watches(&self, resource: &str, abruptly: bool) -> Result<(), Failure> {
        self.store(resource)?.cut(abruptly);
        self.faults().note(Ordered::Cut);
        Ok(())
    }

    /// Holds back what watches of a resource are told by that much from now on; zero ends it.
    ///
    /// # Errors
    ///
    /// When there is no such resource.
    pub fn delay_watches(&self, resource: &str, delay: Duration) -> Result<(), Failure> {
        self.store(resource)?.delay_watches(delay);
        Ok(())
    }

    /// Forgets the history of a resource: watches from an older version and lists to be continued get a 410.
    ///
    /// # Errors
    ///
    /// When there is no such resource.
    pub fn compact(&self, resource: &str) -> Result<(), Failure> {
        self.store(resource)?.compact();
        self.faults().note(Ordered::Compaction);
        Ok(())
    }

    /// Makes a CronJob run now, whatever its schedule says.
    ///
    /// # Errors
    ///
    /// When there is no such CronJob, or too many are waiting to run.
    pub fn fire_cron_job(&self, namespace: &str, name: &str) -> Result<(), Failure> {
        let target = Target::new(self.kind("cronjobs")?, namespace, name);
        self.web.cluster.get(target)?;
        self.web.cluster.fired.try_send(target.key()).map_err(|_| {
            Failure::new(503, "ServiceUnavailable", "the CronJob controller does not run or has too much to do")
        })
    }

    /// The newest calls, oldest first, as many as [`Options::recorded_calls`] lets it remember.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.web.cluster.recorder.calls()
    }

    /// How often each verb, resource and answer occurred.
    #[must_use]
    pub fn call_counts(&self) -> Vec<CallCount> {
        self.web.cluster.call_counts()
    }

    /// Forgets all calls and counts.
    pub fn clear_calls(&self) {
        self.web.cluster.recorder.clear();
    }

    fn store(&self, resource: &str) -> Result<&Arc<Store>, Failure> {
        Ok(self.web.cluster.store(self.kind(resource)?))
    }
}

/// What a kubeconfig says of a user with a token.
fn token_field(token: &str) -> String {
    format!("{{token: {token:?}}}")
}
