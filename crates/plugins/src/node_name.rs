//! NodeName (Filter): a pod that names its node goes nowhere else. Reference section 4.1.

use plimsoll_framework::cluster_event::{Actions, EventResource, Registration};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::plugin::{EnqueueExtensions, Filter, Plugin};
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::read::{Name, WholePod};
use plimsoll_framework::verdict::Verdict;

const REASON: &str = "node(s) didn't match the requested node name";

/// Keeps a pod that names its node away from all others.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeName;

impl Plugin for NodeName {
    const NAME: &'static str = "NodeName";
}

impl EnqueueExtensions for NodeName {
    fn registrations(&self) -> Vec<Registration> {
        vec![Registration::always(EventResource::Node, Actions::ADD)]
    }
}

impl Filter for NodeName {
    type Pod = WholePod;
    type Cluster = ();
    type Node = Name;
    type State = Istr;

    fn prepare(&self, pod: &PodInfo, (): ()) -> Option<Istr> {
        pod.node_name.clone()
    }

    fn filter(&self, wanted: &Istr, name: &Istr) -> Verdict {
        if wanted == name { Verdict::FITS } else { Verdict::unresolvable(1) }
    }

    fn reasons(&self, _: &Istr, _: u32) -> Vec<String> {
        vec![REASON.to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_framework::extensions::Extensions;
    use serde_json::json;

    use super::*;
    use crate::testing::{UNRESOLVABLE, filter_one};

    #[test]
    fn only_the_named_node_will_do() {
        let rows = [(json!({}), None), (json!({"nodeName": "n"}), None), (json!({"nodeName": "m"}), Some(REASON))];
        for (spec, expect) in rows {
            let answer = filter_one(
                &Extensions::of(NodeName).filter().done(),
                &json!({"spec": spec}),
                &json!({"metadata": {"name": "n"}}),
                &[],
            );
            assert_eq!(answer, expect.map(|reason| (UNRESOLVABLE, vec![reason.to_owned()])), "{spec}");
        }
    }
}
