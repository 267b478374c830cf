//! The same server through the client that the scheduler uses.

use futures::TryStreamExt;
use k8s_openapi::{
    api::{
        coordination::v1::Lease,
        core::v1::{Binding, Node, ObjectReference, Pod},
    },
    apimachinery::pkg::apis::meta::v1::Status,
};
use kube::{
    Api, Client, Config,
    api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams},
    runtime::watcher::{self, Event, watcher},
};
use plimsoll_apiserver::Server;
use plimsoll_testkit::{node, pod};
use serde_json::json;

use crate::client::{bare, patient};

fn client(server: &Server) -> Client {
    Client::try_from(Config::new(server.url().parse().unwrap())).unwrap()
}

/// What a watcher said, in a line.
fn told<K: kube::ResourceExt>(event: &Event<K>) -> String {
    match event {
        Event::Init => "init".to_owned(),
        Event::InitApply(object) => format!("initial {}", object.name_any()),
        Event::InitDone => "done".to_owned(),
        Event::Apply(object) => format!("apply {}", object.name_any()),
        Event::Delete(object) => format!("delete {}", object.name_any()),
    }
}

#[tokio::test]
async fn watchers_list_stream_and_recover() {
    let (server, _) = bare().await;
    let kube = client(&server);
    let streaming = watcher::Config::default().streaming_lists();
    let pages = watcher::Config { page_size: Some(1), ..watcher::Config::default() };
    for (config, round) in [(streaming, "a"), (pages, "b")] {
        server.load(vec![node(&format!("{round}0")).build(), node(&format!("{round}1")).build()]);
        let config = config.labels(&format!("round={round}"));
        let label = |n: &mut serde_json::Value| n["metadata"]["labels"]["round"] = round.into();
        for i in 0..2 {
            server.edit("nodes", "", &format!("{round}{i}"), label).unwrap();
        }
        let mut events = Box::pin(watcher(Api::<Node>::all(kube.clone()), config));
        let mut said = Vec::new();
        for step in 0..7 {
            let event = patient(events.try_next()).await;
            said.push(event.map_or_else(|error| format!("error {error}"), |event| told(&event.unwrap())));
            match step {
                3 => {
                    server.cut_watches("nodes", false).unwrap();
                    server
                        .edit("nodes", "", &format!("{round}0"), |n| n["spec"]["unschedulable"] = true.into())
                        .unwrap();
                }
                4 => {
                    // It left the selector: for this watch it is gone.
                    server
                        .edit("nodes", "", &format!("{round}0"), |n| n["metadata"]["labels"]["round"] = "x".into())
                        .unwrap();
                }
                5 => server.delete("nodes", "", &format!("{round}1")).unwrap(),
                _ => {}
            }
        }
        let want = ["init", "initial 0", "initial 1", "done", "apply 0", "delete 0", "delete 1"];
        let want: Vec<String> = want
            .iter()
            .map(|line| line.replace(" 0", &format!(" {round}0")).replace(" 1", &format!(" {round}1")))
            .collect();
        assert_eq!(said, want);
    }
}

#[tokio::test]
async fn a_forgotten_version_makes_a_watcher_list_again() {
    let (server, _) = bare().await;
    server.load(vec![node("n1").build()]);
    let mut events = Box::pin(watcher(Api::<Node>::all(client(&server)), watcher::Config::default()));
    let mut said = Vec::new();
    while said.last().is_none_or(|last| last != "done") {
        said.push(told(&patient(events.try_next()).await.unwrap().unwrap()));
    }
    // While the watch is on its way the history is lost.
    server.faults().add(plimsoll_apiserver::Rule::status(503).verb("watch").resource("nodes").times(1));
    server.cut_watches("nodes", false).unwrap();
    server.load(vec![node("n2").build()]);
    server.compact("nodes").unwrap();
    server.faults().clear();
    let mut again = Vec::new();
    while again.last().is_none_or(|last| last != "done") {
        match patient(events.try_next()).await {
            Ok(event) => again.push(told(&event.unwrap())),
            Err(_) => again.clear(),
        }
    }
    assert_eq!(again, ["init", "initial n1", "initial n2", "done"]);
}

#[tokio::test]
async fn typed_calls_work_as_a_scheduler_makes_them() {
    let (server, _) = bare().await;
    server.create(node("n1")).unwrap();
    let made = server.create(pod("a")).unwrap();
    let pods = Api::<Pod>::namespaced(client(&server), "default");
    let binding = Binding {
        metadata: ObjectMeta {
            name: Some("a".into()),
            uid: made["metadata"]["uid"].as_str().map(str::to_owned),
            ..ObjectMeta::default()
        },
        target: ObjectReference { kind: Some("Node".into()), name: Some("n1".into()), ..ObjectReference::default() },
    };
    let status: Status = pods.create_subresource("binding", "a", &PostParams::default(), &binding).await.unwrap();
    assert_eq!(status.status.as_deref(), Some("Success"));
    let again = pods.create_subresource::<Binding, Status>("binding", "a", &PostParams::default(), &binding).await;
    assert!(matches!(again, Err(kube::Error::Api(status)) if status.is_conflict()));
    let condition = json!({"status": {"conditions": [{"type": "DisruptionTarget", "status": "True"}]}});
    let patched = pods.patch_status("a", &PatchParams::default(), &Patch::Strategic(&condition)).await.unwrap();
    assert_eq!(patched.status.unwrap().conditions.unwrap().len(), 2);
    let bound = pods.list(&ListParams::default().fields("spec.nodeName=n1")).await.unwrap();
    assert_eq!(bound.items.len(), 1);
    assert!(pods.get_opt("nope").await.unwrap().is_none());
    assert!(pods.evict("a", &kube::api::EvictParams::default()).await.is_ok());
    let leases = Api::<Lease>::namespaced(client(&server), "kube-system");
    let lease = Lease { metadata: ObjectMeta { name: Some("l".into()), ..ObjectMeta::default() }, spec: None };
    let lease = leases.create(&PostParams::default(), &lease).await.unwrap();
    let renewed = leases.replace("l", &PostParams::default(), &lease).await.unwrap();
    assert_eq!(renewed.metadata.resource_version, lease.metadata.resource_version);
}

#[tokio::test]
async fn the_kubeconfig_leads_to_the_server() {
    let (server, _) = bare().await;
    let kubeconfig = kube::config::Kubeconfig::from_yaml(&server.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default()).await.unwrap();
    let version = Client::try_from(config).unwrap().apiserver_version().await.unwrap();
    assert_eq!(version.minor, "36");
}
