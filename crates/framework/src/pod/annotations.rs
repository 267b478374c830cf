//! Annotations: whatever anybody writes to an object, of which the few are read that plugins declared.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Faults;
use crate::api;
use crate::intern::Istr;

/// The longest value that is kept, in bytes: all annotations of an object may have as many, says Kubernetes.
const LONGEST: usize = 256 << 10;

/// The values of the annotations in `keys`; the rest of the annotations is never parsed into memory.
pub(crate) fn annotations(meta: &api::ObjectMeta, keys: &[Istr], faults: &mut Faults) -> Box<[(Istr, Box<str>)]> {
    let (Some(raw), false) = (&meta.annotations, keys.is_empty()) else { return Box::default() };
    match serde_json::Deserializer::from_str(raw.get()).deserialize_map(Wanted(keys)) {
        Ok(values) => keys.iter().zip(values).filter_map(|(key, value)| fitting(key, value?, faults)).collect(),
        Err(e) => {
            faults.note("metadata.annotations".to_owned(), e);
            Box::default()
        }
    }
}

fn fitting(key: &Istr, value: String, faults: &mut Faults) -> Option<(Istr, Box<str>)> {
    if value.len() > LONGEST {
        let problem = format!("{} bytes, which is more than the {LONGEST} that Kubernetes allows", value.len());
        faults.note(format!("metadata.annotations[{key}]"), problem);
        return None;
    }
    Some((key.clone(), value.into()))
}

/// Reads a map for the values of these keys. What is no text counts as absent.
struct Wanted<'a>(&'a [Istr]);

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Vec<Option<String>>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = vec![None; self.0.len()];
        while let Some(place) = map.next_key_seed(Key(self.0))? {
            match place.and_then(|place| values.get_mut(place)) {
                Some(value) => *value = map.next_value::<serde_json::Value>()?.as_str().map(str::to_owned),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(values)
    }
}

impl api::ObjectMeta {
    /// Drops the annotations that are not in `keys`, so that what is written of the object holds none that nobody reads.
    /// What is no map of annotations stays as it is, unless nothing is read of it.
    pub fn keep_annotations(&mut self, keys: &[Istr]) {
        let Some(raw) = self.annotations.take().filter(|_| !keys.is_empty()) else { return };
        let kept = serde_json::Deserializer::from_str(raw.get()).deserialize_map(Kept(keys));
        self.annotations = match kept {
            Ok(kept) if kept.is_empty() => None,
            Ok(kept) => RawValue::from_string(format!("{{{}}}", kept.join(","))).ok(),
            Err(_) => Some(raw),
        };
    }
}

/// Reads a map for the entries with these keys, as text.
struct Kept<'a>(&'a [Istr]);

impl<'de> Visitor<'de> for Kept<'_> {
    type Value = Vec<String>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(place) = map.next_key_seed(Key(self.0))? {
            match place.and_then(|place| self.0.get(place)) {
                Some(key) => {
                    let key = serde_json::to_string(key).map_err(A::Error::custom)?;
                    entries.push(format!("{key}:{}", map.next_value::<&RawValue>()?));
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(entries)
    }
}

/// Which of the keys one is.
struct Key<'a>(&'a [Istr]);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|wanted| &**wanted == key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(annotations: &str, keys: &[&str]) -> (Vec<String>, String) {
        let meta = serde_json::from_str(&format!(r#"{{"annotations":{annotations}}}"#)).unwrap();
        let (keys, mut faults) = (keys.iter().map(|key| Istr::new(key)).collect::<Vec<_>>(), Faults::default());
        let read = annotations_of(&meta, &keys, &mut faults);
        (read, faults.to_string())
    }
    fn annotations_of(meta: &api::ObjectMeta, keys: &[Istr], faults: &mut Faults) -> Vec<String> {
        annotations(meta, keys, faults).iter().map(|(key, value)| format!("{key}={value}")).collect()
    }

    #[test]
    fn declared_ones_are_read_and_others_skipped() {
        let rows: &[(&str, &[&str], &[&str])] = &[
            (r#"{"a":"1","b":"2"}"#, &[], &[]),
            (r#"{"a":"1","b":"2","c":"3"}"#, &["c", "a", "d"], &["c=3", "a=1"]),
            (r#"{"a":7,"b":{"c":"d"},"c":null}"#, &["a", "b", "c"], &[]),
            (r#"{"a\/b":"x\"y"}"#, &["a/b"], &["a/b=x\"y"]),
            ("null", &["a"], &[]),
        ];
        for (annotations, keys, expect) in rows {
            let (values, faults) = read(annotations, keys);
            assert_eq!(
                (values, faults.as_str()),
                (expect.iter().map(|s| (*s).to_owned()).collect(), ""),
                "{annotations}"
            );
        }
        let (values, faults) = read("[]", &["a"]);
        assert!(values.is_empty() && faults.starts_with("metadata.annotations: invalid type: sequence"), "{faults}");
    }

    #[test]
    fn those_that_nobody_reads_are_dropped_and_the_others_read_as_before() {
        let rows: &[(&str, &[&str], &str)] = &[
            (r#"{"a":"1","b":"2"}"#, &[], "{}"),
            (r#"{"a":"1","b":"2","a":"3"}"#, &["a"], r#"{"annotations":{"a":"1","a":"3"}}"#),
            (r#"{"b":"2"}"#, &["a"], "{}"),
            (r#"{"a\/b":{"c": 1},"secret":"s"}"#, &["a/b", "x"], r#"{"annotations":{"a/b":{"c": 1}}}"#),
            ("[]", &["a"], r#"{"annotations":[]}"#),
            ("null", &["a"], "{}"),
        ];
        for (annotations, keys, expect) in rows {
            let keys: Vec<Istr> = keys.iter().map(|key| Istr::new(key)).collect();
            let mut meta: api::ObjectMeta =
                serde_json::from_str(&format!(r#"{{"annotations":{annotations}}}"#)).unwrap();
            let (mut before, mut after) = (Faults::default(), Faults::default());
            let read = annotations_of(&meta, &keys, &mut before);
            meta.keep_annotations(&keys);
            assert_eq!(serde_json::to_string(&meta).unwrap(), *expect, "{annotations}");
            assert_eq!(annotations_of(&meta, &keys, &mut after), read, "{annotations}");
            assert_eq!(after.to_string(), before.to_string(), "{annotations}");
        }
    }

    #[test]
    fn one_that_is_too_long_is_not_kept_and_hides_no_other() {
        let annotations = format!(r#"{{"a":"{}","b":"2"}}"#, "x".repeat(1_000_000));
        assert_eq!(read(&annotations, &["b"]), (vec!["b=2".to_owned()], String::new()));
        let (values, faults) = read(&annotations, &["a", "b"]);
        assert_eq!(values, ["b=2"]);
        assert_eq!(
            faults,
            "metadata.annotations[a]: 1000000 bytes, which is more than the 262144 that Kubernetes allows"
        );
    }
}
