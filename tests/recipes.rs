//! The recipes of the documentation do what they say.

#![expect(clippy::unwrap_used, reason = "in a test, a failed step is a failed test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use plimsoll::config::{Config, Defaults};
use plimsoll::registry::Registry;
use plimsoll_engine::decide::{Outcome, Worker};
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::pod::PodParser;
use plimsoll_framework::table::Table;
use plimsoll_testkit::{node, pod};
use serde_json::Value;

/// The block of a page that stands under a heading.
fn under<'p>(page: &'p str, heading: &str) -> &'p str {
    let section = page.split(&format!("## {heading}\n")).nth(1).unwrap();
    section.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap()
}

#[test]
fn by_chance_every_node_that_fits_is_taken_as_often() {
    let page = include_str!("../docs/writing-a-plugin.md");
    let text = under(page, "Recipe: any node that fits, by chance");
    let config = Config::parse("recipe", text, &Defaults::plimsoll()).unwrap();
    let profile = Registry::default().profiles(&config).unwrap().remove(0);
    assert!(profile.score.is_empty() && profile.pre_score.is_empty());
    let mut table = Table::default();
    for n in 0..10 {
        // Those with one CPU are too small; the others differ in all that scores would look at.
        let cpu = if n < 2 { "1".to_owned() } else { (4 * n).to_string() };
        let json: Value =
            node(&format!("node-{n}")).capacity(&[("cpu", &cpu), ("memory", "64Gi"), ("pods", "9")]).build();
        table.set_node(Arc::new(NodeInfo::parse(&serde_json::from_value(json).unwrap(), &[]).0));
    }
    let json: Value = pod("p").requests(&[("cpu", "2")]).build();
    let asked = PodParser::default().parse(&serde_json::from_value(json).unwrap());
    let mut worker = Worker::new(config.plimsoll.tie_break.into(), config.plimsoll.seed.unwrap());
    let mut taken: BTreeMap<String, u32> = BTreeMap::new();
    for draw in 0..8_000 {
        match worker.decide(&profile, table.view(), &Overlay::default(), &asked, draw) {
            Outcome::Node { node, .. } => *taken.entry(node.to_string()).or_default() += 1,
            other => unreachable!("{other:?}"),
        }
    }
    // A thousand each; by chance alone they stay within 120 of it with all but one of a thousand seeds.
    assert_eq!(taken.len(), 8, "{taken:?}");
    assert!(taken.values().all(|times| (880..=1_120).contains(times)), "{taken:?}");
}
