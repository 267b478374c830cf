//! NodePorts and NodeResourcesFit: what one node has left (reference sections 4.5 and 4.6).

use std::collections::BTreeSet;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::ports::HostPort;
use plimsoll_framework::verdict::Code;

use super::clusters::DEVICE;
use super::{Cluster, Delta};

pub(crate) const PORTS: &str = "node(s) didn't have free ports for the requested pod ports";

pub(crate) fn ports(cluster: &Cluster, deltas: &[Delta], pod: &PodInfo, node: &NodeInfo) -> Option<&'static str> {
    let there = cluster.on_through(deltas, node);
    let conflict = |a: &HostPort, b: &HostPort| {
        a.port == b.port && a.protocol == b.protocol && (a.ip.is_none() || b.ip.is_none() || a.ip == b.ip)
    };
    let mut used = there.iter().flat_map(|p| &p.spec.host_ports);
    used.any(|used| pod.spec.host_ports.iter().any(|wanted| conflict(wanted, used))).then_some(PORTS)
}

pub(crate) fn fit(
    cluster: &Cluster,
    deltas: &[Delta],
    pod: &PodInfo,
    node: &NodeInfo,
) -> Option<(Code, BTreeSet<String>)> {
    let there = cluster.on_through(deltas, node);
    let mut reasons = BTreeSet::new();
    if there.len() + 1 > usize::try_from(node.allocatable_pods).unwrap() {
        reasons.insert("Too many pods".to_owned());
    }
    let mut hopeless = false;
    let asked = &pod.spec.requests.filter;
    let used = |of: fn(&PodInfo) -> i64| there.iter().map(|p| of(p)).sum::<i64>();
    for (name, asked, all, used) in [
        ("cpu", asked.milli_cpu, node.allocatable.milli_cpu, used(|p| p.spec.requests.used.milli_cpu)),
        ("memory", asked.memory_bytes, node.allocatable.memory_bytes, used(|p| p.spec.requests.used.memory_bytes)),
    ] {
        if asked > 0 && asked > all - used {
            reasons.insert(format!("Insufficient {name}"));
            hopeless |= asked > all;
        }
    }
    let devices = |of: &[(Istr, i64)]| of.iter().filter(|(name, _)| **name == *DEVICE).map(|(_, n)| *n).sum::<i64>();
    let (wanted, all) = (devices(&asked.scalars), devices(&node.allocatable.scalars));
    let used: i64 = there.iter().map(|p| devices(&p.spec.requests.used.scalars)).sum();
    if wanted > 0 && wanted > all - used {
        reasons.insert(format!("Insufficient {DEVICE}"));
        hopeless |= wanted > all;
    }
    let code = if hopeless { Code::UnschedulableAndUnresolvable } else { Code::Unschedulable };
    (!reasons.is_empty()).then_some((code, reasons))
}
