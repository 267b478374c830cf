//! Objects that nobody should write and somebody will: the rest of the cluster does not notice.

use plimsoll_testkit::{node, pod};
use serde_json::{Value, json};

use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread")]
async fn odd_objects_hold_up_nobody() {
    let taint = |key: &str| json!([{"key": key, "value": "", "effect": "NoSchedule"}]);
    let label = ("a.b-c/".to_owned() + &"Az0-_.".repeat(10) + "xyz", "Az0-_.".repeat(10) + "xyz");
    let rig = Rig::start(vec![
        node("long").set("/metadata/annotations", json!({"a": "x".repeat(1_000_000)})).build(),
        node("tainted").set("/spec/taints", taint("k9999")).build(),
        node("labelled")
            .set("/spec/taints", taint("other"))
            .set("/metadata/labels", json!({ (&label.0): label.1 }))
            .build(),
    ])
    .await;
    let tolerations: Vec<Value> = (0..10_000).map(|i| json!({"key": format!("k{i}"), "operator": "Exists"})).collect();
    let hostname = |name: &str| json!({"kubernetes.io/hostname": name});
    rig.create(pod("many").set("/spec/tolerations", json!(tolerations)).set("/spec/nodeSelector", hostname("tainted")));
    rig.create(
        pod("labelled")
            .set("/spec/nodeSelector", json!({ (&label.0): label.1 }))
            .set("/spec/tolerations", json!([{"operator": "Exists"}])),
    );
    rig.create(pod("none").set("/spec/nodeSelector", hostname("tainted")));
    for n in 0..20 {
        rig.create(pod(&format!("p{n}")));
    }
    assert_eq!(rig.bound("many").await, "tainted");
    assert_eq!(rig.bound("labelled").await, "labelled");
    for n in 0..20 {
        assert_eq!(rig.bound(&format!("p{n}")).await, "long");
    }
    rig.refused("none", "Unschedulable").await;
    rig.check_books();
    rig.end().await;
}
