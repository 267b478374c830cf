//! Nodes, parsed once.

use std::collections::BTreeMap;

use crate::api;
use crate::intern::Istr;
use crate::labels::LabelSet;
use crate::pod::{Faults, Uid, annotations, resource_list};
use crate::resources::Resources;
use crate::toleration::Taint;

/// An image that a node has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeImage {
    /// One of its names, with tag or digest.
    pub name: Istr,
    /// Its size on disk.
    pub size_bytes: i64,
}

/// One node: everything that scheduling reads of the object. What runs on it is kept apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its name.
    pub name: Istr,
    /// Its identity: a node deleted and made again under its name is another one.
    pub uid: Uid,
    /// The version of the object; greater is newer. 0 where the server gave none that can be compared.
    pub resource_version: u64,
    /// Its labels.
    pub labels: LabelSet,
    /// Its taints in their order.
    pub taints: Box<[Taint]>,
    /// Whether it is cordoned (`spec.unschedulable`).
    pub unschedulable: bool,
    /// What it can give.
    pub allocatable: Resources,
    /// How many pods it can hold.
    pub allocatable_pods: i64,
    /// The images it has, one entry for each name, sorted by name.
    pub images: Box<[NodeImage]>,
    /// Its conditions, as type and status, sorted.
    pub conditions: Box<[(Istr, Istr)]>,
    /// `status.declaredFeatures`, sorted.
    pub declared_features: Box<[Istr]>,
    /// The annotations that plugins declared, sorted by key.
    pub annotations: Box<[(Istr, Box<str>)]>,
}

impl NodeInfo {
    /// Parses a node, keeping the annotations in `annotation_keys`. What cannot be read is noted in the second part and
    /// left out of the first: an amount that is no quantity counts as nothing.
    pub fn parse(node: &api::Node, annotation_keys: &[Istr]) -> (Self, Faults) {
        let mut faults = Faults::default();
        let (meta, status) = (&node.metadata, &node.status);
        let allocatable = resource_list(&status.allocatable, || "status.allocatable".to_owned(), &mut faults);
        let sizes: BTreeMap<&Istr, i64> =
            status.images.iter().flat_map(|i| i.names.iter().map(move |n| (n, i.size_bytes))).collect();
        let conditions: BTreeMap<&Istr, &Istr> = status.conditions.iter().map(|c| (&c.kind, &c.status)).collect();
        let mut declared_features = status.declared_features.clone();
        declared_features.sort();
        let info = Self {
            name: meta.name.clone(),
            uid: Uid::new(&meta.uid),
            resource_version: meta.resource_version.parse().unwrap_or(0),
            labels: LabelSet::from(&meta.labels),
            taints: node.spec.taints.iter().map(Taint::from).collect(),
            unschedulable: node.spec.unschedulable,
            allocatable_pods: allocatable.get(&"pods".into()).unwrap_or_default().value(),
            allocatable: allocatable.to_resources(),
            images: sizes.into_iter().map(|(name, size_bytes)| NodeImage { name: name.clone(), size_bytes }).collect(),
            conditions: conditions.into_iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            declared_features: declared_features.into(),
            annotations: annotations(meta, annotation_keys, &mut faults),
        };
        (info, faults)
    }

    /// The value of a declared annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.iter().find(|(k, _)| &**k == key).map(|(_, v)| &**v)
    }

    /// Whether scheduling reads the two alike: only their versions may differ. Conditions count, since a plugin that
    /// reads the whole node can read them; a heartbeat leaves their type and status as they are.
    pub fn same_for_scheduling(&self, other: &Self) -> bool {
        let neutral = |n: &Self| Self { resource_version: 0, ..n.clone() };
        neutral(self) == neutral(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> (NodeInfo, Faults) {
        NodeInfo::parse(&serde_json::from_str(json).unwrap(), &[])
    }

    #[test]
    fn a_node_is_read() {
        let (node, faults) = parse(
            r#"{"metadata":{"name":"n","uid":"u","resourceVersion":"7","labels":{"zone":"a"}},
                "spec":{"taints":[{"key":"k","effect":"NoSchedule"}],"unschedulable":true},
                "status":{"allocatable":{"cpu":"3900m","memory":"1Gi","pods":"110","example.com/gpu":"2","storage":"1"},
                          "images":[{"names":["b:1","a:1"],"sizeBytes":5}]}}"#,
        );
        assert!(faults.is_empty());
        assert_eq!((node.allocatable.milli_cpu, node.allocatable_pods), (3_900, 110));
        assert_eq!(node.allocatable.scalars.as_slice(), [("example.com/gpu".into(), 2)]);
        let names: Vec<&str> = node.images.iter().map(|i| &*i.name).collect();
        assert_eq!(names, ["a:1", "b:1"]);
        assert!(node.unschedulable);
    }

    #[test]
    fn a_bad_amount_counts_as_nothing_and_is_named() {
        let (node, faults) =
            parse(r#"{"metadata":{"name":"n"},"status":{"allocatable":{"cpu":"lots","memory":"1Gi"}}}"#);
        assert_eq!((node.allocatable.milli_cpu, node.allocatable.memory_bytes), (0, 1 << 30));
        assert!(faults.to_string().starts_with("status.allocatable[cpu]: \"lots\" is not a quantity"), "{faults}");
    }
}
