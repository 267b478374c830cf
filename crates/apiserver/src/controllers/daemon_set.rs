//! DaemonSets: one pod on every node that takes it, placed by the scheduler through node affinity.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::{kubelet::affinity, owned, taints};
use crate::{
    cluster::Cluster,
    json,
    kinds::Role,
    ops::{DeleteOptions, Target},
    stored::Stored,
};

/// The label that tells of which template a pod was made.
const REVISION_LABEL: &str = "controller-revision-hash";

/// What every such pod tolerates: that its node is in trouble is no reason to be elsewhere.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

pub(super) fn reconcile(cluster: &Cluster, stored: &Stored) {
    let set = stored.value();
    let mut template = json::at(&set, &["spec", "template"]).cloned().unwrap_or_default();
    let revision = owned::template_hash(&template);
    add_tolerations(&mut template);
    let pods = cluster.pods().owned_by(&stored.uid);
    let mut by_node: BTreeMap<String, Vec<&Arc<Stored>>> = BTreeMap::new();
    for pod in &pods {
        by_node.entry(node_of(pod)).or_default().push(pod);
    }
    let (nodes, _) = cluster.store_of(Role::Node).all();
    let mut tally = Tally::default();
    let mut made = 0;
    for node in &nodes {
        let here = by_node.remove(&*node.name).unwrap_or_default();
        let fate = fate(&template, &node.value());
        tally.count(fate, &here, &revision);
        match fate {
            Fate::Run if here.is_empty() && made < owned::AT_ONCE => {
                made += 1;
                create(cluster, &set, &template, &node.name, &revision);
            }
            // A pod that ended is made anew once it is gone; so is one of an older template, one at a time.
            Fate::Run | Fate::Stay => here.iter().filter(|pod| pod.pod_finished()).for_each(|pod| delete(cluster, pod)),
            Fate::Leave => here.iter().for_each(|pod| delete(cluster, pod)),
        }
    }
    // Their nodes are gone.
    by_node.values().flatten().for_each(|pod| delete(cluster, pod));
    if json::text(&set, &["spec", "updateStrategy", "type"]) != "OnDelete" && pods.iter().all(|pod| pod.pod_active()) {
        let outdated = pods.iter().find(|pod| !has_revision(pod, &revision));
        outdated.into_iter().for_each(|pod| delete(cluster, pod));
    }
    report(cluster, stored, &set, &tally);
}

/// What is to become of the set's pod on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Run,
    /// None is started, but one that runs stays.
    Stay,
    Leave,
}

fn fate(template: &Value, node: &Value) -> Fate {
    if !affinity::matches(template, node) {
        return Fate::Leave;
    }
    let tolerations = json::items(template, &["spec", "tolerations"]);
    let untolerated = |effect: &str| {
        let mut taints = json::items(node, &["spec", "taints"]).iter();
        taints.any(|taint| json::text(taint, &["effect"]) == effect && !taints::tolerated(tolerations, taint))
    };
    if untolerated("NoExecute") {
        Fate::Leave
    } else if untolerated("NoSchedule") {
        Fate::Stay
    } else {
        Fate::Run
    }
}

fn add_tolerations(template: &mut Value) {
    let host_network = json::flag(template, &["spec", "hostNetwork"]);
    let network = host_network.then_some(("node.kubernetes.io/network-unavailable", "NoSchedule"));
    for (key, effect) in TOLERATED.into_iter().chain(network) {
        let tolerations = json::array_at(template, &["spec", "tolerations"]);
        tolerations.push(json!({"key": key, "operator": "Exists", "effect": effect}));
    }
}

/// The node that a pod is on, or meant for.
fn node_of(pod: &Stored) -> String {
    if !pod.pod_node().is_empty() {
        return pod.pod_node().to_owned();
    }
    let value = pod.value();
    let required = ["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"];
    let terms = json::at(&value, &required).map_or(&[][..], |required| json::items(required, &["nodeSelectorTerms"]));
    let fields = terms.first().map_or(&[][..], |term| json::items(term, &["matchFields"]));
    let names = fields.first().map_or(&[][..], |field| json::items(field, &["values"]));
    names.first().and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn create(cluster: &Cluster, set: &Value, template: &Value, node: &str, revision: &str) {
    let mut pod = owned::pod_of(set, template);
    json::set(&mut pod, &["metadata", "generateName"], format!("{}-", json::text(set, &["metadata", "name"])));
    json::set(&mut pod, &["metadata", "labels", REVISION_LABEL], revision);
    let field = json!({"key": "metadata.name", "operator": "In", "values": [node]});
    let required =
        ["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"];
    let terms = json::array_at(&mut pod, &required);
    if terms.is_empty() {
        terms.push(json!({}));
    }
    for term in terms {
        json::set(term, &["matchFields"], json!([field]));
    }
    // A refusal has been told by an Event.
    let _ = owned::create(cluster, set, cluster.kinds.role(Role::Pod), pod);
}

fn delete(cluster: &Cluster, pod: &Stored) {
    if !pod.deleting {
        // Already gone is as good.
        let _ = cluster.delete(Target::of(cluster.kinds.role(Role::Pod), pod), &DeleteOptions::default());
    }
}

fn has_revision(pod: &Stored, revision: &str) -> bool {
    pod.labels.iter().any(|(key, value)| key == REVISION_LABEL && value == revision)
}

/// The numbers of a DaemonSet's status.
#[derive(Debug, Default)]
struct Tally {
    desired: usize,
    current: usize,
    misplaced: usize,
    ready: usize,
    updated: usize,
}

impl Tally {
    fn count(&mut self, fate: Fate, here: &[&Arc<Stored>], revision: &str) {
        let runs = here.iter().any(|pod| pod.pod_active());
        if fate == Fate::Leave {
            self.misplaced += usize::from(runs);
            return;
        }
        self.desired += usize::from(fate == Fate::Run || runs);
        self.current += usize::from(runs);
        self.ready += usize::from(here.iter().any(|pod| pod.pod_active() && pod.ready));
        self.updated += usize::from(here.iter().any(|pod| pod.pod_active() && has_revision(pod, revision)));
    }
}

fn report(cluster: &Cluster, stored: &Stored, set: &Value, tally: &Tally) {
    let status = json!({
        "desiredNumberScheduled": tally.desired, "currentNumberScheduled": tally.current,
        "numberMisscheduled": tally.misplaced, "numberReady": tally.ready, "numberAvailable": tally.ready,
        "numberUnavailable": tally.desired.saturating_sub(tally.ready), "updatedNumberScheduled": tally.updated,
        "observedGeneration": json::int(set, &["metadata", "generation"]),
    });
    owned::set_status(cluster, cluster.kinds.role(Role::DaemonSet), stored, &status);
}

#[cfg(test)]
mod tests {
    use plimsoll_testkit::node;
    use serde_json::{Value, json};

    use super::{Fate, add_tolerations, fate};

    #[test]
    fn nodes_take_a_pod_by_selector_and_taints() {
        let mut template: Value = json!({"spec": {"nodeSelector": {"disk": "ssd"}}});
        add_tolerations(&mut template);
        let ssd = |name| node(name).label("disk", "ssd");
        for (node, want) in [
            (ssd("a"), Fate::Run),
            (node("b"), Fate::Leave),
            (ssd("c").taint("x", "", "NoSchedule"), Fate::Stay),
            (ssd("d").taint("x", "", "NoExecute"), Fate::Leave),
            (ssd("e").taint("x", "", "PreferNoSchedule"), Fate::Run),
            (ssd("f").taint("node.kubernetes.io/unreachable", "", "NoExecute"), Fate::Run),
            (ssd("g").unschedulable(), Fate::Run),
        ] {
            let node = node.build();
            assert_eq!(fate(&template, &node), want, "{node}");
        }
    }
}
