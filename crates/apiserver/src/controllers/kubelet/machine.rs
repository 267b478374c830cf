//! What a node has, what its pods use of it, and whether one more may run.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::affinity;
use crate::{json, quantity};

/// Thousandths by resource.
type Amounts = BTreeMap<String, i128>;

/// A host port: protocol, address, number.
type HostPort = (String, String, i64);

/// What a pod needs of its node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Demand {
    pub(super) amounts: Amounts,
    ports: Vec<HostPort>,
}

impl Demand {
    /// The larger of what the containers need together and what the init containers need one after the other, sidecars
    /// running on, plus overhead. Requests of the pod as a whole replace those of its containers.
    pub(super) fn of(pod: &Value) -> Self {
        let (mut running, mut peak) = (Amounts::new(), Amounts::new());
        for container in json::items(pod, &["spec", "initContainers"]) {
            let own = requests(container);
            let mut now = running.clone();
            add(&mut now, &own);
            if json::text(container, &["restartPolicy"]) == "Always" {
                running.clone_from(&now);
            }
            for (name, amount) in now {
                let most = peak.entry(name).or_default();
                *most = amount.max(*most);
            }
        }
        let containers = json::items(pod, &["spec", "containers"]);
        containers.iter().for_each(|container| add(&mut running, &requests(container)));
        for (name, amount) in peak {
            let most = running.entry(name).or_default();
            *most = amount.max(*most);
        }
        if let Some(spec) = pod.get("spec") {
            running.extend(requests(spec));
        }
        add(&mut running, &amounts(json::at(pod, &["spec", "overhead"])));
        running.insert("pods".to_owned(), 1000);
        Self { amounts: running, ports: containers.iter().flat_map(host_ports).collect() }
    }
}

fn host_ports(container: &Value) -> Vec<HostPort> {
    let ports = json::items(container, &["ports"]).iter();
    ports
        .filter_map(|port| {
            let number = json::int(port, &["hostPort"]).filter(|number| *number > 0)?;
            let address = match json::text(port, &["hostIP"]) {
                "" => "0.0.0.0",
                address => address,
            };
            Some((json::text(port, &["protocol"]).to_owned(), address.to_owned(), number))
        })
        .collect()
}

fn requests(part: &Value) -> Amounts {
    amounts(json::at(part, &["resources", "requests"]))
}

/// Quantities that cannot be read count as nothing.
fn amounts(quantities: Option<&Value>) -> Amounts {
    let map = quantities.and_then(Value::as_object).into_iter().flatten();
    map.filter_map(|(name, quantity)| {
        let text = quantity.as_str().map_or_else(|| quantity.to_string(), str::to_owned);
        Some((name.clone(), quantity::milli(&text)?))
    })
    .collect()
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let slot = sum.entry(name.clone()).or_default();
        *slot = slot.saturating_add(*amount);
    }
}

/// A node as its kubelet sees it.
#[derive(Debug, Default)]
pub(super) struct Machine {
    node: Value,
    allocatable: Amounts,
    used: Amounts,
    pods: HashMap<Box<str>, Demand>,
}

impl Machine {
    pub(super) fn update(&mut self, node: &Value) {
        self.allocatable = amounts(json::at(node, &["status", "allocatable"]));
        // Labels and name are all that admission reads further.
        self.node = serde_json::json!({"metadata": {
            "name": json::at(node, &["metadata", "name"]), "labels": json::at(node, &["metadata", "labels"]),
        }});
    }

    pub(super) fn add(&mut self, uid: Box<str>, demand: Demand) {
        add(&mut self.used, &demand.amounts);
        self.pods.insert(uid, demand);
    }

    pub(super) fn remove(&mut self, uid: &str) {
        for (name, amount) in self.pods.remove(uid).unwrap_or_default().amounts {
            let slot = self.used.entry(name).or_default();
            *slot = slot.saturating_sub(amount);
        }
    }

    /// Why a pod may not run here, as reason and message; none when it may.
    pub(super) fn refusal(&self, pod: &Value, demand: &Demand) -> Option<(String, String)> {
        if let Some(refusal) = self.shortage(demand) {
            return Some(refusal);
        }
        let failed = |name: &str, why: &str| Some((name.to_owned(), format!("Predicate {name} failed: {why}")));
        if !affinity::matches(pod, &self.node) {
            return failed("NodeAffinity", "node(s) didn't match Pod's node affinity/selector");
        }
        let mut taken = self.pods.values().flat_map(|demand| &demand.ports);
        if taken.any(|port| demand.ports.iter().any(|wanted| collide(port, wanted))) {
            return failed("NodePorts", "node(s) didn't have free ports for the requested pod ports");
        }
        None
    }

    fn shortage(&self, demand: &Demand) -> Option<(String, String)> {
        // The number of pods is looked at first, as kubelets do.
        let pods = demand.amounts.get_key_value("pods").into_iter();
        let all = pods.chain(demand.amounts.iter().filter(|(name, _)| *name != "pods"));
        for (name, wanted) in all {
            let basic = matches!(name.as_str(), "pods" | "cpu" | "memory" | "ephemeral-storage");
            let none = basic.then_some(0);
            let Some(capacity) = self.allocatable.get(name).copied().or(none) else {
                // Kubelets leave resources that they do not know to others.
                continue;
            };
            let used = self.used.get(name).copied().unwrap_or_default();
            if *wanted > 0 && used.saturating_add(*wanted) > capacity {
                let unit = if name == "cpu" { 1 } else { 1000 };
                let message = format!(
                    "Node didn't have enough resource: {name}, requested: {}, used: {}, capacity: {}",
                    wanted / unit,
                    used / unit,
                    capacity / unit
                );
                return Some((format!("OutOf{name}"), message));
            }
        }
        None
    }
}

fn collide(a: &HostPort, b: &HostPort) -> bool {
    a.0 == b.0 && a.2 == b.2 && (a.1 == b.1 || a.1 == "0.0.0.0" || b.1 == "0.0.0.0")
}

#[cfg(test)]
mod tests {
    use plimsoll_testkit::{node, pod};
    use serde_json::json;

    use super::{Demand, Machine};

    fn machine() -> Machine {
        let mut machine = Machine::default();
        machine.update(&node("n1").capacity(&[("cpu", "2"), ("memory", "1Gi"), ("pods", "2")]).build());
        machine
    }

    #[test]
    fn init_containers_count_one_by_one_and_sidecars_throughout() {
        let pod = pod("a")
            .requests(&[("cpu", "1")])
            .sidecar("s", "x", &[("cpu", "500m")])
            .init_container("i", "x", &[("cpu", "1200m"), ("memory", "1Mi")])
            .overhead(&[("cpu", "10m")])
            .build();
        let amounts = Demand::of(&pod).amounts;
        assert_eq!(amounts["cpu"], 1710);
        assert_eq!(amounts["memory"], 1_048_576_000);
    }

    #[test]
    fn what_does_not_fit_is_refused_in_kubelets_words() {
        let mut full = machine();
        full.add("x".into(), Demand::of(&pod("x").requests(&[("cpu", "1500m")]).host_port(80).build()));
        for (pod, want) in [
            (pod("a").requests(&[("cpu", "500m")]), None),
            (pod("a").requests(&[("cpu", "600m")]), Some("OutOfcpu")),
            (pod("a").requests(&[("memory", "2Gi")]), Some("OutOfmemory")),
            (pod("a").requests(&[("example.com/gpu", "1")]), None),
            (pod("a").node_selector("disk", "ssd"), Some("NodeAffinity")),
            (pod("a").host_port(80), Some("NodePorts")),
            (pod("a").host_port_at("", "UDP", 80), None),
            (pod("a").affinity(json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}],
            }}})), None),
        ] {
            let pod = pod.build();
            let got = full.refusal(&pod, &Demand::of(&pod)).map(|(reason, _)| reason);
            assert_eq!(got.as_deref(), want, "{pod}");
        }
        full.add("y".into(), Demand::of(&pod("y").build()));
        let third = pod("z").build();
        let (reason, message) = full.refusal(&third, &Demand::of(&third)).unwrap();
        assert_eq!(reason, "OutOfpods");
        assert_eq!(message, "Node didn't have enough resource: pods, requested: 1, used: 2, capacity: 2");
        full.remove("x");
        assert_eq!(full.refusal(&third, &Demand::of(&third)), None);
    }
}
