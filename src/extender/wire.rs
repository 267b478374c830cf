//! The messages of the extender protocol (reference section 9.8).
//!
//! Field names go out as kube-scheduler writes them, capitalised. They are read as Go reads them: in whatever case, unknown
//! ones skipped, `null` as if the field were not there.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// A struct whose fields are read in whatever case. All are optional.
macro_rules! folded {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty = $key:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub(crate) struct $name { $($(#[$doc])* pub(crate) $field: Option<$type>,)* }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields;
                impl<'de> Visitor<'de> for Fields {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_unit<E>(self) -> Result<$name, E> {
                        Ok($name::default())
                    }
                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        let mut read = $name::default();
                        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                            match &*key {
                                $(key if key.eq_ignore_ascii_case($key) => read.$field = map.next_value()?,)*
                                _ => drop(map.next_value::<IgnoredAny>()?),
                            }
                        }
                        Ok(read)
                    }
                }
                deserializer.deserialize_any(Fields)
            }
        }
    };
}

/// Reasons by node.
pub(crate) type Reasons = BTreeMap<String, Option<String>>;

folded! {
    /// An answer to a filter call.
    FilterResult {
        nodes: NodeNames = "nodes",
        node_names: Vec<String> = "nodenames",
        failed_nodes: Reasons = "failednodes",
        failed_and_unresolvable_nodes: Reasons = "failedandunresolvablenodes",
        error: String = "error",
    }
}
folded! {
    /// A list of nodes of which only the names are read.
    NodeNames { items: Vec<Named> = "items" }
}
folded! {
    /// An object of which only the name is read.
    Named { metadata: Metadata = "metadata" }
}
folded! {
    /// The name of an object.
    Metadata { name: String = "name" }
}
folded! {
    /// The score of a node.
    HostPriority { host: String = "host", score: i64 = "score" }
}
folded! {
    /// An answer to a bind call.
    BindingResult { error: String = "error" }
}
folded! {
    /// An answer to a preempt call.
    PreemptResult { victims: BTreeMap<String, MetaVictims> = "nodenametometavictims" }
}
folded! {
    /// The pods that would have to leave a node.
    MetaVictims { pods: Vec<MetaPodRead> = "pods", num_pdb_violations: i64 = "numpdbviolations" }
}
folded! {
    /// A pod of which only the UID is read.
    MetaPodRead { uid: String = "uid" }
}
folded! {
    /// What kube-scheduler asks; the objects as they came.
    ExtenderArgs {
        pod: Box<RawValue> = "pod",
        nodes: NodeObjects = "nodes",
        node_names: Vec<String> = "nodenames",
    }
}
folded! {
    /// A list of nodes, each as it came.
    NodeObjects { items: Vec<Box<RawValue>> = "items" }
}

impl NodeNames {
    /// The names.
    pub(crate) fn names(self) -> impl Iterator<Item = String> {
        self.items.into_iter().flatten().map(|node| node.metadata.and_then(|m| m.name).unwrap_or_default())
    }
}

/// Reads the first value of a body, as Go does: what follows it is nobody's business.
pub(crate) fn decode<'de, T: Deserialize<'de>>(body: &'de [u8]) -> serde_json::Result<T> {
    T::deserialize(&mut serde_json::Deserializer::from_slice(body))
}

/// A filter or prioritize call.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Args<'a> {
    pub(crate) pod: &'a RawValue,
    pub(crate) nodes: Option<NodeList<'a>>,
    pub(crate) node_names: Option<Vec<&'a str>>,
}

/// Nodes in full.
#[derive(Serialize)]
pub(crate) struct NodeList<'a> {
    pub(crate) metadata: Empty,
    pub(crate) items: Vec<&'a RawValue>,
}

/// An object without fields.
#[derive(Serialize)]
pub(crate) struct Empty {}

/// A preempt call: the nodes that could be cleared, in one of two forms.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PreemptArgs<'a> {
    pub(crate) pod: &'a RawValue,
    pub(crate) node_name_to_victims: Option<BTreeMap<&'a str, Victims<&'a RawValue>>>,
    pub(crate) node_name_to_meta_victims: Option<BTreeMap<&'a str, Victims<MetaPod<'a>>>>,
}

/// The pods that would have to leave a node.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Victims<P> {
    pub(crate) pods: Vec<P>,
    #[serde(rename = "NumPDBViolations")]
    pub(crate) num_pdb_violations: i64,
}

/// A pod of which only the UID is written.
#[derive(Serialize)]
pub(crate) struct MetaPod<'a> {
    #[serde(rename = "UID")]
    pub(crate) uid: &'a str,
}

/// A bind call.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BindArgs<'a> {
    pub(crate) pod_name: &'a str,
    pub(crate) pod_namespace: &'a str,
    #[serde(rename = "PodUID")]
    pub(crate) pod_uid: &'a str,
    pub(crate) node: &'a str,
}

/// An answer to a filter call, to be written.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FilterAnswer<'a> {
    pub(crate) nodes: Option<NodeItems<'a>>,
    pub(crate) node_names: Option<Vec<&'a str>>,
    pub(crate) failed_nodes: BTreeMap<&'a str, String>,
    pub(crate) failed_and_unresolvable_nodes: BTreeMap<&'a str, String>,
    pub(crate) error: String,
}

/// Nodes that passed, as they came.
#[derive(Debug, Serialize)]
pub(crate) struct NodeItems<'a> {
    pub(crate) items: Vec<&'a RawValue>,
}

impl PartialEq for NodeItems<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.items.iter().map(|i| i.get()).eq(other.items.iter().map(|i| i.get()))
    }
}
impl Eq for NodeItems<'_> {}

/// The score of a node, to be written.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HostScore<'a> {
    pub(crate) host: &'a str,
    pub(crate) score: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_go_reads_them() {
        type Row = (
            &'static str,
            &'static [&'static str],
            Option<&'static [&'static str]>,
            &'static [(&'static str, &'static str)],
        );
        let rows: [Row; 7] = [
            (r#"{"NodeNames":["a","b"]}"#, &[], Some(&["a", "b"]), &[]),
            (
                r#"{"nodenames":["a"],"FAILEDNODES":{"b":"full","c":null}}"#,
                &[],
                Some(&["a"]),
                &[("b", "full"), ("c", "")],
            ),
            (r#"{"Nodes":{"Items":[{"metadata":{"name":"a","labels":{"name":"x"}}},{}]}}"#, &["a", ""], None, &[]),
            (r#"{"nodes":null,"NodeNames":null,"FailedNodes":null,"Error":""}"#, &[], None, &[]),
            (r#"{"NodeNames":[],"Extra":[1,{"NodeNames":2}]} and more"#, &[], Some(&[]), &[]),
            (r#"{"NodeNames":["a"],"nodeNames":["b"]}"#, &[], Some(&["b"]), &[]),
            ("null", &[], None, &[]),
        ];
        for (body, nodes, names, failed) in rows {
            let read: FilterResult = decode(body.as_bytes()).unwrap();
            assert_eq!(read.nodes.into_iter().flat_map(NodeNames::names).collect::<Vec<_>>(), nodes, "{body}");
            assert_eq!(read.node_names.as_deref().map(|n| n.iter().map(|s| &**s).collect()), names.map(<[_]>::to_vec));
            let said: Vec<(String, String)> =
                read.failed_nodes.into_iter().flatten().map(|(n, r)| (n, r.unwrap_or_default())).collect();
            let expect: Vec<(String, String)> = failed.iter().map(|(n, r)| ((*n).into(), (*r).into())).collect();
            assert_eq!(said, expect, "{body}");
        }
    }

    #[test]
    fn rubbish_is_an_error() {
        for body in ["", "ok", "[]", "7", r#"{"NodeNames":"a"}"#, r#"{"NodeNames":[1]}"#, r#"{"FailedNodes":[]}"#, "{"]
        {
            assert!(decode::<FilterResult>(body.as_bytes()).is_err(), "{body}");
        }
        for body in [r#"{}"#, r#"[{"Host":"a","Score":1.5}]"#, r#"[{"Host":"a","Score":"1"}]"#, r#"[3]"#] {
            assert!(decode::<Option<Vec<HostPriority>>>(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn calls_are_written_as_kube_scheduler_writes_them() {
        let pod = serde_json::value::to_raw_value(&serde_json::json!({"metadata": {"name": "p"}})).unwrap();
        let node = serde_json::value::to_raw_value(&serde_json::json!({"metadata": {"name": "n"}})).unwrap();
        let written = |args: &Args<'_>| serde_json::to_string(args).unwrap();
        assert_eq!(
            written(&Args { pod: &pod, nodes: None, node_names: Some(vec!["n"]) }),
            r#"{"Pod":{"metadata":{"name":"p"}},"Nodes":null,"NodeNames":["n"]}"#
        );
        let nodes = NodeList { metadata: Empty {}, items: vec![&node] };
        assert_eq!(
            written(&Args { pod: &pod, nodes: Some(nodes), node_names: None }),
            r#"{"Pod":{"metadata":{"name":"p"}},"Nodes":{"metadata":{},"items":[{"metadata":{"name":"n"}}]},"NodeNames":null}"#
        );
        let victims = |pods| [("n", Victims { pods, num_pdb_violations: 1 })].into_iter().collect();
        let metas = [("n", Victims { pods: vec![MetaPod { uid: "u" }], num_pdb_violations: 0 })].into_iter().collect();
        for (victims, metas, expect) in [
            (
                Some(victims(vec![&*pod])),
                None,
                r#"{"n":{"Pods":[{"metadata":{"name":"p"}}],"NumPDBViolations":1}},"NodeNameToMetaVictims":null}"#,
            ),
            (None, Some(metas), r#"null,"NodeNameToMetaVictims":{"n":{"Pods":[{"UID":"u"}],"NumPDBViolations":0}}}"#),
        ] {
            let call = PreemptArgs { pod: &pod, node_name_to_victims: victims, node_name_to_meta_victims: metas };
            let written = serde_json::to_string(&call).unwrap();
            assert_eq!(written, format!(r#"{{"Pod":{{"metadata":{{"name":"p"}}}},"NodeNameToVictims":{expect}"#));
        }
        let bind = BindArgs { pod_name: "p", pod_namespace: "d", pod_uid: "u", node: "n" };
        assert_eq!(
            serde_json::to_string(&bind).unwrap(),
            r#"{"PodName":"p","PodNamespace":"d","PodUID":"u","Node":"n"}"#
        );
    }
}
