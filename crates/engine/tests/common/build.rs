//! Pods and nodes, as short as a test wants them.

use std::cell::RefCell;
use std::sync::Arc;

use plimsoll_engine::event::Event;
use plimsoll_framework::api;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::{LabelSet, Shared};
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::{Faults, GroupRef, PodInfo, PodKey, PodRequests, PodSpecInfo, ScheduledCondition, Uid};
use plimsoll_framework::ports::HostPort;
use plimsoll_framework::resources::Resources;
use plimsoll_framework::toleration::{Taint, TaintEffect, Toleration};

thread_local! {
    /// As the parser of a stream does it: pods that are alike share their spec and labels.
    static SHARED: RefCell<(Shared<PodSpecInfo>, Shared<LabelSet>)> = RefCell::default();
}

/// A pod to be built.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) version: u64,
    pub(crate) scheduler: &'static str,
    pub(crate) milli_cpu: i64,
    pub(crate) memory_bytes: i64,
    pub(crate) priority: i32,
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) port: Option<i32>,
    pub(crate) tolerates: Option<&'static str>,
    pub(crate) gated: bool,
    /// `spec.schedulingGroup.podGroupName`.
    pub(crate) group: Option<String>,
    pub(crate) node: Option<String>,
    pub(crate) nominated: Option<String>,
    pub(crate) terminating: bool,
    pub(crate) finished: bool,
    pub(crate) fault: Option<&'static str>,
    pub(crate) condition: Option<(String, String)>,
}

/// A pod of the scheduler `plimsoll` that asks for nothing.
pub(crate) fn pod(name: &str) -> Pod {
    Pod {
        name: name.to_owned(),
        uid: format!("uid-{name}"),
        version: 1,
        scheduler: "plimsoll",
        milli_cpu: 0,
        memory_bytes: 0,
        priority: 0,
        labels: Vec::new(),
        port: None,
        tolerates: None,
        gated: false,
        group: None,
        node: None,
        nominated: None,
        terminating: false,
        finished: false,
        fault: None,
        condition: None,
    }
}

impl Pod {
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
    pub(crate) fn version(self, version: u64) -> Self {
        self.with(|p| p.version = version)
    }
    pub(crate) fn cpu(self, milli_cpu: i64) -> Self {
        self.with(|p| p.milli_cpu = milli_cpu)
    }
    pub(crate) fn priority(self, priority: i32) -> Self {
        self.with(|p| p.priority = priority)
    }
    pub(crate) fn label(self, key: &'static str, value: &str) -> Self {
        self.with(|p| p.labels.push((key, value.to_owned())))
    }
    pub(crate) fn on(self, node: &str) -> Self {
        self.with(|p| p.node = Some(node.to_owned()))
    }
    pub(crate) fn nominated(self, node: &str) -> Self {
        self.with(|p| p.nominated = Some(node.to_owned()))
    }
    pub(crate) fn of(self, scheduler: &'static str) -> Self {
        self.with(|p| p.scheduler = scheduler)
    }
    pub(crate) fn uid(&self) -> Uid {
        Uid::new(&self.uid)
    }

    fn spec(&self) -> PodSpecInfo {
        let asked = Resources { milli_cpu: self.milli_cpu, memory_bytes: self.memory_bytes, ..Resources::default() };
        let toleration = |key: &&str| {
            Toleration::from(&api::Toleration { key: (*key).into(), operator: "Exists".into(), ..Default::default() })
        };
        PodSpecInfo {
            requests: PodRequests {
                filter: asked.clone(),
                score: asked.clone(),
                used_non_zero_milli_cpu: asked.milli_cpu,
                used_non_zero_memory_bytes: asked.memory_bytes,
                used: asked,
            },
            priority: self.priority,
            tolerations: self.tolerates.iter().map(toleration).collect(),
            host_ports: self.port.iter().map(|p| HostPort::new("", "TCP", *p)).collect(),
            scheduling_gates: self.gated.then(|| "wait".into()).into_iter().collect(),
            container_count: 1,
            ..PodSpecInfo::default()
        }
    }

    pub(crate) fn info(&self) -> PodInfo {
        let (spec, labels) = SHARED.with_borrow_mut(|(specs, labels)| {
            (specs.share(self.spec()), labels.share(self.labels.iter().map(|(k, v)| (*k, v.as_str())).collect()))
        });
        let group = self.group.as_ref().map(|name| api::SchedulingGroup { pod_group_name: name.as_str().into() });
        let some = |name: &Option<String>| name.as_ref().map(|n| Istr::new(n));
        PodInfo {
            key: PodKey { namespace: "default".into(), name: Arc::from(&*self.name), uid: self.uid() },
            resource_version: self.version,
            generation: 1,
            scheduler_name: self.scheduler.into(),
            group: GroupRef::of(&labels, group.as_ref()).map(Box::new),
            labels,
            spec,
            node_name: some(&self.node),
            nominated_node_name: some(&self.nominated),
            terminating: self.terminating,
            finished: self.finished,
            owner: None,
            start_seconds: None,
            preempted: false,
            scheduled: self.condition.as_ref().map(|(reason, message)| {
                Box::new(ScheduledCondition {
                    status: "False".into(),
                    reason: reason.as_str().into(),
                    message: message.as_str().into(),
                })
            }),
            annotations: Box::default(),
            faults: self.fault.map(|problem| Box::new(Faults::one("spec", problem))),
        }
    }

    pub(crate) fn shared(&self) -> Arc<PodInfo> {
        Arc::new(self.info())
    }

    pub(crate) fn seen(&self) -> Event {
        Event::Pod(Box::new(self.info()))
    }

    pub(crate) fn deleted(&self, version: u64) -> Event {
        Event::PodDeleted { uid: self.uid(), resource_version: version }
    }
}

/// A node to be built.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) version: u64,
    pub(crate) milli_cpu: i64,
    pub(crate) memory_bytes: i64,
    pub(crate) pods: i64,
    pub(crate) zone: String,
    pub(crate) taint: Option<&'static str>,
    pub(crate) ready: bool,
}

/// A node with 1000m CPU, 1000 bytes of memory, and place for 10 pods.
pub(crate) fn node(name: &str) -> Node {
    Node {
        name: name.to_owned(),
        version: 1,
        milli_cpu: 1_000,
        memory_bytes: 1_000,
        pods: 10,
        zone: "a".to_owned(),
        taint: None,
        ready: true,
    }
}

impl Node {
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
    pub(crate) fn version(self, version: u64) -> Self {
        self.with(|n| n.version = version)
    }
    pub(crate) fn cpu(self, milli_cpu: i64) -> Self {
        self.with(|n| n.milli_cpu = milli_cpu)
    }
    pub(crate) fn taint(self, key: &'static str) -> Self {
        self.with(|n| n.taint = Some(key))
    }
    pub(crate) fn zone(self, zone: &str) -> Self {
        self.with(|n| n.zone = zone.to_owned())
    }

    pub(crate) fn info(&self) -> NodeInfo {
        NodeInfo {
            name: self.name.as_str().into(),
            uid: Uid::new(&format!("uid-{}", self.name)),
            resource_version: self.version,
            labels: [("zone", self.zone.as_str())].into_iter().collect(),
            taints: self.taint.iter().map(|key| Taint::new(key, "", TaintEffect::NoSchedule)).collect(),
            unschedulable: false,
            allocatable: Resources {
                milli_cpu: self.milli_cpu,
                memory_bytes: self.memory_bytes,
                ..Resources::default()
            },
            allocatable_pods: self.pods,
            images: Box::default(),
            conditions: Box::new([("Ready".into(), if self.ready { "True" } else { "False" }.into())]),
            declared_features: Box::default(),
            annotations: Box::default(),
        }
    }

    pub(crate) fn seen(&self) -> Event {
        Event::Node(Box::new(self.info()))
    }

    pub(crate) fn deleted(&self) -> Event {
        Event::NodeDeleted { name: self.name.as_str().into() }
    }
}
