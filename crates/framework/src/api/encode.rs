//! Writing what was decoded: the fields that are used, under Kubernetes' names, so that what is decoded again is the same.
//!
//! A field that holds what it would hold without being there is left out. Fields that were not used are not kept, so they
//! are not written, and neither is which of them were unknown.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::intern::Istr;

/// What may be left out.
pub(super) trait Absent {
    /// Whether it is as good as nothing.
    fn is_absent(&self) -> bool {
        false
    }
}

impl<T> Absent for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}
impl<T> Absent for Vec<T> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}
impl<K, V> Absent for BTreeMap<K, V> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}
impl Absent for Istr {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}
impl Absent for Box<str> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}
impl Absent for bool {
    fn is_absent(&self) -> bool {
        !self
    }
}
impl Absent for i32 {
    fn is_absent(&self) -> bool {
        *self == 0
    }
}
impl Absent for i64 {
    fn is_absent(&self) -> bool {
        *self == 0
    }
}

/// Writes a field, unless it may be left out.
pub(super) fn field<M: SerializeMap, T: Serialize + Absent>(
    map: &mut M,
    name: &'static str,
    value: &T,
) -> Result<(), M::Error> {
    if value.is_absent() { Ok(()) } else { map.serialize_entry(name, value) }
}

/// A part of which only matters that it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anything;

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|IgnoredAny| Self)
    }
}
impl Serialize for Anything {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_map(Some(0))?.end()
    }
}
