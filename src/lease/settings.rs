//! Which lease, and how fast.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use super::LeaseError;

/// Which Lease is competed for, by whom, and with what times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseSettings {
    /// The Lease's namespace.
    pub namespace: String,
    /// The Lease's name.
    pub name: String,
    /// Who we are; no other candidate may ever have the same. See [`identity`].
    pub identity: String,
    /// How long others wait, after the last renewal they saw, before they take over. Whole seconds. Default 15 s.
    pub lease_duration: Duration,
    /// How long after its last renewal the leader still acts. Below `lease_duration`. Default 10 s.
    pub renew_deadline: Duration,
    /// Time between renewals, and between attempts that failed. Below `renew_deadline`. Default 2 s.
    pub retry_period: Duration,
}

impl LeaseSettings {
    /// The lease `namespace`/`name`, with upstream's times.
    pub fn new(namespace: &str, name: &str, identity: String) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            identity,
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }

    /// The longest that a call may take which the fence let through: when it ends later, another may already lead.
    pub fn call_allowance(&self) -> Duration {
        self.lease_duration.saturating_sub(self.renew_deadline)
    }

    /// Namespace and name, for messages.
    pub(super) fn lease(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The longest that one of our own calls may take: a hung one leaves time for another before the deadline.
    pub(super) fn call_timeout(&self) -> Duration {
        self.renew_deadline / 2
    }

    /// Upstream's rules for these values.
    pub(super) fn validate(&self) -> Result<(), LeaseError> {
        let whole_seconds =
            self.lease_duration.subsec_nanos() == 0 && i32::try_from(self.lease_duration.as_secs()).is_ok();
        let problem = if !is_name(&self.namespace) || !is_name(&self.name) {
            format!("{:?} is not the namespace and name of a lease", self.lease())
        } else if self.identity.is_empty() {
            "the identity is empty".to_owned()
        } else if self.retry_period.is_zero() {
            "retryPeriod must be greater than zero".to_owned()
        } else if self.lease_duration <= self.renew_deadline {
            "leaseDuration must be greater than renewDeadline".to_owned()
        // Renewals may be late by a fifth, and one must fit in.
        } else if self.renew_deadline <= self.retry_period.saturating_mul(6) / 5 {
            "renewDeadline must be greater than retryPeriod times 1.2".to_owned()
        } else if !whole_seconds {
            "leaseDuration must be whole seconds".to_owned()
        } else {
            return Ok(());
        };
        Err(LeaseError::Settings(problem))
    }
}

/// Whether this may stand in a path: names of objects are lower case letters, digits, `-` and `.`.
fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    !text.is_empty() && text.len() <= 253 && text != "." && text != ".." && text.bytes().all(allowed)
}

/// An identity that no other process has: the host's name (in a pod, the pod's) and 128 random bits.
pub fn identity() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::env::var("HOSTNAME").map_err(std::io::Error::other));
    let name = name.as_deref().map_or("", str::trim);
    let name = if name.is_empty() { "plimsoll" } else { name };
    let [a, b] = [random(), random()];
    format!(
        "{name}_{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xffff,
        b >> 48,
        b & 0xffff_ffff_ffff
    )
}

/// The standard library seeds its hash maps from the system's randomness; that is all the randomness needed here.
pub(crate) fn random() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_differ() {
        let (one, two) = (identity(), identity());
        assert_ne!(one, two);
        let (host, id) = one.rsplit_once('_').unwrap();
        assert!(!host.is_empty() && id.len() == 36 && id.matches('-').count() == 4, "{one}");
    }

    #[test]
    fn times_and_names_that_make_no_sense_are_refused() {
        let good = LeaseSettings::new("kube-system", "plimsoll", "me".to_owned());
        assert!(good.validate().is_ok());
        assert_eq!(good.call_allowance(), Duration::from_secs(5));
        let seconds = Duration::from_secs;
        let bad = |change: fn(&mut LeaseSettings)| {
            let mut settings = good.clone();
            change(&mut settings);
            settings.validate().unwrap_err().to_string()
        };
        assert!(bad(|s| s.lease_duration = s.renew_deadline).contains("greater than renewDeadline"));
        assert!(bad(|s| s.retry_period = Duration::from_millis(8_400)).contains("times 1.2"));
        assert!(bad(|s| s.retry_period = Duration::ZERO).contains("greater than zero"));
        assert!(bad(|s| s.lease_duration = Duration::from_millis(15_500)).contains("whole seconds"));
        assert!(bad(|s| s.lease_duration = Duration::MAX).contains("whole seconds"));
        assert!(bad(|s| s.identity = String::new()).contains("identity"));
        for name in ["", "..", "a/b", "A", "a?b"] {
            let settings = LeaseSettings { name: name.to_owned(), ..good.clone() };
            assert!(settings.validate().is_err(), "{name}");
        }
        assert_eq!(seconds(2), good.retry_period);
    }
}
