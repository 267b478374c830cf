//! Events in writing and back; and what becomes of a recording that cannot go on.

use std::sync::Arc;

use hashbrown::HashSet;
use plimsoll_engine::effect::Effect;
use plimsoll_engine::event::{BindResult, Event, EvictResult, WriteFailure};
use plimsoll_engine::extender::{NodeAnswer, PreemptAsk};
use plimsoll_framework::api;
use plimsoll_framework::object::{KindRef, ObjectKey};
use plimsoll_framework::plugin::Candidate;
use plimsoll_framework::pod::{KubeletRefusal, PodInfo, PodKey, PodParser, RefusalKind, Uid};
use plimsoll_framework::time::Time;
use plimsoll_framework::verdict::Code;
use serde_json::json;

use super::line::{Entry, Lines};
use super::parse::Parser;
use super::read::{Next, Reader};
use super::segments::Segments;
use super::*;
use crate::config::Config;
use crate::registry::Registry;
use crate::scheduler::read_by;

fn kinds() -> Vec<KindRef> {
    read_by(&Registry::default().profiles(&Config::default()).unwrap()).1
}

fn pod(name: &str) -> Arc<PodInfo> {
    let json = json!({"metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}")}});
    Arc::new(PodParser::default().parse(&serde_json::from_value(json).unwrap()))
}

fn key(name: &str) -> PodKey {
    pod(name).key.clone()
}

/// Every event that holds all there is to it.
fn events() -> Vec<Event> {
    let (uid, kind) = (Uid::new("u"), kinds()[0]);
    let message = || "odd: \"text\"\n\u{1f4a5}".to_owned();
    let said = |said: NodeAnswer| Event::Answered {
        uid: Uid::new("u"),
        number: 7,
        result: Ok([("n1".into(), said), ("n2".into(), NodeAnswer::LeftOut)].into_iter().collect()),
    };
    let failed = |code| said(NodeAnswer::Failed { code, reason: message() });
    let bind = |result| Event::BindFinished { uid: Uid::new("u"), result };
    let evict = |result| Event::Evicted { victim: Uid::new("u"), preemptor: Uid::new("v"), result };
    let shrunk = |result| Event::PreemptAnswered { uid: Uid::new("u"), number: 3, result };
    vec![
        Event::PodDeleted { uid: uid.clone(), resource_version: 5 },
        Event::PodsListed { present: HashSet::from([uid.clone(), Uid::new("")]), resource_version: u64::MAX },
        Event::NodeDeleted { name: "n".into() },
        Event::NodesListed { present: HashSet::from(["n".into(), "m".into()]) },
        Event::Namespace { name: "ns".into(), labels: Some(Arc::new([("a", "b"), ("c", "")].into_iter().collect())) },
        Event::Namespace { name: "ns".into(), labels: None },
        Event::NamespacesListed { present: HashSet::new() },
        Event::ObjectsListed { kind, present: HashSet::from([ObjectKey { namespace: "ns".into(), name: "o".into() }]) },
        Event::KindServed { kind, version: Some("v1beta1".into()) },
        Event::KindServed { kind, version: None },
        Event::Hidden { kind: Some(kind), hidden: true },
        Event::Hidden { kind: None, hidden: false },
        Event::WritesFinished { uid: uid.clone(), result: Ok(()) },
        Event::WritesFinished {
            uid: uid.clone(),
            result: Err(WriteFailure { plugin: "VolumeBinding", message: message() }),
        },
        Event::NominationWritten { uid: uid.clone(), number: 1, version: Some(9) },
        Event::NominationWritten { uid, number: 1, version: None },
        bind(BindResult::Bound),
        bind(BindResult::Failed { message: message() }),
        bind(BindResult::Gone),
        evict(EvictResult::Going),
        evict(EvictResult::Gone),
        evict(EvictResult::Refused { message: message() }),
        evict(EvictResult::Failed { message: message() }),
        said(NodeAnswer::Passed(-4)),
        failed(Code::Unschedulable),
        failed(Code::UnschedulableAndUnresolvable),
        Event::Answered { uid: Uid::new("u"), number: 7, result: Err(message()) },
        shrunk(Ok(vec![Candidate { node: "n".into(), victims: vec![pod("b"), pod("a")], pdb_violations: 2 }])),
        shrunk(Err(message())),
        Event::PodAbsent { key: key("p") },
        Event::RefusedByKubelet(Box::new(KubeletRefusal {
            key: key("p"),
            node: "n".into(),
            kind: RefusalKind::of("OutOfexample.com/gpu"),
            message: message().into(),
        })),
    ]
}

fn parser(registry: &Registry) -> Parser<'_> {
    let mut parser = Parser::new(vec!["team".into()], kinds(), registry);
    parser.keep(&Effect::AskPreempt(Box::new(PreemptAsk {
        number: 3,
        pod: pod("p"),
        candidates: Vec::new(),
        pods: [("n".into(), vec![pod("a"), pod("b")])].into_iter().collect(),
    })));
    parser
}

/// Debug shows hash maps and sets in any order.
fn shown(event: &Event) -> String {
    self_told(event).map_or_else(|| format!("{event:?}"), String::from)
}

#[test]
fn what_is_written_of_an_event_is_read_as_the_same() {
    let registry = Registry::default();
    for event in events() {
        let text = self_told(&event).unwrap();
        assert!(!text.contains('\n'), "{text}");
        let read = parser(&registry).event(&text).unwrap();
        assert_eq!(shown(&read), shown(&event));
        assert_eq!(std::mem::discriminant(&read), std::mem::discriminant(&event));
    }
}

#[test]
fn objects_are_read_as_they_were_told() {
    let registry = Registry::default();
    let keys = ["team".into()];
    let json = r#"{"metadata":{"name":"p","uid":"u","annotations":{"team":"a"}},"spec":{"priority":0,
        "containers":[{"name":"c","resources":{"requests":{"cpu":1.5}}}],"volumes":[{"name":"e","ephemeral":{"x":{}}}]}}"#;
    let slim: api::Pod = serde_json::from_str(json).unwrap();
    let expect = PodParser::new(keys.to_vec()).parse(&slim);
    for read in [false, true] {
        let text = pod_text(slim.clone(), None, &keys, read).unwrap();
        let Event::Pod(pod) = parser(&registry).event(&text).unwrap() else { panic!("{text}") };
        assert_eq!(*pod, expect);
        let text = pod_text(slim.clone(), Some("odd"), &keys, read).unwrap();
        let Event::Pod(pod) = parser(&registry).event(&text).unwrap() else { panic!("{text}") };
        assert_eq!(pod.faults.unwrap().to_string(), "pod: odd");
    }
    let kind = kinds()[0];
    let object_key = ObjectKey { namespace: "ns".into(), name: "o".into() };
    for object in [None, Some(json!({"metadata": {"name": "o"}})), Some(json!("nothing that a plugin can read"))] {
        let decoded = object.as_ref().and_then(|json| (kind.decode)(json).ok()).is_some();
        let text = object_text(&kind, &object_key, 3, object).unwrap();
        let read = parser(&registry).event(&text).unwrap();
        let Event::Object { kind: of, key, resource_version: 3, object } = read else { panic!("{text}") };
        assert_eq!((of.id, key, object.is_some()), (kind.id, object_key.clone(), decoded));
    }
}

#[test]
fn what_nobody_can_have_written_is_refused() {
    let registry = Registry::default();
    for (text, expect) in [
        ("7", "expected value"),
        (r#"{"pod":{"object":{"metadata":7}}}"#, "pod: invalid type"),
        (r#"{"objectsListed":{"kind":"unicorns.example.com","present":[]}}"#, "reads unicorns.example.com"),
        (
            r#"{"writesFinished":{"uid":"u","failure":{"plugin":"Nobody","message":""}}}"#,
            "there is no plugin \"Nobody\"",
        ),
        (
            r#"{"answered":{"uid":"u","number":1,"result":{"ok":{"n":{"failed":{"code":"Odd","reason":""}}}}}}"#,
            "no such code",
        ),
        (
            r#"{"preemptAnswered":{"uid":"u","number":3,"result":{"ok":[{"node":"n","victims":["x"],"pdbViolations":0}]}}}"#,
            "not asked about a pod x on n",
        ),
    ] {
        let error = parser(&registry).event(text).unwrap_err();
        assert!(error.contains(expect), "{error}");
    }
}

fn head() -> Head {
    Head::new(&Config::default(), jiff::Timestamp::UNIX_EPOCH, 1, std::time::Duration::from_secs(300), &[])
}

#[test]
fn a_head_is_read_as_it_was_written() {
    let registry = Registry::default();
    let wait = std::time::Duration::from_millis(90_500);
    let config = "apiVersion: config.plimsoll/v1alpha1\nkind: PlimsollConfiguration\nworkers: 3\n";
    let config = Config::parse("config", config, &crate::config::Defaults::plimsoll()).unwrap();
    let head = Head::new(&config, jiff::Timestamp::UNIX_EPOCH, 9, wait, &["team".into()]);
    let read = Head::parse(&serde_json::to_vec(&head).unwrap()).unwrap();
    assert_eq!((read.max_in_unschedulable, read.seed, &*read.annotation_keys), (wait, 9, &["team".to_owned()][..]));
    let read = read.config(&registry).unwrap();
    assert_eq!((read.plimsoll.seed, read.plimsoll.workers), (Some(9), Some(3)));
    assert_eq!(serde_json::to_value(read.to_v1()).unwrap(), head.componentconfig);
}

/// What ends a recording, and how many lines there are before that.
fn read_all(dir: &std::path::Path) -> (Option<String>, usize) {
    let (_, mut reader) = Reader::new(dir, indicatif::ProgressBar::hidden()).unwrap();
    let (mut end, mut lines) = (None, 0);
    loop {
        match reader.next().unwrap() {
            Next::Line(line) => match line.end {
                Some(why) => end = Some(why),
                None => lines += 1,
            },
            Next::CutOff | Next::End => return (end, lines),
        }
    }
}

fn bytes(dir: &std::path::Path) -> u64 {
    std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

/// Text that hardly becomes smaller.
fn noise(number: u64) -> Box<str> {
    let mut state = number | 1;
    let mut digits = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        format!("{:08x}", state >> 32)
    };
    let text: String = (0..128).map(|_| digits()).collect();
    format!("\"{text}\"").into()
}

#[test]
fn one_that_is_as_large_as_it_may_become_ends_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = Room::new(dir.path(), 1).unwrap().begin(&head(), true).unwrap();
    let recording = recorder.recording();
    let mut told = 0;
    while recording.is_on() {
        recorder.event(Time::default(), Some(noise(told)));
        told += 1;
    }
    // Whoever goes on to tell it things is not in the way.
    recorder.event(Time::default(), None);
    recorder.decide(Time::default());
    recorder.finish();
    let (end, lines) = read_all(dir.path());
    assert_eq!(end.as_deref(), Some("full"));
    assert!(lines > 500 && lines as u64 <= told, "{lines} of {told}");
    assert!(bytes(dir.path()) <= 1 << 20, "{}", bytes(dir.path()));
}

#[test]
fn one_that_cannot_be_written_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = Room::new(dir.path(), 1).unwrap().begin(&head(), true).unwrap();
    let recording = recorder.recording();
    recorder.tick(Time::default());
    recorder.event(Time::default(), None);
    assert!(!recording.is_on(), "an event that came without what it was parsed from");
    recorder.tick(Time::default());
    recorder.finish();
    assert_eq!(read_all(dir.path()), (Some("unwritable".to_owned()), 1));
    // There is a file where the segment should be.
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join(segment_name(1))).unwrap();
    let mut recorder = Room::new(dir.path(), 1).unwrap().begin(&head(), true).unwrap();
    let recording = recorder.recording();
    recorder.tick(Time::default());
    recorder.finish();
    assert!(!recording.is_on());
    assert!(matches!(Room::new(dir.path(), 1), Err(Refused::Taken(_))));
}

#[test]
fn segments_are_of_bounded_size_and_read_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(HEAD_FILE), serde_json::to_string(&head()).unwrap()).unwrap();
    let mut segments = Segments::new(dir.path(), u64::MAX).with_segments_of(32 << 10);
    let mut lines = Lines::default();
    for number in 0..500 {
        segments.write(lines.line(&Entry::Event(Time::default(), noise(number)))).unwrap();
        if number % 7 == 0 {
            segments.flush().unwrap();
        }
    }
    segments.write(lines.line(&Entry::End(STOPPED))).unwrap();
    segments.end().unwrap();
    let files = std::fs::read_dir(dir.path()).unwrap().count() - 1;
    assert!(files > 3, "{files}");
    for number in 1..=u32::try_from(files).unwrap() {
        let file = std::fs::metadata(dir.path().join(segment_name(number))).unwrap();
        assert!(file.len() < 96 << 10, "{}", file.len());
    }
    assert_eq!(read_all(dir.path()), (Some(STOPPED.to_owned()), 500));
    // Without one in the middle the sums are wrong.
    std::fs::remove_file(dir.path().join(segment_name(2))).unwrap();
    std::fs::rename(dir.path().join(segment_name(3)), dir.path().join(segment_name(2))).unwrap();
    let (_, mut reader) = Reader::new(dir.path(), indicatif::ProgressBar::hidden()).unwrap();
    let error = std::iter::from_fn(|| reader.next().map(|_| ()).err().map_or(Some(None), |e| Some(Some(e))));
    let error = error.flatten().next().unwrap().to_string();
    assert!(error.contains("segment-00002.jsonl.gz, line 1: its sum is wrong"), "{error}");
}
