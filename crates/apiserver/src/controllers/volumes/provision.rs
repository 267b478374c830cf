//! The stand-in provisioner: makes volumes for claims of classes that name one.

use serde_json::{Value, json};

use super::{
    VOLUME_FINALIZER,
    binding::{bind, claim_reference},
};
use crate::{cluster::Cluster, json, kinds::Role, ops::Target, stored::Stored};

/// What classes without a provisioner name.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
/// Where the scheduler notes the node for which a volume is to be made.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// Who is to make the volume; the older name is written too, as upstream does.
const PROVISIONERS: [&str; 2] =
    ["volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"];

/// Makes a volume for a claim and binds the two, if it is time to; whether nothing is left to be done.
pub(super) fn provision(cluster: &Cluster, stored: &Stored, claim: &Value, waits: bool) -> bool {
    let class = cluster.store_of(Role::StorageClass).get(json::text(claim, &["spec", "storageClassName"]));
    let Some(class) = class.map(|class| class.value()) else { return false };
    let provisioner = json::text(&class, &["provisioner"]);
    let node = json::text(claim, &["metadata", "annotations", SELECTED_NODE]);
    if matches!(provisioner, "" | NO_PROVISIONER) || (waits && node.is_empty()) {
        return false;
    }
    let Some(affinity) = affinity(cluster, &class, node) else {
        return give_up_node(cluster, stored, node);
    };
    annotate(cluster, stored, provisioner);
    let volumes = cluster.kinds.role(Role::PersistentVolume);
    let volume = volume(stored, claim, &class, &affinity);
    let name = json::text(&volume, &["metadata", "name"]).to_owned();
    // It may be there from a time when only the claim's side could not be written.
    let _ = cluster.create(volumes, "", volume, false);
    let made = cluster.store(volumes).get(&name);
    made.is_some_and(|made| bind(cluster, stored, &made))
}

fn volume(stored: &Stored, claim: &Value, class: &Value, affinity: &Value) -> Value {
    let name = format!("pvc-{}", stored.uid);
    let spec = |field| json::at(claim, &["spec", field]).cloned().unwrap_or_default();
    let capacity = json::at(claim, &["spec", "resources", "requests", "storage"]).cloned().unwrap_or_default();
    let policy = match json::text(class, &["reclaimPolicy"]) {
        "" => "Delete",
        policy => policy,
    };
    let provisioner = json::text(class, &["provisioner"]);
    let mut volume = json!({
        "metadata": {
            "name": name, "finalizers": [VOLUME_FINALIZER],
            "annotations": {"pv.kubernetes.io/provisioned-by": provisioner},
        },
        "spec": {
            "capacity": {"storage": capacity}, "accessModes": spec("accessModes"), "volumeMode": spec("volumeMode"),
            "storageClassName": json::text(class, &["metadata", "name"]), "persistentVolumeReclaimPolicy": policy,
            "claimRef": claim_reference(claim), "csi": {"driver": provisioner, "volumeHandle": name},
        },
    });
    if !affinity.is_null() {
        volume["spec"]["nodeAffinity"] = json!({"required": affinity});
    }
    volume
}

/// The node selector of a volume: where the chosen node is, or anywhere that the class allows; null when that is
/// everywhere, none when the chosen node does not exist.
fn affinity(cluster: &Cluster, class: &Value, node: &str) -> Option<Value> {
    let allowed = json::items(class, &["allowedTopologies"]);
    if node.is_empty() {
        return Some(allowed_terms(allowed));
    }
    let node = cluster.store_of(Role::Node).get(node)?;
    let label = |key: &str| node.labels.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
    let keys = topology_keys(cluster, class, &node);
    let named = keys.iter().filter_map(|key| Some((key.as_str(), label(key)?)));
    let expressions: Vec<Value> =
        named.map(|(key, value)| json!({"key": key, "operator": "In", "values": [value]})).collect();
    Some(if expressions.is_empty() {
        Value::Null
    } else {
        json!({"nodeSelectorTerms": [{"matchExpressions": expressions}]})
    })
}

fn allowed_terms(allowed: &[Value]) -> Value {
    if allowed.is_empty() {
        return Value::Null;
    }
    let terms: Vec<Value> = allowed
        .iter()
        .map(|term| {
            let labels = json::items(term, &["matchLabelExpressions"]).iter();
            let expressions: Vec<Value> = labels
                .map(|label| json!({"key": label.get("key"), "operator": "In", "values": label.get("values")}))
                .collect();
            json!({"matchExpressions": expressions})
        })
        .collect();
    json!({"nodeSelectorTerms": terms})
}

/// By which labels a driver tells its places apart: as the node's CSINode says, else those that the class allows, else
/// the zone.
fn topology_keys(cluster: &Cluster, class: &Value, node: &Stored) -> Vec<String> {
    let texts = |items: &[Value]| items.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    let nodes = cluster.kinds.named("csinodes").and_then(|kind| cluster.store(kind).get(&node.name));
    let csi = nodes.map(|csi| csi.value()).unwrap_or_default();
    let provisioner = json::text(class, &["provisioner"]);
    let mut drivers = json::items(&csi, &["spec", "drivers"]).iter();
    if let Some(driver) = drivers.find(|driver| json::text(driver, &["name"]) == provisioner) {
        return texts(json::items(driver, &["topologyKeys"]));
    }
    let allowed: Vec<String> = json::items(class, &["allowedTopologies"])
        .iter()
        .flat_map(|term| json::items(term, &["matchLabelExpressions"]))
        .map(|expression| json::text(expression, &["key"]).to_owned())
        .collect();
    if allowed.is_empty() { vec!["topology.kubernetes.io/zone".to_owned()] } else { allowed }
}

fn annotate(cluster: &Cluster, claim: &Stored, provisioner: &str) {
    // A claim that went needs no volume either: making it bound fails then.
    let _ = cluster.edit(Target::of(cluster.kinds.role(Role::PersistentVolumeClaim), claim), |claim| {
        let before = claim.clone();
        for annotation in PROVISIONERS {
            json::set(claim, &["metadata", "annotations", annotation], provisioner);
        }
        Ok(*claim != before)
    });
}

/// The chosen node is gone: the scheduler is to choose again, which it sees by the missing annotation.
fn give_up_node(cluster: &Cluster, claim: &Stored, node: &str) -> bool {
    let _ = cluster.edit(Target::of(cluster.kinds.role(Role::PersistentVolumeClaim), claim), |claim| {
        let same = json::text(claim, &["metadata", "annotations", SELECTED_NODE]) == node;
        if same {
            json::remove(claim, &["metadata", "annotations", SELECTED_NODE]);
        }
        Ok(same)
    });
    false
}
