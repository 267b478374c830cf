//! An authority, and what it signs.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::auth::User;

/// Why certificates could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MakeError {
    /// A certificate could not be made or signed.
    #[error(transparent)]
    Certificate(#[from] rcgen::Error),
    /// The certificates cannot be served.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// A certificate ends no later than this after 1970: a date that every reader of certificates knows how to read.
const LATEST: Duration = Duration::from_secs(2_500_000_000);

/// Whoever signs certificates.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(super) struct Issued {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: PrivatePkcs8KeyDer<'static>,
}

impl Authority {
    pub(super) fn new() -> Result<Self, MakeError> {
        let mut params = named("plimsoll-apiserver authority", LATEST);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        self.0.der()
    }

    /// A certificate for this machine.
    pub(super) fn server(&self, until: SystemTime) -> Result<Issued, MakeError> {
        let mut params = named("plimsoll-apiserver", since_1970(until));
        let addresses = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)].map(SanType::IpAddress);
        params.subject_alt_names = vec![SanType::DnsName("localhost".try_into()?)];
        params.subject_alt_names.extend(addresses);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params)
    }

    /// A certificate that says of its holder what the API server reads there: name and groups.
    pub(super) fn client(&self, user: &User, until: SystemTime) -> Result<Issued, MakeError> {
        let mut params = named(&user.name, since_1970(until));
        // One organisation is what this library writes; whom the server takes the holder for does not depend on it.
        if let Some(group) = user.groups.first() {
            params.distinguished_name.push(DnType::OrganizationName, group.as_str());
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params)
    }

    fn issue(&self, mut params: CertificateParams) -> Result<Issued, MakeError> {
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        Ok(Issued { certificate: certificate.into(), key: key.serialize_der().into() })
    }
}

/// For somebody of this name, good from 1970 until that time after it.
fn named(name: &str, until: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch;
    params.not_after = epoch + until;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().min(LATEST)
}

/// A PEM block in base64, as kubeconfigs hold them.
pub(super) fn base64_pem(what: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let mut pem = format!("-----BEGIN {what}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, others) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = others;
    }
    pem.push_str(&format!("-----END {what}-----\n"));
    BASE64.encode(pem)
}
