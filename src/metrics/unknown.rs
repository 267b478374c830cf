//! Fields of pods that this version does not know, by name.

use std::sync::{Mutex, PoisonError};

use hashbrown::HashSet;
use plimsoll_framework::api::OTHER_FIELDS;
use prometheus::{IntCounter, IntCounterVec};

/// How many fields have a series of their own: the names come from outside.
const NAMED: usize = 64;

/// Counts fields by name; those that come when there are many share one series.
pub struct UnknownFieldCounters {
    counters: IntCounterVec,
    named: Mutex<HashSet<Box<str>>>,
}

impl UnknownFieldCounters {
    pub(super) fn new(counters: IntCounterVec) -> Self {
        Self { counters, named: Mutex::default() }
    }

    /// Counts a field, and tells the name it is counted by when that is counted for the first time.
    pub fn count<'a>(&self, field: &'a str) -> Option<&'a str> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let known = named.contains(field);
        let name = if known || named.len() < NAMED { field } else { OTHER_FIELDS };
        self.of(name).inc();
        // The series of the rest is not one of those that are bounded.
        (!known && named.insert(name.into())).then_some(name)
    }

    /// The series of a field.
    fn of(&self, field: &str) -> IntCounter {
        self.counters.with_label_values(&[field])
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Opts;

    use super::*;

    #[test]
    fn a_field_is_told_of_once_and_names_are_bounded() {
        let counters = IntCounterVec::new(Opts::new("x", "x"), &["field"]).unwrap();
        let fields = UnknownFieldCounters::new(counters.clone());
        assert_eq!(fields.count("spec.a"), Some("spec.a"));
        assert_eq!(fields.count("spec.a"), None);
        let told: Vec<String> =
            (0..1_000).filter_map(|i| fields.count(&format!("spec.f{i}")).map(str::to_owned)).collect();
        assert_eq!((told.len(), told[62].as_str(), told[63].as_str()), (64, "spec.f62", OTHER_FIELDS));
        assert_eq!((fields.of("spec.a").get(), fields.of("spec.f0").get()), (2, 1));
        assert_eq!(fields.of(OTHER_FIELDS).get(), 1_000 - 63);
        use prometheus::core::Collector as _;
        assert_eq!(counters.collect()[0].get_metric().len(), NAMED + 1);
    }
}
