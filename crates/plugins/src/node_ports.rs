//! NodePorts (PreFilter, Filter): a host port can be had once on a node. Reference section 4.5.

use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, QueueingHint, Registration};
use plimsoll_framework::plugin::{EnqueueExtensions, Filter, Plugin, PreFilter, PreFilterVerdict};
use plimsoll_framework::pod::{PodInfo, PodSpecInfo};
use plimsoll_framework::ports::HostPort;
use plimsoll_framework::read::{Block, Ports, Spec, UsedPorts};
use plimsoll_framework::verdict::Verdict;

use crate::hints::{holds_a_place, queue_if};

const REASON: &str = "node(s) didn't have free ports for the requested pod ports";
const TAKEN: Verdict = Verdict::unschedulable(1);

/// Keeps a pod away from nodes where a host port it asks for is taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodePorts;

impl Plugin for NodePorts {
    const NAME: &'static str = "NodePorts";
}

impl EnqueueExtensions for NodePorts {
    fn registrations(&self) -> Vec<Registration> {
        vec![
            Registration::new(EventResource::Pod, Actions::DELETE),
            Registration::always(EventResource::Node, Actions::ADD),
        ]
    }

    fn hint(&self, pod: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        let (Some(gone), None) = change.pods() else { return QueueingHint::Queue };
        let wanted = &pod.spec.host_ports;
        queue_if(holds_a_place(gone) && gone.spec.host_ports.iter().any(|p| wanted.iter().any(|w| w.conflicts(p))))
    }
}

impl PreFilter for NodePorts {
    type Pod = Spec;
    type Cluster = ();

    fn pre_filter(&self, pod: &PodSpecInfo, (): ()) -> PreFilterVerdict {
        if pod.host_ports.is_empty() { PreFilterVerdict::Skip } else { PreFilterVerdict::Run }
    }
}

impl Filter for NodePorts {
    type Pod = Spec;
    type Cluster = ();
    type Node = Ports;
    type State = Box<[HostPort]>;

    fn prepare(&self, pod: &PodSpecInfo, (): ()) -> Option<Box<[HostPort]>> {
        (!pod.host_ports.is_empty()).then(|| pod.host_ports.clone())
    }

    fn filter(&self, wanted: &Box<[HostPort]>, used: UsedPorts<'_>) -> Verdict {
        let taken = used.iter().any(|port| wanted.iter().any(|w| w.conflicts(port)));
        if taken { TAKEN } else { Verdict::FITS }
    }

    fn filter_block(&self, wanted: &Box<[HostPort]>, block: &Block<'_, Ports>, out: &mut [Verdict; 64]) {
        out.fill(Verdict::FITS);
        for (lane, port) in block.cols().iter() {
            if wanted.iter().any(|w| w.conflicts(port)) {
                out[lane] = TAKEN;
            }
        }
    }

    fn reasons(&self, _: &Box<[HostPort]>, _: u32) -> Vec<String> {
        vec![REASON.to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_framework::extensions::Extensions;
    use plimsoll_framework::verdict::Code;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{filter_one, pod, pod_hint};

    fn with_ports(ports: Value) -> Value {
        json!({"metadata": {"uid": "1"}, "spec": {"containers": [{"ports": ports}]}})
    }

    #[test]
    fn a_port_is_had_once() {
        let rows = [
            (json!([{"hostPort": 80}]), json!([]), true),
            (json!([{"hostPort": 80}]), json!([{"hostPort": 80}]), false),
            (json!([{"hostPort": 80}]), json!([{"hostPort": 80, "protocol": "UDP"}]), true),
            (json!([{"hostPort": 80, "hostIP": "10.0.0.1"}]), json!([{"hostPort": 80, "hostIP": "10.0.0.2"}]), true),
            (json!([{"hostPort": 80, "hostIP": "10.0.0.1"}]), json!([{"hostPort": 80}]), false),
            (json!([{"hostPort": 80}, {"hostPort": 81}]), json!([{"hostPort": 81, "hostIP": "::"}]), false),
            // The pod's own ports are its own affair.
            (json!([{"hostPort": 80}, {"hostPort": 80}]), json!([]), true),
        ];
        for (wanted, used, fits) in rows {
            let answer = filter_one(
                &Extensions::of(NodePorts).filter().done(),
                &with_ports(wanted.clone()),
                &json!({"metadata": {"name": "n"}}),
                &[with_ports(used.clone())],
            );
            let expect = (!fits).then(|| (Code::Unschedulable, vec![REASON.to_owned()]));
            assert_eq!(answer, expect, "{wanted} {used}");
        }
    }

    #[test]
    fn a_pod_without_ports_is_skipped() {
        let verdict = |ports| NodePorts.pre_filter(&pod(with_ports(ports)).spec, ());
        assert_eq!(verdict(json!([{"containerPort": 80}])), PreFilterVerdict::Skip);
        assert_eq!(verdict(json!([{"hostPort": 80}])), PreFilterVerdict::Run);
    }

    #[test]
    fn hints() {
        let gone = |ports: Value, node: &str, nominated: &str| {
            json!({"spec": {"nodeName": node, "containers": [{"ports": ports}]},
                   "status": {"nominatedNodeName": nominated}})
        };
        let rows = [
            (gone(json!([{"hostPort": 80}]), "n", ""), QueueingHint::Queue),
            (gone(json!([{"hostPort": 80}]), "", "n"), QueueingHint::Queue),
            (gone(json!([{"hostPort": 80}]), "", ""), QueueingHint::Skip),
            (gone(json!([{"hostPort": 81}]), "n", ""), QueueingHint::Skip),
            (gone(json!([]), "n", ""), QueueingHint::Skip),
        ];
        for (pod, expect) in rows {
            let wanting = with_ports(json!([{"hostPort": 80}]));
            assert_eq!(pod_hint(&NodePorts, &wanting, Some(&pod), None), expect, "{pod}");
        }
    }
}
