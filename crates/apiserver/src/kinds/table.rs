//! The built-in kinds: everything kube-scheduler watches, workloads, and what kubectl and operators expect beside them.

use super::{Kind, Role};
use crate::selector;

/// What `kubectl get all` shows.
const ALL: [&str; 9] = [
    "pods",
    "services",
    "replicationcontrollers",
    "deployments",
    "replicasets",
    "statefulsets",
    "daemonsets",
    "jobs",
    "cronjobs",
];

/// Group, version, plural, kind, short names, flags, role, first minor that serves it.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str, Role, u32);

/// Flags: `n` namespaced, `s` status subresource, `c` scale subresource.
#[rustfmt::skip]
const BUILT_IN: &[Row] = &[
    ("", "v1", "pods", "Pod", "po", "ns", Role::Pod, 0),
    ("", "v1", "nodes", "Node", "no", "s", Role::Node, 0),
    ("", "v1", "namespaces", "Namespace", "ns", "s", Role::Namespace, 0),
    ("events.k8s.io", "v1", "events", "Event", "ev", "n", Role::Event, 0),
    ("", "v1", "events", "Event", "ev", "n", Role::CoreEvent, 0),
    ("", "v1", "persistentvolumes", "PersistentVolume", "pv", "s", Role::PersistentVolume, 0),
    ("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", "pvc", "ns", Role::PersistentVolumeClaim, 0),
    ("", "v1", "services", "Service", "svc", "ns", Role::Service, 0),
    ("", "v1", "replicationcontrollers", "ReplicationController", "rc", "nsc", Role::ReplicationController, 0),
    ("", "v1", "configmaps", "ConfigMap", "cm", "n", Role::ConfigMap, 0),
    ("", "v1", "secrets", "Secret", "", "n", Role::Secret, 0),
    ("", "v1", "serviceaccounts", "ServiceAccount", "sa", "n", Role::ServiceAccount, 0),
    ("", "v1", "endpoints", "Endpoints", "ep", "n", Role::Plain, 0),
    ("", "v1", "limitranges", "LimitRange", "limits", "n", Role::Plain, 0),
    ("", "v1", "resourcequotas", "ResourceQuota", "quota", "ns", Role::Plain, 0),
    ("", "v1", "podtemplates", "PodTemplate", "", "n", Role::Plain, 0),
    ("apps", "v1", "deployments", "Deployment", "deploy", "nsc", Role::Deployment, 0),
    ("apps", "v1", "replicasets", "ReplicaSet", "rs", "nsc", Role::ReplicaSet, 0),
    ("apps", "v1", "statefulsets", "StatefulSet", "sts", "nsc", Role::StatefulSet, 0),
    ("apps", "v1", "daemonsets", "DaemonSet", "ds", "ns", Role::DaemonSet, 0),
    ("apps", "v1", "controllerrevisions", "ControllerRevision", "", "n", Role::Plain, 0),
    ("batch", "v1", "jobs", "Job", "", "ns", Role::Job, 0),
    ("batch", "v1", "cronjobs", "CronJob", "cj", "ns", Role::CronJob, 0),
    ("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "hpa", "ns", Role::Plain, 0),
    ("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", "pdb", "ns", Role::PodDisruptionBudget, 0),
    ("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", "pc", "", Role::PriorityClass, 0),
    ("scheduling.k8s.io", "v1alpha2", "workloads", "Workload", "", "ns", Role::Plain, 36),
    ("scheduling.k8s.io", "v1alpha2", "podgroups", "PodGroup", "", "ns", Role::Plain, 36),
    ("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", "", "", Role::RuntimeClass, 0),
    ("coordination.k8s.io", "v1", "leases", "Lease", "", "n", Role::Lease, 0),
    ("storage.k8s.io", "v1", "storageclasses", "StorageClass", "sc", "", Role::StorageClass, 0),
    ("storage.k8s.io", "v1", "csinodes", "CSINode", "", "", Role::Plain, 0),
    ("storage.k8s.io", "v1", "csidrivers", "CSIDriver", "", "", Role::Plain, 0),
    ("storage.k8s.io", "v1", "csistoragecapacities", "CSIStorageCapacity", "", "n", Role::Plain, 0),
    ("storage.k8s.io", "v1", "volumeattachments", "VolumeAttachment", "", "s", Role::Plain, 0),
    ("storage.k8s.io", "v1", "volumeattributesclasses", "VolumeAttributesClass", "vac", "", Role::Plain, 34),
    ("resource.k8s.io", "v1", "resourceclaims", "ResourceClaim", "", "ns", Role::Plain, 34),
    ("resource.k8s.io", "v1", "resourceclaimtemplates", "ResourceClaimTemplate", "", "n", Role::Plain, 34),
    ("resource.k8s.io", "v1", "resourceslices", "ResourceSlice", "", "", Role::Plain, 34),
    ("resource.k8s.io", "v1", "deviceclasses", "DeviceClass", "", "", Role::Plain, 34),
    ("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", "", "n", Role::Plain, 0),
    ("networking.k8s.io", "v1", "ingresses", "Ingress", "ing", "ns", Role::Plain, 0),
    ("networking.k8s.io", "v1", "ingressclasses", "IngressClass", "", "", Role::Plain, 0),
    ("networking.k8s.io", "v1", "ipaddresses", "IPAddress", "ip", "", Role::Plain, 33),
    ("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", "", "s", Role::Plain, 33),
    ("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", "netpol", "n", Role::Plain, 0),
    ("rbac.authorization.k8s.io", "v1", "roles", "Role", "", "n", Role::Role, 0),
    ("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", "", "n", Role::RoleBinding, 0),
    ("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", "", "", Role::ClusterRole, 0),
    ("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", "", "", Role::ClusterRoleBinding, 0),
    ("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", "", "", Role::Review, 0),
    ("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", "", "", Role::Review, 0),
    ("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", "", "", Role::Review, 0),
    ("authorization.k8s.io", "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview", "", "n", Role::Review, 0),
    ("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", "", "", Role::Review, 0),
    ("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", "", "", Role::Review, 0),
    ("certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest", "csr", "s", Role::Plain, 0),
    ("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", "", "", Role::Plain, 0),
    ("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", "", "", Role::Plain, 0),
    ("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", "", "s", Role::Plain, 0),
    ("admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", "", "", Role::Plain, 0),
    ("admissionregistration.k8s.io", "v1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy", "", "", Role::Plain, 36),
    ("admissionregistration.k8s.io", "v1", "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding", "", "", Role::Plain, 36),
    ("admissionregistration.k8s.io", "v1beta1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy", "", "", Role::Plain, 34),
    ("admissionregistration.k8s.io", "v1beta1", "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding", "", "", Role::Plain, 34),
    ("admissionregistration.k8s.io", "v1alpha1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy", "", "", Role::Plain, 32),
    ("admissionregistration.k8s.io", "v1alpha1", "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding", "", "", Role::Plain, 32),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", "crd", "s", Role::Plain, 0),
];

/// The built-in kinds of Kubernetes 1.`minor`.
pub(super) fn built_in(minor: u32) -> Vec<Kind> {
    BUILT_IN.iter().filter(|row| row.7 <= minor).map(kind).collect()
}

fn kind(&(group, version, plural, kind, short, flags, role, _): &Row) -> Kind {
    Kind {
        short_names: if short.is_empty() { Vec::new() } else { vec![short.to_owned()] },
        status: flags.contains('s'),
        scale: flags.contains('c'),
        role,
        custom: false,
        fields: selector::built_in_fields(group, plural).into(),
        categories: if ALL.contains(&plural) { vec!["all".to_owned()] } else { Vec::new() },
        ..Kind::new(group, version, plural, kind, flags.contains('n'))
    }
}
