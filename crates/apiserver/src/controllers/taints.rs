//! Taints with the effect NoExecute: pods that do not tolerate them go, at once or when their toleration runs out.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::owned;
use crate::{
    cluster::Cluster,
    json,
    kinds::Role,
    ops::{DeleteOptions, Target},
    store::{Follower, News},
    stored::{Happened, Stored},
};

/// How many changes are looked at before requests get a turn.
const TURN: usize = 64;

/// Evicts for the taints of all nodes.
pub(super) struct Taints {
    cluster: Arc<Cluster>,
    nodes: Follower,
    pods: Follower,
    /// The taints with the effect NoExecute, of the nodes that have any.
    tainted: HashMap<Box<str>, Vec<Value>>,
    /// When pods go, by UID, and their keys.
    due: HashMap<Box<str>, (Instant, String)>,
    /// The same in order of time.
    order: BTreeSet<(Instant, Box<str>)>,
}

impl Taints {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        Self {
            nodes: cluster.store_of(Role::Node).follow(0),
            pods: cluster.pods().follow(0),
            cluster,
            tainted: HashMap::new(),
            due: HashMap::new(),
            order: BTreeSet::new(),
        }
    }

    /// Looks after taints for ever.
    pub(super) async fn run(mut self) {
        loop {
            let idle = !self.look_at_nodes() & !self.look_at_pods();
            self.evict_due();
            if idle {
                let hour = Instant::now() + Duration::from_secs(3600);
                let next = self.order.first().map_or(hour, |(at, _)| *at);
                tokio::select! {
                    biased;
                    () = self.nodes.wait() => {}
                    () = self.pods.wait() => {}
                    () = tokio::time::sleep_until(next) => {}
                }
            }
            tokio::task::yield_now().await;
        }
    }

    fn look_at_nodes(&mut self) -> bool {
        match self.nodes.news(TURN) {
            News::Changes(changes) => {
                changes.iter().for_each(|change| self.see_node(&change.object, change.happened));
                !changes.is_empty()
            }
            News::Everything(nodes) => {
                let store = self.cluster.store_of(Role::Node);
                self.tainted.retain(|name, _| store.get(name).is_some());
                nodes.iter().for_each(|node| self.see_node(node, Happened::Modified));
                true
            }
        }
    }

    fn look_at_pods(&mut self) -> bool {
        match self.pods.news(TURN) {
            News::Changes(changes) => {
                changes.iter().for_each(|change| self.see_pod(&change.object, change.happened));
                !changes.is_empty()
            }
            News::Everything(pods) => {
                // Evictions of pods that went meanwhile find nothing when they are due.
                pods.iter().for_each(|pod| self.see_pod(pod, Happened::Modified));
                true
            }
        }
    }

    fn see_node(&mut self, node: &Stored, happened: Happened) {
        let taints = if happened == Happened::Deleted { Vec::new() } else { no_execute(&node.value()) };
        let before = if taints.is_empty() {
            self.tainted.remove(&node.name)
        } else {
            self.tainted.insert(node.name.clone(), taints.clone())
        };
        if before.unwrap_or_default() == taints {
            return;
        }
        let (pods, _) = self.cluster.pods().all();
        for pod in pods.iter().filter(|pod| pod.pod_node() == &*node.name) {
            self.see_pod(pod, Happened::Modified);
        }
    }

    fn see_pod(&mut self, pod: &Stored, happened: Happened) {
        let taints = self.tainted.get(pod.pod_node());
        let grace = match taints {
            Some(taints) if happened != Happened::Deleted && pod.pod_active() => {
                tolerated_for(taints, json::items(&pod.value(), &["spec", "tolerations"]))
            }
            _ => None,
        };
        match grace {
            // The time counts from when the taint was first seen.
            Some(grace) if !grace.is_zero() && self.due.contains_key(&pod.uid) => {}
            Some(grace) => {
                let key = self.cluster.kinds.role(Role::Pod).key(&pod.namespace, &pod.name);
                let at = Instant::now() + grace;
                self.cancel(&pod.uid);
                self.due.insert(pod.uid.clone(), (at, key));
                self.order.insert((at, pod.uid.clone()));
            }
            None => self.cancel(&pod.uid),
        }
    }

    fn cancel(&mut self, uid: &str) {
        if let Some((at, _)) = self.due.remove(uid) {
            self.order.remove(&(at, uid.into()));
        }
    }

    fn evict_due(&mut self) {
        while let Some((at, uid)) = self.order.first()
            && *at <= Instant::now()
        {
            let uid = uid.clone();
            let key = self.due.get(&uid).map(|(_, key)| key.clone());
            self.cancel(&uid);
            let pod = key.and_then(|key| self.cluster.pods().get(&key)).filter(|pod| pod.uid == uid);
            if let Some(pod) = pod {
                self.evict(&pod);
            }
        }
    }

    fn evict(&self, pod: &Stored) {
        let target = Target::of(self.cluster.kinds.role(Role::Pod), pod);
        let condition = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint", "lastTransitionTime": self.cluster.clock.stamp(),
        });
        let marked = self.cluster.edit(target, |value| {
            let same = json::text(value, &["metadata", "uid"]) == &*pod.uid;
            if same {
                json::set_condition(value, condition.clone());
            }
            Ok(same)
        });
        // Already gone is as good.
        let Ok(marked) = marked else { return };
        let note = format!("Marking for deletion Pod {}/{}", pod.namespace, pod.name);
        owned::tell(&self.cluster, &marked.value(), "Normal", "TaintManagerEviction", &note);
        let options = DeleteOptions { uid: Some(pod.uid.to_string()), ..DeleteOptions::default() };
        let _ = self.cluster.delete(target, &options);
    }
}

fn no_execute(node: &Value) -> Vec<Value> {
    let taints = json::items(node, &["spec", "taints"]).iter();
    taints.filter(|taint| json::text(taint, &["effect"]) == "NoExecute").cloned().collect()
}

/// How long a pod may stay beside these taints: zero when it does not tolerate one of them, none when for ever.
fn tolerated_for(taints: &[Value], tolerations: &[Value]) -> Option<Duration> {
    let mut shortest = None;
    for taint in taints {
        let mut tolerating = tolerations.iter().filter(|toleration| tolerates(toleration, taint)).peekable();
        if tolerating.peek().is_none() {
            return Some(Duration::ZERO);
        }
        let seconds = tolerating.filter_map(|toleration| json::int(toleration, &["tolerationSeconds"])).min();
        shortest = [shortest, seconds].into_iter().flatten().min();
    }
    // A century is for ever, and would overflow the timer otherwise.
    shortest.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(3_000_000_000)))
}

/// Whether one of the tolerations tolerates a taint of any effect.
pub(super) fn tolerated(tolerations: &[Value], taint: &Value) -> bool {
    tolerations.iter().any(|toleration| tolerates(toleration, taint))
}

fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let own = |field| json::text(toleration, &[field]);
    let (key, value) = (json::text(taint, &["key"]), json::text(taint, &["value"]));
    (own("effect").is_empty() || own("effect") == json::text(taint, &["effect"]))
        && (own("key").is_empty() || own("key") == key)
        && match own("operator") {
            "Exists" => true,
            "" | "Equal" => own("key") == key && own("value") == value,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::tolerated_for;

    #[test]
    fn the_shortest_toleration_counts() {
        let taint = |key: &str, value: &str| json!({"key": key, "value": value, "effect": "NoExecute"});
        let taints = [taint("a", "1"), taint("b", "")];
        let all = |seconds: Option<i64>| json!({"operator": "Exists", "tolerationSeconds": seconds});
        for (tolerations, want) in [
            (json!([]), Some(0)),
            (json!([all(None)]), None),
            (json!([all(Some(7))]), Some(7)),
            (json!([all(Some(-7))]), Some(0)),
            (json!([{"key": "a", "value": "1", "tolerationSeconds": 5}, {"key": "b", "operator": "Exists"}]), Some(5)),
            (json!([{"key": "a", "value": "2"}, {"key": "b", "operator": "Exists"}]), Some(0)),
            (json!([all(None), {"key": "b", "effect": "NoExecute", "tolerationSeconds": 3}]), Some(3)),
            (json!([{"operator": "Exists", "effect": "NoSchedule"}]), Some(0)),
        ] {
            let got = tolerated_for(&taints, tolerations.as_array().unwrap());
            assert_eq!(got, want.map(Duration::from_secs), "{tolerations}");
        }
    }
}
