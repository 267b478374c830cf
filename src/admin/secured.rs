//! The secured port: HTTPS, and nobody gets in whom the API server does not let in.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::{Router, middleware};
use tokio_util::sync::CancellationToken;

use super::guard::{self, Guard, GuardSettings};
use super::{Admin, AdminServer, routes};
use crate::client::only_asking;
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
}

/// The secured port, listening but not yet serving.
pub struct Secured {
    server: AdminServer,
    tls: Tls,
    guard: Arc<Guard>,
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
        let SecuredSettings { certificate, rules, guard } = settings;
        let tls = match certificate {
            Some((certificate, key)) => Tls::from_files(&certificate, &key, &rules)?,
            None => Tls::self_signed(&rules)?,
        };
        Ok(Self { server, tls, guard: Arc::new(Guard::new(guard, only_asking(client), metrics)?) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Serves until `shutdown`.
    pub(crate) async fn serve(self, admin: Admin, further: Router, shutdown: CancellationToken) {
        let router = further.merge(routes::router(admin));
        // Around everything, so that what is not there is not told apart from what is not allowed.
        let router = router.layer(middleware::from_fn_with_state(self.guard, guard::check));
        self.server.serve_router(router, Some(self.tls), shutdown).await;
    }
}
