//! The same objects as news in any order, with others among them that are undone in the end.

use std::collections::VecDeque;

use plimsoll_engine::decide::Worker;
use plimsoll_engine::engine::{Engine, EngineSettings};
use plimsoll_framework::time::Time;
use plimsoll_testkit::Dice;
use serde_json::{Value, json};

use super::{Scenario, Teller, Told, profile, told_by};

/// What is said of one object, in order; the last is the truth.
struct Story(Vec<News>);

enum News {
    Seen(Value),
    Gone(Value),
}

/// What is decided when the objects have come as news, shuffled by `seed`.
pub(crate) fn replay(scenario: &Scenario, seed: u64) -> Told {
    let mut dice = Dice::new(seed);
    let deciding = match profile(scenario) {
        Ok(profile) => profile,
        Err(error) => return Told::refused(error),
    };
    let mut teller = Teller::new(&deciding);
    let engine_profile = profile(scenario).unwrap();
    let mut engine = Engine::new(vec![engine_profile], EngineSettings::default());
    let now = Time::default();
    let mut held = None;
    for news in woven(stories(scenario, &mut dice), &mut dice) {
        let event = match &news {
            News::Seen(json) => teller.seen(json),
            News::Gone(json) => teller.gone(json),
        };
        let Some(event) = event else { continue };
        engine.handle(now, event);
        // Somebody looks at how things are now and then, and keeps a view of it for a while.
        if dice.once_in(6) {
            let pod = teller.pod(&scenario.pod);
            let _ = Worker::default().explain(&deciding, engine.cache().table().view(), &pod);
        }
        if dice.once_in(8) {
            held = Some(engine.view());
        }
    }
    drop(held);
    let pod = teller.pod(&scenario.pod);
    told_by(&Worker::default().explain(&deciding, engine.cache().table().view(), &pod))
}

/// The stories of the true objects, and of others that end with nothing.
fn stories(scenario: &Scenario, dice: &mut Dice) -> Vec<Story> {
    let mut stories: Vec<Story> = scenario.objects.iter().map(|o| true_story(o, &scenario.objects, dice)).collect();
    for number in 0..=dice.below(8) {
        let made = dice.pick(&scenario.objects).clone();
        let other = stranger(made, number, &scenario.objects, dice);
        stories.push(Story(vec![News::Seen(other.clone()), News::Gone(other)]));
    }
    stories
}

/// An object as it is in the end, perhaps after it was another.
fn true_story(object: &Value, all: &[Value], dice: &mut Dice) -> Story {
    let mut news = Vec::new();
    match dice.below(4) {
        0 => news.push(News::Seen(changed(object, all, dice))),
        1 => {
            news.push(News::Seen(object.clone()));
            news.push(News::Seen(changed(object, all, dice)));
        }
        2 => {
            news.push(News::Seen(changed(object, all, dice)));
            news.push(News::Gone(object.clone()));
        }
        _ => {}
    }
    news.push(News::Seen(object.clone()));
    Story(news)
}

/// The object with something about it that another of its kind has.
fn changed(object: &Value, all: &[Value], dice: &mut Dice) -> Value {
    let alike: Vec<&Value> = all.iter().filter(|o| o["kind"] == object["kind"]).collect();
    let (other, mut made) = (*dice.pick(&alike), object.clone());
    let copy = |made: &mut Value, path: &[&str]| {
        let (mut from, mut to) = (other, made);
        for step in path {
            from = &from[step];
            to = &mut to[step];
        }
        *to = from.clone();
    };
    match (object["kind"].as_str().unwrap(), dice.below(3)) {
        ("Node", 0) => {
            copy(&mut made, &["spec", "taints"]);
            made["spec"]["unschedulable"] = dice.once_in(2).into();
        }
        ("Node", 1) => copy(&mut made, &["status", "allocatable"]),
        ("Pod", 0) => made["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into(),
        ("Pod", 1) => copy(&mut made, &["spec", "affinity"]),
        ("Pod" | "Node" | "Namespace", _) => copy(&mut made, &["metadata", "labels"]),
        // Names that others speak of stay; what is behind them changes.
        _ => {
            for part in ["spec", "status", "provisioner", "volumeBindingMode", "allowedTopologies", "capacity"] {
                if !made[part].is_null() || !other[part].is_null() {
                    copy(&mut made, &[part]);
                }
            }
        }
    }
    if made["metadata"]["labels"].is_null() {
        made["metadata"]["labels"] = json!({});
    }
    made
}

/// An object that does not belong here. A node without images: of an image the size that was seen first is kept.
fn stranger(mut made: Value, number: u64, all: &[Value], dice: &mut Dice) -> Value {
    made = changed(&made, all, dice);
    made["metadata"]["name"] = format!("stranger-{number}").into();
    made["metadata"]["uid"] = format!("stranger-{number}").into();
    if made["kind"] == "Node" {
        made["status"]["images"] = Value::Null;
    }
    if made["kind"] == "Pod" && dice.once_in(2) {
        let nodes: Vec<&Value> = all.iter().filter(|o| o["kind"] == "Node").collect();
        made["spec"]["nodeName"] = dice.pick(&nodes)["metadata"]["name"].clone();
    }
    made
}

/// The stories told at the same time, each in its order. Nodes are first heard of in their order, since of an image the
/// size that was seen first is kept.
fn woven(stories: Vec<Story>, dice: &mut Dice) -> Vec<News> {
    let is_node = |story: &Story| matches!(&story.0[0], News::Seen(o) if o["kind"] == "Node");
    let nodes: Vec<bool> = stories.iter().map(is_node).collect();
    let mut turns: Vec<usize> = stories.iter().enumerate().flat_map(|(at, s)| vec![at; s.0.len()]).collect();
    dice.shuffle(&mut turns);
    let mut stories: Vec<VecDeque<News>> = stories.into_iter().map(|s| s.0.into()).collect();
    let mut unheard: VecDeque<usize> = (0..nodes.len()).filter(|at| nodes[*at]).collect();
    let mut told = Vec::new();
    for at in turns {
        // Where it is some node's turn to begin, the first that has not begun begins.
        let at = if unheard.contains(&at) { unheard.pop_front().unwrap_or(at) } else { at };
        told.extend(stories[at].pop_front());
    }
    // Turns that went to another node's beginning are made up for.
    told.extend(stories.into_iter().flatten());
    told
}
