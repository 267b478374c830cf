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
