//! How full the fleet is, added up from the nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_framework::table::View;
use tokio::time::Instant;

use crate::metrics::{FleetAmounts, Metrics};

/// Every node is looked at, so this is not done as often as what is only counted.
const EVERY: Duration = Duration::from_secs(5);

/// Tells of the fleet from time to time.
#[derive(Default)]
pub(super) struct FleetObserver {
    last: Option<Instant>,
}

impl FleetObserver {
    pub(super) fn tell(&mut self, metrics: &Metrics, view: &View, now: Instant) {
        if self.last.is_some_and(|last| now.duration_since(last) < EVERY) {
            return;
        }
        self.last = Some(now);
        metrics.plimsoll.fleet.set(&amounts(view));
    }
}

fn amounts(view: &View) -> BTreeMap<String, FleetAmounts> {
    let [mut cpu, mut memory, mut storage, mut pods] = [FleetAmounts::default(); 4];
    let mut scalars: BTreeMap<&str, FleetAmounts> = BTreeMap::new();
    for row in view.rows() {
        let Some(node) = view.node(row) else { continue };
        let (has, used, open) = (&node.allocatable, view.requested(row), !node.unschedulable);
        let on_it = i64::try_from(view.pods(row).len()).unwrap_or(i64::MAX);
        add(&mut cpu, has.milli_cpu, used.milli_cpu, 1_000.0, open);
        add(&mut memory, has.memory_bytes, used.memory_bytes, 1.0, open);
        add(&mut storage, has.ephemeral_storage_bytes, used.ephemeral_storage_bytes, 1.0, open);
        add(&mut pods, node.allocatable_pods, on_it, 1.0, open);
        for (name, amount) in &has.scalars {
            add(scalars.entry(name).or_default(), *amount, used.get(name), 1.0, open);
        }
    }
    let common = [("cpu", cpu), ("memory", memory), ("ephemeral-storage", storage), ("pods", pods)];
    scalars.into_iter().chain(common).map(|(name, amounts)| (name.to_owned(), amounts)).collect()
}

/// Adds those of one node; only an `open` one takes new pods.
fn add(sum: &mut FleetAmounts, allocatable: i64, requested: i64, unit: f64, open: bool) {
    let (allocatable, requested) = (in_units(allocatable, unit), in_units(requested, unit));
    sum.allocatable += allocatable;
    sum.requested += requested;
    if open {
        sum.largest_free = sum.largest_free.max(allocatable - requested);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge: nobody looks at the sixteenth digit of an amount of bytes")]
fn in_units(amount: i64, unit: f64) -> f64 {
    amount as f64 / unit
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use plimsoll_framework::api;
    use plimsoll_framework::node::NodeInfo;
    use plimsoll_framework::pod::PodParser;
    use plimsoll_framework::table::Table;
    use plimsoll_testkit::{NodeBuilder, node, pod};

    use super::*;

    fn parsed(node: NodeBuilder) -> Arc<NodeInfo> {
        let node: api::Node = serde_json::from_value(node.build()).unwrap();
        Arc::new(NodeInfo::parse(&node, &[]).0)
    }

    #[test]
    fn sums_and_the_largest_gap() {
        let mut table = Table::default();
        table.set_node(parsed(node("a").allocatable(&[("cpu", "4"), ("example.com/gpu", "2"), ("pods", "10")])));
        table.set_node(parsed(node("cordoned").allocatable(&[("cpu", "16"), ("pods", "10")]).unschedulable()));
        let asks = pod("p").requests(&[("cpu", "1500m"), ("example.com/gpu", "1")]).node_name("a").build();
        let asks: api::Pod = serde_json::from_value(asks).unwrap();
        table.add_pod(&"a".into(), Arc::new(PodParser::default().parse(&asks)));
        let amounts = amounts(table.view());
        let of = |name: &str| (amounts[name].allocatable, amounts[name].requested, amounts[name].largest_free);
        assert_eq!(of("cpu"), (20.0, 1.5, 2.5), "nothing new goes to a node that is cordoned");
        assert_eq!(of("example.com/gpu"), (2.0, 1.0, 1.0));
        assert_eq!(of("pods"), (20.0, 1.0, 9.0));
    }
}
