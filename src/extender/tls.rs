//! TLS towards an extender, as its configuration wants it.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use hyper_rustls::ConfigBuilderExt as _;
use rustls::{ClientConfig, RootCertStore};

use crate::config::v1::{Extender, TlsConfig};
use crate::tls::{Trust, certificates, private_key};

/// Reads what the configuration names. Without a CA, `enableHTTPS` checks no certificate, as in kube-scheduler. Without one for
/// an `encrypted` address it is this machine's authorities that are trusted.
pub(super) fn config(extender: &Extender, encrypted: bool) -> anyhow::Result<ClientConfig> {
    let none = TlsConfig::default();
    let tls = extender.tls_config.as_ref().unwrap_or(&none);
    let ca = pem("caFile", &tls.ca_file, tls.ca_data.expose())?;
    let insecure = tls.insecure || extender.enable_https && ca.is_none();
    if insecure && ca.is_some() {
        bail!("tlsConfig: insecure and a CA exclude each other");
    }
    let builder = ClientConfig::builder();
    let builder = if insecure {
        let provider = Arc::clone(builder.crypto_provider());
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Trust::in_anybody(provider)))
    } else if let Some(ca) = ca {
        let mut roots = RootCertStore::empty();
        for certificate in certificates("tlsConfig: the CA", &ca)? {
            roots.add(certificate).context("tlsConfig: the CA")?;
        }
        builder.with_root_certificates(roots)
    } else if encrypted {
        let wanted =
            "tlsConfig: no CA, and reading this machine's trusted certificates (SSL_CERT_FILE names a file of them)";
        builder.with_native_roots().context(wanted)?
    } else {
        // No certificate will be looked at, and where there are no authorities, as in an image of one file, is no reason to fail.
        builder.with_root_certificates(RootCertStore::empty())
    };
    let certificate = pem("certFile", &tls.cert_file, tls.cert_data.expose())?;
    let key = pem("keyFile", &tls.key_file, tls.key_data.expose())?;
    match (certificate, key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(certificate), Some(key)) => {
            let chain = certificates("tlsConfig: the client certificate", &certificate)?;
            let key = private_key("tlsConfig: the client key", &key)?;
            builder.with_client_auth_cert(chain, key).context("tlsConfig: the client certificate")
        }
        _ => bail!("tlsConfig: a client certificate needs its key, and a key its certificate"),
    }
}

/// The bytes given in the configuration, or else those of the file that it names.
fn pem(field: &str, path: &str, data: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
    match (data, path) {
        ([], "") => Ok(None),
        ([], path) => Ok(Some(std::fs::read(path).with_context(|| format!("tlsConfig: reading {field} {path}"))?)),
        (data, _) => Ok(Some(data.to_owned())),
    }
}
