//! Leader election against a small server in memory, in paused time: hours pass in milliseconds, and nothing depends
//! on how fast the machine is.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test, a failed step is a failed test")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use futures::channel::mpsc::{UnboundedSender, unbounded};
use jiff::Timestamp;
use kube::Client;
use plimsoll::lease::{AlwaysLeading, Elector, Fence, Leadership, LeaseError, LeaseSettings};
use plimsoll::metrics::Metrics;
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/ns/leases";

/// What the server does instead of answering properly.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// Never answers.
    Hang,
    /// Does it, and never answers.
    HangAfter,
    /// Refuses with this status.
    Status(u16),
    /// Ends the stream at once.
    Cut,
}

#[derive(Default)]
struct Store {
    lease: Option<Value>,
    version: u64,
    watchers: Vec<UnboundedSender<Result<Bytes, Infallible>>>,
    faults: HashMap<(&'static str, String), Fault>,
    calls: Vec<(Instant, String)>,
}

/// One Lease. Clients have names, so that a fault can hit one of them.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Store>>);

fn answer(status: u16, body: impl Into<Body>) -> Response<Body> {
    Response::builder().status(status).body(body.into()).unwrap()
}

fn refusal(status: u16) -> Response<Body> {
    answer(status, json!({"kind": "Status", "code": status, "message": format!("refused by {status}")}).to_string())
}

impl Server {
    fn client(&self, name: &str) -> Client {
        let (server, name) = (self.clone(), name.to_owned());
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let (server, name) = (server.clone(), name.clone());
            async move { Ok::<_, Infallible>(server.serve(&name, request).await) }
        });
        Client::new(service, "default")
    }

    async fn serve(&self, client: &str, request: Request<kube::client::Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap();
        let watching = head.uri.query().is_some_and(|query| query.contains("watch=1"));
        let verb = match head.method.as_str() {
            "GET" if watching => "watch",
            "GET" => "get",
            "POST" => "create",
            _ => "update",
        };
        self.0.lock().unwrap().calls.push((Instant::now(), format!("{client} {verb}")));
        let fault = self.0.lock().unwrap().faults.get(&(verb, client.to_owned())).copied();
        match fault {
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Status(status)) => return refusal(status),
            _ => {}
        }
        let response = match verb {
            "watch" => {
                assert!(head.uri.query().unwrap().contains("fieldSelector=metadata.name%3Dplimsoll"));
                self.watch(fault == Some(Fault::Cut))
            }
            "get" => self.get(),
            verb => self.write(verb == "create", serde_json::from_slice(&body).unwrap()),
        };
        if fault == Some(Fault::HangAfter) {
            std::future::pending::<()>().await;
        }
        assert_eq!(head.uri.path().strip_prefix(PATH).map(|rest| rest.trim_start_matches("/plimsoll")), Some(""));
        response
    }

    fn get(&self) -> Response<Body> {
        self.0.lock().unwrap().lease.as_ref().map_or_else(|| refusal(404), |lease| answer(200, lease.to_string()))
    }

    fn write(&self, create: bool, lease: Value) -> Response<Body> {
        let current = self.version();
        match (create, current) {
            (true, Some(_)) => return refusal(409),
            (false, None) => return refusal(404),
            (false, Some(version)) if lease["metadata"]["resourceVersion"] != version => return refusal(409),
            _ => {}
        }
        answer(if create { 201 } else { 200 }, self.set(lease).to_string())
    }

    fn watch(&self, cut: bool) -> Response<Body> {
        let (sender, receiver) = unbounded();
        if !cut {
            self.0.lock().unwrap().watchers.push(sender);
        }
        answer(200, Body::from_stream(receiver))
    }

    fn version(&self) -> Option<String> {
        Some(self.0.lock().unwrap().lease.as_ref()?["metadata"]["resourceVersion"].as_str()?.to_owned())
    }

    /// Stores the lease, whatever it says, and tells the watchers.
    fn set(&self, mut lease: Value) -> Value {
        let mut store = self.0.lock().unwrap();
        store.version += 1;
        lease["metadata"]["resourceVersion"] = json!(store.version.to_string());
        store.lease = Some(lease.clone());
        store.tell("MODIFIED", &lease);
        lease
    }

    fn delete(&self) {
        let mut store = self.0.lock().unwrap();
        let lease = store.lease.take().unwrap();
        store.tell("DELETED", &lease);
    }

    fn lease(&self) -> Value {
        self.0.lock().unwrap().lease.clone().unwrap()
    }

    fn fault(&self, client: &str, verb: &'static str, fault: Option<Fault>) {
        let mut store = self.0.lock().unwrap();
        match fault {
            Some(fault) => store.faults.insert((verb, client.to_owned()), fault),
            None => store.faults.remove(&(verb, client.to_owned())),
        };
    }

    fn fault_all(&self, client: &str, fault: Fault) {
        for verb in ["get", "watch", "create", "update"] {
            self.fault(client, verb, Some(fault));
        }
    }

    fn count(&self, call: &str) -> usize {
        self.0.lock().unwrap().calls.iter().filter(|(_, made)| made == call).count()
    }
}

impl Store {
    fn tell(&mut self, kind: &str, lease: &Value) {
        let line = format!("{}\n", json!({"type": kind, "object": lease}));
        // In two pieces, as a network would.
        let (one, two) = line.split_at(line.len() / 2);
        self.watchers.retain(|watcher| {
            watcher.unbounded_send(Ok(Bytes::copy_from_slice(one.as_bytes()))).is_ok()
                && watcher.unbounded_send(Ok(Bytes::copy_from_slice(two.as_bytes()))).is_ok()
        });
    }
}

/// A running candidate.
struct Candidate {
    fence: Fence,
    state: Receiver<Leadership>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), LeaseError>>,
}

impl Candidate {
    fn start(server: &Server, name: &str) -> Self {
        Self::start_with(server, name, |elector| elector)
    }

    fn start_with(server: &Server, name: &str, with: impl FnOnce(Elector) -> Elector) -> Self {
        let settings = LeaseSettings::new("ns", "plimsoll", name.to_owned());
        let elector = with(Elector::new(server.client(name), settings).unwrap());
        let (fence, state, stop) = (elector.fence(), elector.subscribe(), CancellationToken::new());
        let task = tokio::spawn(elector.run(stop.clone()));
        Self { fence, state, stop, task }
    }

    fn may_bind(&self) -> bool {
        self.fence.may_bind(Instant::now())
    }

    fn leads(&self) -> bool {
        let leading = matches!(*self.state.borrow(), Leadership::Leading { .. });
        assert_eq!(leading, self.may_bind(), "state and fence agree");
        leading
    }

    fn holder(&self) -> Option<String> {
        match &*self.state.borrow() {
            Leadership::Standby { holder } => holder.clone(),
            other => panic!("not standing by: {other:?}"),
        }
    }

    /// Waits until it leads; returns how long that took.
    async fn until_leading(&mut self) -> Duration {
        let started = Instant::now();
        let waited = self.state.wait_for(|state| matches!(state, Leadership::Leading { .. }));
        tokio::time::timeout(seconds(120), waited).await.expect("leads within two minutes").unwrap();
        started.elapsed()
    }

    async fn end(self) -> Result<(), LeaseError> {
        tokio::time::timeout(seconds(120), self.task).await.expect("ends").unwrap()
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn the_first_leads_and_renews_and_the_second_stands_by() {
    let server = Server::default();
    let mut a = Candidate::start(&server, "a");
    assert!(a.until_leading().await < seconds(1));
    let b = Candidate::start(&server, "b");
    for _ in 0..600 {
        sleep(seconds(1)).await;
        assert!(a.leads() && !b.leads());
    }
    assert_eq!(b.holder().as_deref(), Some("a"));
    let renewals = server.count("a update");
    assert!((295..=301).contains(&renewals), "{renewals} renewals in ten minutes");
    // The standby listens: it neither polls nor tries.
    assert_eq!((server.count("b update"), server.count("b get"), server.count("b watch")), (0, 1, 1));
    assert_eq!(server.lease()["spec"]["leaseTransitions"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_dead_leader_is_followed_when_its_lease_has_expired() {
    let server = Server::default();
    let mut a = Candidate::start(&server, "a");
    a.until_leading().await;
    let mut b = Candidate::start(&server, "b");
    sleep(Duration::from_millis(2_500)).await;
    a.task.abort();
    let took = b.until_leading().await;
    // The last renewal was 0.5 s before, and a lease lasts 15 s.
    assert!(took > seconds(14) && took < seconds(15), "{took:?}");
    assert!(!a.may_bind() && b.may_bind());
    assert_eq!(server.lease()["spec"]["leaseTransitions"], 1);
    assert!(matches!(*b.state.borrow(), Leadership::Leading { transitions: 1, .. }));
}

#[tokio::test(start_paused = true)]
async fn a_release_is_followed_at_once() {
    let server = Server::default();
    let mut a = Candidate::start(&server, "a");
    a.until_leading().await;
    let mut b = Candidate::start(&server, "b");
    sleep(seconds(1)).await;
    a.stop.cancel();
    let took = b.until_leading().await;
    assert!(took < Duration::from_millis(100), "{took:?}");
    assert!(!a.may_bind());
    assert_eq!(*a.state.borrow(), Leadership::Standby { holder: None });
    a.end().await.unwrap();
    // The watch told everything that the claim needed.
    assert_eq!(server.count("b get"), 1);
    b.stop.cancel();
    b.end().await.unwrap();
    assert_eq!(server.lease()["spec"].get("holderIdentity"), None);
}

#[tokio::test(start_paused = true)]
async fn of_many_that_start_together_one_leads() {
    let server = Server::default();
    let candidates: Vec<_> = (0..8).map(|n| Candidate::start(&server, &format!("c{n}"))).collect();
    for _ in 0..100 {
        sleep(Duration::from_millis(700)).await;
        assert_eq!(candidates.iter().filter(|candidate| candidate.leads()).count(), 1);
    }
    let conflicts = server.count("c0 create") + server.count("c1 create");
    assert!(conflicts <= 2);
}

#[tokio::test(start_paused = true)]
async fn never_do_two_hold_an_open_fence() {
    let server = Server::default();
    let mut candidates: Vec<_> = (0..3).map(|n| Candidate::start(&server, &format!("c{n}"))).collect();
    let mut led = 0;
    for round in 0..40_u64 {
        for _ in 0..300 {
            sleep(Duration::from_millis(100)).await;
            let open = candidates.iter().filter(|candidate| candidate.may_bind()).count();
            assert!(open <= 1, "round {round}");
            led += open;
        }
        // Cut off, half cut off, or stop whoever leads; those that ended come back.
        let Some(leader) = candidates.iter().position(Candidate::may_bind) else { continue };
        let name = format!("c{leader}");
        match round % 4 {
            0 => server.fault_all(&name, Fault::Hang),
            1 => server.fault(&name, "update", Some(Fault::HangAfter)),
            2 => candidates[leader].stop.cancel(),
            _ => server.fault_all(&name, Fault::Status(500)),
        }
        sleep(seconds(12)).await;
        for verb in ["get", "watch", "create", "update"] {
            server.fault(&name, verb, None);
        }
        if candidates[leader].task.is_finished() {
            candidates[leader] = Candidate::start(&server, &name);
        }
    }
    assert!(led > 5_000, "somebody led most of the time: {led}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_stops_at_the_deadline_and_ends() {
    for fault in [Fault::Hang, Fault::Status(500), Fault::Status(403), Fault::Status(409)] {
        let server = Server::default();
        let mut a = Candidate::start(&server, "a");
        a.until_leading().await;
        sleep(seconds(3)).await;
        // Last renewed at 2 s: the fence is open until 12 s.
        server.fault_all("a", fault);
        sleep(Duration::from_millis(8_900)).await;
        assert!(a.may_bind());
        sleep(Duration::from_millis(200)).await;
        assert!(!a.may_bind());
        let state = a.state.clone();
        let error = a.end().await.unwrap_err();
        assert!(error.to_string().starts_with("lost the lease ns/plimsoll: not renewed for 10 s"), "{error}");
        assert_eq!(*state.borrow(), Leadership::Lost);
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_failure_is_survived() {
    let server = Server::default();
    let mut a = Candidate::start(&server, "a");
    a.until_leading().await;
    for fault in [Fault::Hang, Fault::HangAfter, Fault::Status(500), Fault::Status(429)] {
        server.fault("a", "update", Some(fault));
        sleep(seconds(6)).await;
        server.fault("a", "update", None);
        sleep(seconds(4)).await;
        assert!(a.leads());
    }
    assert_eq!(server.lease()["spec"]["leaseTransitions"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_sees_another_holder_ends_at_once() {
    let server = Server::default();
    let mut a = Candidate::start(&server, "a");
    a.until_leading().await;
    let mut stolen = server.lease();
    stolen["spec"]["holderIdentity"] = json!("thief");
    server.set(stolen);
    sleep(Duration::from_millis(2_100)).await;
    assert!(!a.may_bind());
    assert!(a.end().await.unwrap_err().to_string().ends_with("it is now held by thief"));
}

#[tokio::test(start_paused = true)]
async fn changed_labels_and_a_deleted_lease_do_not_end_a_leadership() {
    let server = Server::default();
    let mut a = Candidate::start(&server, "a");
    a.until_leading().await;
    let mut labelled = server.lease();
    labelled["metadata"]["labels"] = json!({"touched": "yes"});
    server.set(labelled);
    sleep(seconds(5)).await;
    assert!(a.leads());
    assert_eq!(server.lease()["metadata"]["labels"]["touched"], "yes", "what others wrote is kept");
    server.delete();
    sleep(seconds(5)).await;
    assert!(a.leads());
    assert_eq!(server.lease()["spec"]["holderIdentity"], "a");
}

#[tokio::test(start_paused = true)]
async fn labels_do_not_prolong_a_dead_leaders_lease() {
    let server = Server::default();
    server
        .set(json!({"metadata": {"name": "plimsoll"}, "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 15}}));
    let started = Instant::now();
    let mut b = Candidate::start(&server, "b");
    for n in 0..4 {
        sleep(seconds(3)).await;
        let mut lease = server.lease();
        lease["metadata"]["annotations"] = json!({"n": n});
        server.set(lease);
    }
    b.until_leading().await;
    assert!(started.elapsed() < Duration::from_millis(15_100), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn clocks_of_other_machines_do_not_matter() {
    for clock in ["1999-01-01T00:00:00Z", "2199-01-01T00:00:00Z"] {
        let server = Server::default();
        let mut a = Candidate::start(&server, "a");
        a.until_leading().await;
        let clock: Timestamp = clock.parse().unwrap();
        let mut b = Candidate::start_with(&server, "b", |elector| elector.with_wall_clock(move || clock));
        sleep(seconds(100)).await;
        assert!(a.leads() && !b.leads());
        a.task.abort();
        let took = b.until_leading().await;
        assert!(took > seconds(12) && took < seconds(16), "{took:?}");
        assert!(server.lease()["spec"]["renewTime"].as_str().unwrap().starts_with(&format!("{clock:.0}")[..10]));
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_watch_the_standby_polls() {
    for fault in [Fault::Status(403), Fault::Status(500), Fault::Cut, Fault::Hang] {
        let server = Server::default();
        server.fault("b", "watch", Some(fault));
        let mut a = Candidate::start(&server, "a");
        a.until_leading().await;
        let mut b = Candidate::start(&server, "b");
        sleep(seconds(60)).await;
        assert!(a.leads() && !b.leads());
        let polls = server.count("b get");
        assert!((8..=31).contains(&polls), "{polls} polls in a minute");
        a.stop.cancel();
        let took = b.until_leading().await;
        assert!(took < seconds(8), "{took:?}");
        a.end().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_went_silent_is_noticed() {
    let server = Server::default();
    let mut a = Candidate::start(&server, "a");
    a.until_leading().await;
    let mut b = Candidate::start(&server, "b");
    sleep(seconds(1)).await;
    // Kept open, but nothing comes any more.
    let silent = std::mem::take(&mut server.0.lock().unwrap().watchers);
    sleep(seconds(60)).await;
    assert!(a.leads() && !b.leads());
    a.stop.cancel();
    assert!(b.until_leading().await < seconds(1));
    drop(silent);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_made_anew_by_the_standby() {
    let server = Server::default();
    let mut a = Candidate::start(&server, "a");
    a.until_leading().await;
    let mut b = Candidate::start(&server, "b");
    sleep(seconds(3)).await;
    a.task.abort();
    server.delete();
    assert!(b.until_leading().await < seconds(1));
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_said_and_backed_off_from() {
    let server = Server::default();
    server.fault("a", "create", Some(Fault::Status(403)));
    let metrics = Arc::new(Metrics::new().unwrap());
    let shown = Arc::clone(&metrics);
    let mut a = Candidate::start_with(&server, "a", |elector| elector.with_metrics(shown));
    sleep(seconds(300)).await;
    assert!(!a.leads());
    let tries = server.count("a create");
    assert!((9..=11).contains(&tries), "{tries} tries in five minutes");
    let series = "plimsoll_missing_permissions{resource=\"leases.coordination.k8s.io\",verb=\"create\"}";
    assert!(metrics.render().unwrap().contains(&format!("{series} 1")));
    assert!(metrics.render().unwrap().contains("leader_election_master_status{name=\"plimsoll\"} 0"));
    // Granted: it goes on by itself.
    server.fault("a", "create", None);
    assert!(a.until_leading().await <= seconds(30));
    sleep(seconds(5)).await;
    assert!(metrics.render().unwrap().contains("leader_election_master_status{name=\"plimsoll\"} 1"));
    assert!(metrics.render().unwrap().contains(&format!("{series} 0")));
}

#[tokio::test(start_paused = true)]
async fn anything_may_stand_in_somebody_elses_lease() {
    for spec in [
        json!(null),
        json!("text"),
        json!([]),
        json!({}),
        json!({"holderIdentity": "", "leaseDurationSeconds": -5}),
        json!({"holderIdentity": 7, "leaseTransitions": "x", "renewTime": {}}),
        json!({"holderIdentity": "dead", "leaseDurationSeconds": -5, "leaseTransitions": -9}),
        json!({"holderIdentity": "dead", "leaseDurationSeconds": null, "acquireTime": 0}),
    ] {
        let server = Server::default();
        server.set(json!({"metadata": {"name": "plimsoll"}, "spec": spec}));
        let mut a = Candidate::start(&server, "a");
        let took = a.until_leading().await;
        let limit = if spec["holderIdentity"] == "dead" { seconds(16) } else { seconds(1) };
        assert!(took < limit, "{spec}: {took:?}");
        sleep(seconds(30)).await;
        assert!(a.leads());
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_answer_was_lost_is_recognised() {
    let server = Server::default();
    server.fault("a", "create", Some(Fault::HangAfter));
    let mut a = Candidate::start(&server, "a");
    let took = a.until_leading().await;
    assert!(took < seconds(8), "{took:?}");
    assert_eq!(server.lease()["spec"]["leaseTransitions"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_answer_was_lost_is_given_back_at_the_end() {
    for fault in [Fault::HangAfter, Fault::Hang] {
        let server = Server::default();
        server.fault("a", "create", Some(fault));
        let a = Candidate::start(&server, "a");
        // While the claim waits for its answer.
        sleep(seconds(1)).await;
        a.stop.cancel();
        a.end().await.unwrap();
        let holder = server.0.lock().unwrap().lease.as_ref().map(|lease| lease["spec"]["holderIdentity"].clone());
        assert_eq!(holder, (fault == Fault::HangAfter).then_some(Value::Null));
    }
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_is_stopped_touches_nothing() {
    let server = Server::default();
    let mut a = Candidate::start(&server, "a");
    a.until_leading().await;
    let b = Candidate::start(&server, "b");
    sleep(seconds(5)).await;
    b.stop.cancel();
    b.end().await.unwrap();
    assert_eq!(server.count("b update"), 0);
    assert!(a.leads());
}

#[tokio::test(start_paused = true)]
async fn without_an_election_the_fence_is_always_open() {
    let always = AlwaysLeading::new();
    assert!(always.fence().may_bind(Instant::now()));
    sleep(seconds(86_400)).await;
    assert!(always.fence().may_bind(Instant::now()));
    let mut state = always.subscribe();
    assert!(matches!(*state.borrow_and_update(), Leadership::Leading { transitions: 0, .. }));
    assert!(tokio::time::timeout(seconds(60), state.changed()).await.is_err(), "it never changes");
}
