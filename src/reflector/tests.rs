use kube::api::ObjectList;

use super::*;

type Tolerant = Slim<api::Pod, true>;
type Strict = Slim<api::Pod, false>;

const GOOD: &str =
    r#"{"metadata":{"name":"good","uid":"1","resourceVersion":"7"},"spec":{"containers":[{"name":"c"}]}}"#;
const BAD: &str = r#"{"metadata":{"name":"bad","namespace":"ns","uid":"2","resourceVersion":"8"},"spec":{"schedulerName":"plimsoll","containers":"none"}}"#;

fn list(items: &[&str]) -> String {
    format!(
        r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"9"}},"items":[{}]}}"#,
        items.join(",")
    )
}

#[test]
fn one_bad_object_does_not_keep_a_list_from_being_read() {
    let text = list(&[GOOD, BAD]);
    assert!(serde_json::from_str::<ObjectList<Strict>>(&text).is_err());
    let read: ObjectList<Tolerant> = serde_json::from_str(&text).unwrap();
    let mut parser = PodParser::default();
    let parsed: Vec<PodInfo> = read.items.iter().map(|o| parse(&mut parser, &o.object)).collect();
    assert!(parsed[0].faults.is_none());
    assert_eq!(parsed[1].key.to_string(), "ns/bad");
    assert_eq!(&*parsed[1].scheduler_name, "plimsoll");
    let faults = parsed[1].faults.as_ref().unwrap().to_string();
    assert!(faults.starts_with("pod: invalid type: string \"none\", expected a sequence"), "{faults}");
}

#[test]
fn both_ways_of_decoding_agree() {
    let strict: Strict = serde_json::from_str(GOOD).unwrap();
    let tolerant: Tolerant = serde_json::from_str(GOOD).unwrap();
    let mut parser = PodParser::default();
    assert_eq!(parse(&mut parser, &strict.object), parse(&mut parser, &tolerant.object));
    assert_eq!(kube::ResourceExt::resource_version(&strict), Some("7".to_owned()));
}

#[test]
fn watch_events_decode() {
    for (text, expect) in [(GOOD, true), (BAD, false)] {
        let line = format!(r#"{{"type":"ADDED","object":{text}}}"#);
        let event: kube::core::WatchEvent<Tolerant> = serde_json::from_str(&line).unwrap();
        let kube::core::WatchEvent::Added(pod) = event else { panic!("{line}") };
        assert_eq!(pod.object.is_ok(), expect);
    }
}

/// What pods are read with.
fn reading(profiles: Vec<Istr>, metrics: Arc<Metrics>) -> Pods {
    Pods {
        parser: PodParser::default(),
        listed: Noted(None),
        newest: None,
        profiles,
        metrics,
        annotation_keys: Vec::new(),
        recording: Recording::default(),
    }
}

#[test]
fn only_what_says_that_a_pod_of_ours_has_a_node_can_wait() {
    let (metrics, profiles) = (Arc::new(Metrics::new().unwrap()), vec![Istr::new("plimsoll")]);
    let mut pods = reading(profiles, metrics);
    let rows = [
        (r#"{"schedulerName":"plimsoll","nodeName":"n"}"#, true),
        (r#"{"schedulerName":"plimsoll"}"#, false),
        (r#"{"schedulerName":"default-scheduler","nodeName":"n"}"#, false),
    ];
    for (spec, waits) in rows {
        let pod = format!(r#"{{"metadata":{{"name":"p","uid":"1","resourceVersion":"7"}},"spec":{spec}}}"#);
        let told = pods.apply(serde_json::from_str::<Strict>(&pod).unwrap()).unwrap();
        assert_eq!(Sink::<Strict>::can_wait(&pods, &told.event), waits, "{spec}");
    }
}

#[test]
fn only_what_is_in_a_list_is_noted() {
    let metrics = Arc::new(Metrics::new().unwrap());
    let mut pods = reading(Vec::new(), metrics);
    let pod = || serde_json::from_str::<Strict>(GOOD).unwrap();
    Sink::<Strict>::list_begins(&mut pods);
    pods.apply(pod());
    let Some(Event::PodsListed { present, resource_version }) = Sink::<Strict>::list_ends(&mut pods) else {
        panic!("no list")
    };
    assert_eq!((present.len(), resource_version), (1, 7));
    // What the watch says from then on would pile up.
    pods.apply(pod());
    let object = |name: &str| DynamicObject::new(name, &ApiResource::erase::<Slim<api::Node, false>>(&()));
    let node = || serde_json::from_str::<Slim<api::Node, false>>(r#"{"metadata":{"name":"n"}}"#).unwrap();
    let mut nodes = Nodes { annotation_keys: Vec::new(), listed: Noted(None), recording: Recording::default() };
    nodes.apply(node());
    let mut namespaces = Namespaces { listed: Noted(None) };
    namespaces.apply(object("ns"));
    assert!(pods.listed.0.is_none() && nodes.listed.0.is_none() && namespaces.listed.0.is_none());
}

#[test]
fn a_field_of_a_newer_kubernetes_is_counted_by_name() {
    let metrics = Arc::new(Metrics::new().unwrap());
    let mut pods = reading(Vec::new(), Arc::clone(&metrics));
    let unknown = GOOD.replace(r#""spec":{"#, r#""spec":{"tolerations":[{"fooBar":1}],"#);
    for text in [GOOD, &unknown, &unknown] {
        assert!(pods.apply(serde_json::from_str::<Strict>(text).unwrap()).is_some());
    }
    pods.apply(serde_json::from_str::<Tolerant>(&unknown).unwrap());
    let text = metrics.render().unwrap();
    let series: Vec<&str> = text.lines().filter(|line| line.starts_with("plimsoll_unknown")).collect();
    assert_eq!(series, [r#"plimsoll_unknown_scheduling_fields_total{field="spec.tolerations.fooBar"} 3"#]);
}
