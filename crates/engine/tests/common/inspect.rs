//! The node table as a plugin sees it, against a recount from the pods of the cache; and the rules once more, written
//! so that they can be read at a glance.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use plimsoll_engine::cache::{Cache, Standing};
use plimsoll_engine::engine::Engine;
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::plugin::{Filter, Plugin};
use plimsoll_framework::pod::{PodInfo, PodSpecInfo};
use plimsoll_framework::read::{Amounts, NonZeroRequested, Pods, Ports, Requested, Spec, UsedPorts};
use plimsoll_framework::table::{Row, View};
use plimsoll_framework::toleration::tolerated;
use plimsoll_framework::verdict::Verdict;

use super::plugins::CROWD;

/// What the pods of a node take up.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    milli_cpu: i64,
    memory_bytes: i64,
    non_zero_milli_cpu: i64,
    non_zero_memory_bytes: i64,
    pods: i64,
    ports: Vec<i32>,
    uids: BTreeSet<String>,
}

struct Inspector(Arc<Mutex<Vec<Usage>>>);
impl Plugin for Inspector {
    const NAME: &'static str = "Inspector";
}
impl Filter for Inspector {
    type Pod = Spec;
    type Cluster = ();
    type Node = (Requested, NonZeroRequested, Ports, Pods);
    type State = ();
    fn prepare(&self, _: &PodSpecInfo, (): ()) -> Option<()> {
        Some(())
    }
    fn filter(
        &self,
        (): &(),
        (used, non_zero, ports, pods): (
            Amounts<'_>,
            Amounts<'_>,
            UsedPorts<'_>,
            plimsoll_framework::read::NodePods<'_>,
        ),
    ) -> Verdict {
        let mut ports: Vec<i32> = ports.iter().map(|p| p.port).collect();
        ports.sort_unstable();
        self.0.lock().expect("nobody panics with it").push(Usage {
            milli_cpu: used.milli_cpu,
            memory_bytes: used.memory_bytes,
            non_zero_milli_cpu: non_zero.milli_cpu,
            non_zero_memory_bytes: non_zero.memory_bytes,
            pods: used.pods,
            ports,
            uids: pods.iter().map(|p| p.key.uid.to_string()).collect(),
        });
        Verdict::FITS
    }
    fn reasons(&self, (): &(), _: u32) -> Vec<String> {
        Vec::new()
    }
}

/// What the view says each of these rows takes up.
fn shown(view: &View, rows: &[Row]) -> Vec<Usage> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let filter = Extensions::of(Inspector(Arc::clone(&seen))).filter().done().filter.expect("declared above");
    let pod = super::build::pod("inspector").info();
    let bound = filter.bind(&pod, view).expect("it looks at every pod");
    for row in rows {
        bound.one(view, None, *row);
    }
    std::mem::take(&mut seen.lock().expect("nobody panics with it"))
}

/// What a recount from the cache says, by name of the node.
fn recount(cache: &Cache) -> BTreeMap<String, Usage> {
    let mut nodes: BTreeMap<String, Usage> = BTreeMap::new();
    for known in cache.iter() {
        let Some(node) = known.node() else { continue };
        let (usage, asked) = (nodes.entry(node.to_string()).or_default(), &known.pod.spec.requests);
        usage.milli_cpu += asked.used.milli_cpu;
        usage.memory_bytes += asked.used.memory_bytes;
        usage.non_zero_milli_cpu += asked.used_non_zero_milli_cpu;
        usage.non_zero_memory_bytes += asked.used_non_zero_memory_bytes;
        usage.pods += 1;
        usage.ports.extend(known.pod.spec.host_ports.iter().map(|p| p.port));
        usage.ports.sort_unstable();
        usage.uids.insert(known.pod.key.uid.to_string());
    }
    nodes
}

/// Asserts that the table's sums are those of the cache's pods, that nodes that are only named are in no view, and that
/// the number of assumed pods is right.
pub(crate) fn assert_sums(engine: &Engine) {
    let (cache, table) = (engine.cache(), engine.cache().table());
    let view = table.view();
    let mut expected = recount(cache);
    for row in view.rows() {
        let name = view.node(row).expect("a row of a view holds a node").name.clone();
        assert_eq!(table.row(&name), Some(row), "row of {name}");
        expected.entry(name.to_string()).or_default();
    }
    assert_eq!(view.rows().count(), view.node_count(), "number of nodes");
    let rows: Vec<Row> =
        expected.keys().map(|name| table.row(&name.as_str().into()).expect("every node has a row")).collect();
    for ((name, expect), is) in expected.iter().zip(shown(view, &rows)) {
        assert_eq!(is, *expect, "usage of {name}");
    }
    let assumed = cache.iter().filter(|k| matches!(k.standing, Standing::Assumed(_))).count();
    let on_nodes = cache.iter().filter(|k| k.node().is_some()).count();
    assert_eq!(cache.pod_counts(), (on_nodes, assumed), "pods on nodes, assumed");
}

/// A cluster as plain lists: the nodes with the pods on them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plain {
    pub(crate) nodes: BTreeMap<String, Arc<NodeInfo>>,
    pub(crate) pods: BTreeMap<String, (String, Arc<PodInfo>)>,
    pub(crate) nominated: BTreeMap<String, Vec<Arc<PodInfo>>>,
}

impl Plain {
    pub(crate) fn of(engine: &Engine) -> Self {
        let view = engine.cache().table().view();
        let nodes = view.rows().filter_map(|row| view.node(row)).map(|n| (n.name.to_string(), Arc::clone(n))).collect();
        let on = engine.cache().iter().filter_map(|k| Some((k, k.node()?)));
        let pods = on.map(|(k, node)| (k.pod.key.uid.to_string(), (node.to_string(), Arc::clone(&k.pod)))).collect();
        let nominations = view.nominations();
        let nominated = nominations.nodes().map(|n| (n.to_string(), nominations.pods(n).to_vec())).collect();
        Self { nodes, pods, nominated }
    }

    pub(crate) fn place(&mut self, pod: Arc<PodInfo>, node: &str) {
        for pods in self.nominated.values_mut() {
            pods.retain(|p| p.key.uid != pod.key.uid);
        }
        self.pods.insert(pod.key.uid.to_string(), (node.to_owned(), pod));
    }

    fn zone(&self, node: &str) -> Option<&str> {
        self.nodes.get(node)?.labels.get(&"zone".into()).map(|z| z.as_str())
    }

    /// Why the pod may not be on the node; nominated pods of no lower priority count.
    pub(crate) fn objection(&self, pod: &PodInfo, node: &str) -> Option<&'static str> {
        let respected = |p: &&Arc<PodInfo>| p.key.uid != pod.key.uid && p.priority() >= pod.priority();
        let nominated: Vec<&Arc<PodInfo>> = self.nominated.get(node).into_iter().flatten().filter(respected).collect();
        if !nominated.is_empty() {
            let mut with = self.clone();
            for p in nominated {
                with.pods.insert(p.key.uid.to_string(), (node.to_owned(), Arc::clone(p)));
            }
            if let Some(objection) = with.objection_without_nominated(pod, node) {
                return Some(objection);
            }
        }
        self.objection_without_nominated(pod, node)
    }

    fn objection_without_nominated(&self, pod: &PodInfo, node: &str) -> Option<&'static str> {
        let Some(info) = self.nodes.get(node) else { return Some("no such node") };
        let others = || self.pods.values().filter(|(_, p)| p.key.uid != pod.key.uid);
        let here: Vec<&PodInfo> = others().filter(|(n, _)| n == node).map(|(_, p)| &**p).collect();
        let in_zone = |label: &'static str| {
            let zone = self.zone(node);
            others()
                .filter(move |(n, _)| self.nodes.contains_key(n) && self.zone(n) == zone)
                .filter_map(move |(_, p)| p.labels.get(&label.into()))
        };
        let sum = |of: fn(&PodInfo) -> i64| here.iter().map(|p| of(p)).sum::<i64>();
        let asked = &pod.spec.requests.filter;
        let cpu = sum(|p| p.spec.requests.used.milli_cpu) + asked.milli_cpu;
        let memory = sum(|p| p.spec.requests.used.memory_bytes) + asked.memory_bytes;
        let ports = |p: &PodInfo| p.spec.host_ports.iter().any(|a| pod.spec.host_ports.iter().any(|b| a.conflicts(b)));
        let count = i64::try_from(here.len()).expect("few pods");
        let rules = [
            ("taint", info.taints.iter().any(|t| !tolerated(&pod.spec.tolerations, t))),
            ("ports", here.iter().any(|p| ports(p))),
            ("pods", count + 1 > info.allocatable_pods),
            ("cpu", asked.milli_cpu > 0 && cpu > info.allocatable.milli_cpu),
            ("memory", asked.memory_bytes > 0 && memory > info.allocatable.memory_bytes),
            ("apart", pod.labels.get(&"apart".into()).is_some_and(|own| in_zone("apart").any(|v| v == own))),
            ("crowd", pod.labels.get(&"crowd".into()).is_some() && in_zone("crowd").count() >= CROWD),
        ];
        rules.into_iter().find(|(_, broken)| *broken).map(|(rule, _)| rule)
    }
}
