//! Pods that a kubelet has refused: bound to its node, and never run there.

use super::{PodKey, Uid};
use crate::api;
use crate::intern::Istr;

/// Why kubelets refuse pods, as they write it in `status.reason`.
const REASONS: [&str; 17] = [
    "OutOfcpu",
    "OutOfmemory",
    "OutOfephemeral-storage",
    "OutOfpods",
    "NodeAffinity",
    "NodeName",
    "NodePorts",
    "TaintToleration",
    "VolumeAttachmentLimitExceeded",
    "UnexpectedAdmissionError",
    "TopologyAffinityError",
    "SMTAlignmentError",
    "InvalidNodeInfo",
    "PodOSNotSupported",
    "SysctlForbidden",
    "Evicted",
    "NodeShutdown",
];
/// A resource that only some nodes have: there is no end of their names.
const OUT_OF_ANOTHER: &str = "OutOf-other";
const OTHER: &str = "other";
/// No more of a kubelet's words is kept.
const MESSAGE_CHARS: usize = 256;

/// The kind of a refusal: one of a closed list, whatever a kubelet writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RefusalKind(&'static str);

impl RefusalKind {
    /// The kind of the refusals with this reason.
    pub fn of(reason: &str) -> Self {
        let known = REASONS.iter().copied().find(|known| *known == reason);
        Self(known.unwrap_or_else(|| if reason.starts_with("OutOf") { OUT_OF_ANOTHER } else { OTHER }))
    }

    /// The reason itself; of a resource that not every node has `OutOf-other`, and `other` where the reason is not known.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// A pod that a kubelet has refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeletRefusal {
    /// The pod.
    pub key: PodKey,
    /// The node it was bound to.
    pub node: Istr,
    /// Of what kind it is.
    pub kind: RefusalKind,
    /// The reason and what else the kubelet says, cut to a length for people.
    pub message: Box<str>,
}

impl KubeletRefusal {
    /// What a failed pod tells of a refusal; `None` where it is none. A pod that has failed in another way, killed by its
    /// kubelet for the sake of others say, shows its containers in its status, even if none of them ever ran; a pod that
    /// was refused does not.
    pub fn of(pod: &api::Pod) -> Option<Self> {
        let (meta, status, node) = (&pod.metadata, &pod.status, &pod.spec.node_name);
        let never_begun = status.container_statuses.is_empty() && status.init_container_statuses.is_empty();
        if &*status.phase != "Failed" || status.reason.is_empty() || node.is_empty() || !never_begun {
            return None;
        }
        let said = [&*status.reason, &*status.message].join(": ");
        Some(Self {
            key: PodKey {
                namespace: meta.namespace.clone(),
                name: std::sync::Arc::from(&*meta.name),
                uid: Uid::new(&meta.uid),
            },
            node: node.clone(),
            kind: RefusalKind::of(&status.reason),
            message: said.chars().take(MESSAGE_CHARS).collect::<String>().into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(node: &str, status: &str) -> Option<KubeletRefusal> {
        let meta = r#"{"name":"p","namespace":"ns","uid":"u"}"#;
        let json = format!(r#"{{"metadata":{meta},"spec":{{"nodeName":"{node}"}},"status":{{{status}}}}}"#);
        KubeletRefusal::of(&serde_json::from_str(&json).unwrap())
    }

    #[test]
    fn a_refusal_is_told_from_other_failures() {
        let said = r#""phase":"Failed","reason":"OutOfcpu","message":"Pod was rejected: no""#;
        let told = refusal("n1", said).unwrap();
        assert_eq!((told.key.to_string(), &*told.node, told.kind.as_str()), ("ns/p".to_owned(), "n1", "OutOfcpu"));
        assert_eq!(&*told.message, "OutOfcpu: Pod was rejected: no");
        for (node, status) in [
            ("", said),
            ("n1", r#""phase":"Pending","reason":"OutOfcpu""#),
            ("n1", r#""phase":"Failed""#),
            ("n1", r#""phase":"Failed","reason":"Evicted","containerStatuses":[{"name":"c"}]"#),
            ("n1", r#""phase":"Failed","reason":"DeadlineExceeded","initContainerStatuses":[{"name":"c"}]"#),
        ] {
            assert_eq!(refusal(node, status), None, "{node} {status}");
        }
        let long = format!(r#""phase":"Failed","reason":"Odd","message":"{}""#, "\u{e4}".repeat(100_000));
        assert_eq!(refusal("n1", &long).unwrap().message.chars().count(), MESSAGE_CHARS);
    }

    #[test]
    fn there_are_few_kinds() {
        for (reason, kind) in [
            ("OutOfcpu", "OutOfcpu"),
            ("OutOfephemeral-storage", "OutOfephemeral-storage"),
            ("OutOfexample.com/gpu", "OutOf-other"),
            ("TaintToleration", "TaintToleration"),
            ("whatever comes", "other"),
            ("", "other"),
        ] {
            assert_eq!(RefusalKind::of(reason).as_str(), kind, "{reason}");
        }
    }
}
