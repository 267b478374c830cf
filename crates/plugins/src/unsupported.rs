//! Pods that need a plugin which is not built yet. They wait, and say what for: to place them without that plugin would
//! break a rule they ask for.

use plimsoll_framework::pod::{PodInfo, PodSpecInfo, VolumeUse};

/// A rule of the pod, the plugin that would see to it, and where the rule is written.
struct Need {
    plugin: &'static str,
    field: &'static str,
    applies: fn(&PodSpecInfo) -> bool,
}

fn has_claim(spec: &PodSpecInfo) -> bool {
    spec.volumes.iter().any(|volume| matches!(volume, VolumeUse::Claim { .. } | VolumeUse::Ephemeral(_)))
}

/// A rule that several plugins see to is here once for each of them.
static NEEDS: &[Need] = &[
    Need { plugin: "VolumeBinding", field: "spec.volumes", applies: has_claim },
    Need { plugin: "VolumeRestrictions", field: "spec.volumes", applies: |spec| !spec.volumes.is_empty() },
    Need { plugin: "NodeVolumeLimits", field: "spec.volumes", applies: has_claim },
    Need { plugin: "VolumeZone", field: "spec.volumes", applies: has_claim },
    Need { plugin: "DynamicResources", field: "spec.resourceClaims", applies: |spec| !spec.resource_claims.is_empty() },
    Need {
        plugin: "NodeDeclaredFeatures",
        field: "spec.hostUsers or spec.containers[].restartPolicyRules",
        applies: |spec| !spec.required_features.is_empty(),
    },
];

/// Why `pod` cannot be placed by this version, if it cannot: it asks for something that only a plugin not yet built
/// sees to. `is_disabled` says which plugins the profile has switched off; nobody sees to those anywhere.
///
/// Only rules count: what is merely preferred holds no pod back.
pub fn unsupported(pod: &PodInfo, is_disabled: &dyn Fn(&str) -> bool) -> Option<String> {
    let need = NEEDS.iter().find(|need| (need.applies)(&pod.spec) && !is_disabled(need.plugin))?;
    Some(format!("needs {} ({}), which this version does not support yet", need.plugin, need.field))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::pod;

    #[test]
    fn rules_nobody_sees_to_hold_a_pod_back() {
        let rows = [
            (json!({}), None),
            (json!({"volumes": [{"name": "v", "emptyDir": {}}]}), None),
            (
                json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}),
                Some(("VolumeBinding", "spec.volumes")),
            ),
            (json!({"volumes": [{"name": "v", "rbd": {}}]}), Some(("VolumeRestrictions", "spec.volumes"))),
            (json!({"resourceClaims": [{"name": "c"}]}), Some(("DynamicResources", "spec.resourceClaims"))),
            (
                json!({"hostNetwork": true, "hostUsers": false}),
                Some(("NodeDeclaredFeatures", "spec.hostUsers or spec.containers[].restartPolicyRules")),
            ),
        ];
        for (spec, expect) in rows {
            let pod = pod(json!({"spec": spec}));
            let text = |(plugin, field)| format!("needs {plugin} ({field}), which this version does not support yet");
            assert_eq!(unsupported(&pod, &|_| false), expect.map(text), "{spec}");
            assert_eq!(unsupported(&pod, &|_| true), None, "{spec}");
        }
    }
}
