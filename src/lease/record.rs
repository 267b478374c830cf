//! The Lease object, as the server has it.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::LeaseSettings;

/// A duration in somebody's Lease that is longer than this is not believed: it would keep the lease from ever being
/// taken over.
const MAX_DURATION: Duration = Duration::from_secs(3600);

/// A Lease. Kept whole, so that writing it back loses no field that we do not know. What others wrote into it may be
/// anything: a field that cannot be read counts as absent.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    object: Map<String, Value>,
    resource_version: String,
}

impl Lease {
    /// None when this is no object with a resource version: without one, a write would have no precondition.
    pub(super) fn new(object: Value) -> Option<Self> {
        let Value::Object(object) = object else { return None };
        let version = object.get("metadata")?.get("resourceVersion")?.as_str()?;
        let resource_version = Some(version).filter(|version| !version.is_empty())?.to_owned();
        Some(Self { object, resource_version })
    }

    pub(super) fn resource_version(&self) -> &str {
        &self.resource_version
    }

    /// Who holds it. A released lease has no holder.
    pub(super) fn holder(&self) -> Option<&str> {
        self.field("holderIdentity")?.as_str().filter(|holder| !holder.is_empty())
    }

    /// How long it is valid after a renewal was seen. The holder's word counts, not our own setting.
    pub(super) fn duration(&self, fallback: Duration) -> Duration {
        let seconds = self.field("leaseDurationSeconds").and_then(Value::as_u64).filter(|&seconds| seconds > 0);
        seconds.map_or(fallback, Duration::from_secs).min(MAX_DURATION)
    }

    pub(super) fn transitions(&self) -> u32 {
        self.field("leaseTransitions").and_then(Value::as_u64).and_then(|count| u32::try_from(count).ok()).unwrap_or(0)
    }

    /// Whether both say the same about holding. Labels and annotations may change without anybody having renewed.
    pub(super) fn same_term(&self, other: &Self) -> bool {
        self.object.get("spec") == other.object.get("spec")
    }

    /// This Lease with us as its holder, renewed at `now`.
    pub(super) fn claimed(&self, settings: &LeaseSettings, now: Timestamp) -> Value {
        let ours = self.holder() == Some(settings.identity.as_str());
        let mut fields = vec![
            ("holderIdentity", json!(settings.identity)),
            ("leaseDurationSeconds", json!(settings.lease_duration.as_secs())),
            ("renewTime", json!(micros(now))),
        ];
        if !ours {
            fields.push(("acquireTime", json!(micros(now))));
            // The field is a signed 32 bit number.
            fields.push(("leaseTransitions", json!(self.transitions().saturating_add(1).min(i32::MAX.unsigned_abs()))));
        }
        self.with(fields, &[])
    }

    /// This Lease without a holder, so that others need not wait.
    pub(super) fn released(&self, now: Timestamp) -> Value {
        // Without the field rather than with an empty one, which some servers refuse.
        self.with(vec![("leaseDurationSeconds", json!(1)), ("renewTime", json!(micros(now)))], &["holderIdentity"])
    }

    fn field(&self, name: &str) -> Option<&Value> {
        self.object.get("spec")?.get(name)
    }

    fn with(&self, set: Vec<(&str, Value)>, remove: &[&str]) -> Value {
        let mut object = self.object.clone();
        let mut spec = match object.remove("spec") {
            Some(Value::Object(spec)) => spec,
            _ => Map::new(),
        };
        for name in remove {
            spec.remove(*name);
        }
        spec.extend(set.into_iter().map(|(name, value)| (name.to_owned(), value)));
        object.insert("spec".to_owned(), Value::Object(spec));
        Value::Object(object)
    }
}

/// A Lease that does not exist yet, held by us.
pub(super) fn first(settings: &LeaseSettings, now: Timestamp) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": { "name": settings.name, "namespace": settings.namespace },
        "spec": {
            "holderIdentity": settings.identity,
            "leaseDurationSeconds": settings.lease_duration.as_secs(),
            "acquireTime": micros(now),
            "renewTime": micros(now),
            "leaseTransitions": 0,
        },
    })
}

/// Kubernetes' MicroTime: always six digits after the point.
fn micros(at: Timestamp) -> String {
    format!("{at:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(spec: Value) -> Lease {
        Lease::new(json!({"metadata": {"resourceVersion": "7", "labels": {"a": "b"}}, "spec": spec})).unwrap()
    }

    fn settings() -> LeaseSettings {
        LeaseSettings::new("ns", "plimsoll", "me".to_owned())
    }

    #[test]
    fn without_a_resource_version_it_is_no_lease() {
        for odd in
            [json!(null), json!([]), json!({}), json!({"metadata": {"resourceVersion": ""}}), json!({"metadata": 3})]
        {
            assert!(Lease::new(odd).is_none());
        }
    }

    #[test]
    fn odd_content_counts_as_absent() {
        let fallback = Duration::from_secs(15);
        for spec in [
            json!(null),
            json!("spec"),
            json!([1]),
            json!({"holderIdentity": "", "leaseDurationSeconds": 0, "leaseTransitions": -1}),
            json!({"holderIdentity": 5, "leaseDurationSeconds": -4, "leaseTransitions": "many"}),
            json!({"holderIdentity": null, "leaseDurationSeconds": 1.5, "leaseTransitions": 1e300}),
        ] {
            let lease = lease(spec);
            assert_eq!(lease.holder(), None);
            assert_eq!(lease.duration(fallback), fallback);
            assert_eq!(lease.transitions(), 0);
            assert_eq!(lease.claimed(&settings(), Timestamp::UNIX_EPOCH)["spec"]["leaseTransitions"], 1);
        }
        assert_eq!(lease(json!({"leaseDurationSeconds": u64::MAX})).duration(fallback), MAX_DURATION);
        let worn = lease(json!({"leaseTransitions": i32::MAX}));
        assert_eq!(worn.claimed(&settings(), Timestamp::UNIX_EPOCH)["spec"]["leaseTransitions"], i32::MAX);
    }

    #[test]
    fn a_claim_keeps_what_it_does_not_know() {
        let old =
            lease(json!({"holderIdentity": "other", "leaseTransitions": 4, "strategy": "x", "acquireTime": "then"}));
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let claimed = old.claimed(&settings(), now);
        assert_eq!(claimed["metadata"]["labels"]["a"], "b");
        assert_eq!(claimed["metadata"]["resourceVersion"], "7");
        assert_eq!(
            claimed["spec"],
            json!({"holderIdentity": "me", "leaseTransitions": 5, "strategy": "x", "leaseDurationSeconds": 15,
                   "acquireTime": "2026-01-02T03:04:05.000000Z", "renewTime": "2026-01-02T03:04:05.000000Z"})
        );
        let renewed = Lease::new(claimed).unwrap().claimed(&settings(), Timestamp::UNIX_EPOCH);
        assert_eq!(renewed["spec"]["acquireTime"], "2026-01-02T03:04:05.000000Z");
        assert_eq!(renewed["spec"]["leaseTransitions"], 5);
        let released = Lease::new(renewed).unwrap().released(now);
        assert_eq!(released["spec"].get("holderIdentity"), None);
        assert_eq!(released["spec"]["leaseDurationSeconds"], 1);
    }
}
