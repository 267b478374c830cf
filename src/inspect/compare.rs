//! The cache beside what the API server lists.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use plimsoll_engine::engine::Engine;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::View;
use serde::Serialize;

use super::PodName;
use super::listing::Listed;

/// So many differences are named; all are counted.
const NAMED: usize = 100;

/// What the owner gives.
pub(super) struct Known {
    view: View,
    /// The pods that count on no node.
    elsewhere: Vec<Arc<PodInfo>>,
}

/// Asked of the owner. Looks at every pod once, as its gauges do every second.
pub(super) fn take(engine: &Engine) -> Known {
    let elsewhere = engine.cache().iter().filter(|known| known.node().is_none());
    Known { elsewhere: elsewhere.map(|known| Arc::clone(&known.pod)).collect(), view: engine.view() }
}

/// One thing that is not the same.
#[derive(Clone, Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(tag = "what", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Difference {
    /// The API server has it, the cache has not.
    NodeMissing { name: String },
    /// The cache has it, the API server has not.
    NodeRedundant { name: String },
    /// The API server has it, the cache has not.
    PodMissing { pod: PodName },
    /// The cache has it, the API server has not.
    PodRedundant { pod: PodName },
    /// Both have it, on different nodes; an empty name is none.
    PodElsewhere { pod: PodName, cache: String, api_server: String },
}

/// How the cache compares with the API server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    nodes: usize,
    pods: usize,
    pub(super) differences: BTreeSet<Difference>,
}

/// The same as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    /// How many the API server has.
    nodes: usize,
    pods: usize,
    difference_count: usize,
    /// The first of them.
    differences: Vec<&'a Difference>,
}

impl Serialize for Comparison {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (nodes, pods, difference_count) = (self.nodes, self.pods, self.differences.len());
        Shown { nodes, pods, difference_count, differences: self.named().collect() }.serialize(serializer)
    }
}

impl Comparison {
    pub(super) fn is_empty(&self) -> bool {
        self.differences.is_empty()
    }

    /// What differs in both.
    pub(super) fn and(self, later: Self) -> Self {
        Self { differences: &self.differences & &later.differences, ..later }
    }

    pub(super) fn named(&self) -> impl Iterator<Item = &Difference> {
        self.differences.iter().take(NAMED)
    }
}

pub(super) fn compare(listed: &Listed, known: &Known) -> Comparison {
    let view = &known.view;
    let mut differences = BTreeSet::new();
    let in_cache: HashSet<&str> = view.rows().filter_map(|row| view.node(row)).map(|node| &*node.name).collect();
    let in_list: HashSet<&str> = listed.nodes.iter().map(String::as_str).collect();
    let name = |name: &&str| (*name).to_owned();
    differences.extend(in_list.difference(&in_cache).map(|n| Difference::NodeMissing { name: name(n) }));
    differences.extend(in_cache.difference(&in_list).map(|n| Difference::NodeRedundant { name: name(n) }));

    let on_nodes = view.rows().filter_map(|row| Some((&view.node(row)?.name, view.pods(row))));
    let on_nodes = on_nodes.flat_map(|(node, pods)| pods.iter().map(move |pod| (pod, Some(node))));
    let pods = on_nodes.chain(known.elsewhere.iter().map(|pod| (pod, None)));
    let pods: HashMap<&str, (&Arc<PodInfo>, Option<&Istr>)> =
        pods.map(|(pod, node)| (pod.key.uid.as_str(), (pod, node))).collect();
    for (uid, (pod, api_server)) in &listed.pods {
        let pod = || pod.clone();
        match pods.get(uid.as_str()) {
            // A pod on a node that the cache does not know is in no view; that node is missing, and said to be.
            None if !api_server.is_empty() && !in_cache.contains(api_server.as_str()) => {}
            None => {
                differences.insert(Difference::PodMissing { pod: pod() });
            }
            // Assumed, and not bound yet.
            Some((_, Some(_))) if api_server.is_empty() => {}
            Some((_, node)) => {
                let cache = node.map_or("", |node| node);
                if cache != api_server {
                    let (cache, api_server) = (cache.to_owned(), api_server.clone());
                    differences.insert(Difference::PodElsewhere { pod: pod(), cache, api_server });
                }
            }
        }
    }
    let gone = pods.iter().filter(|(uid, _)| !listed.pods.contains_key(**uid));
    differences.extend(gone.map(|(_, (pod, _))| Difference::PodRedundant { pod: PodName::of(&pod.key) }));
    Comparison { nodes: listed.nodes.len(), pods: listed.pods.len(), differences }
}
