//! The `scale` subresource: a window on `spec.replicas`.

use serde_json::{Value, json};

use super::{Part, Target};
use crate::{cluster::Cluster, failure::Failure, json};

impl Cluster {
    /// The `Scale` of an object.
    pub(crate) fn scale(&self, target: Target<'_>) -> Result<Value, Failure> {
        Ok(scale_of(&self.get(target)?.value()))
    }

    /// Changes the number of replicas through the `Scale` object.
    pub(crate) fn change_scale(
        &self,
        target: Target<'_>,
        dry_run: bool,
        mut change: impl FnMut(Value) -> Result<Value, Failure>,
    ) -> Result<Value, Failure> {
        let stored = self.change(target, Part::Main, dry_run, |mut object| {
            let scale = change(scale_of(&object))?;
            let version = json::text(&scale, &["metadata", "resourceVersion"]);
            if !version.is_empty() && version != json::text(&object, &["metadata", "resourceVersion"]) {
                return Err(Failure::modified(target.kind, target.name));
            }
            let replicas = json::int(&scale, &["spec", "replicas"]).unwrap_or_default();
            if replicas < 0 {
                let why = format!("Invalid value: {replicas}: must be greater than or equal to 0");
                return Err(Failure::invalid(target.kind, target.name, "spec.replicas", &why));
            }
            json::set(&mut object, &["spec", "replicas"], replicas);
            Ok(object)
        })?;
        Ok(scale_of(&stored.value()))
    }
}

fn scale_of(object: &Value) -> Value {
    let meta = |field| json::at(object, &["metadata", field]).cloned().unwrap_or_default();
    let labels = json::at(object, &["spec", "selector", "matchLabels"]).and_then(Value::as_object);
    let selector: Vec<String> =
        labels.into_iter().flatten().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {
            "name": meta("name"), "namespace": meta("namespace"), "uid": meta("uid"),
            "resourceVersion": meta("resourceVersion"), "creationTimestamp": meta("creationTimestamp"),
        },
        "spec": {"replicas": json::int(object, &["spec", "replicas"]).unwrap_or(1)},
        "status": {
            "replicas": json::int(object, &["status", "replicas"]).unwrap_or(0),
            "selector": selector.join(","),
        },
    })
}
