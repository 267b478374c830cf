//! The certificate that is served, and its key.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use anyhow::{Context as _, anyhow, ensure};
use ring::digest::{self, SHA256};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use super::{certificates, private_key};

/// A longer file is neither a certificate nor a key.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// For whom the self-signed certificate is, as with kube-scheduler's.
const SELF: [&str; 2] = ["localhost", "127.0.0.1"];

/// The pair in use, and where it comes from.
#[derive(Debug)]
pub(super) struct Pair {
    current: RwLock<Arc<CertifiedKey>>,
    files: Option<Files>,
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// What was found there last.
    seen: Mutex<Seen>,
}

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// Files of this digest, good or not.
    Read([u8; 32]),
    /// This problem.
    Unreadable(String),
}

/// The contents of both files.
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Pair {
    pub(super) fn from_files(certificate: &Path, key: &Path) -> anyhow::Result<Self> {
        let contents = Contents::read(certificate, key)?;
        let current = contents.pair(certificate, key)?;
        let seen = Mutex::new(Seen::Read(contents.digest()));
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned(), seen };
        Ok(Self { current: RwLock::new(Arc::new(current)), files: Some(files) })
    }

    pub(super) fn self_signed() -> anyhow::Result<Self> {
        let names = SELF.map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).context("making a self-signed certificate")?;
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let current = CertifiedKey::from_der(vec![made.cert.der().clone()], key, &default_provider());
        let current = current.context("making a self-signed certificate")?;
        Ok(Self { current: RwLock::new(Arc::new(current)), files: None })
    }

    pub(super) fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn has_files(&self) -> bool {
        self.files.is_some()
    }

    /// Looks at the files, and takes what is new in them.
    pub(super) fn refresh(&self) {
        let Some(files) = &self.files else { return };
        // Whoever connects meanwhile waits, and finds nothing new.
        let mut seen = files.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let contents = Contents::read(&files.certificate, &files.key);
        let now = match &contents {
            Ok(contents) => Seen::Read(contents.digest()),
            Err(error) => Seen::Unreadable(format!("{error:#}")),
        };
        if *seen == now {
            return;
        }
        *seen = now;
        match contents.and_then(|contents| contents.pair(&files.certificate, &files.key)) {
            Ok(pair) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                tracing::info!(certificate = %files.certificate.display(), "serving with a new certificate");
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(error, "the new certificate cannot be served; the one in use stays");
            }
        }
    }
}

impl ResolvesServerCert for Pair {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl Contents {
    fn read(certificate: &Path, key: &Path) -> anyhow::Result<Self> {
        let read = |path: &Path| {
            let act = || format!("reading {}", path.display());
            let mut bytes = Vec::new();
            File::open(path)
                .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
                .with_context(act)?;
            ensure!(bytes.len() as u64 <= MAX_FILE_BYTES, "{}: longer than {MAX_FILE_BYTES} bytes", act());
            Ok(bytes)
        };
        Ok(Self { certificate: read(certificate)?, key: read(key)? })
    }

    fn digest(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&SHA256);
        for part in [&self.certificate, &self.key] {
            context.update(&part.len().to_le_bytes());
            context.update(part);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        bytes
    }

    fn pair(&self, certificate: &Path, key: &Path) -> anyhow::Result<CertifiedKey> {
        let what = format!("--tls-private-key-file {}", key.display());
        let private = default_provider().key_provider.load_private_key(private_key(&what, &self.key)?);
        let private = private.map_err(|_| anyhow!("{what}: no private key of a kind that can be used"))?;
        let what = format!("--tls-cert-file {}", certificate.display());
        let pair = CertifiedKey::new(certificates(&what, &self.certificate)?, private);
        match pair.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair),
            Err(Error::InconsistentKeys(_)) => Err(anyhow!("{what}: the key is that of another certificate")),
            Err(error) => Err(error).context(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn certificate(&self) -> PathBuf {
            self.0.path().join("tls.crt")
        }
        fn key(&self) -> PathBuf {
            self.0.path().join("tls.key")
        }
        fn pair(&self) -> anyhow::Result<Pair> {
            Pair::from_files(&self.certificate(), &self.key())
        }
    }

    fn pem(label: &str, der: &[u8]) -> String {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    }

    /// A certificate and its key, as files hold them.
    fn made() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["made.example".to_owned()]).unwrap();
        (pem("CERTIFICATE", made.cert.der()), pem("PRIVATE KEY", &made.signing_key.serialize_der()))
    }

    #[test]
    fn the_last_good_pair_stays_until_there_is_a_better_one() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let ((first, first_key), (second, second_key)) = (made(), made());
        let write = |certificate: &str, key: &str| {
            fs::write(folder.certificate(), certificate).unwrap();
            fs::write(folder.key(), key).unwrap();
        };
        let served = |pem: &str| certificates("it", pem.as_bytes()).unwrap().remove(0);
        write(&first, &first_key);
        let pair = folder.pair().unwrap();
        let in_use = || pair.current().cert.first().unwrap().clone();
        assert_eq!(in_use(), served(&first));
        for (certificate, key, expect) in [
            (second.as_str(), first_key.as_str(), &first),
            ("", &second_key, &first),
            (&second, "no key", &first),
            (&second, &second_key, &second),
            (&first, &second_key, &second),
        ] {
            write(certificate, key);
            pair.refresh();
            assert_eq!(in_use(), served(expect));
        }
        fs::remove_file(folder.key()).unwrap();
        pair.refresh();
        assert_eq!(in_use(), served(&second), "a file that is gone changes nothing");
        write(&first, &first_key);
        pair.refresh();
        assert_eq!(in_use(), served(&first));
    }

    #[test]
    fn what_cannot_be_served_is_refused_at_the_start_without_a_word_of_the_key() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let ((good, key), (_, other)) = (made(), made());
        let long = "x".repeat(2 << 20);
        for (certificate, key, expect) in [
            ("rubbish", key.as_str(), "tls.crt: holds no PEM certificate"),
            (&good, "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----", "tls.key: no p"),
            (&good, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----", "tls.key: no p"),
            (&good, &other, "tls.crt: the key is that of another certificate"),
            (&long, &key, "longer than 1048576 bytes"),
        ] {
            fs::write(folder.certificate(), certificate).unwrap();
            fs::write(folder.key(), key).unwrap();
            let error = format!("{:#}", folder.pair().unwrap_err());
            assert!(error.contains(expect) && !error.contains("secret"), "{error}");
        }
        fs::remove_file(folder.certificate()).unwrap();
        let error = format!("{:#}", folder.pair().unwrap_err());
        assert!(error.starts_with("reading ") && error.contains("tls.crt"), "{error}");
    }
}
