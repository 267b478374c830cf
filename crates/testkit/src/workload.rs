//! Workloads that make pods, and the cluster-scoped objects that tests of them need.

use serde_json::{Value, json};

use crate::{PodBuilder, meta::metadata_setters};

/// Builds an object with a pod template; made by [`deployment`], [`stateful_set`], [`job`] and [`cron_job`].
#[derive(Clone, Debug)]
#[must_use]
pub struct WorkloadBuilder {
    value: Value,
}

metadata_setters!(WorkloadBuilder);

impl WorkloadBuilder {
    /// Sets the namespace.
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.value["metadata"]["namespace"] = namespace.into();
        self
    }
}

/// A Deployment that keeps `replicas` copies of `template`, selected by the label `app: NAME`.
pub fn deployment(name: &str, replicas: u32, template: PodBuilder) -> WorkloadBuilder {
    replicated("Deployment", name, replicas, template)
}

/// A StatefulSet that keeps `replicas` numbered copies of `template`, selected by the label `app: NAME`.
pub fn stateful_set(name: &str, replicas: u32, template: PodBuilder) -> WorkloadBuilder {
    replicated("StatefulSet", name, replicas, template)
}

/// A Job that runs `template` `completions` times, all at once; pods that fail are not started again by their kubelet.
pub fn job(name: &str, completions: u32, template: PodBuilder) -> WorkloadBuilder {
    let value = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "default"},
        "spec": job_spec(completions, template),
    });
    WorkloadBuilder { value }
}

/// A CronJob that makes such Jobs on a schedule such as `*/5 * * * *`.
pub fn cron_job(name: &str, schedule: &str, completions: u32, template: PodBuilder) -> WorkloadBuilder {
    let value = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name, "namespace": "default"},
        "spec": {"schedule": schedule, "jobTemplate": {"spec": job_spec(completions, template)}},
    });
    WorkloadBuilder { value }
}

fn replicated(kind: &str, name: &str, replicas: u32, template: PodBuilder) -> WorkloadBuilder {
    let value = json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": pod_template(template.label("app", name)),
        },
    });
    WorkloadBuilder { value }
}

fn job_spec(completions: u32, template: PodBuilder) -> Value {
    let template = template.set("/spec/restartPolicy", "Never");
    json!({"parallelism": completions, "completions": completions, "template": pod_template(template)})
}

/// A pod as a template: its labels, annotations and spec.
fn pod_template(pod: PodBuilder) -> Value {
    let pod = pod.build();
    let mut template = json!({"metadata": {}, "spec": pod["spec"]});
    for field in ["labels", "annotations"] {
        if let Some(map) = pod["metadata"].get(field) {
            template["metadata"][field] = map.clone();
        }
    }
    template
}

/// Builds a PriorityClass; made by [`priority_class`].
#[derive(Clone, Debug)]
#[must_use]
pub struct PriorityClassBuilder {
    value: Value,
}

metadata_setters!(PriorityClassBuilder);

/// A PriorityClass with that value.
pub fn priority_class(name: &str, value: i32) -> PriorityClassBuilder {
    let value = json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value,
    });
    PriorityClassBuilder { value }
}

impl PriorityClassBuilder {
    /// Makes it the class of the pods that name none.
    pub fn global_default(mut self) -> Self {
        self.value["globalDefault"] = true.into();
        self
    }
}

/// Builds a Namespace; made by [`namespace`].
#[derive(Clone, Debug)]
#[must_use]
pub struct NamespaceBuilder {
    value: Value,
}

metadata_setters!(NamespaceBuilder);

/// A Namespace with its name label.
pub fn namespace(name: &str) -> NamespaceBuilder {
    let labels = json!({"kubernetes.io/metadata.name": name});
    let value = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
    NamespaceBuilder { value }
}
