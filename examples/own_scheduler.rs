//! A scheduler with a plugin of its own: Plimsoll's plugins, and one that keeps new pods off nodes whose label
//! announces maintenance. A configuration enables it by name, like any other:
//!
//! ```yaml
//! profiles:
//!   - schedulerName: plimsoll
//!     plugins:
//!       multiPoint:
//!         enabled:
//!           - name: NodeMaintenance
//! ```
//!
//! Try it with `cargo run --example own_scheduler -- check-config FILE`.

use std::process::ExitCode;

use plimsoll::registry::Registry;
use plimsoll_framework::cluster_event::{Actions, EventResource, Registration};
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::plugin::{EnqueueExtensions, Filter, Plugin};
use plimsoll_framework::pod::PodSpecInfo;
use plimsoll_framework::read::{Labels, Spec};
use plimsoll_framework::verdict::Verdict;
use plimsoll_plugins::Entry;

/// Keeps pods off nodes with the label `example.com/maintenance: planned`.
struct NodeMaintenance;

impl Plugin for NodeMaintenance {
    const NAME: &'static str = "NodeMaintenance";
}

// Pods that were turned away are tried again when a node comes, or a node's labels change. Not at every event.
impl EnqueueExtensions for NodeMaintenance {
    fn registrations(&self) -> Vec<Registration> {
        vec![Registration::always(EventResource::Node, Actions::ADD.or(Actions::UPDATE_NODE_LABEL))]
    }
}

impl Filter for NodeMaintenance {
    // What the answer depends on. The functions below are handed this and nothing else.
    type Pod = Spec;
    type Cluster = ();
    type Node = Labels;
    type State = Istr;

    fn prepare(&self, _: &PodSpecInfo, (): ()) -> Option<Istr> {
        Some(Istr::new("example.com/maintenance"))
    }

    fn filter(&self, key: &Istr, labels: &LabelSet) -> Verdict {
        let planned = labels.get(key).is_some_and(|value| value.as_str() == "planned");
        if planned { Verdict::unresolvable(1) } else { Verdict::FITS }
    }

    fn reasons(&self, _: &Istr, _: u32) -> Vec<String> {
        vec!["node(s) were about to go into maintenance".to_owned()]
    }
}

fn main() -> ExitCode {
    let mut registry = Registry::default();
    registry.add(Entry {
        name: NodeMaintenance::NAME,
        default_weight: 0,
        build: |_args| Ok(Extensions::of(NodeMaintenance).enqueue().filter().done()),
    });
    plimsoll::commands::main_with(&registry)
}
