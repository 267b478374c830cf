//! The property that everything rests on: whoever applies a watch's events has the store's state at the end, whatever
//! changed, however often the watch was cut and the history forgotten.

use std::collections::BTreeMap;

use plimsoll_apiserver::{Options, Server};
use plimsoll_testkit::{Dice, pod};
use serde_json::Value;

use crate::client::{Client, start, version};

/// What a client believes, by name.
#[derive(Default)]
struct Mirror {
    objects: BTreeMap<String, Value>,
    version: u64,
}

const SELECTORS: [&str; 3] = ["", "&fieldSelector=spec.nodeName%3D", "&labelSelector=app%3Dweb"];

impl Mirror {
    async fn list(&mut self, client: &Client, selector: &str) {
        let list = client.get(&format!("/api/v1/pods?limit=0{selector}")).await.body;
        let items = list["items"].as_array().unwrap();
        self.objects = items.iter().map(|item| (name(item), item.clone())).collect();
        self.version = version(&list);
    }

    /// Follows until the version is reached; false when a relist is needed.
    async fn follow(&mut self, client: &Client, selector: &str, until: u64) -> bool {
        while self.version < until {
            let path =
                format!("/api/v1/pods?watch=1&allowWatchBookmarks=true&resourceVersion={}{selector}", self.version);
            let Some(mut watch) = client.try_watch(&path).await else { continue };
            while self.version < until {
                let Some(event) = watch.next().await else { break };
                let object = &event["object"];
                match event["type"].as_str().unwrap() {
                    "ERROR" => return false,
                    "DELETED" => assert!(self.objects.remove(&name(object)).is_some(), "{event}"),
                    "ADDED" => assert!(self.objects.insert(name(object), object.clone()).is_none(), "{event}"),
                    "MODIFIED" => assert!(self.objects.insert(name(object), object.clone()).is_some(), "{event}"),
                    _ => {}
                }
                assert!(version(object) >= self.version, "versions only grow");
                self.version = version(object);
            }
        }
        true
    }
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

fn change(server: &Server, dice: &mut Dice) {
    let name = format!("p{}", dice.below(12));
    // Refused changes are changes of nothing.
    match dice.below(6) {
        0 | 1 => drop(server.create(pod(&name).label("app", if dice.below(2) == 0 { "web" } else { "db" }))),
        2 => drop(server.delete("pods", "default", &name)),
        3 => drop(server.bind("default", &name, "n1")),
        4 => drop(server.edit("pods", "default", &name, |pod| pod["metadata"]["labels"]["app"] = "web".into())),
        _ => drop(server.edit("pods", "default", &name, |pod| pod["metadata"]["labels"]["app"] = "db".into())),
    }
    match dice.below(60) {
        0 => server.cut_watches("pods", false).unwrap(),
        1 => server.cut_watches("pods", true).unwrap(),
        2 => server.compact("pods").unwrap(),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watching_client_ends_with_what_is_stored() {
    for seed in 0..6 {
        let options = Options {
            controllers: false,
            kubelets: false,
            history_limit: 200,
            bookmark_interval: std::time::Duration::from_millis(5),
            ..Options::default()
        };
        let (server, client) = start(options).await;
        let mut dice = Dice::new(seed);
        let mut mirrors: Vec<Mirror> = SELECTORS.iter().map(|_| Mirror::default()).collect();
        for (mirror, selector) in mirrors.iter_mut().zip(SELECTORS) {
            mirror.list(&client, selector).await;
        }
        for _ in 0..10 {
            let changes = async {
                for _ in 0..60 {
                    change(&server, &mut dice);
                    tokio::task::yield_now().await;
                }
            };
            // One mirror watches while things change, the others catch up afterwards.
            let (first, others) = mirrors.split_at_mut(1);
            let mut changes = std::pin::pin!(changes);
            let kept_up = tokio::select! {
                kept_up = first[0].follow(&client, SELECTORS[0], u64::MAX) => kept_up,
                () = &mut changes => true,
            };
            if !kept_up {
                changes.await;
                first[0].list(&client, SELECTORS[0]).await;
            }
            let until = version(&client.get("/api/v1/pods").await.body);
            for (mirror, selector) in first.iter_mut().chain(others).zip(SELECTORS) {
                if !mirror.follow(&client, selector, until).await {
                    mirror.list(&client, selector).await;
                }
                let mut truth = Mirror::default();
                truth.list(&client, selector).await;
                assert_eq!(mirror.objects, truth.objects, "seed {seed}, selector {selector:?}");
            }
        }
    }
}
