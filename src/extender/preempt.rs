//! Asking extenders which nodes may be cleared for a pod that fits nowhere, and of which pods (reference sections 9.8 and
//! 11.5).

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use hashbrown::{HashMap, HashSet};
use plimsoll_engine::extender::{PreemptAsk, Shrunk};
use plimsoll_framework::plugin::Candidate;
use plimsoll_framework::pod::{PodInfo, Uid};
use serde_json::value::RawValue;

use super::Extenders;
use super::client::{HttpExtender, Verb, body};
use super::wire::{MetaPod, MetaVictims, PreemptArgs, PreemptResult, Victims};

/// So many pods are read at once where an extender wants them in full.
const READS: usize = 16;

/// The victims in full, as far as they were read; `None` of one that is gone.
type Full = HashMap<Uid, Option<Arc<RawValue>>>;

impl Extenders {
    /// Takes the nodes that could be cleared through all extenders that have a say in it.
    ///
    /// # Errors
    /// When one that cannot be done without could not say.
    pub async fn preempt(&self, ask: &PreemptAsk) -> Shrunk {
        let pod = self.there(&ask.pod).await?;
        let mut left = ask.candidates.clone();
        let mut full = Full::new();
        for extender in self.interested(Verb::Preempt, &ask.pod) {
            if left.is_empty() {
                break;
            }
            match self.shrink(extender, ask, &pod, &left, &mut full).await {
                Ok(shrunk) => left = shrunk,
                Err(error) if extender.ignorable => {
                    tracing::warn!(pod = %ask.pod.key, extender = extender.name, %error, "skipping an extender that may be ignored");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(left)
    }

    /// What one extender leaves of these nodes.
    async fn shrink(
        &self,
        extender: &HttpExtender,
        ask: &PreemptAsk,
        pod: &RawValue,
        left: &[Candidate],
        full: &mut Full,
    ) -> Shrunk {
        let question = if extender.node_cache_capable {
            let victims = by_node(left, |victim| Some(MetaPod { uid: victim.key.uid.as_str() }));
            PreemptArgs { pod, node_name_to_victims: None, node_name_to_meta_victims: Some(victims) }
        } else {
            self.read_victims(left, full).await?;
            let victims = by_node(left, |victim| full.get(&victim.key.uid)?.as_deref());
            if victims.is_empty() {
                return Ok(Vec::new());
            }
            PreemptArgs { pod, node_name_to_victims: Some(victims), node_name_to_meta_victims: None }
        };
        let answer: PreemptResult = extender.call(Verb::Preempt, body(&question)?).await?;
        read(extender, ask, left, answer.victims.unwrap_or_default())
    }

    /// Reads the victims that were not read yet.
    async fn read_victims(&self, left: &[Candidate], full: &mut Full) -> Result<(), String> {
        let unread = left.iter().flat_map(|c| &c.victims).filter(|victim| !full.contains_key(&victim.key.uid));
        let unread: Vec<Arc<PodInfo>> = unread.cloned().collect();
        let reads = unread.into_iter().map(|victim| async move {
            let json = self.read_pod(&victim).await?;
            Ok::<_, String>((victim.key.uid.clone(), json.map(Arc::from)))
        });
        let read: Vec<_> = futures::stream::iter(reads).buffer_unordered(READS).try_collect().await?;
        full.extend(read);
        Ok(())
    }
}

/// The nodes by name, each with its victims in one form or the other. One whose victims are all gone is left out.
fn by_node<'a, P>(left: &'a [Candidate], show: impl Fn(&'a PodInfo) -> Option<P>) -> BTreeMap<&'a str, Victims<P>> {
    let mut nodes = BTreeMap::new();
    for candidate in left {
        let pods: Vec<P> = candidate.victims.iter().filter_map(|victim| show(victim)).collect();
        if !pods.is_empty() {
            let num_pdb_violations = i64::try_from(candidate.pdb_violations).unwrap_or(i64::MAX);
            nodes.insert(candidate.node.as_str(), Victims { pods, num_pdb_violations });
        }
    }
    nodes
}

/// Understands an answer; the nodes keep the order in which they were found. What is wrong with it is said as
/// kube-scheduler says it.
fn read(
    extender: &HttpExtender,
    ask: &PreemptAsk,
    left: &[Candidate],
    mut said: BTreeMap<String, MetaVictims>,
) -> Shrunk {
    if let Some(unknown) = said.keys().find(|name| !left.iter().any(|c| *c.node == ***name)) {
        return Err(format!("nodeinfo not found for node name {unknown:?}"));
    }
    let mut shrunk = Vec::new();
    for Candidate { node, .. } in left {
        let Some(MetaVictims { pods, num_pdb_violations }) = said.remove(node.as_str()) else { continue };
        let there = ask.pods.get(node).map_or(&[][..], Vec::as_slice);
        let (mut victims, mut seen) = (Vec::new(), HashSet::new());
        for uid in pods.unwrap_or_default().into_iter().map(|pod| pod.uid.unwrap_or_default()) {
            let Some(victim) = there.iter().find(|pod| pod.key.uid.as_str() == uid) else {
                let url = &extender.name;
                return Err(format!(
                    "extender: {url} claims to preempt pod (UID: {uid}) on node: {node}, but the pod is not found on that node"
                ));
            };
            if seen.insert(uid) {
                victims.push(Arc::clone(victim));
            }
        }
        if !victims.is_empty() {
            let pdb_violations = usize::try_from(num_pdb_violations.unwrap_or(0)).unwrap_or(0);
            shrunk.push(Candidate { node: node.clone(), victims, pdb_violations });
        } else if !extender.ignorable {
            return Err(format!("expected at least one victim pod on node {:?}", node.as_str()));
        }
    }
    Ok(shrunk)
}
