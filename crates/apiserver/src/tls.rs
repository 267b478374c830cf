//! TLS with certificates of the server's own making: an authority, a certificate for this machine, and one for the client
//! that the kubeconfig is for.

mod certificates;
mod client;

use std::{
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{ServerConfig, pki_types::CertificateDer};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{auth::User, failure::Failure};
pub(crate) use certificates::MakeError;
use certificates::{Authority, Issued, base64_pem};

/// How a server does TLS. The default is good for a year and asks for no more than that clients trust it.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// Until when the server's certificate is good.
    pub until: SystemTime,
    /// Who connects with the certificate in the kubeconfig; without one there is none in it.
    pub client: Option<User>,
    /// Until when that certificate is good. Later the answer is 401, as elsewhere.
    pub client_until: SystemTime,
}

impl Default for TlsOptions {
    fn default() -> Self {
        let until = SystemTime::now() + Duration::from_secs(365 * 24 * 3600);
        Self { until, client: None, client_until: until }
    }
}

/// What a server does TLS with.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    authority_pem: String,
    client: Option<Client>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// The certificate that was made for the client.
struct Client {
    issued: Issued,
    user: User,
    until: SystemTime,
}

/// Whom the certificate of a connection says it is from.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// The client that the server knows, until then.
    Known(User, SystemTime),
    /// Somebody else.
    Unknown,
}

impl Peer {
    /// The user at that time.
    pub(crate) fn user(&self, now: SystemTime) -> Result<&User, Failure> {
        match self {
            Self::Known(user, until) if now <= *until => Ok(user),
            _ => Err(Failure::unauthorized()),
        }
    }
}

impl Tls {
    /// Makes all that is needed.
    pub(crate) fn new(options: &TlsOptions) -> Result<Self, MakeError> {
        let authority = Authority::new()?;
        let server = authority.server(options.until)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let builder = builder.with_client_cert_verifier(Arc::new(client::Ask::new(&provider)));
        let mut config = builder.with_single_cert(vec![server.certificate], server.key.into())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let client = options.client.as_ref().map(|user| {
            let issued = authority.client(user, options.client_until)?;
            Ok::<_, MakeError>(Client { issued, user: user.clone(), until: options.client_until })
        });
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            authority_pem: base64_pem("CERTIFICATE", authority.certificate()),
            client: client.transpose()?,
        })
    }

    /// Does the handshake with whoever has connected, and says whom their certificate is from, if they have shown one.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<(TlsStream<TcpStream>, Option<Peer>)> {
        let stream = self.acceptor.accept(stream).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let peer = shown.map(|certificate| self.peer(certificate));
        Ok((stream, peer))
    }

    fn peer(&self, certificate: &CertificateDer<'_>) -> Peer {
        match &self.client {
            Some(client) if client.issued.certificate == *certificate => Peer::Known(client.user.clone(), client.until),
            _ => Peer::Unknown,
        }
    }

    /// What a kubeconfig says of the cluster.
    pub(crate) fn cluster_fields(&self) -> String {
        format!("certificate-authority-data: {}", self.authority_pem)
    }

    /// What a kubeconfig says of the user, where clients show certificates.
    pub(crate) fn user_fields(&self) -> Option<String> {
        let issued = &self.client.as_ref()?.issued;
        let certificate = base64_pem("CERTIFICATE", &issued.certificate);
        let key = base64_pem("PRIVATE KEY", issued.key.secret_pkcs8_der());
        Some(format!("{{client-certificate-data: {certificate}, client-key-data: {key}}}"))
    }
}
