//! Trust in a server's certificate that no authority vouches for.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

/// Which certificates are taken, whatever name they are for and however old they are. Signatures are always checked.
#[derive(Debug)]
pub(crate) struct Trust {
    /// The SHA-256 of the only one that is; `None` takes any.
    only: Option<String>,
    provider: Arc<CryptoProvider>,
}

impl Trust {
    /// Any certificate, for whoever said so.
    pub(crate) fn in_anybody(provider: Arc<CryptoProvider>) -> Self {
        Self { only: None, provider }
    }

    /// The certificate of this SHA-256, in hexadecimal digits.
    pub(crate) fn in_one(sha256: &str, provider: Arc<CryptoProvider>) -> Self {
        Self { only: Some(sha256.to_ascii_lowercase()), provider }
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.only.as_ref().is_none_or(|only| super::fingerprint(end_entity) == *only) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
