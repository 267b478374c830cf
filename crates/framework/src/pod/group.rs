//! The group that a pod is to be placed with (reference section 8).

use std::fmt;
use std::sync::LazyLock;

use super::PodInfo;
use crate::api;
use crate::intern::Istr;
use crate::labels::LabelSet;

/// How a pod names its group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum NamedBy {
    /// `spec.schedulingGroup`: a PodGroup of `scheduling.k8s.io`.
    Spec,
    /// A label: a PodGroup that a resource definition brought.
    Label,
    /// The label `plimsoll/gang`: there is no object, and how many pods there are stands beside it.
    Size,
}

/// The group a pod names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupRef {
    /// Where the name stands.
    pub by: NamedBy,
    /// Its name, in the pod's namespace.
    pub name: Istr,
    /// The label `plimsoll/gang-size`, where the group is named beside it.
    pub size: Option<Istr>,
}

/// Which group. Displays as `namespace/name`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct GroupKey {
    /// The namespace of the group and of all its pods.
    pub namespace: Istr,
    /// Its name.
    pub name: Istr,
    /// How it is named: a group that is an object is another one than a group that is none.
    pub by: NamedBy,
}

impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

struct Keys {
    /// The label of today, then the older one.
    objects: [Istr; 2],
    gang: Istr,
    size: Istr,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    objects: ["scheduling.x-k8s.io/pod-group", "pod-group.scheduling.sigs.k8s.io"].map(Istr::new),
    gang: Istr::new("plimsoll/gang"),
    size: Istr::new("plimsoll/gang-size"),
});

impl GroupRef {
    /// The group that a pod with these labels and this `spec.schedulingGroup` names, if any.
    pub fn of(labels: &LabelSet, spec: Option<&api::SchedulingGroup>) -> Option<Self> {
        let named = |name: &&Istr| !name.is_empty();
        if let Some(name) = spec.map(|group| &group.pod_group_name).filter(named) {
            return Some(Self { by: NamedBy::Spec, name: name.clone(), size: None });
        }
        if let Some(name) = KEYS.objects.iter().find_map(|key| labels.get(key).filter(named)) {
            return Some(Self { by: NamedBy::Label, name: name.clone(), size: None });
        }
        let name = labels.get(&KEYS.gang).filter(named)?;
        Some(Self { by: NamedBy::Size, name: name.clone(), size: labels.get(&KEYS.size).cloned() })
    }
}

impl PodInfo {
    /// Which group it is to be placed with.
    pub fn group_key(&self) -> Option<GroupKey> {
        let group = self.group.as_deref()?;
        Some(GroupKey { namespace: self.key.namespace.clone(), name: group.name.clone(), by: group.by })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::PodParser;

    #[test]
    fn a_group_is_named_by_the_spec_or_by_labels() {
        let rows = [
            ("{}", "{}", None),
            ("{}", r#"{"schedulingGroup":{"podGroupName":"g"}}"#, Some((NamedBy::Spec, "g", None))),
            ("{}", r#"{"schedulingGroup":{}}"#, None),
            (r#"{"scheduling.x-k8s.io/pod-group":"g"}"#, "{}", Some((NamedBy::Label, "g", None))),
            (r#"{"pod-group.scheduling.sigs.k8s.io":"g"}"#, "{}", Some((NamedBy::Label, "g", None))),
            (r#"{"scheduling.x-k8s.io/pod-group":""}"#, "{}", None),
            (
                r#"{"scheduling.x-k8s.io/pod-group":"g","pod-group.scheduling.sigs.k8s.io":"old","plimsoll/gang":"own"}"#,
                "{}",
                Some((NamedBy::Label, "g", None)),
            ),
            (r#"{"plimsoll/gang":"g","plimsoll/gang-size":"3"}"#, "{}", Some((NamedBy::Size, "g", Some("3")))),
            (r#"{"plimsoll/gang":"g"}"#, "{}", Some((NamedBy::Size, "g", None))),
            (r#"{"plimsoll/gang-size":"3"}"#, "{}", None),
        ];
        for (labels, spec, expect) in rows {
            let json = format!(r#"{{"metadata":{{"name":"p","namespace":"ns","labels":{labels}}},"spec":{spec}}}"#);
            let pod = PodParser::default().parse(&serde_json::from_str(&json).unwrap());
            let group = pod.group.as_deref();
            assert_eq!(group.map(|g| (g.by, &*g.name, g.size.as_deref())), expect, "{json}");
            assert_eq!(pod.group_key().map(|key| key.to_string()), expect.map(|(_, name, _)| format!("ns/{name}")));
        }
    }
}
