//! The table, its views and overlays against a model that is too simple to be wrong: nodes and pods in lists, and
//! every sum taken anew.
//!
//! Only plugins can look into a row, so a probe of a plugin reads it through every public marker. `changed_since` is
//! held to be exact for what is read of the row itself. It may say "changed" where nothing did in two cases, both of
//! them for plugins that read other rows: after a change of any row, and after any call of `cluster_mut` or
//! `nominations_mut`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap in a helper fails the test that called it")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use plimsoll_framework::cluster::ImageState;
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::{Filter, Plugin};
use plimsoll_framework::pod::{PodInfo, Uid};
use plimsoll_framework::read::{
    Allocatable, Amounts, Block, ClusterImages, ClusterOf, ColumnId, DeclaredFeatures, Images, Labels, Name, NodeCount,
    NonZeroRequested, Of, Pods, Ports, Read, Requested, ResourceColumns, Taints, Unschedulable, WholeNode, WholePod,
};
use plimsoll_framework::table::{Row, Table, View, bits};
use plimsoll_framework::taken::TakenByPriority;
use plimsoll_framework::verdict::Verdict;
use proptest::prelude::*;
use serde_json::json;

const DEVICES: [&str; 2] = ["example.com/gpu", "example.com/fpga"];
const IMAGES: [&str; 3] = ["a:1", "b:1", "c:1"];

/// CPU, memory, ephemeral storage, pods, and the devices.
type Sums = [i64; 4 + DEVICES.len()];

/// What a row says through the markers. `PartialEq` on [`NodeInfo`] stands for what is read of the object as a whole.
#[derive(Clone, Debug, PartialEq, Default)]
struct Seen {
    node: Option<NodeInfo>,
    allocatable: Sums,
    requested: Sums,
    non_zero: (i64, i64),
    ports: Vec<String>,
    pods: Vec<String>,
}

impl Seen {
    fn object(&self) -> (&Option<NodeInfo>, &Sums) {
        (&self.node, &self.allocatable)
    }
    fn usage(&self) -> (&Sums, &(i64, i64), &[String], &[String]) {
        (&self.requested, &self.non_zero, &self.ports, &self.pods)
    }
}

/// What is known of the cluster as a whole.
#[derive(Clone, Debug, PartialEq)]
struct Whole {
    nodes: usize,
    images: Vec<Option<ImageState>>,
}

/// Reads rows and hands out what it saw.
#[derive(Default, Clone)]
struct Probe {
    row: Arc<Mutex<Seen>>,
    whole: Arc<Mutex<Option<Whole>>>,
}

type OfObject = (Name, Labels, Taints, Unschedulable, Allocatable, (Images, DeclaredFeatures));
type OfUsage = (Requested, NonZeroRequested, Ports, Pods);
type Columns = [Option<ColumnId>; DEVICES.len()];

fn sums(amounts: Amounts<'_>, columns: &Columns) -> Sums {
    let device = |at: usize| columns[at].map_or(0, |c| amounts.scalar(c));
    [amounts.milli_cpu, amounts.memory_bytes, amounts.ephemeral_storage_bytes, amounts.pods, device(0), device(1)]
}

impl Plugin for Probe {
    const NAME: &'static str = "Probe";
}

impl Filter for Probe {
    type Pod = WholePod;
    type Cluster = (NodeCount, ResourceColumns, ClusterImages);
    type Node = (OfObject, OfUsage, WholeNode);
    type State = Columns;

    fn prepare(&self, _: &PodInfo, (nodes, numbers, images): ClusterOf<'_, Self::Cluster>) -> Option<Columns> {
        assert_eq!(nodes, images.node_count());
        let images = IMAGES.map(|i| images.get(&i.into())).to_vec();
        *self.whole.lock().unwrap() = Some(Whole { nodes, images });
        Some(DEVICES.map(|d| numbers.get(&d.into())))
    }

    fn filter(&self, columns: &Columns, (object, usage, whole): Of<'_, Self::Node>) -> Verdict {
        let (name, labels, taints, unschedulable, allocatable, (images, features)) = object;
        let (requested, non_zero, ports, pods) = usage;
        let node = whole.node().cloned();
        // What the markers of the object say is what the object says; a free row has nothing.
        let part = |n: &NodeInfo| (n.name.clone(), n.labels.clone(), n.taints.clone(), n.unschedulable);
        let expect = node.as_ref().map(part).unwrap_or_default();
        assert_eq!((name.clone(), labels.clone(), taints.into(), unschedulable), expect);
        assert_eq!(images, node.as_ref().map_or(&[][..], |n| &n.images));
        assert_eq!(features, node.as_ref().map_or(&[][..], |n| &n.declared_features));
        assert_eq!(sums(whole.get::<Requested>(), columns), sums(requested, columns), "one row, read in two ways");
        assert_eq!(sums(non_zero, columns)[2..], sums(requested, columns)[2..], "defaults are for CPU and memory");
        let mut ports: Vec<String> = ports.iter().map(|p| format!("{p:?}")).collect();
        ports.sort();
        let mut pods: Vec<String> = pods.iter().map(|p| p.key.uid.to_string()).collect();
        pods.sort();
        *self.row.lock().unwrap() = Seen {
            node,
            allocatable: sums(allocatable, columns),
            requested: sums(requested, columns),
            non_zero: (non_zero.milli_cpu, non_zero.memory_bytes),
            ports,
            pods,
        };
        Verdict::FITS
    }

    fn reasons(&self, _: &Columns, _: u32) -> Vec<String> {
        Vec::new()
    }
}

/// Every row below the limit, free ones included, and the whole.
fn read(view: &View, overlay: Option<&Overlay>) -> (Vec<Seen>, Whole) {
    let probe = Probe::default();
    let line = Extensions::of(probe.clone()).filter().done();
    let bound = common::filter(&line, &anyone(), view).unwrap();
    let rows = (0..Row::try_from(view.row_limit()).unwrap()).map(|row| {
        bound.one(view, overlay, row);
        probe.row.lock().unwrap().clone()
    });
    (rows.collect(), probe.whole.lock().unwrap().clone().unwrap())
}

fn anyone() -> Arc<PodInfo> {
    common::pod(&json!({"metadata": {"name": "anyone", "uid": "anyone"}}))
}

// The model.

#[derive(Clone, Default)]
struct Model {
    nodes: BTreeMap<String, Arc<NodeInfo>>,
    pods: Vec<(String, Arc<PodInfo>)>,
    /// Resources that some node has or had.
    seen: BTreeSet<Istr>,
    /// Sizes as first told, of images that some node has.
    sizes: BTreeMap<Istr, i64>,
}

impl Model {
    fn set(&mut self, node: &Arc<NodeInfo>) {
        self.nodes.insert(node.name.to_string(), Arc::clone(node));
        self.seen.extend(node.allocatable.scalars.iter().map(|(name, _)| name.clone()));
        for image in &node.images {
            self.sizes.entry(image.name.clone()).or_insert(image.size_bytes);
        }
        self.forget_images();
    }

    fn forget_images(&mut self) {
        let nodes = &self.nodes;
        self.sizes.retain(|name, _| nodes.values().any(|n| n.images.iter().any(|i| i.name == *name)));
    }

    fn whole(&self) -> Whole {
        let state = |name: &str| {
            let size_bytes = *self.sizes.get(name)?;
            let nodes = self.nodes.values().filter(|n| n.images.iter().any(|i| &*i.name == name)).count();
            Some(ImageState { size_bytes, nodes })
        };
        Whole { nodes: self.nodes.len(), images: IMAGES.iter().map(|i| state(i)).collect() }
    }

    fn row(&self, name: &str) -> Seen {
        let node = self.nodes.get(name);
        let here = || self.pods.iter().filter(|(on, _)| on == name).map(|(_, pod)| &**pod);
        let sum = |of: &dyn Fn(&PodInfo) -> i64| here().map(of).fold(0, i64::saturating_add);
        let used = |device: usize| {
            // A resource that no node ever had is nothing that could be read.
            if self.seen.contains(DEVICES[device]) { sum(&|p| p.spec.requests.used.get(DEVICES[device])) } else { 0 }
        };
        let gives = |name| node.map_or(0, |n| n.allocatable.get(name));
        let mut ports: Vec<String> = here().flat_map(|p| &p.spec.host_ports).map(|p| format!("{p:?}")).collect();
        ports.sort();
        let mut pods: Vec<String> = here().map(|p| p.key.uid.to_string()).collect();
        pods.sort();
        Seen {
            node: node.map(|n| (**n).clone()),
            allocatable: [
                gives("cpu"),
                gives("memory"),
                gives("ephemeral-storage"),
                node.map_or(0, |n| n.allocatable_pods),
                gives(DEVICES[0]),
                gives(DEVICES[1]),
            ],
            requested: [
                sum(&|p| p.spec.requests.used.milli_cpu),
                sum(&|p| p.spec.requests.used.memory_bytes),
                sum(&|p| p.spec.requests.used.ephemeral_storage_bytes),
                sum(&|_| 1),
                used(0),
                used(1),
            ],
            non_zero: (
                sum(&|p| p.spec.requests.used_non_zero_milli_cpu),
                sum(&|p| p.spec.requests.used_non_zero_memory_bytes),
            ),
            ports,
            pods,
        }
    }

    /// Every row as it should read: nothing in rows that stand for no node and no pod.
    fn rows(&self, table: &Table) -> Vec<Seen> {
        let mut rows = vec![Seen::default(); table.view().row_limit()];
        let names: BTreeSet<&String> = self.nodes.keys().chain(self.pods.iter().map(|(on, _)| on)).collect();
        for name in names {
            let row = table.row(&name.as_str().into()).expect("a node or a pod has a row");
            rows[row as usize] = self.row(name);
        }
        rows
    }
}

// What happens to a cluster.

/// What a node may look like; each field has a few values.
#[derive(Clone, Debug)]
struct NodeForm {
    name: u8,
    zone: u8,
    cordoned: bool,
    ready: bool,
    devices: (bool, bool),
    images: Vec<(u8, u8)>,
    version: u8,
}

impl NodeForm {
    fn build(&self) -> Arc<NodeInfo> {
        let mut allocatable = json!({"cpu": "4", "memory": "1Gi", "pods": "10"});
        for (device, there) in DEVICES.iter().zip([self.devices.0, self.devices.1]) {
            if there {
                allocatable[device] = json!("8");
            }
        }
        let images: Vec<_> = self
            .images
            .iter()
            .map(|(i, size)| json!({"names": [IMAGES[usize::from(*i)]], "sizeBytes": size}))
            .collect();
        common::node(&json!({
            "metadata": {"name": format!("n{}", self.name), "uid": "u", "labels": {"zone": self.zone.to_string()},
                         "resourceVersion": self.version.to_string()},
            "spec": {"unschedulable": self.cordoned},
            "status": {"allocatable": allocatable, "images": images,
                       "conditions": [{"type": "Ready", "status": if self.ready { "True" } else { "False" }}]}
        }))
    }
}

fn node_form() -> impl Strategy<Value = NodeForm> {
    let images = proptest::collection::vec((0..3_u8, 1..4_u8), 0..3);
    // Devices are rare, so that one often appears late.
    let rare = || proptest::bool::weighted(0.15);
    (0..6_u8, 0..2_u8, any::<bool>(), any::<bool>(), (rare(), rare()), images, 0..3_u8).prop_map(
        |(name, zone, cordoned, ready, devices, images, version)| NodeForm {
            name,
            zone,
            cordoned,
            ready,
            devices,
            images,
            version,
        },
    )
}

/// What a pod may look like.
#[derive(Clone, Copy, Debug)]
struct PodForm {
    milli_cpu: u16,
    devices: (u8, u8),
    port: Option<u8>,
    /// Asks for about as much as can be counted, so that two of them are more.
    huge: bool,
}

impl PodForm {
    fn build(self, uid: &str) -> Arc<PodInfo> {
        let mut requests = json!({});
        if self.milli_cpu > 0 {
            requests["cpu"] = json!(format!("{}m", self.milli_cpu));
            requests["memory"] = json!("10Mi");
            requests["ephemeral-storage"] = json!("1");
        }
        for (device, amount) in DEVICES.iter().zip([self.devices.0, self.devices.1]) {
            if amount > 0 {
                requests[device] = json!(amount.to_string());
            }
        }
        if self.huge {
            requests["memory"] = json!("7Ei");
            requests[DEVICES[0]] = json!("9E");
        }
        let ports: Vec<_> = self.port.iter().map(|p| json!({"hostPort": 80 + u16::from(*p)})).collect();
        common::pod(&json!({
            "metadata": {"name": uid, "uid": uid, "namespace": "default"},
            "spec": {"priority": self.milli_cpu / 500, "containers": [{"resources": {"requests": requests}, "ports": ports}]}
        }))
    }
}

fn pod_form() -> impl Strategy<Value = PodForm> {
    let huge = proptest::bool::weighted(0.25);
    (0..3_u16, (0..3_u8, 0..3_u8), proptest::option::of(0..2_u8), huge).prop_map(|(cpu, devices, port, huge)| PodForm {
        milli_cpu: cpu * 500,
        devices,
        port,
        huge,
    })
}

#[derive(Clone, Debug)]
enum Step {
    SetNode(NodeForm),
    /// The same node again, in a newer version.
    Heartbeat(u8),
    RemoveNode(u8),
    /// Nodes 6 and 7 never appear.
    AddPod(u8, PodForm),
    /// One of the pods there are, by its number modulo how many.
    RemovePod(prop::sample::Index),
    RemoveUnknownPod(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => node_form().prop_map(Step::SetNode),
        1 => (0..6_u8).prop_map(Step::Heartbeat),
        2 => (0..8_u8).prop_map(Step::RemoveNode),
        6 => (0..8_u8, pod_form()).prop_map(|(on, pod)| Step::AddPod(on, pod)),
        4 => any::<prop::sample::Index>().prop_map(Step::RemovePod),
        1 => (0..8_u8).prop_map(Step::RemoveUnknownPod),
    ]
}

/// A table and its model, which do the same.
#[derive(Default)]
struct Pair {
    table: Table,
    model: Model,
    made: usize,
}

impl Pair {
    fn set(&mut self, node: &Arc<NodeInfo>) {
        let name = node.name.to_string();
        let mut old = self.model.nodes.get(&name).map(|n| (**n).clone());
        if let Some(old) = &mut old {
            old.resource_version = node.resource_version;
        }
        let (row, changed) = self.table.set_node(Arc::clone(node));
        assert_eq!(self.table.row(&node.name), Some(row));
        assert_eq!(changed, old.as_ref() != Some(&**node), "a node counts as changed if anything but its version is");
        if changed {
            self.model.set(node);
        }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::SetNode(form) => self.set(&form.build()),
            Step::Heartbeat(name) => {
                if let Some(node) = self.model.nodes.get(&format!("n{name}")) {
                    self.set(&Arc::new(NodeInfo { resource_version: 99, ..(**node).clone() }));
                }
            }
            Step::RemoveNode(name) => {
                let name = format!("n{name}");
                let gone = self.table.remove_node(&name.as_str().into());
                assert_eq!(gone, self.model.nodes.remove(&name));
                self.model.forget_images();
            }
            Step::AddPod(on, form) => {
                self.made += 1;
                let (on, pod) = (format!("n{on}"), form.build(&format!("p{}", self.made)));
                self.table.add_pod(&on.as_str().into(), Arc::clone(&pod));
                self.model.pods.push((on, pod));
            }
            Step::RemovePod(index) => {
                if !self.model.pods.is_empty() {
                    let (on, pod) = self.model.pods.swap_remove(index.index(self.model.pods.len()));
                    assert!(self.table.remove_pod(&on.as_str().into(), &pod.key.uid));
                    assert!(!self.table.remove_pod(&on.as_str().into(), &pod.key.uid), "it was there once");
                }
            }
            Step::RemoveUnknownPod(on) => {
                assert!(!self.table.remove_pod(&format!("n{on}").into(), &Uid::new("nobody")));
            }
        }
    }

    /// The table reads as the model says, and tells of every change since the views taken before.
    fn check(&self, earlier: &[(View, Vec<Seen>, Whole)]) -> (Vec<Seen>, Whole) {
        let view = self.table.view();
        let (rows, whole) = read(view, None);
        assert_eq!(whole, self.model.whole());
        for (row, (is, should)) in rows.iter().zip(self.model.rows(&self.table)).enumerate() {
            assert_eq!(*is, should, "row {row}");
        }
        assert_eq!(view.rows().count(), view.node_count());
        for row in view.rows() {
            assert_eq!(self.table.row(&view.node(row).unwrap().name), Some(row));
        }
        for (nth, (then, old, _)) in earlier.iter().rev().enumerate() {
            for (at, now) in rows.iter().enumerate() {
                let row = Row::try_from(at).unwrap();
                let free = Seen::default();
                let old = old.get(at).unwrap_or(&free);
                let told = |groups| self.table.changed_since(row, groups, then.epoch());
                for (groups, changed) in [
                    (Labels::GROUPS, old.object() != now.object()),
                    (Requested::GROUPS, old.usage() != now.usage()),
                    (WholeNode::GROUPS, old != now),
                ] {
                    // Since longer ago, it may have changed and changed back.
                    let exact = nth == 0;
                    assert!(told(groups) == changed || (!exact && told(groups)), "row {row}: {groups:?}, {changed}");
                }
            }
        }
        (rows, whole)
    }

    /// What pods take up is read as if they were gone when it is taken off.
    fn check_taken(&self, overlay: &mut Overlay) {
        let view = self.table.view();
        let names: BTreeSet<&String> = self.model.pods.iter().map(|(on, _)| on).collect();
        for (name, priority) in names.into_iter().flat_map(|name| (1..3).map(move |priority| (name, priority))) {
            let row = self.table.row(&name.as_str().into()).expect("a pod has a row");
            let mut without = self.model.clone();
            let goes = |on: &String, pod: &PodInfo| on == name && pod.priority() < priority;
            without.pods.retain(|(on, pod)| !goes(on, pod));
            let taken = TakenByPriority::of(view, row, |_| true);
            assert_eq!(taken.has_below(priority), without.pods.len() < self.model.pods.len());
            let huge = |(on, pod): &(String, Arc<PodInfo>)| on == name && pod.spec.requests.used.memory_bytes > 1 << 60;
            overlay.clear();
            let told = taken.below(priority).is_some_and(|gone| overlay.take_off(view, row, &gone));
            if told {
                let is = &read(view, Some(overlay)).0[row as usize];
                let should = without.row(name);
                assert_eq!((is.requested, is.non_zero), (should.requested, should.non_zero), "{name}");
            } else {
                assert!(!taken.has_below(priority) || self.model.pods.iter().any(huge), "{name} is not told of");
            }
        }
    }

    /// An overlay reads like a table with the same pods added and removed.
    fn check_overlay(&self, overlay: &mut Overlay, changes: &[Change]) {
        let view = self.table.view();
        let mut model = self.model.clone();
        overlay.clear();
        assert!(overlay.is_empty());
        let mut imagined: Vec<(String, Arc<PodInfo>)> = Vec::new();
        for (nth, change) in changes.iter().enumerate() {
            let (sign, name, pod) = match change {
                Change::Add(on, form) => (1, format!("n{on}"), form.build(&format!("imagined{nth}"))),
                Change::AddAgain(index) if !imagined.is_empty() => {
                    let (on, pod) = imagined.swap_remove(index.index(imagined.len()));
                    (1, on, pod)
                }
                Change::Remove(index) if !model.pods.is_empty() => {
                    let (on, pod) = model.pods.swap_remove(index.index(model.pods.len()));
                    imagined.push((on.clone(), Arc::clone(&pod)));
                    (-1, on, pod)
                }
                _ => continue,
            };
            let Some(row) = self.table.row(&name.as_str().into()) else { continue };
            if sign > 0 {
                model.pods.push((name, Arc::clone(&pod)));
                overlay.add(view, row, pod);
            } else {
                overlay.remove(view, row, pod);
            }
        }
        let (rows, _) = read(view, Some(overlay));
        for (row, (is, should)) in rows.iter().zip(model.rows(&self.table)).enumerate() {
            assert_eq!(*is, should, "row {row} through {:?}", overlay.deltas());
        }
    }
}

#[derive(Clone, Debug)]
enum Change {
    Add(u8, PodForm),
    /// A pod that was taken away before, be it of the view or of the overlay.
    AddAgain(prop::sample::Index),
    Remove(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => (0..8_u8, pod_form()).prop_map(|(on, pod)| Change::Add(on, pod)),
        2 => any::<prop::sample::Index>().prop_map(Change::AddAgain),
        2 => any::<prop::sample::Index>().prop_map(Change::Remove),
    ]
}

fn run(filler: u32, steps: &[Step], overlays: &[Vec<Change>]) {
    let mut pair = Pair::default();
    for i in 0..filler {
        pair.set(&common::node(&json!({"metadata": {"name": format!("filler{i}")}})));
    }
    let mut earlier: Vec<(View, Vec<Seen>, Whole)> = Vec::new();
    let mut overlay = Overlay::default();
    for (nth, step) in steps.iter().enumerate() {
        let (rows, whole) = pair.check(&earlier);
        earlier.push((pair.table.view().clone(), rows, whole));
        pair.apply(step);
        pair.check_taken(&mut overlay);
        if let Some(changes) = overlays.get(nth) {
            pair.check_overlay(&mut overlay, changes);
        }
    }
    pair.check(&earlier);
    for (view, rows, whole) in &earlier {
        assert_eq!(read(view, None), (rows.clone(), whole.clone()), "a view never changes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_table_is_what_its_model_is(
        steps in proptest::collection::vec(step(), 1..24),
        overlays in proptest::collection::vec(proptest::collection::vec(change(), 0..8), 12),
    ) {
        run(0, &steps, &overlays);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// With 253 nodes before them, the nodes of the steps lie on both sides of the first chunk's end.
    #[test]
    fn a_chunk_ends_unnoticed(
        steps in proptest::collection::vec(step(), 8..16),
        overlays in proptest::collection::vec(proptest::collection::vec(change(), 0..8), 4),
    ) {
        run(253, &steps, &overlays);
    }
}

// One row for each fault that the model has found.

#[test]
fn a_pod_that_is_added_again_is_there_once() {
    let n = common::node(&json!({"metadata": {"name": "n"}}));
    let table = common::table([&n], []);
    let p = PodForm { milli_cpu: 100, devices: (0, 0), port: None, huge: false }.build("p");
    let mut overlay = Overlay::default();
    overlay.add(table.view(), 0, Arc::clone(&p));
    overlay.remove(table.view(), 0, Arc::clone(&p));
    overlay.add(table.view(), 0, p);
    assert_eq!(read(table.view(), Some(&overlay)).0[0].pods, ["p"]);
}

#[test]
fn a_device_that_appears_changes_the_rows_of_pods_that_ask_for_it() {
    let mut pair = Pair::default();
    pair.apply(&Step::AddPod(6, PodForm { milli_cpu: 0, devices: (1, 0), port: None, huge: false }));
    let epoch = pair.table.view().epoch();
    pair.set(&common::node(
        &json!({"metadata": {"name": "other"}, "status": {"allocatable": {"example.com/gpu": "1"}}}),
    ));
    assert_eq!(pair.table.row(&"n6".into()), Some(0));
    assert!(pair.table.changed_since(0, Requested::GROUPS, epoch));
}

#[test]
fn a_condition_is_part_of_the_whole_node() {
    let form = |status: &str| {
        common::node(
            &json!({"metadata": {"name": "n"}, "status": {"conditions": [{"type": "Ready", "status": status}]}}),
        )
    };
    let mut table = common::table([&form("True")], []);
    assert!(table.set_node(form("False")).1);
    assert_eq!(read(table.view(), None).0[0].node.as_ref(), Some(&*form("False")));
}

#[test]
fn a_row_is_avoided_as_long_as_it_has_its_node() {
    let nodes: Vec<_> = (0..100).map(|i| common::node(&json!({"metadata": {"name": format!("n{i}")}}))).collect();
    let mut table = common::table(&nodes, []);
    let epoch = table.view().epoch();
    for row in [3, 99, 99, 200, 100_000] {
        table.avoid(row, true);
    }
    assert_eq!(table.view().avoided(), [1 << 3, 1 << 35], "rows without a node are not");
    let before = table.view().clone();
    table.avoid(3, false);
    table.avoid(4, false);
    assert_eq!((table.view().avoided(), table.view().epoch()), (&[0, 1 << 35][..], epoch));
    assert_eq!(before.avoided(), [1 << 3, 1 << 35], "a view never changes");
    table.set_node(common::node(&json!({"metadata": {"name": "n99", "labels": {"a": "b"}}})));
    assert_eq!(table.view().avoided(), [0, 1 << 35], "it is the same node");
    table.remove_node(&"n99".into());
    assert!(table.view().avoided().is_empty());
}

/// More rows than a chunk has, in blocks and through an overlay that touches all of them.
#[test]
fn six_hundred_nodes() {
    let mut pair = Pair::default();
    let form = |i: u32| {
        let cpu = format!("{i}m");
        let taints = if i.is_multiple_of(3) { json!([{"key": "k", "effect": "NoSchedule"}]) } else { json!([]) };
        common::node(&json!({
            "metadata": {"name": format!("many{i}")}, "spec": {"taints": taints, "unschedulable": i.is_multiple_of(5)},
            "status": {"allocatable": {"cpu": cpu, "pods": "1"}}
        }))
    };
    for i in 0..600 {
        pair.set(&form(i));
    }
    let full = pair.table.view().clone();
    assert_eq!((full.node_count(), full.row_limit()), (600, 768));

    for name in (0..600).filter(|i| i % 7 == 0).map(|i| format!("many{i}")) {
        let row = pair.table.row(&name.as_str().into());
        pair.table.remove_node(&name.as_str().into());
        pair.model.nodes.remove(&name);
        assert!(row.is_some() && pair.table.row(&name.into()).is_none());
    }
    pair.check(&[]);
    let left = pair.table.view().node_count();
    for i in 1_000..1_060 {
        pair.set(&form(i));
        let row = pair.table.row(&format!("many{i}").into()).unwrap();
        assert!(full.node(row).is_some(), "rows that became free are used before new ones");
    }
    assert_eq!(pair.table.view().node_count(), left + 60);
    pair.check(&[]);
    assert_eq!(full.rows().count(), 600, "a view never changes");

    let mut overlay = Overlay::default();
    for row in full.rows() {
        overlay.add(
            &full,
            row,
            PodForm { milli_cpu: 500, devices: (0, 0), port: Some(1), huge: false }.build(&format!("p{row}")),
        );
    }
    assert_eq!(overlay.rows().count(), 600);
    for (row, seen) in read(&full, Some(&overlay)).0.iter().enumerate().take(600) {
        assert_eq!((seen.requested[0], seen.requested[3], seen.ports.len()), (500, 1, 1));
        assert_eq!(seen.pods, [format!("p{row}")]);
    }
    overlay.clear();
    assert!(read(&full, Some(&overlay)).0.iter().all(|seen| seen.pods.is_empty() && seen.requested == [0; 6]));
}

/// Reads blocks by columns and node by node, and compares.
struct Columnar;
impl Plugin for Columnar {
    const NAME: &'static str = "Columnar";
}
impl Filter for Columnar {
    type Pod = WholePod;
    type Cluster = ResourceColumns;
    type Node = (Allocatable, Requested, Taints);
    type State = Columns;
    fn prepare(&self, _: &PodInfo, numbers: ClusterOf<'_, ResourceColumns>) -> Option<Columns> {
        Some(DEVICES.map(|d| numbers.get(&d.into())))
    }
    fn filter(&self, columns: &Columns, (allocatable, requested, taints): Of<'_, Self::Node>) -> Verdict {
        let (a, r) = (sums(allocatable, columns), sums(requested, columns));
        let words = a.iter().chain(&r).fold(1_i64, |hash, v| hash.wrapping_mul(31).wrapping_add(*v));
        let hard = taints.iter().any(|t| t.effect.is_hard());
        Verdict::unschedulable(u32::try_from(words & 0x1fff_ffff).unwrap() << 1 | u32::from(hard) | 2)
    }
    fn filter_block(&self, columns: &Columns, block: &Block<'_, Self::Node>, out: &mut [Verdict; 64]) {
        let (a, r, (hard, _)) = block.cols();
        for lane in bits(block.lanes()).map(|lane| lane as usize) {
            let scalar = |at: usize, cols: &plimsoll_framework::read::AmountCols<'_>| {
                columns[at].and_then(|c| cols.scalar(c)).map_or(0, |column| column[lane])
            };
            let of = |c: &plimsoll_framework::read::AmountCols<'_>| -> Sums {
                let (milli_cpu, memory) = (c.milli_cpu[lane], c.memory_bytes[lane]);
                [milli_cpu, memory, c.ephemeral_storage_bytes[lane], c.pods[lane], scalar(0, c), scalar(1, c)]
            };
            let words = of(&a).iter().chain(&of(&r)).fold(1_i64, |hash, v| hash.wrapping_mul(31).wrapping_add(*v));
            let hard = u32::from(hard & (1 << lane) != 0);
            out[lane] = Verdict::unschedulable(u32::try_from(words & 0x1fff_ffff).unwrap() << 1 | hard | 2);
        }
    }
    fn reasons(&self, _: &Columns, _: u32) -> Vec<String> {
        Vec::new()
    }
}

#[test]
fn columns_read_what_rows_read() {
    let mut pair = Pair::default();
    for i in 0..300 {
        let effect = ["NoSchedule", "NoExecute", "PreferNoSchedule"][i % 3];
        let mut allocatable = json!({"cpu": i.to_string(), "memory": "7", "pods": i});
        if i > 250 {
            allocatable[DEVICES[i % 2]] = json!(i);
        }
        pair.set(&common::node(&json!({
            "metadata": {"name": format!("n{i}")}, "spec": {"taints": [{"key": "k", "effect": effect}]},
            "status": {"allocatable": allocatable}
        })));
        let (devices, on) = ((u8::from(i % 2 == 0), 1), u8::try_from(i % 8).unwrap());
        pair.apply(&Step::AddPod(on, PodForm { milli_cpu: 10, devices, port: None, huge: false }));
    }
    let view = pair.table.view();
    let bound = common::filter(&Extensions::of(Columnar).filter().done(), &anyone(), view).unwrap();
    let mut compared = 0;
    for (first, lanes) in view.blocks() {
        let mut out = [Verdict::FITS; 64];
        bound.block(view, first, lanes, &mut out);
        for lane in bits(lanes) {
            assert_eq!(out[lane as usize], bound.one(view, None, first + lane), "row {}", first + lane);
            compared += 1;
        }
    }
    assert_eq!(compared, 300);
}

/// What is more than can be counted is cut; when the cause of it goes, the others still count.
#[test]
fn a_huge_pod_leaves_the_others_counted() {
    let n = common::node(&json!({"metadata": {"name": "n"}}));
    let form = |huge| PodForm { milli_cpu: 500, devices: (0, 0), port: None, huge };
    let [huge, huge_too, small] = [("h", true), ("i", true), ("s", false)].map(|(uid, huge)| form(huge).build(uid));
    let mut table = common::table(&[n], [("n", &huge), ("n", &huge_too), ("n", &small)]);
    let memory = |table: &Table, overlay: Option<&Overlay>| read(table.view(), overlay).0[0].requested[1];
    assert_eq!(memory(&table, None), i64::MAX);
    let mut overlay = Overlay::default();
    overlay.remove(table.view(), 0, Arc::clone(&huge));
    overlay.remove(table.view(), 0, Arc::clone(&huge_too));
    assert_eq!(memory(&table, Some(&overlay)), 10 << 20);
    table.remove_pod(&"n".into(), &huge.key.uid);
    table.remove_pod(&"n".into(), &huge_too.key.uid);
    assert_eq!(memory(&table, None), 10 << 20);
}
