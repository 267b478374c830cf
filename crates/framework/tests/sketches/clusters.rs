//! Small random clusters in which spreading and affinity have something to decide.

use std::collections::BTreeMap;
use std::sync::Arc;

use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::Table;
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::common;

/// Nodes with the pods on them, and the labels of the namespaces that are known.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<(Arc<NodeInfo>, Vec<Arc<PodInfo>>)>,
    pub(crate) namespaces: BTreeMap<String, BTreeMap<String, String>>,
}

impl Cluster {
    pub(crate) fn table(&self) -> Table {
        let pods = self.nodes.iter().flat_map(|(node, pods)| pods.iter().map(|p| (node.name.as_str(), p)));
        let mut table = common::table(self.nodes.iter().map(|(node, _)| node), pods);
        for (name, labels) in &self.namespaces {
            let labels = Arc::new(labels.iter().collect());
            table.set_namespace(name.as_str().into(), Some(labels));
        }
        table
    }
}

pub(crate) fn cluster() -> impl Strategy<Value = Cluster> {
    let label = |values: &'static [&'static str]| weighted(0.85, prop::sample::select(values));
    let node = (label(&["a", "b", "c"]), label(&["r1", "r2"]), weighted(0.9, Just(())), any::<bool>(), any::<bool>());
    vec((node, vec(pod(), 0..4)), 1..7).prop_map(|nodes| {
        let mut made = 0;
        let nodes = nodes.into_iter().enumerate().map(|(nth, ((zone, rack, host, ssd, tainted), pods))| {
            let name = format!("n{nth}");
            let mut labels = json!({});
            let host = host.map(|()| name.as_str());
            for (key, value) in
                [("zone", zone), ("rack", rack), ("kubernetes.io/hostname", host), ("disk", ssd.then_some("ssd"))]
            {
                if let Some(value) = value {
                    labels[key] = json!(value);
                }
            }
            let taints = if tainted { json!([{"key": "t", "effect": "NoSchedule"}]) } else { json!([]) };
            let node = common::node(&json!({"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}}));
            let pods = pods.iter().map(|p| {
                made += 1;
                p.build(&format!("p{made}"))
            });
            (node, pods.collect())
        });
        let namespaces = [("x", vec![("team", "red")]), ("y", vec![])];
        let owned = |labels: Vec<(&str, &str)>| labels.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let namespaces = namespaces.map(|(name, labels)| (name.to_owned(), owned(labels)));
        Cluster { nodes: nodes.collect(), namespaces: namespaces.into() }
    })
}

/// What a pod may look like.
#[derive(Clone, Debug)]
pub(crate) struct PodForm {
    pub(crate) namespace: &'static str,
    pub(crate) app: Option<&'static str>,
    job: Option<&'static str>,
    /// Whether there is a label with its name.
    named: bool,
    pub(crate) terminating: bool,
    /// Required and anti-affinity terms, then the preferred ones with their weight.
    required: [Vec<Value>; 2],
    preferred: [Vec<Value>; 2],
    spread: Vec<Value>,
    needs_ssd: bool,
    tolerates: bool,
}

impl PodForm {
    pub(crate) fn build(&self, uid: &str) -> Arc<PodInfo> {
        let labels: LabelSet = labels(self.app, self.job, self.named.then_some(uid));
        let labels: BTreeMap<&str, &str> = labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let mut metadata = json!({"name": uid, "uid": uid, "namespace": self.namespace, "labels": labels});
        if self.terminating {
            metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        let side = |at: usize| {
            json!({"requiredDuringSchedulingIgnoredDuringExecution": self.required[at],
                   "preferredDuringSchedulingIgnoredDuringExecution": self.preferred[at]})
        };
        let mut spec = json!({
            "affinity": {"podAffinity": side(0), "podAntiAffinity": side(1)},
            "topologySpreadConstraints": self.spread,
            "tolerations": if self.tolerates { json!([{"operator": "Exists"}]) } else { json!([]) },
        });
        if self.needs_ssd {
            spec["nodeSelector"] = json!({"disk": "ssd"});
        }
        common::pod(&json!({"metadata": metadata, "spec": spec}))
    }
}

/// The labels of a pod: hardly any selector names `job` and `pod`.
pub(crate) fn labels(app: Option<&str>, job: Option<&str>, name: Option<&str>) -> LabelSet {
    [("app", app), ("job", job), ("pod", name)].into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

fn selector() -> impl Strategy<Value = Value> {
    let expression = |key: &'static str, operator: &'static str, values: Value| {
        let mut expression = json!({"key": key, "operator": operator});
        if let Value::Array(_) = values {
            expression["values"] = values;
        }
        Just(json!({"matchExpressions": [expression]}))
    };
    prop_oneof![
        6 => prop::sample::select(vec!["web", "db"]).prop_map(|app| json!({"matchLabels": {"app": app}})),
        1 => expression("app", "NotIn", json!(["db"])),
        1 => prop_oneof![
            expression("job", "In", json!(["j1", "j1", "j3"])),
            expression("job", "NotIn", json!(["j2"])),
            expression("job", "Exists", json!(null)),
            expression("job", "DoesNotExist", json!(null)),
            Just(json!({"matchLabels": {"app": "web", "job": "j1"}})),
        ],
        1 => prop_oneof![
            expression("pod", "In", json!(["p1", "p2", "p3", "p5", "imagined0"])),
            expression("pod", "NotIn", json!(["p2", "p4"])),
            Just(json!({"matchLabels": {"app": "db", "pod": "p2"}})),
        ],
        1 => Just(json!(null)),
    ]
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["zone", "rack", "kubernetes.io/hostname"])
}

fn term() -> impl Strategy<Value = Value> {
    let namespaces = prop_oneof![
        4 => Just(json!({})),
        1 => Just(json!({"namespaces": ["y"]})),
        1 => Just(json!({"namespaceSelector": {}})),
        1 => Just(json!({"namespaceSelector": {"matchLabels": {"team": "red"}}})),
        1 => Just(json!({"namespaces": ["x"],
                         "namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}})),
    ];
    (prop_oneof![5 => selector(), 1 => Just(json!({}))], key(), namespaces).prop_map(|(selector, key, mut term)| {
        term["labelSelector"] = selector;
        term["topologyKey"] = json!(key);
        term
    })
}

fn constraint() -> impl Strategy<Value = Value> {
    let policy = || prop::sample::select(vec!["Honor", "Ignore"]);
    (selector(), key(), 1..3, any::<bool>(), of(1..4), policy(), policy(), any::<bool>()).prop_map(
        |(selector, key, skew, hard, min_domains, affinity, taints, own_app)| {
            json!({"labelSelector": selector, "topologyKey": key, "maxSkew": skew,
                   "whenUnsatisfiable": if hard { "DoNotSchedule" } else { "ScheduleAnyway" },
                   "minDomains": min_domains, "nodeAffinityPolicy": affinity, "nodeTaintsPolicy": taints,
                   "matchLabelKeys": if own_app { json!(["app", "missing"]) } else { json!([]) }})
        },
    )
}

pub(crate) fn pod() -> impl Strategy<Value = PodForm> {
    let terms = || vec(term(), 0..3).prop_map(|mut terms| terms.split_off(terms.len() / 2));
    let weighted_terms = || vec((1..4, term()).prop_map(|(w, t)| json!({"weight": w, "podAffinityTerm": t})), 0..2);
    let job = weighted(0.5, prop::sample::select(vec!["j1", "j2", "j3"]));
    let app = weighted(0.8, prop::sample::select(vec!["web", "db"]));
    // Those without terms are alike more often.
    let affinity = prop_oneof![
        1 => (terms(), terms(), weighted_terms(), weighted_terms()),
        1 => Just((vec![], vec![], vec![], vec![])),
    ];
    let flags = (prop::bool::weighted(0.2), any::<bool>(), any::<bool>());
    // Namespace z is not known.
    let namespace = prop::sample::select(vec!["x", "x", "x", "y", "z"]);
    (namespace, (app, job, any::<bool>()), affinity, vec(constraint(), 0..3), flags).prop_map(
        |(namespace, (app, job, named), (near, far, liked, disliked), spread, (terminating, needs_ssd, tolerates))| {
            PodForm {
                namespace,
                app,
                job,
                named,
                terminating,
                required: [near, far],
                preferred: [liked, disliked],
                spread,
                needs_ssd,
                tolerates,
            }
        },
    )
}

/// A difference between a cluster and what is imagined of it.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// A pod on the node of this number.
    Add(prop::sample::Index, PodForm),
    /// A pod of the node of this number away, unless it is terminating already.
    Remove(prop::sample::Index, prop::sample::Index),
}

pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    let index = any::<prop::sample::Index>;
    let add = (index(), pod()).prop_map(|(on, pod)| Change::Add(on, PodForm { terminating: false, ..pod }));
    vec(prop_oneof![add, (index(), index()).prop_map(|(on, pod)| Change::Remove(on, pod))], 0..5)
}
