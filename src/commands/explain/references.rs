//! What a pod refers to and the input lacks. The answer is what it is without those; that somebody forgot to put them into
//! the dump is worth saying.

use plimsoll_framework::intern::Istr;
use serde::Deserialize;

use crate::manifest::Manifest;

/// What is read of a pod.
#[derive(Deserialize)]
struct Pod {
    spec: Spec,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Spec {
    volumes: Option<Vec<Volume>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    #[serde(default)]
    name: String,
    #[serde(default)]
    persistent_volume_claim: Option<ClaimSource>,
    #[serde(default)]
    ephemeral: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimSource {
    #[serde(default)]
    claim_name: String,
}

/// What is read of a claim.
#[derive(Deserialize)]
struct Claim {
    spec: ClaimSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimSpec {
    #[serde(default)]
    storage_class_name: Option<String>,
    #[serde(default)]
    volume_name: Option<String>,
}

/// What is missing, each with the place of the object that refers to it. A pod that cannot be read refers to nothing.
pub(super) fn missing(pod: &Manifest, namespace: &Istr, objects: &[&Manifest]) -> Vec<String> {
    let named = |kind: &'static str| objects.iter().filter(move |m| m.kind.as_str() == kind);
    let mut said = Vec::new();
    // A dump without namespaces is what `kubectl get nodes,pods` gives.
    if named("Namespace").next().is_some() && !named("Namespace").any(|m| m.name == *namespace) {
        said.push(pod.error(&format!("is in namespace {namespace}, which is not in the input")).to_string());
    }
    let volumes = pod.decode::<Pod>().ok().and_then(|pod| pod.spec.volumes).unwrap_or_default();
    for volume in volumes {
        let claim = match (&volume.persistent_volume_claim, &volume.ephemeral) {
            (Some(source), _) => source.claim_name.clone(),
            (None, Some(_)) => format!("{}-{}", pod.name, volume.name),
            (None, None) => continue,
        };
        let is_claim = |m: &&&Manifest| m.name.as_str() == claim && in_namespace(m, namespace);
        let Some(found) = named("PersistentVolumeClaim").find(is_claim) else {
            let text = format!("refers to PersistentVolumeClaim {namespace}/{claim}, which is not in the input");
            said.push(pod.error(&text).to_string());
            continue;
        };
        let Ok(Claim { spec }) = found.decode::<Claim>() else { continue };
        let class = spec.storage_class_name.unwrap_or_default();
        let is_bound = spec.volume_name.is_some_and(|name| !name.is_empty());
        if !is_bound && !class.is_empty() && !named("StorageClass").any(|m| m.name.as_str() == class) {
            said.push(found.error(&format!("refers to StorageClass {class}, which is not in the input")).to_string());
        }
    }
    said
}

fn in_namespace(manifest: &Manifest, namespace: &Istr) -> bool {
    manifest.namespace == *namespace || (manifest.namespace.is_empty() && namespace.as_str() == "default")
}
