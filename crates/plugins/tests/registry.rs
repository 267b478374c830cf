//! The registry as a whole: what it holds, and that nothing is left out of it.

use std::fmt::Write as _;

use plimsoll_plugins::IN_TREE;

#[test]
fn plugins_points_and_weights() {
    let mut table = String::new();
    for entry in IN_TREE {
        let made = (entry.build)(None).unwrap();
        assert_eq!(made.name, entry.name, "the registry line and the plugin agree on the name");
        assert_eq!(entry.default_weight > 0, made.score.is_some(), "{}: a weight goes with a score", entry.name);
        let points: Vec<&str> = made.points().into_iter().map(|p| p.as_str()).collect();
        let hints = if made.enqueue.is_some() { " +hints" } else { "" };
        writeln!(table, "{} {} {}{hints}", entry.name, entry.default_weight, points.join(",")).unwrap();
    }
    let expect = "\
SchedulingGates 0 PreEnqueue +hints
PrioritySort 0 QueueSort
NodeUnschedulable 0 Filter +hints
NodeName 0 Filter +hints
TaintToleration 3 Filter,PreScore,Score +hints
NodeAffinity 2 PreFilter,Filter,PreScore,Score +hints
NodePorts 0 PreFilter,Filter +hints
NodeResourcesFit 1 PreFilter,Filter,PreScore,Score +hints
VolumeRestrictions 0 PreFilter,Filter +hints
NodeVolumeLimits 0 PreFilter,Filter +hints
VolumeBinding 1 PreFilter,Filter,PreScore,Score,Reserve,PreBind +hints
VolumeZone 0 PreFilter,Filter +hints
PodTopologySpread 2 PreFilter,Filter,PreScore,Score +hints
InterPodAffinity 2 PreFilter,Filter,PreScore,Score +hints
DynamicResources 2 PreEnqueue,PreFilter,Filter,PostFilter,Score,Reserve,PreBind +hints
DefaultPreemption 0 PreEnqueue,PostFilter +hints
NodeResourcesBalancedAllocation 1 PreScore,Score
ImageLocality 1 Score
DefaultBinder 0 Bind
NodeDeclaredFeatures 0 PreFilter,Filter +hints
TierDedication 0 Filter +hints
MostAvailableCPU 1 Score
";
    assert_eq!(table, expect);
}

#[test]
fn every_file_with_a_plugin_is_in_the_registry() {
    let mut defined = Vec::new();
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let names = text.lines().filter_map(|l| l.trim().strip_prefix("const NAME: &'static str = \""));
            defined.extend(names.map(|rest| rest.trim_end_matches("\";").to_owned()));
        }
    }
    let mut registered: Vec<_> = IN_TREE.iter().map(|entry| entry.name.to_owned()).collect();
    defined.sort();
    registered.sort();
    assert_eq!(defined, registered);
}
