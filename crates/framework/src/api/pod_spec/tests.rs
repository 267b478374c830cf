//! Every field of Kubernetes 1.37, place by place: none of them is unknown, and one that nobody has heard of is.

use serde_json::{Value, json};

use super::*;

/// Where fields are noticed: how a spec with a field there is written (`_` stands for the fields), and all the fields
/// that Kubernetes 1.37 has there.
const PLACES: &[(&str, &[&str])] = &[
    (
        "_",
        &[
            "activeDeadlineSeconds",
            "affinity",
            "automountServiceAccountToken",
            "containers",
            "dnsConfig",
            "dnsPolicy",
            "enableServiceLinks",
            "ephemeralContainers",
            "evictionResponders",
            "hostAliases",
            "hostIPC",
            "hostNetwork",
            "hostPID",
            "hostUsers",
            "hostname",
            "hostnameOverride",
            "imagePullSecrets",
            "initContainers",
            "nodeName",
            "nodeSelector",
            "os",
            "overhead",
            "preemptionPolicy",
            "priority",
            "priorityClassName",
            "readinessGates",
            "resourceClaims",
            "resources",
            "restartPolicy",
            "runtimeClassName",
            "schedulerName",
            "schedulingGates",
            "schedulingGroup",
            "securityContext",
            "serviceAccount",
            "serviceAccountName",
            "setHostnameAsFQDN",
            "shareProcessNamespace",
            "subdomain",
            "terminationGracePeriodSeconds",
            "tolerations",
            "topologySpreadConstraints",
            "volumes",
        ],
    ),
    ("affinity", &["nodeAffinity", "podAffinity", "podAntiAffinity"]),
    ("affinity.nodeAffinity", SIDES),
    ("affinity.podAffinity", SIDES),
    ("affinity.podAntiAffinity", SIDES),
    ("affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution", &["nodeSelectorTerms"]),
    ("affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[]", NODE_TERM),
    (
        "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[].matchFields[]",
        REQUIREMENT,
    ),
    ("affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[]", &["preference", "weight"]),
    ("affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[].preference", NODE_TERM),
    (
        "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[].preference.matchExpressions[]",
        REQUIREMENT,
    ),
    ("affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[]", POD_TERM),
    ("affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[].labelSelector", SELECTOR),
    ("affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[].namespaceSelector", SELECTOR),
    ("affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[]", &["podAffinityTerm", "weight"]),
    ("affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[]", POD_TERM),
    ("affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[]", &["podAffinityTerm", "weight"]),
    ("affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm", POD_TERM),
    (
        "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm.labelSelector\
         .matchExpressions[]",
        REQUIREMENT,
    ),
    (
        "topologySpreadConstraints[]",
        &[
            "labelSelector",
            "matchLabelKeys",
            "maxSkew",
            "minDomains",
            "nodeAffinityPolicy",
            "nodeTaintsPolicy",
            "topologyKey",
            "whenUnsatisfiable",
        ],
    ),
    ("topologySpreadConstraints[].labelSelector", SELECTOR),
    ("tolerations[]", &["effect", "key", "operator", "tolerationSeconds", "value"]),
    ("resources", RESOURCES),
    ("containers[].resources", RESOURCES),
    ("initContainers[].resources", RESOURCES),
    ("schedulingGates[]", &["name"]),
    ("schedulingGroup", &["podGroupName"]),
    ("resourceClaims[]", &["name", "resourceClaimName", "resourceClaimTemplateName"]),
    (
        "volumes[]",
        &[
            "awsElasticBlockStore",
            "azureDisk",
            "azureFile",
            "cephfs",
            "cinder",
            "configMap",
            "csi",
            "downwardAPI",
            "emptyDir",
            "ephemeral",
            "fc",
            "flexVolume",
            "flocker",
            "gcePersistentDisk",
            "gitRepo",
            "glusterfs",
            "hostPath",
            "image",
            "iscsi",
            "name",
            "nfs",
            "persistentVolumeClaim",
            "photonPersistentDisk",
            "portworxVolume",
            "projected",
            "quobyte",
            "rbd",
            "scaleIO",
            "secret",
            "storageos",
            "vsphereVolume",
        ],
    ),
    ("volumes[].persistentVolumeClaim", &["claimName", "readOnly"]),
    ("volumes[].image", &["pullPolicy", "reference"]),
    ("volumes[].gcePersistentDisk", &["fsType", "partition", "pdName", "readOnly"]),
    ("volumes[].awsElasticBlockStore", &["fsType", "partition", "readOnly", "volumeID"]),
    ("volumes[].azureDisk", &["cachingMode", "diskName", "diskURI", "fsType", "kind", "readOnly"]),
    ("volumes[].cinder", &["fsType", "readOnly", "secretRef", "volumeID"]),
    ("volumes[].portworxVolume", &["fsType", "readOnly", "volumeID"]),
    (
        "volumes[].iscsi",
        &[
            "chapAuthDiscovery",
            "chapAuthSession",
            "fsType",
            "initiatorName",
            "iqn",
            "iscsiInterface",
            "lun",
            "portals",
            "readOnly",
            "secretRef",
            "targetPortal",
        ],
    ),
    ("volumes[].rbd", &["fsType", "image", "keyring", "monitors", "pool", "readOnly", "secretRef", "user"]),
    ("volumes[].csi", &["driver", "fsType", "nodePublishSecretRef", "readOnly", "volumeAttributes"]),
];
const SIDES: &[&str] =
    &["preferredDuringSchedulingIgnoredDuringExecution", "requiredDuringSchedulingIgnoredDuringExecution"];
const NODE_TERM: &[&str] = &["matchExpressions", "matchFields"];
const POD_TERM: &[&str] =
    &["labelSelector", "matchLabelKeys", "mismatchLabelKeys", "namespaceSelector", "namespaces", "topologyKey"];
const SELECTOR: &[&str] = &["matchExpressions", "matchLabels"];
const REQUIREMENT: &[&str] = &["key", "operator", "values"];
const RESOURCES: &[&str] = &["claims", "limits", "requests"];

/// A spec with these fields at a place, all of them `null` but one that is invented.
fn spec(place: &str, fields: &[&str], invented: Option<&str>) -> Value {
    let known = fields.iter().map(|field| ((*field).to_owned(), Value::Null));
    let invented = invented.map(|field| (field.to_owned(), json!({"deep": [1, {"x": null}]})));
    let object = Value::Object(known.chain(invented).collect());
    let steps = if place == "_" { Vec::new() } else { place.split('.').collect() };
    steps.iter().rev().fold(object, |inner, step| match step.strip_suffix("[]") {
        Some(list) => json!({ list: [inner] }),
        None => json!({ *step: inner }),
    })
}

fn unknown(spec: &Value) -> Vec<String> {
    let pod = |text: &str| serde_json::from_str::<crate::api::Pod>(text).unwrap().spec;
    let read = pod(&json!({ "spec": spec }).to_string());
    read.unknown.iter().map(str::to_owned).collect()
}

#[test]
fn no_field_of_today_is_unknown() {
    for (place, fields) in PLACES {
        assert_eq!(unknown(&spec(place, fields, None)), [""; 0], "{place}");
    }
}

#[test]
fn a_field_of_tomorrow_is_noticed_at_every_place() {
    for (place, fields) in PLACES {
        let path = if *place == "_" { "spec".to_owned() } else { format!("spec.{}", place.replace("[]", "")) };
        assert_eq!(unknown(&spec(place, fields, Some("fooBar"))), [format!("{path}.fooBar")], "{place}");
        assert_eq!(unknown(&spec(place, fields, Some("foo bar"))), [crate::api::OTHER_FIELDS], "{place}");
    }
}

#[test]
fn what_a_kubelet_alone_reads_of_a_container_is_not_noticed() {
    assert_eq!(unknown(&json!({"containers": [{"name": "c", "newProbe": {}}], "initContainers": null})), [""; 0]);
}

#[test]
fn a_field_is_noticed_once_for_all_elements_of_a_list() {
    let spec = json!({"tolerations": [{"a": 1}, {"a": 1, "b": 2}], "a": 1});
    assert_eq!(unknown(&spec), ["spec.a", "spec.tolerations.a", "spec.tolerations.b"]);
}

#[test]
fn a_spec_is_read_as_strictly_as_everything_else() {
    let rows = [
        (r#"{"hostNetwork":true,"hostNetwork":false}"#, "duplicate field `hostNetwork`"),
        (r#"{"tolerations":{}}"#, "invalid type: map, expected a sequence"),
        (r#"{"tolerations":[7]}"#, "invalid type: integer `7`, expected struct Toleration"),
        (r#"{"tolerations":[null]}"#, "invalid type: null, expected struct Toleration"),
        (r#"{"priority":"high"}"#, "invalid type: string \"high\", expected i32"),
        (r#"{"affinity":{"nodeAffinity":[]}}"#, "invalid type: sequence, expected struct NodeAffinity"),
    ];
    for (text, expect) in rows {
        let error = serde_json::from_str::<PodSpec>(text).unwrap_err().to_string();
        assert!(error.starts_with(expect), "{text}: {error}");
    }
    let null = serde_json::from_str::<PodSpec>(r#"{"tolerations":null,"affinity":null,"hostNetwork":null}"#).unwrap();
    assert!(null.tolerations.is_empty() && null.affinity.is_none() && !null.host_network && null.unknown.is_empty());
}
