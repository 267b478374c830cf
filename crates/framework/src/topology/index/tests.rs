use super::super::{CounterSpec, NodeFilter, PodMatcher, Topology};
use super::*;
use crate::labels::{LabelSelector, LabelSet};
use crate::pod::PodParser;

fn pod(app: &str) -> PodInfo {
    let json = serde_json::json!({
        "metadata": {"name": app, "uid": app, "namespace": "d", "labels": {"app": app}},
        "spec": {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": app}}}]}}}
    });
    PodParser::default().parse(&serde_json::from_value(json).unwrap())
}

/// An empty table.
struct Nothing;

impl Placed for Nothing {
    fn nodes(&self) -> impl Iterator<Item = (Row, &NodeInfo)> {
        std::iter::empty()
    }
    fn pods(&self, _: Row) -> &[Arc<PodInfo>] {
        &[]
    }
}

#[test]
fn groups_and_terms_without_pods_are_forgotten() {
    let (mut index, mut counts, cluster) = (Index::default(), Arc::new(Counts::default()), ClusterInfo::default());
    let (web, db) = (pod("web"), pod("db"));
    let term = |pod: &PodInfo| terms_in(&pod.spec.pod_affinity).map(|(k, t)| (k, t.clone())).next().unwrap();
    for (pod, row) in [(&web, 0), (&web, 1), (&db, 0)] {
        index.move_pod(&mut counts, &cluster, (row, true), pod, 1);
    }
    index.move_pod(&mut counts, &cluster, (0, true), &web, -1);
    assert!(index.groups.find(&web).is_some() && index.terms.number(&term(&web)).is_some());
    assert_eq!(counts.terms.candidates(&web.labels).count(), 1);
    index.move_pod(&mut counts, &cluster, (1, true), &web, -1);
    assert!(index.groups.find(&web).is_none() && index.terms.number(&term(&web)).is_none());
    assert_eq!(counts.terms.candidates(&web.labels).count(), 0);
    assert!(index.groups.find(&db).is_some(), "others stay");
}

#[test]
fn what_was_dropped_is_not_renewed_also_when_its_number_is_used_again() {
    let (mut index, mut counts, cluster) = (Index::default(), Arc::new(Counts::default()), ClusterInfo::default());
    let spec = |pod: &PodInfo| {
        let (kind, term) = terms_in(&pod.spec.pod_affinity).next().unwrap();
        let topology = Topology::Label(term.topology_key.clone());
        let counted = Counted::Carriers(kind, term.clone());
        CounterSpec { counted, topology, nodes: NodeFilter::default(), live_only: false }
    };
    let (web, db) = ([spec(&pod("web"))], [spec(&pod("db"))]);
    let first = index.register(&mut counts, &cluster, &Nothing, &web);
    assert!(index.renew(&mut counts, &first));
    (0..10_000).for_each(|_| assert!(index.renew(&mut counts, &[])));
    assert_eq!(counts.len(), 0);
    assert!(!index.renew(&mut counts, &first));
    let second = index.register(&mut counts, &cluster, &Nothing, &db);
    assert!(index.renew(&mut counts, &second) && !index.renew(&mut counts, &first));
}

/// A table's rows with the pods on them.
#[derive(Default)]
struct Crowd(Vec<Vec<Arc<PodInfo>>>);

impl Placed for Crowd {
    fn nodes(&self) -> impl Iterator<Item = (Row, &NodeInfo)> {
        std::iter::empty()
    }
    fn pods(&self, row: Row) -> &[Arc<PodInfo>] {
        &self.0[row as usize]
    }
}

/// A counter of the pods that one requirement selects.
fn counting(key: &str, operator: &str, values: &[&str]) -> [CounterSpec; 1] {
    let selector = serde_json::json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
    let selector = LabelSelector::compile(&serde_json::from_value(selector).unwrap()).unwrap();
    let namespaces = ["d".into()].into();
    let matcher = PodMatcher { selector: Some(selector), namespaces, namespace_selector: None };
    let counted = Counted::Pods([matcher].into());
    [CounterSpec { counted, topology: Topology::Node, nodes: NodeFilter::default(), live_only: false }]
}

#[test]
fn pods_are_told_apart_by_what_selectors_name() {
    let (mut index, mut counts, cluster) = (Index::default(), Arc::new(Counts::default()), ClusterInfo::default());
    let mut crowd = Crowd(vec![Vec::new(); 10]);
    for n in 0..100_usize {
        let mut pod = PodInfo::clone(&pod(if n < 60 { "web" } else { "db" }));
        pod.spec = Arc::default();
        let own = format!("p{n}");
        let labels: LabelSet = pod.labels.iter().map(|(k, v)| (&**k, &**v)).chain([("pod", &*own)]).collect();
        pod.labels = Arc::new(labels);
        let row = Row::try_from(n % 10).unwrap();
        index.move_pod(&mut counts, &cluster, (row, false), &pod, 1);
        crowd.0[n % 10].push(Arc::new(pod));
    }
    let cells = |index: &Index| -> i64 { index.groups.iter().flat_map(|g| g.cells.values()).map(|c| c.pods()).sum() };
    let seen = |index: &Index| (index.groups.iter().count(), cells(index));
    assert_eq!(seen(&index), (1, 100), "nobody names a key");
    let mut register = |index: &mut Index, specs: &[CounterSpec]| index.register(&mut counts, &cluster, &crowd, specs);
    register(&mut index, &counting("tier", "DoesNotExist", &[]));
    assert_eq!(seen(&index), (1, 100), "no pod has the key");
    let apps = register(&mut index, &counting("app", "NotIn", &["db"]));
    assert_eq!(seen(&index), (2, 100));
    register(&mut index, &counting("pod", "In", &["p7"]));
    assert_eq!(seen(&index), (100, 100));
    (0..10_000).for_each(|_| assert!(index.renew(&mut counts, &apps)));
    assert_eq!((counts.len(), seen(&index)), (1, (100, 100)), "a key is not forgotten as soon as its counters");
    (0..10_000).for_each(|_| assert!(index.renew(&mut counts, &apps)));
    assert_eq!(seen(&index), (2, 100));
    for (row, pods) in crowd.0.iter().enumerate() {
        for pod in pods {
            index.move_pod(&mut counts, &cluster, (Row::try_from(row).unwrap(), false), pod, -1);
        }
    }
    assert_eq!(seen(&index), (0, 0));
}

#[test]
fn a_key_is_kept_the_longer_the_more_pods_there_are() {
    let (mut index, mut counts, cluster) = (Index::default(), Arc::new(Counts::default()), ClusterInfo::default());
    let web = pod("web");
    (0..30_000).for_each(|_| index.move_pod(&mut counts, &cluster, (0, false), &web, 1));
    let crowd = Crowd(vec![vec![Arc::new(web); 30_000]]);
    index.register(&mut counts, &cluster, &crowd, &counting("app", "Exists", &[]));
    (0..29_000).for_each(|_| assert!(index.renew(&mut counts, &[])));
    assert!(counts.len() == 0 && index.groups.keys.are_named(&"app".into()));
    (0..3_000).for_each(|_| assert!(index.renew(&mut counts, &[])));
    assert!(!index.groups.keys.are_named(&"app".into()));
}
