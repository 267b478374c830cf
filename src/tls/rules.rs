//! Versions and cipher suites, by the names that Go has for them.

use std::str::FromStr;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::version::{TLS12, TLS13};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};

/// How TLS is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The lowest version.
    pub min_version: MinVersion,
    /// Suites of TLS 1.2, by name; all that are known when empty. Those of TLS 1.3 are not for choosing.
    pub cipher_suites: Vec<String>,
}

/// The lowest version of TLS that is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinVersion {
    /// `VersionTLS12`; and what asks for less, since there is nothing less.
    #[default]
    Tls12,
    /// `VersionTLS13`.
    Tls13,
}

impl FromStr for MinVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "VersionTLS10" | "VersionTLS11" | "VersionTLS12" => Ok(Self::Tls12),
            "VersionTLS13" => Ok(Self::Tls13),
            _ => Err("must be VersionTLS12 or VersionTLS13".to_owned()),
        }
    }
}

impl Rules {
    pub(super) fn versions(&self) -> &'static [&'static SupportedProtocolVersion] {
        static ALL: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];
        match self.min_version {
            MinVersion::Tls12 => &ALL,
            MinVersion::Tls13 => &ALL[1..],
        }
    }

    pub(super) fn provider(&self) -> CryptoProvider {
        let mut provider = default_provider();
        if !self.cipher_suites.is_empty() {
            let wanted = |suite: &SupportedCipherSuite| self.cipher_suites.iter().any(|name| is_called(suite, name));
            provider.cipher_suites.retain(|suite| suite.tls13().is_some() || wanted(suite));
        }
        provider
    }

    /// Suites that were named and cannot be served.
    pub fn unknown_suites(&self) -> Vec<&str> {
        let known = default_provider().cipher_suites;
        let unknown = |name: &&String| !known.iter().any(|suite| is_called(suite, name));
        self.cipher_suites.iter().filter(unknown).map(String::as_str).collect()
    }
}

fn is_called(suite: &SupportedCipherSuite, name: &str) -> bool {
    let Some(ours) = suite.suite().as_str() else { return false };
    // Two have had a shorter name in Go, which is still taken; those of TLS 1.3 are called without the 13.
    ours == name
        || ours.strip_suffix("_SHA256") == Some(name) && name.ends_with("CHACHA20_POLY1305")
        || ours.strip_prefix("TLS13_").is_some_and(|rest| name.strip_prefix("TLS_") == Some(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(names: &[&str]) -> Rules {
        Rules { cipher_suites: names.iter().map(|&name| name.to_owned()).collect(), ..Rules::default() }
    }

    #[test]
    fn suites_are_those_that_were_named_and_all_of_tls_1_3() {
        let all = default_provider().cipher_suites.len();
        let tls13 = default_provider().cipher_suites.iter().filter(|suite| suite.tls13().is_some()).count();
        for (names, older, unknown) in [
            (&[][..], all - tls13, 0),
            (&["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"], 1, 0),
            (&["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"], 2, 0),
            (&["TLS_AES_128_GCM_SHA256"], 0, 0),
            (&["TLS_RSA_WITH_3DES_EDE_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"], 1, 1),
        ] {
            let rules = rules(names);
            assert_eq!(rules.provider().cipher_suites.len(), older + tls13, "{names:?}");
            assert_eq!(rules.unknown_suites().len(), unknown, "{names:?}");
        }
    }

    #[test]
    fn versions_have_gos_names() {
        for (text, expect) in [
            ("VersionTLS10", Some(MinVersion::Tls12)),
            ("VersionTLS12", Some(MinVersion::Tls12)),
            ("VersionTLS13", Some(MinVersion::Tls13)),
            ("1.3", None),
        ] {
            assert_eq!(text.parse().ok(), expect, "{text}");
        }
    }
}
