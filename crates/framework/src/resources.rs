//! Amounts of resources in the units scheduling works with, and which resource names count at all
//! (reference sections 3.1 and 3.4).

use smallvec::SmallVec;

use crate::intern::Istr;
use crate::quantity::Quantity;

/// Amounts of resources: of a pod's request, or of what a node can give.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Resources {
    /// Thousandths of a CPU.
    pub milli_cpu: i64,
    /// Bytes of memory.
    pub memory_bytes: i64,
    /// Bytes of ephemeral storage.
    pub ephemeral_storage_bytes: i64,
    /// Extended resources, huge pages and attachable volumes in whole units, sorted by name.
    pub scalars: SmallVec<[(Istr, i64); 2]>,
}

impl Resources {
    /// The amount of the resource `name` in the unit it is kept in (milli-CPU for `cpu`), 0 if it is not there.
    pub fn get(&self, name: &str) -> i64 {
        match name {
            "cpu" => self.milli_cpu,
            "memory" => self.memory_bytes,
            "ephemeral-storage" => self.ephemeral_storage_bytes,
            _ => self.scalars.iter().find(|(n, _)| **n == *name).map_or(0, |(_, v)| *v),
        }
    }

    /// Whether some amount here is greater than in `other`.
    pub fn exceeds(&self, other: &Self) -> bool {
        self.milli_cpu > other.milli_cpu
            || self.memory_bytes > other.memory_bytes
            || self.ephemeral_storage_bytes > other.ephemeral_storage_bytes
            || self.scalars.iter().any(|(name, v)| *v > other.get(name))
    }
}

/// Exact amounts by resource name, before rounding.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ResourceList {
    amounts: SmallVec<[(Istr, Quantity); 4]>,
}

impl ResourceList {
    /// The amount of `name`, if the list names it.
    pub fn get(&self, name: &Istr) -> Option<Quantity> {
        self.amounts.iter().find(|(n, _)| n == name).map(|(_, q)| *q)
    }

    /// Every name with its amount.
    pub fn iter(&self) -> impl Iterator<Item = (&Istr, Quantity)> {
        self.amounts.iter().map(|(n, q)| (n, *q))
    }

    /// Whether the list names nothing.
    pub fn is_empty(&self) -> bool {
        self.amounts.is_empty()
    }

    /// Sets the amount of `name`.
    pub fn set(&mut self, name: &Istr, amount: Quantity) {
        match self.amounts.iter_mut().find(|(n, _)| n == name) {
            Some((_, q)) => *q = amount,
            None => self.amounts.push((name.clone(), amount)),
        }
    }

    /// Adds every amount of `other`.
    pub fn add(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            let sum = self.get(name).unwrap_or_default().plus(amount);
            self.set(name, sum);
        }
    }

    /// Raises every amount to that of `other`.
    pub fn raise(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            if self.get(name).is_none_or(|q| q < amount) {
                self.set(name, amount);
            }
        }
    }

    /// The amounts in scheduling's units, each rounded away from zero; names that scheduling ignores are left out.
    pub fn to_resources(&self) -> Resources {
        let mut r = Resources::default();
        for (name, q) in self.iter() {
            match &**name {
                "cpu" => r.milli_cpu = q.milli_value(),
                "memory" => r.memory_bytes = q.value(),
                "ephemeral-storage" => r.ephemeral_storage_bytes = q.value(),
                _ if is_scalar(name) => r.scalars.push((name.clone(), q.value())),
                _ => {}
            }
        }
        r.scalars.sort();
        r
    }
}

/// Whether scheduling counts a resource of this name besides CPU, memory, ephemeral storage and pods.
pub fn is_scalar(name: &str) -> bool {
    is_extended(name)
        || name.starts_with("hugepages-")
        || name.contains("kubernetes.io/")
        || name.starts_with("attachable-volumes-")
}

/// Whether it is an extended resource, as opposed to one that Kubernetes itself defines.
pub fn is_extended(name: &str) -> bool {
    let native = !name.contains('/') || name.split('/').next().is_some_and(|p| p.ends_with("kubernetes.io"));
    !native && !name.starts_with("requests.") && is_qualified_name(&format!("requests.{name}"))
}

/// `prefix/name` or `name`: the form of label keys and extended resources.
pub fn is_qualified_name(text: &str) -> bool {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let alphanumeric_ends = |s: &str| {
        s.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
            && s.as_bytes().last().is_some_and(u8::is_ascii_alphanumeric)
    };
    let label =
        |s: &str| alphanumeric_ends(s) && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    prefix.is_none_or(|p| p.len() <= 253 && p.split('.').all(label))
        && name.len() <= 63
        && alphanumeric_ends(name)
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_count() {
        let rows = [
            ("example.com/gpu", true, true),
            ("hugepages-2Mi", true, false),
            ("attachable-volumes-csi-x", true, false),
            ("deviceclass.resource.kubernetes.io/gpu", true, false),
            ("foo", false, false),
            ("storage", false, false),
            ("requests.example.com/x", false, false),
            ("Bad_Prefix/x", false, false),
            ("example.com/", false, false),
        ];
        for (name, scalar, extended) in rows {
            assert_eq!((is_scalar(name), is_extended(name)), (scalar, extended), "{name}");
        }
    }
}
