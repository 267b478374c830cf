//! Pods that ask for something this version does not do. They wait, and say what for: to place them without it would
//! break a rule they ask for.

use plimsoll_framework::cluster::ClusterInfo;
use plimsoll_framework::pod::PodInfo;

use crate::dynamic_resources;

/// Why `pod` cannot be placed by this version as the cluster is now, if it cannot. `is_disabled` says which plugins the
/// profile has switched off: whoever did that does not want the rule.
///
/// It depends on classes of devices, so it has to be asked again when those change, and before a pod is bound.
pub fn unsupported(pod: &PodInfo, cluster: &ClusterInfo, is_disabled: &dyn Fn(&str) -> bool) -> Option<String> {
    if !is_disabled("DynamicResources")
        && let Some(place) = dynamic_resources::asks_for_devices(&pod.spec, &cluster.objects())
    {
        return Some(format!("needs DynamicResources ({place}), which this version does not support yet"));
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds::devices::DeviceClassKind;
    use crate::kinds::storage::{PersistentVolumeClaimKind, StorageClassKind};
    use crate::testing::{objects, pod};

    fn cluster() -> ClusterInfo {
        let mut cluster = ClusterInfo::default();
        let class = |name: &str, resource: Value| json!({"metadata": {"name": name}, "spec": {"extendedResourceName": resource}});
        objects::<DeviceClassKind>(&mut cluster, &[class("gpu", json!("example.com/gpu")), class("nic", json!(null))]);
        let mode = |name: &str, mode: &str| json!({"metadata": {"name": name}, "volumeBindingMode": mode});
        objects::<StorageClassKind>(&mut cluster, &[mode("later", "WaitForFirstConsumer"), mode("now", "Immediate")]);
        let claim = |name: &str, class: &str, volume: &str| {
            json!({"metadata": {"name": name, "namespace": "d", "annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
                   "spec": {"storageClassName": class, "volumeName": volume}})
        };
        let claims = [claim("bound", "later", "v"), claim("later", "later", ""), claim("now", "now", "")];
        objects::<PersistentVolumeClaimKind>(&mut cluster, &claims);
        cluster
    }

    #[test]
    fn what_is_not_done_holds_a_pod_back() {
        let claims = |names: &[&str]| {
            let volume = |name: &&str| json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
            json!({"volumes": names.iter().map(volume).collect::<Vec<_>>()})
        };
        let requests =
            |resource: &str, amount: &str| json!({"containers": [{"resources": {"requests": {resource: amount}}}]});
        let devices =
            |place: &str| format!("needs DynamicResources ({place}), which this version does not support yet");
        let implicit = "deviceclass.resource.kubernetes.io/nic";
        let rows = [
            (json!({}), None),
            (claims(&["bound"]), None),
            (claims(&["bound", "later"]), None),
            // These are turned away by the plugin, as by kube-scheduler.
            (claims(&["now"]), None),
            (claims(&["missing"]), None),
            (json!({"resourceClaims": [{"name": "c"}]}), Some(devices("spec.resourceClaims"))),
            (requests("example.com/gpu", "1"), Some(devices("resource example.com/gpu, which a DeviceClass provides"))),
            (requests("example.com/gpu", "0"), None),
            (requests("example.com/fpga", "1"), None),
            (requests(implicit, "1"), Some(devices(&format!("resource {implicit}, which a DeviceClass provides")))),
            (requests("deviceclass.resource.kubernetes.io/other", "1"), None),
        ];
        let cluster = cluster();
        for (spec, expect) in rows {
            let pod = pod(json!({"metadata": {"name": "p", "namespace": "d"}, "spec": spec}));
            assert_eq!(unsupported(&pod, &cluster, &|_| false), expect, "{spec}");
            assert_eq!(unsupported(&pod, &cluster, &|_| true), None, "{spec}");
        }
    }
}
