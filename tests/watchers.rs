//! Whoever follows the stand-in API server as clients do knows at the end what is there, for every kind that it serves:
//! whatever is written meanwhile, and however often watches are cut, expire, fall silent, and the server restarts.
//!
//! Two clients follow each kind: kube-runtime's watcher, and one that lists and watches as client-go does and checks
//! that what it is told makes sense. Time is paused and connections are made in memory, so waiting costs nothing.
//! `PLIMSOLL_CASES=N` tries N seeds for each kind.

#![cfg(feature = "tools")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test, a failed step is a failed test")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use futures::StreamExt as _;
use http_body_util::BodyExt as _;
use kube::api::{ApiResource, DynamicObject};
use kube::client::Body;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use plimsoll::client::Cluster;
use plimsoll_apiserver::{Fault, Kind, Options, Rule, Server, WatchFault};
use plimsoll_testkit::Dice;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// Longer than any wait of a client before it tries again, and than its patience with a silent server.
const SETTLING: Duration = Duration::from_secs(600);
/// How long the list-and-watch client trusts a silent connection: the server sends bookmarks more often.
const SILENCE: Duration = Duration::from_secs(30);

/// What a client believes: versions by namespace and name.
type Belief = BTreeMap<(String, String), String>;

/// A kind as discovery tells of it.
#[derive(Clone, Debug)]
struct Resource {
    group_version: String,
    kind: String,
    plural: String,
    namespaced: bool,
}

impl Resource {
    fn path(&self) -> String {
        let root = if self.group_version.contains('/') { "apis" } else { "api" };
        format!("/{root}/{}/{}", self.group_version, self.plural)
    }
}

fn key(object: &Value) -> (String, String) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

fn version(object: &Value) -> String {
    object["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
}

fn number(version: &str) -> u64 {
    version.parse().unwrap()
}

fn server(seed: u64) -> Arc<Server> {
    let extra = [("example.com", "widgets", "Widget", true), ("example.com", "planets", "Planet", false)];
    let extra_kinds = extra.map(|(group, plural, kind, namespaced)| Kind::new(group, "v1", plural, kind, namespaced));
    let options =
        Options { seed, controllers: false, kubelets: false, extra_kinds: extra_kinds.into(), ..Options::default() };
    Arc::new(Server::in_memory(options).unwrap())
}

fn client(server: &Arc<Server>) -> Client {
    let server = Arc::clone(server);
    Cluster::in_memory(move || server.connect()).unwrap().client().unwrap()
}

async fn get(client: &Client, path: &str) -> Result<Value, String> {
    let request = http::Request::get(path).body(Body::empty()).unwrap();
    let answer = client.send(request).await.map_err(|e| e.to_string())?;
    let status = answer.status();
    let body = answer.into_body().collect().await.map_err(|e| e.to_string())?.to_bytes();
    if status.is_success() { serde_json::from_slice(&body).map_err(|e| e.to_string()) } else { Err(status.to_string()) }
}

/// Everything that can be listed and watched.
async fn resources(client: &Client) -> Vec<Resource> {
    let mut paths = vec!["/api/v1".to_owned()];
    for group in get(client, "/apis").await.unwrap()["groups"].as_array().unwrap() {
        let versions = group["versions"].as_array().unwrap().iter();
        paths.extend(versions.map(|version| format!("/apis/{}", version["groupVersion"].as_str().unwrap())));
    }
    let mut resources = Vec::new();
    for path in paths {
        let list = get(client, &path).await.unwrap();
        for resource in list["resources"].as_array().unwrap() {
            let plural = resource["name"].as_str().unwrap();
            let watched = resource["verbs"].as_array().is_some_and(|verbs| verbs.iter().any(|verb| verb == "watch"));
            if !plural.contains('/') && watched {
                resources.push(Resource {
                    group_version: list["groupVersion"].as_str().unwrap().to_owned(),
                    kind: resource["kind"].as_str().unwrap().to_owned(),
                    plural: plural.to_owned(),
                    namespaced: resource["namespaced"].as_bool().unwrap(),
                });
            }
        }
    }
    resources
}

/// Follows by kube-runtime's watcher.
async fn follow_by_kube(client: Client, resource: Resource, streaming: bool, belief: Arc<Mutex<Belief>>) {
    let (group, version) = resource.group_version.rsplit_once('/').unwrap_or(("", &resource.group_version));
    let of = ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: resource.group_version.clone(),
        kind: resource.kind.clone(),
        plural: resource.plural.clone(),
    };
    let config = if streaming { watcher::Config::default().streaming_lists() } else { watcher::Config::default() };
    let config = watcher::Config { page_size: (!streaming).then_some(3), timeout: Some(60), ..config };
    let mut events = watcher(Api::<DynamicObject>::all_with(client, &of), config).default_backoff().boxed();
    let name = |o: &DynamicObject| (o.namespace().unwrap_or_default(), o.name_any());
    let mut listed = Belief::new();
    while let Some(event) = events.next().await {
        let mut belief = belief.lock().unwrap();
        match event {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(o)) => drop(listed.insert(name(&o), o.resource_version().unwrap())),
            Ok(watcher::Event::InitDone) => *belief = std::mem::take(&mut listed),
            Ok(watcher::Event::Apply(o)) => drop(belief.insert(name(&o), o.resource_version().unwrap())),
            Ok(watcher::Event::Delete(o)) => drop(belief.remove(&name(&o))),
            Err(_) => {}
        }
    }
}

/// Follows as client-go's reflectors do: list, watch from there, watch again from the last version seen, list anew when
/// that is too old. Checks every event against what is believed.
async fn follow_by_hand(client: Client, resource: Resource, selector: &'static str, belief: Arc<Mutex<Belief>>) {
    loop {
        let Ok(list) = get(&client, &format!("{}?resourceVersion=0{selector}", resource.path())).await else {
            sleep(Duration::from_secs(1)).await;
            continue;
        };
        let items = list["items"].as_array().unwrap();
        *belief.lock().unwrap() = items.iter().map(|item| (key(item), version(item))).collect();
        let mut seen = version(&list);
        while watch(&client, &resource, selector, &mut seen, &belief).await {
            sleep(Duration::from_millis(300)).await;
        }
    }
}

/// One watch. False when it is to be listed anew.
async fn watch(
    client: &Client,
    resource: &Resource,
    selector: &str,
    seen: &mut String,
    belief: &Mutex<Belief>,
) -> bool {
    let path = format!(
        "{}?watch=1&allowWatchBookmarks=true&timeoutSeconds=120&resourceVersion={seen}{selector}",
        resource.path()
    );
    let request = http::Request::get(path).body(Body::empty()).unwrap();
    let Ok(answer) = client.send(request).await else { return true };
    if answer.status() == http::StatusCode::GONE {
        return false;
    }
    if !answer.status().is_success() {
        return true;
    }
    let (mut body, mut received) = (answer.into_body(), BytesMut::new());
    while let Ok(Some(Ok(frame))) = timeout(SILENCE, body.frame()).await {
        received.extend_from_slice(&frame.into_data().unwrap_or_default());
        while let Some(end) = received.iter().position(|byte| *byte == b'\n') {
            let event: Value = serde_json::from_slice(&received.split_to(end + 1)).unwrap();
            let (object, mut belief) = (&event["object"], belief.lock().unwrap());
            let known = belief.contains_key(&key(object));
            match event["type"].as_str().unwrap() {
                "ERROR" => return object["code"] != 410,
                "BOOKMARK" => {}
                "ADDED" => assert!(!known, "added twice: {event}"),
                "MODIFIED" => assert!(known, "modified and not known: {event}"),
                "DELETED" => assert!(belief.remove(&key(object)).is_some(), "deleted and not known: {event}"),
                other => panic!("an event of type {other}"),
            }
            if matches!(event["type"].as_str(), Some("ADDED" | "MODIFIED")) {
                belief.insert(key(object), version(object));
            }
            assert!(number(&version(object)) >= number(seen), "versions only grow: {event}, after {seen}");
            *seen = version(object);
        }
    }
    true
}

/// Something is written.
fn write(server: &Server, resource: &Resource, dice: &mut Dice) {
    let name = format!("object-{}", dice.below(12));
    let group = resource.group_version.rsplit_once('/').map_or("", |(group, _)| group);
    let plural = if group.is_empty() { resource.plural.clone() } else { format!("{}.{group}", resource.plural) };
    let namespace = if resource.namespaced { "default" } else { "" };
    let color = ["red", "blue"][usize::try_from(dice.below(2)).unwrap()];
    // Some of it is refused, since what it is about is there already, or is not: as with other clients.
    match dice.below(5) {
        0 | 1 => {
            let object = json!({
                "apiVersion": resource.group_version, "kind": resource.kind,
                "metadata": {"name": name, "namespace": namespace, "labels": {"color": color}},
            });
            drop(server.create(object));
        }
        2 | 3 => {
            let paint = |object: &mut Value| object["metadata"]["labels"]["color"] = color.into();
            drop(server.edit(&plural, namespace, &name, paint));
        }
        _ => drop(server.delete(&plural, namespace, &name)),
    }
}

/// Something goes wrong.
fn disturb(server: &Server, resource: &Resource, dice: &mut Dice) {
    let plural = resource.plural.as_str();
    let rule = |fault: Fault, verb: &str| {
        server.faults().add(Rule::new(fault).verb(verb).resource(plural).probability(0.5));
    };
    let within = Duration::from_millis(dice.below(60_000));
    match dice.below(14) {
        0 => server.cut_watches(plural, false).unwrap(),
        1 => server.cut_watches(plural, true).unwrap(),
        2 => server.compact(plural).unwrap(),
        3 => server.restart(Duration::from_millis(dice.below(5_000))),
        4 => rule(Fault::Watch(WatchFault::Stall(within)), "watch"),
        5 => rule(Fault::Watch(WatchFault::Cut(within)), "watch"),
        6 => rule(Fault::Watch(WatchFault::End(within)), "watch"),
        7 => rule(Fault::Watch(WatchFault::Expire(within)), "watch"),
        8 => rule(Fault::Watch(WatchFault::Lag(Duration::from_millis(dice.below(3_000)))), "watch"),
        9 => rule(Fault::DropWithin, "list"),
        10 => rule(Fault::DropWithin, "watch"),
        11 => rule(Fault::Status { code: 500, retry_after_seconds: None }, "list"),
        12 => rule(Fault::Delay(Duration::from_millis(dice.below(2_000))), "watch"),
        _ => server.faults().clear(),
    }
}

async fn is_followed(resource: &Resource, seed: u64) {
    let (server, mut dice) = (server(seed), Dice::new(seed));
    let beliefs: [Arc<Mutex<Belief>>; 4] = Default::default();
    let [by_list, by_stream, by_hand, selected] = beliefs.each_ref().map(Arc::clone);
    let watchers = [
        tokio::spawn(follow_by_kube(client(&server), resource.clone(), false, by_list)),
        tokio::spawn(follow_by_kube(client(&server), resource.clone(), true, by_stream)),
        tokio::spawn(follow_by_hand(client(&server), resource.clone(), "", by_hand)),
        tokio::spawn(follow_by_hand(client(&server), resource.clone(), "&labelSelector=color%3Dred", selected)),
    ];
    for _ in 0..100 {
        for _ in 0..dice.below(4) {
            write(&server, resource, &mut dice);
        }
        if dice.below(4) == 0 {
            disturb(&server, resource, &mut dice);
        }
        sleep(Duration::from_millis(dice.below(10_000))).await;
        assert!(watchers.iter().all(|watcher| !watcher.is_finished()), "a client has ended: {resource:?}, seed {seed}");
    }
    server.faults().clear();
    sleep(SETTLING).await;
    let list = get(&client(&server), &resource.path()).await.unwrap();
    let items = || list["items"].as_array().unwrap().iter();
    let all: Belief = items().map(|item| (key(item), version(item))).collect();
    let red = items().filter(|item| item["metadata"]["labels"]["color"] == "red");
    let red: Belief = red.map(|item| (key(item), version(item))).collect();
    for (belief, (wanted, who)) in beliefs.iter().zip([
        (&all, "kube's watcher"),
        (&all, "kube's watcher, streaming"),
        (&all, "client-go's way"),
        (&red, "a selection"),
    ]) {
        assert_eq!(*belief.lock().unwrap(), *wanted, "{who}: {resource:?}, seed {seed}");
    }
    watchers.iter().for_each(tokio::task::JoinHandle::abort);
}

fn paused<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(future)
}

#[test]
fn every_kind_is_followed_through_everything() {
    let cases = std::env::var("PLIMSOLL_CASES").map_or(1, |cases| cases.parse().unwrap());
    let resources = paused(async { resources(&client(&server(0))).await });
    assert!(resources.len() > 40, "{resources:?}");
    for kind in ["Pod", "Node", "Event", "Lease", "PersistentVolumeClaim", "Widget", "Planet"] {
        assert!(resources.iter().any(|resource| resource.kind == kind), "{kind}");
    }
    let next =
        Mutex::new(resources.iter().enumerate().flat_map(|(n, r)| (0..cases).map(move |case| (r, case * 1_000 + n))));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some((resource, seed)) = next.lock().unwrap().next() else { return };
                    paused(is_followed(resource, u64::try_from(seed).unwrap() + 1));
                }
            });
        }
    });
}
