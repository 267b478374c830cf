//! The secured port: HTTPS, and nobody gets in whom the API server does not let in.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use axum::{Router, middleware};
use tokio_util::sync::CancellationToken;

use super::guard::{self, Guard, GuardSettings};
use super::{Admin, AdminServer, routes};
use crate::client::only_asking;
use crate::lease::Contact;
use crate::metrics::Metrics;
use crate::tls::{Rules, Tls};

/// What the secured port is served with.
#[derive(Clone, Debug, Default)]
pub struct SecuredSettings {
    /// The files of the certificate, with its chain, and of its key. A self-signed certificate is made where there are
    /// none.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Versions and cipher suites.
    pub rules: Rules,
    /// Who gets in.
    pub guard: GuardSettings,
    /// The address at which others reach this machine, if it is known: it is said in the Lease.
    pub reached_at: Option<IpAddr>,
}

/// The secured port, listening but not yet serving.
pub struct Secured {
    server: AdminServer,
    tls: Tls,
    guard: Arc<Guard>,
    reached_at: Option<IpAddr>,
}

impl Secured {
    /// Serves with these settings on `server`. Who may do what is asked through `client`, which should have its
    /// connections for itself.
    ///
    /// # Errors
    /// When the certificate cannot be served.
    pub fn new(
        server: AdminServer,
        settings: SecuredSettings,
        client: kube::Client,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let SecuredSettings { certificate, rules, guard, reached_at } = settings;
        let tls = match certificate {
            Some((certificate, key)) => Tls::from_files(&certificate, &key, &rules)?,
            None => Tls::self_signed(&rules)?,
        };
        Ok(Self { server, tls, guard: Arc::new(Guard::new(guard, only_asking(client), metrics)?), reached_at })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Gives where it can be asked, as of then, where others can reach it.
    pub(crate) fn contact(&self) -> Option<impl Fn() -> Contact + Send + Sync + 'static> {
        let address = SocketAddr::new(self.reached_at?, self.local_addr().port());
        let tls = self.tls.clone();
        let address = format!("https://{address}");
        Some(move || Contact { address: address.clone(), certificate_sha256: tls.fingerprint() })
    }

    /// Serves until `shutdown`.
    pub(crate) async fn serve(self, admin: Admin, further: Router, shutdown: CancellationToken) {
        let router = further.merge(routes::router(admin));
        // Around everything, so that what is not there is not told apart from what is not allowed.
        let router = router.layer(middleware::from_fn_with_state(self.guard, guard::check));
        self.server.serve_router(router, Some(self.tls), shutdown).await;
    }
}
