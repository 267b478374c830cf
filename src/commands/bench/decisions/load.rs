//! The nodes and the pods of a workload.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use plimsoll_engine::event::Event;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::{KindRef, ObjectKey};
use plimsoll_framework::pod::{PodInfo, PodKey, PodParser, Uid};
use plimsoll_plugins::kinds::owners::ReplicaSet;
use serde_json::Value;

use super::workload::{Kind, Workload};
use super::{shapes, trace};

/// Different requests among the pods of `templates`.
const TEMPLATES: usize = 20;

/// Makes nodes and pods.
pub(super) struct Load {
    nodes: Nodes,
    node_count: usize,
    parser: PodParser,
    unique_labels: bool,
    source: Source,
}

/// What nodes are made of.
enum Nodes {
    Alike,
    Trace(Vec<Value>),
}

/// What pods are made of.
enum Source {
    Kinds(Vec<Group>, Groups),
    Trace(Vec<Value>, Vec<PodInfo>),
}

/// The groups of one kind.
struct Group {
    kind: Kind,
    /// The pods that others are like, one for each group.
    models: Vec<PodInfo>,
}

/// How many groups there are.
struct Groups {
    /// Of each kind; those that have fewer go round more often.
    each: usize,
    /// Pods of each that are there from the beginning.
    members: usize,
}

impl Load {
    /// A workload of this size; of a trace as many nodes as it has, if no number is given. `most` is how many pods there
    /// are at the same time.
    pub(super) fn new(
        workload: &Workload,
        nodes_wanted: Option<usize>,
        most: usize,
        unique_labels: bool,
    ) -> anyhow::Result<Self> {
        let mut parser = PodParser::default();
        if let Workload::Trace { nodes: file, pods } = workload {
            let mut nodes = trace::nodes(file)?;
            nodes.truncate(nodes_wanted.unwrap_or(usize::MAX));
            let objects = trace::pods(pods)?;
            let models = objects.iter().map(|pod| parse(&mut parser, pod.clone())).collect::<anyhow::Result<_>>()?;
            let source = Source::Trace(objects, models);
            return Ok(Self { node_count: nodes.len(), nodes: Nodes::Trace(nodes), parser, unique_labels, source });
        }
        let (kinds, count) = (workload.kinds(), nodes_wanted.unwrap_or(super::NODES));
        let each = most.div_ceil(kinds.len()).div_ceil((count / 10).max(1));
        let groups = Groups { members: most.div_ceil(each * kinds.len()), each };
        let mut made = Vec::new();
        for kind in kinds {
            let number = match kind {
                Kind::Basic | Kind::NodeAffinity => 1,
                Kind::Templates => TEMPLATES,
                _ => groups.each,
            };
            let models = (0..number).map(|group| parse(&mut parser, shapes::pod(kind, group, None)));
            made.push(Group { kind, models: models.collect::<anyhow::Result<_>>()? });
        }
        let source = Source::Kinds(made, groups);
        Ok(Self { nodes: Nodes::Alike, node_count: count, parser, unique_labels, source })
    }

    /// How many nodes there are.
    pub(super) const fn node_count(&self) -> usize {
        self.node_count
    }

    /// The node of this number.
    pub(super) fn node(&self, number: usize) -> anyhow::Result<NodeInfo> {
        let node = match &self.nodes {
            Nodes::Alike => shapes::node(number),
            Nodes::Trace(nodes) => nodes.get(number).cloned().unwrap_or_default(),
        };
        let (node, faults) = NodeInfo::parse(&serde_json::from_value(node).context("reading a node")?, &[]);
        ensure!(faults.is_empty(), "reading node {}: {faults}", node.name);
        Ok(node)
    }

    /// How many different pods there are at least.
    pub(super) fn classes(&self) -> usize {
        match &self.source {
            Source::Kinds(groups, _) => groups.iter().map(|group| group.models.len()).max().unwrap_or(1) * groups.len(),
            Source::Trace(_, models) => models.len(),
        }
    }

    /// What has to be there before the pods.
    pub(super) fn objects(&self) -> anyhow::Result<Vec<Event>> {
        let Source::Kinds(groups, _) = &self.source else { return Ok(Vec::new()) };
        let sets = groups.iter().find(|group| group.kind == Kind::DefaultSpread).map_or(0, |group| group.models.len());
        (0..sets).map(|group| replica_set(group, None)).collect()
    }

    /// The pod of this number.
    pub(super) fn pod(&self, number: usize) -> PodInfo {
        let model = match &self.source {
            Source::Kinds(groups, _) => {
                let (group, turn) = (&groups[number % groups.len()], number / groups.len());
                &group.models[turn % group.models.len()]
            }
            Source::Trace(_, models) => &models[number % models.len()],
        };
        self.like(model, number)
    }

    /// The same as it is on a node from the beginning: members of a group on different nodes, as many on each. `None`
    /// where somebody has to look for a place.
    pub(super) fn existing(&self, number: usize) -> Option<PodInfo> {
        let Source::Kinds(kinds, Groups { each, members }) = &self.source else { return None };
        let all = each * kinds.len();
        let node = (number % all) * members + number / all;
        let mut pod = self.pod(number);
        pod.node_name = Some(format!("node-{}", node % self.node_count).into());
        Some(pod)
    }

    /// A pod of a class never seen, and what has to be there before it.
    pub(super) fn cold(&mut self, number: usize, sample: usize) -> anyhow::Result<(Option<Event>, PodInfo)> {
        let (before, pod) = match &self.source {
            Source::Kinds(groups, _) => {
                let (Group { kind, models }, turn) = (&groups[number % groups.len()], number / groups.len());
                let group = turn % models.len();
                let before = (*kind == Kind::DefaultSpread).then(|| replica_set(group, Some(sample))).transpose()?;
                (before, shapes::pod(*kind, group, Some(sample)))
            }
            Source::Trace(objects, _) => {
                let mut pod = objects[number % objects.len()].clone();
                shapes::unlike_all_others(&mut pod, sample);
                (None, pod)
            }
        };
        let model = self.parse(pod)?;
        Ok((before, self.like(&model, number)))
    }

    /// A pod as it is written here, for others to be like.
    pub(super) fn parse(&mut self, pod: Value) -> anyhow::Result<PodInfo> {
        parse(&mut self.parser, pod)
    }

    /// A pod like this one under a name of its own.
    pub(super) fn like(&self, model: &PodInfo, number: usize) -> PodInfo {
        let mut pod = model.clone();
        let name: Arc<str> = format!("pod-{number}").into();
        pod.key = PodKey { namespace: model.key.namespace.clone(), uid: Uid::new(&name), name };
        if self.unique_labels {
            let own = [("pod", &*pod.key.name)];
            let labels: LabelSet = model.labels.iter().map(|(k, v)| (&**k, &**v)).chain(own).collect();
            pod.labels = Arc::new(labels);
        }
        pod
    }
}

fn parse(parser: &mut PodParser, mut pod: Value) -> anyhow::Result<PodInfo> {
    pod["metadata"]["namespace"] = "default".into();
    pod["metadata"]["resourceVersion"] = "1".into();
    pod["spec"]["schedulerName"] = "plimsoll".into();
    let pod = parser.parse(&serde_json::from_value(pod).context("reading a pod")?);
    if let Some(faults) = &pod.faults {
        anyhow::bail!("reading pod {}: {faults}", pod.key);
    }
    Ok(pod)
}

fn replica_set(group: usize, sample: Option<usize>) -> anyhow::Result<Event> {
    let kind = KindRef::of::<ReplicaSet>();
    let object = (kind.decode)(&shapes::replica_set(group, sample)).map_err(anyhow::Error::msg);
    let object = object.context("reading a ReplicaSet")?;
    let key = ObjectKey { namespace: "default".into(), name: shapes::set_name(group, sample).into() };
    Ok(Event::Object { kind, key, resource_version: 1, object: Some(object) })
}
