//! What may not be read: pods that need it wait, say why, and go on when it may be; all others have their turn.

mod common;

use common::build::{Pod, node, pod};
use common::cluster::{Cluster, log};
use common::{plugins, profile};
use plimsoll_engine::cache::Standing;
use plimsoll_engine::effect::Observation;
use plimsoll_engine::engine::EngineSettings;
use plimsoll_engine::event::Event;
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::{KindRef, ObjectKind};
use plimsoll_framework::plugin::{Plugin, PostBind};
use plimsoll_framework::pod::PodInfo;

macro_rules! kind {
    ($kind:ident, $plural:literal) => {
        enum $kind {}
        impl ObjectKind for $kind {
            const GROUP: &'static str = "test";
            const VERSION: &'static str = "v1";
            const PLURAL: &'static str = $plural;
            const KIND: &'static str = $plural;
            type Object = ();
            fn decode(_: &serde_json::Value) -> Result<(), String> {
                Ok(())
            }
        }
    };
}
kind!(Seat, "seats");
kind!(Row, "rows");

/// Looks at seats and rows for pods with the label `seat`, and at namespaces for those with the label `far`.
struct Looks;
impl Plugin for Looks {
    const NAME: &'static str = "Looks";
    fn kinds(&self) -> Vec<KindRef> {
        vec![KindRef::of::<Seat>(), KindRef::of::<Row>()]
    }
    fn waits_for_kinds(&self, pod: &PodInfo) -> bool {
        pod.labels.get(&"seat".into()).is_some()
    }
    fn waits_for_namespaces(&self, pod: &PodInfo) -> bool {
        pod.labels.get(&"far".into()).is_some()
    }
}
impl PostBind for Looks {
    fn post_bind(&self, _: &PodInfo, _: &Istr) {}
}

fn cluster() -> Cluster {
    let log = log();
    let mut plugins = plugins::all(&log);
    plugins.push(Extensions::of(Looks).post_bind().done());
    Cluster::with(vec![profile("plimsoll", &plugins)], log, EngineSettings::default(), &[node("n1")])
}

fn hidden(kind: Option<KindRef>, hidden: bool) -> Event {
    Event::Hidden { kind, hidden }
}

fn sits(name: &str) -> Pod {
    pod(name).label("seat", "")
}

fn is_held(c: &Cluster, pod: &Pod) -> bool {
    c.engine.cache().get(&pod.uid()).is_some_and(|known| known.standing == Standing::Held)
}

const SEATS: &str =
    "the pod cannot be scheduled: Looks has to see seats, which this scheduler is not permitted to list and watch";

#[test]
fn only_those_wait_that_need_it() {
    let mut c = cluster();
    c.tell(hidden(Some(KindRef::of::<Seat>()), true));
    c.add([&sits("sits"), &pod("stands"), &pod("away").label("far", "")]);
    assert_eq!(c.condition(), ("MissingPermission", SEATS));
    assert_eq!(c.said(), [format!("sits FailedScheduling: {SEATS}")]);
    c.decide();
    assert_eq!(c.bound(), ["stands->n1", "away->n1"]);
    assert!(is_held(&c, &sits("sits")));
    c.tell(hidden(Some(KindRef::of::<Seat>()), false));
    c.decide();
    assert_eq!(c.bound(), ["stands->n1", "away->n1", "sits->n1"]);
}

#[test]
fn all_of_it_has_to_be_seen_and_what_is_missing_is_named() {
    let mut c = cluster();
    for kind in [Some(KindRef::of::<Seat>()), Some(KindRef::of::<Row>()), None] {
        c.tell(hidden(kind, true));
    }
    c.add([&sits("sits").label("far", "")]);
    assert!(c.condition().1.contains("Looks has to see rows, seats, namespaces, which"), "{:?}", c.condition());
    c.tell(hidden(Some(KindRef::of::<Row>()), false));
    c.tell(hidden(None, false));
    c.decide();
    assert_eq!(c.bound(), [""; 0]);
    c.tell(hidden(Some(KindRef::of::<Seat>()), false));
    c.decide();
    assert_eq!(c.bound(), ["sits->n1"]);
}

#[test]
fn pods_in_the_queue_are_taken_out_of_it() {
    let mut c = cluster();
    let pods = ["b", "a"].map(|name| pod(name).label("far", ""));
    c.add(&pods);
    c.add([&pod("near")]);
    drop(c.engine.take_observations());
    c.tell(hidden(None, true));
    let said = c.said();
    assert!(said.len() == 2 && said[0].starts_with("a ") && said[1].starts_with("b "), "in a fixed order: {said:?}");
    let counted = c.engine.take_observations();
    assert_eq!(counted.iter().filter(|o| matches!(o, Observation::Held { .. })).count(), 2);
    // Told again, it is no news.
    c.tell(hidden(None, true));
    assert_eq!(c.said(), [""; 0]);
    c.decide();
    assert_eq!(c.bound(), ["near->n1"]);
    assert!(pods.iter().all(|pod| is_held(&c, pod)));
}

#[test]
fn a_pod_that_is_being_decided_is_not_bound() {
    let mut c = cluster();
    c.add([&sits("sits")]);
    let tickets = c.engine.take_work(c.now, 1);
    let proposals = c.engine.new_worker().decide_batch(&c.engine.profiles(), &c.engine.view(), &tickets);
    c.tell(hidden(Some(KindRef::of::<Seat>()), true));
    c.engine.propose(c.now, proposals);
    c.gather();
    assert_eq!(c.bound(), [""; 0]);
    assert!(is_held(&c, &sits("sits")));
    c.tell(hidden(Some(KindRef::of::<Seat>()), false));
    c.decide();
    assert_eq!(c.bound(), ["sits->n1"]);
}
