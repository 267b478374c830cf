//! What must hold at the end, from what the API server has seen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use plimsoll_apiserver::Call;

use crate::world::{OTHER, World, text};

/// How long a lease lasts after it was written.
const LEASE: Duration = Duration::from_secs(3);
/// From a decision to the answer to its first binding, and from an event until it is seen, taken together: no longer than that
/// as long as the watch stands.
const IN_THE_AIR: Duration = Duration::from_secs(4);

/// A pod on a node.
struct Placed {
    pod: String,
    node: String,
    milli_cpu: u64,
    /// Who put it there.
    by: String,
    /// When the first request for that was answered, and when it was done.
    asked: SystemTime,
    at: SystemTime,
    gone: Option<SystemTime>,
    was_refused: bool,
}

pub(crate) fn check(world: &mut World, seed: u64) {
    let calls = world.server.calls();
    let bindings = bindings(&calls);
    let placed = placed(world, &bindings);
    let (given_twice, overlaps) = given_twice(&placed, &calls, &world.cuts, &world.nodes);
    let complaints = [bound_twice(&bindings), bound_without_lease(&calls), given_twice].concat();
    assert!(complaints.is_empty(), "seed {seed}: {complaints:#?}");
    let accepted = bindings.values().flatten().filter(|call| is_done(call)).count();
    let refused = placed.iter().filter(|p| p.was_refused).count();
    for (what, count) in [
        ("bindings of ours", accepted),
        ("overlaps with who was not known of yet", overlaps),
        ("pods that a kubelet refused", refused),
    ] {
        world.counts.insert(what.to_owned(), u64::try_from(count).unwrap());
    }
}

fn is_done(call: &Call) -> bool {
    (200..300).contains(&call.code)
}

/// Every request for a binding, by pod, in the order of the answers.
fn bindings(calls: &[Call]) -> BTreeMap<String, Vec<Call>> {
    let mut bindings: BTreeMap<String, Vec<Call>> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.subresource == "binding") {
        bindings.entry(call.name.clone()).or_default().push(call.clone());
    }
    bindings
}

/// Pods that were bound more than once. Every pod has a name of its own here.
fn bound_twice(bindings: &BTreeMap<String, Vec<Call>>) -> Vec<String> {
    let done = |calls: &[Call]| calls.iter().filter(|call| is_done(call)).count();
    let twice = bindings.iter().filter(|(_, calls)| done(calls) > 1);
    twice.map(|(pod, calls)| format!("{pod} was bound more than once: {calls:?}")).collect()
}

/// Bindings by others than the last one who wrote the lease, and by that one when it is too long ago.
fn bound_without_lease(calls: &[Call]) -> Vec<String> {
    let (mut holder, mut complaints): (Option<&Call>, _) = (None, Vec::new());
    for call in calls {
        if call.resource == "leases" && matches!(call.verb, "create" | "update") && is_done(call) {
            holder = Some(call);
        } else if call.subresource == "binding" && is_done(call) {
            let leads = holder.is_some_and(|lease| {
                lease.user == call.user && call.time.duration_since(lease.time).unwrap_or_default() <= LEASE
            });
            if !leads {
                complaints.push(format!("{call:?} is by one that does not lead; the lease is by {holder:?}"));
            }
        }
    }
    complaints
}

/// Room that was given away although its giver could know that it was taken; and how often two schedulers did not know of each
/// other yet.
fn given_twice(
    placed: &[Placed],
    calls: &[Call],
    cuts: &[SystemTime],
    nodes: &BTreeMap<String, u64>,
) -> (Vec<String>, usize) {
    let users: BTreeSet<&str> = placed.iter().map(|p| p.by.as_str()).filter(|by| *by != OTHER).collect();
    let watches: BTreeMap<&str, Vec<SystemTime>> =
        users.into_iter().map(|user| (user, of_watches(calls, user))).collect();
    let (mut complaints, mut overlaps) = (Vec::new(), 0);
    for new in placed.iter().filter(|p| p.by != OTHER) {
        let Some(room) = nodes.get(&new.node) else { continue };
        let there = |old: &&Placed| {
            let earlier = old.at <= new.at && old.pod != new.pod && old.node == new.node;
            // A kubelet that refuses a pod does so at once.
            earlier && !old.was_refused && old.gone.is_none_or(|gone| gone > new.at)
        };
        let seen = |old: &&Placed| old.by == new.by || knows(&watches[new.by.as_str()], cuts, new.asked, old.at);
        let sum = |pods: &mut dyn Iterator<Item = &Placed>| pods.map(|p| p.milli_cpu).sum::<u64>() + new.milli_cpu;
        let known = sum(&mut placed.iter().filter(there).filter(seen));
        let Placed { pod, node, by, .. } = new;
        if known > *room {
            complaints.push(format!("{by} has put {pod} on {node} and could know that this makes {known} of {room}"));
        }
        overlaps += usize::from(sum(&mut placed.iter().filter(there)) > *room);
    }
    (complaints, overlaps)
}

/// When lists and watches of pods by this user were answered.
fn of_watches(calls: &[Call], user: &str) -> Vec<SystemTime> {
    let reads = |call: &&Call| call.resource == "pods" && matches!(call.verb, "list" | "watch") && is_done(call);
    calls.iter().filter(reads).filter(|call| call.user == user).map(|call| call.time).collect()
}

/// Whether who has decided at the latest `asked` must have seen what happened at `at`.
fn knows(watches: &[SystemTime], cuts: &[SystemTime], asked: SystemTime, at: SystemTime) -> bool {
    let seen_until = asked - IN_THE_AIR;
    let last_cut = cuts.iter().filter(|cut| **cut <= asked).max();
    let stands = watches.iter().any(|begun| *begun <= seen_until && last_cut.is_none_or(|cut| begun > cut));
    at <= seen_until && stands
}

/// Every pod that was put on a node, as far as it is known on which.
fn placed(world: &World, bindings: &BTreeMap<String, Vec<Call>>) -> Vec<Placed> {
    let pods = world.server.list("pods", None).unwrap();
    let now: BTreeMap<&str, &serde_json::Value> = pods.iter().map(|pod| (text(pod, "/metadata/name"), pod)).collect();
    let mut placed = Vec::new();
    for (name, life) in &world.lives {
        let pod = now.get(name.as_str());
        let node = pod.map(|pod| text(pod, "/spec/nodeName").to_owned());
        let node = node.or_else(|| life.gone.as_ref().map(|(_, node)| node.clone())).unwrap_or_default();
        let reason = pod.map_or("", |pod| text(pod, "/status/reason"));
        let done = bindings.get(name).and_then(|calls| {
            // One that was done without an answer that says so is refused when it is tried again.
            let unsure = |call: &&Call| call.code == 0 || call.code >= 500;
            let done = calls.iter().find(|call| is_done(call)).or_else(|| calls.iter().find(unsure))?;
            let first = calls.iter().find(|call| call.user == done.user)?;
            Some((done.user.clone(), first.time, done.time))
        });
        let done = match &life.other {
            Some((_, at)) => Some((OTHER.to_owned(), *at, *at)),
            None => done,
        };
        let Some((by, asked, at)) = done.filter(|_| !node.is_empty()) else { continue };
        placed.push(Placed {
            pod: name.clone(),
            node,
            milli_cpu: life.milli_cpu,
            by,
            asked,
            at,
            gone: life.gone.as_ref().map(|(at, _)| *at),
            was_refused: reason.starts_with("OutOf"),
        });
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000 + seconds)
    }

    /// A call by somebody, such as `create pods/binding p`, and its answer.
    fn call(user: &str, what: &str, code: u16, seconds: u64) -> Call {
        let words: Vec<&str> = what.split(' ').collect();
        let (resource, subresource) = words[1].split_once('/').unwrap_or((words[1], ""));
        Call {
            verb: ["create", "update", "list", "watch"].into_iter().find(|verb| *verb == words[0]).unwrap(),
            group: String::new(),
            resource: resource.to_owned(),
            subresource: if subresource.is_empty() { "" } else { "binding" },
            namespace: String::new(),
            name: words.get(2).unwrap_or(&"").to_string(),
            user: user.to_owned(),
            code,
            time: at(seconds),
        }
    }

    #[test]
    fn the_books_notice_a_second_binding_and_one_without_the_lease() {
        let lease = |user, seconds| call(user, "update leases plimsoll", 200, seconds);
        let bind = |user, pod, code, seconds| call(user, &format!("create pods/binding {pod}"), code, seconds);
        for (calls, twice, without) in [
            (vec![lease("a", 0), bind("a", "p", 201, 1), bind("a", "p", 409, 2), bind("a", "q", 201, 3)], 0, 0),
            (vec![lease("a", 0), bind("a", "p", 201, 1), bind("a", "p", 201, 2)], 1, 0),
            (vec![bind("a", "p", 201, 1)], 0, 1),
            (vec![lease("a", 0), bind("a", "p", 201, 4)], 0, 1),
            (vec![lease("a", 0), call("b", "update leases plimsoll", 409, 1), bind("a", "p", 201, 2)], 0, 0),
            (vec![lease("a", 0), lease("b", 3), bind("a", "p", 201, 3), bind("a", "q", 409, 3)], 0, 1),
        ] {
            assert_eq!(
                (bound_twice(&bindings(&calls)).len(), bound_without_lease(&calls).len()),
                (twice, without),
                "{calls:?}"
            );
        }
    }

    #[test]
    fn the_books_notice_room_that_is_given_twice_by_who_could_know() {
        let placed = |pod: &str, by: &str, seconds: u64| Placed {
            pod: pod.to_owned(),
            node: "n".to_owned(),
            milli_cpu: 600,
            by: by.to_owned(),
            asked: at(seconds),
            at: at(seconds),
            gone: None,
            was_refused: false,
        };
        let watch = |seconds| vec![call("a", "watch pods", 200, seconds)];
        let gone = |pod: Placed, seconds| Placed { gone: Some(at(seconds)), ..pod };
        let refused = |pod: Placed| Placed { was_refused: true, ..pod };
        let nodes = [("n".to_owned(), 1_000)].into();
        for (placed, calls, cuts, complaints, overlaps) in [
            (vec![placed("p", "a", 20), placed("q", "a", 20)], watch(0), vec![], 2, 2),
            (vec![placed("p", "a", 10), placed("q", "a", 20)], vec![], vec![], 1, 1),
            (vec![gone(placed("p", "a", 10), 15), placed("q", "a", 20)], vec![], vec![], 0, 0),
            (vec![refused(placed("p", "a", 10)), placed("q", "a", 20)], vec![], vec![], 0, 0),
            // Somebody else: seen long ago, just now, not at all, and by a watch that was interrupted or stands again.
            (vec![placed("p", OTHER, 10), placed("q", "a", 20)], watch(0), vec![], 1, 1),
            (vec![placed("p", OTHER, 18), placed("q", "a", 20)], watch(0), vec![], 0, 1),
            (vec![placed("p", "b", 10), placed("q", "a", 20)], vec![], vec![], 0, 1),
            (vec![placed("p", "b", 10), placed("q", "a", 20)], watch(0), vec![at(5)], 0, 1),
            (vec![placed("p", "b", 10), placed("q", "a", 20)], watch(12), vec![at(5)], 1, 1),
            // The other one has put its pod there later.
            (vec![placed("p", OTHER, 21), placed("q", "a", 20)], watch(0), vec![], 0, 0),
        ] {
            let (said, counted) = given_twice(&placed, &calls, &cuts, &nodes);
            assert_eq!((said.len(), counted), (complaints, overlaps), "{said:?}");
        }
    }
}
