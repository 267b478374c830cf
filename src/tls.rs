//! TLS as this program serves it, and how keys and certificates are read, for whomever.
//!
//! A server's pair of files is looked at before each handshake: when both have changed to a certificate and its key, those
//! are served from then on. What cannot be used is said once, and the last good pair stays.

mod pair;
mod rules;
mod trust;

use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use pair::Pair;
pub use rules::{MinVersion, Rules};
pub(crate) use trust::Trust;

/// What a server does TLS with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    pair: Arc<Pair>,
}

impl Tls {
    /// Serves with these files, and with what they change to.
    pub(crate) fn from_files(certificate: &Path, key: &Path, rules: &Rules) -> anyhow::Result<Self> {
        Self::with(Pair::from_files(certificate, key)?, rules)
    }

    /// Serves with a certificate for this machine that nobody has signed, made now and kept in memory.
    pub(crate) fn self_signed(rules: &Rules) -> anyhow::Result<Self> {
        Self::with(Pair::self_signed()?, rules)
    }

    fn with(pair: Pair, rules: &Rules) -> anyhow::Result<Self> {
        let pair = Arc::new(pair);
        let builder = ServerConfig::builder_with_provider(Arc::new(rules.provider()));
        let builder = builder.with_protocol_versions(rules.versions()).context("the rules of TLS")?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::clone(&pair) as _);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), pair })
    }

    /// The SHA-256 of the certificate that is served now, in hexadecimal digits.
    pub(crate) fn fingerprint(&self) -> String {
        fingerprint(self.pair.current().end_entity_cert().map_or(&[], |certificate| certificate.as_ref()))
    }

    /// Does the handshake with whoever has connected.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        if self.pair.has_files() {
            let pair = Arc::clone(&self.pair);
            // It fails only when the runtime ends.
            drop(tokio::task::spawn_blocking(move || pair.refresh()).await);
        }
        self.acceptor.accept(stream).await
    }
}

/// The SHA-256 of a certificate in its DER form, in hexadecimal digits.
pub(crate) fn fingerprint(certificate: &[u8]) -> String {
    ring::digest::digest(&ring::digest::SHA256, certificate).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The certificates in a text, of which there is at least one. `what` they are is for the error.
pub(crate) fn certificates(what: &str, pem: &[u8]) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| anyhow::anyhow!("{what}: {error}"))?;
    if read.is_empty() {
        bail!("{what}: holds no PEM certificate");
    }
    Ok(read)
}

/// The private key in a text.
pub(crate) fn private_key(what: &str, pem: &[u8]) -> anyhow::Result<PrivateKeyDer<'static>> {
    // The parser's error might quote the key.
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| anyhow::anyhow!("{what}: no PEM private key"))
}
