use super::super::{CounterSpec, NodeFilter, Topology};
use super::*;
use crate::pod::PodParser;

fn pod(app: &str) -> PodInfo {
    let json = serde_json::json!({
        "metadata": {"name": app, "uid": app, "namespace": "d", "labels": {"app": app}},
        "spec": {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": app}}}]}}}
    });
    PodParser::default().parse(&serde_json::from_value(json).unwrap())
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
    let nodes = || std::iter::empty::<(Row, &NodeInfo)>();
    let (web, db) = ([spec(&pod("web"))], [spec(&pod("db"))]);
    let first = index.register(&mut counts, &cluster, nodes, &web);
    assert!(index.renew(&mut counts, &first));
    (0..10_000).for_each(|_| assert!(index.renew(&mut counts, &[])));
    assert_eq!(counts.len(), 0);
    assert!(!index.renew(&mut counts, &first));
    let second = index.register(&mut counts, &cluster, nodes, &db);
    assert!(index.renew(&mut counts, &second) && !index.renew(&mut counts, &first));
}
