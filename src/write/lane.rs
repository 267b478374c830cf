//! A lane: the calls of one kind, so many at a time, each in its turn.
//!
//! How many that are follows what the server says, as TCP's window does: an answer lets a little more through, a refusal
//! because it is busy (429) a third less. Whoever was refused stays away as long as the server asks, and leaves its place
//! to others meanwhile.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use kube::Client;
use prometheus::{IntCounter, IntGauge};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until};

use super::evict::stands_against;
use crate::client::{CallError, RateLimit, RawRequest, RawResponse, send};
use crate::metrics::{LaneName, Metrics};

/// How often a server that is busy is asked again.
const BUSY_TRIES: u32 = 5;
/// The longest wait that a busy server can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// The wait where it does not say.
const USUAL_WAIT: Duration = Duration::from_secs(1);
/// What is left of the window when the server is busy.
const CUT: f64 = 0.7;

/// A lane.
pub(super) struct Lane {
    places: Semaphore,
    window: Mutex<Window>,
    limit: Option<RateLimit>,
    busy: Arc<Busy>,
    gives_way: bool,
    /// How many calls may be under way.
    size: IntGauge,
    /// Calls that the server was too busy for.
    throttled: IntCounter,
}

/// Until when the server wants to be left alone, whatever lane it said so to.
#[derive(Default)]
pub(super) struct Busy(Mutex<Option<Instant>>);

impl Busy {
    fn note(&self, until: Instant) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *noted = (*noted).max(Some(until));
    }

    async fn over(&self) {
        loop {
            let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => sleep_until(until).await,
                None => return,
            }
        }
    }
}

/// How many calls may be under way.
struct Window {
    /// As many at the most.
    most: f64,
    /// As many now; at least 1.
    size: f64,
    /// Places that there are, free or taken. More than the size only until some are given back.
    places: usize,
    /// Refusals of calls that began before this are answered already.
    cut_at: Option<Instant>,
}

/// A place among the calls that are under way.
struct Place<'a> {
    lane: &'a Lane,
    since: Instant,
}

/// Whether nobody may send this any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAllowed;

impl Lane {
    /// A lane for `most` calls at a time, and as many a second as `limit` says.
    pub(super) fn new(
        name: LaneName,
        most: u16,
        limit: Option<(f64, u32)>,
        busy: &Arc<Busy>,
        metrics: &Metrics,
    ) -> Self {
        let size = metrics.plimsoll.lane_window(name);
        size.set(most.into());
        Self {
            places: Semaphore::new(most.into()),
            window: Mutex::new(Window { most: most.into(), size: most.into(), places: most.into(), cut_at: None }),
            limit: limit.and_then(|(qps, burst)| RateLimit::new(qps, burst)),
            busy: Arc::clone(busy),
            gives_way: false,
            size,
            throttled: metrics.plimsoll.lane_throttled(name),
        }
    }

    /// The same lane, but one that sends nothing while the server is too busy for any of them.
    pub(super) fn giving_way(mut self) -> Self {
        self.gives_way = true;
        self
    }

    /// Sends a request in its turn, again where the server is busy, as long as `may` allows it: that is asked as late as can
    /// be, since from there to the server there is nothing to wait for but the server.
    pub(super) async fn send(
        &self,
        client: &Client,
        request: &RawRequest<'_>,
        may: impl Fn() -> bool,
    ) -> Result<Result<RawResponse, CallError>, NotAllowed> {
        self.patiently(may, || send(client, request.clone())).await
    }

    async fn patiently<F>(
        &self,
        may: impl Fn() -> bool,
        call: impl Fn() -> F,
    ) -> Result<Result<RawResponse, CallError>, NotAllowed>
    where
        F: Future<Output = Result<RawResponse, CallError>>,
    {
        let mut attempt = 0;
        loop {
            let answer = {
                let place = self.place().await;
                if !may() {
                    return Err(NotAllowed);
                }
                let answer = call().await;
                place.heard(&answer);
                answer
            };
            match &answer {
                Ok(refused) if is_busy(refused) && attempt < BUSY_TRIES => {
                    sleep(wait(refused)).await;
                }
                _ => return Ok(answer),
            }
            attempt += 1;
        }
    }

    async fn place(&self) -> Place<'_> {
        if self.gives_way {
            self.busy.over().await;
        }
        // It is never closed.
        if let Ok(permit) = self.places.acquire().await {
            permit.forget();
        }
        // Made here, so that the place is given back if whoever waits below is dropped.
        let mut place = Place { lane: self, since: Instant::now() };
        if let Some(limit) = &self.limit {
            limit.wait().await;
            place.since = Instant::now();
        }
        place
    }

    /// Makes as many places as the window has room for.
    fn fill(&self, window: &mut Window) {
        while window.has_room() {
            window.places += 1;
            self.places.add_permits(1);
        }
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Has the window follow what the server says.
    fn heard(&self, answer: &Result<RawResponse, CallError>) {
        let mut window = self.lane.window();
        if let Ok(refused) = answer.as_ref()
            && is_busy(refused)
        {
            self.lane.throttled.inc();
            self.lane.busy.note(Instant::now() + wait(refused));
            // What was sent before the last cut says nothing new.
            if window.cut_at.is_none_or(|at| self.since > at) {
                window.size = (window.size * CUT).max(1.0);
                window.cut_at = Some(Instant::now());
            }
        } else if answer.is_ok() {
            window.size = (window.size + 1.0 / window.size).min(window.most);
        }
        self.lane.fill(&mut window);
        self.lane.size.set(window.whole());
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut window = self.lane.window();
        window.places -= 1;
        self.lane.fill(&mut window);
    }
}

impl Window {
    /// Whether there may be one place more.
    fn has_room(&self) -> bool {
        f64::from(u32::try_from(self.places).unwrap_or(u32::MAX)) + 1.0 <= self.size
    }

    /// The size, in whole places.
    #[expect(clippy::cast_possible_truncation, reason = "at most what a lane was made for")]
    fn whole(&self) -> i64 {
        self.size as i64
    }
}

/// How long to stay away.
fn wait(refused: &RawResponse) -> Duration {
    refused.retry_after.unwrap_or(USUAL_WAIT).min(LONGEST_WAIT)
}

/// Whether the server has too much to do. A budget that stands against an eviction has the same code.
fn is_busy(answer: &RawResponse) -> bool {
    answer.status == StatusCode::TOO_MANY_REQUESTS && !stands_against(answer)
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use futures::stream::{FuturesUnordered, StreamExt as _};

    use super::*;

    fn answer(code: u16, retry_after: Option<Duration>) -> RawResponse {
        RawResponse { status: StatusCode::from_u16(code).unwrap(), retry_after, body: bytes::Bytes::new() }
    }

    fn lane(most: u16) -> Lane {
        Lane::new(LaneName::Bind, most, None, &Arc::default(), &Metrics::new().unwrap())
    }

    /// A server that carries out so many calls a second, each in 5 ms, and refuses the others at once.
    struct Server {
        bucket: RefCell<(f64, Instant)>,
        each_second: f64,
        done: Cell<u32>,
        refused: Cell<u32>,
        at_once: Cell<(u32, u32)>,
    }

    impl Server {
        fn new(each_second: f64) -> Self {
            let (done, refused, at_once) = (Cell::new(0), Cell::new(0), Cell::new((0, 0)));
            Self { bucket: RefCell::new((each_second / 10.0, Instant::now())), each_second, done, refused, at_once }
        }

        async fn call(&self) -> Result<RawResponse, CallError> {
            let (now, most) = self.at_once.get();
            self.at_once.set((now + 1, most.max(now + 1)));
            sleep(Duration::from_millis(5)).await;
            self.at_once.set((self.at_once.get().0 - 1, self.at_once.get().1));
            let (tokens, at) = *self.bucket.borrow();
            let tokens = (tokens + at.elapsed().as_secs_f64() * self.each_second).min(self.each_second / 10.0);
            let fits = tokens >= 1.0;
            *self.bucket.borrow_mut() = (tokens - f64::from(u8::from(fits)), Instant::now());
            if fits {
                self.done.set(self.done.get() + 1);
                return Ok(answer(201, None));
            }
            self.refused.set(self.refused.get() + 1);
            Ok(answer(429, Some(Duration::from_secs(1))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_server_allows_is_used_and_little_else_is_sent() {
        for each_second in [20.0, 200.0, 2_000.0] {
            let (lane, server) = (lane(64), Server::new(each_second));
            let end = Instant::now() + Duration::from_secs(60);
            let one = async || {
                while Instant::now() < end {
                    lane.patiently(|| true, || server.call()).await.unwrap().unwrap();
                }
            };
            // As many as the scheduler has under way at once.
            let mut all: FuturesUnordered<_> = (0..256).map(|_| one()).collect();
            while all.next().await.is_some() {}
            let done = f64::from(server.done.get());
            assert!(done >= 0.8 * 60.0 * each_second, "{each_second}: {done} done");
            assert!(server.at_once.get().1 <= 64);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_window_is_cut_once_for_one_storm_and_grows_again() {
        let lane = lane(10);
        let busy = async || Ok(answer(429, None));
        let places: Vec<Place<'_>> = futures::future::join_all((0..10).map(|_| lane.place())).await;
        for place in &places {
            place.heard(&busy().await);
        }
        assert_eq!((lane.window().whole(), lane.throttled.get()), (7, 10));
        drop(places);
        assert_eq!(lane.places.available_permits(), 7);
        for _ in 0..40 {
            lane.patiently(|| true, async || Ok(answer(201, None))).await.unwrap().unwrap();
        }
        assert_eq!((lane.window().whole(), lane.places.available_permits()), (10, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_server_is_given_up_on_and_nothing_is_sent_that_may_not_be() {
        let (lane, calls) = (lane(2), Cell::new(0));
        let call = async || {
            calls.set(calls.get() + 1);
            Ok(answer(429, Some(Duration::from_secs(3_600))))
        };
        let begun = Instant::now();
        let said = lane.patiently(|| true, call).await.unwrap().unwrap();
        assert_eq!((said.status.as_u16(), calls.get()), (429, BUSY_TRIES + 1));
        assert_eq!(begun.elapsed(), LONGEST_WAIT * BUSY_TRIES, "no server can send us away for good");
        let said = lane.patiently(|| calls.get() < 8, call).await;
        assert!(matches!(said, Err(NotAllowed)));
        assert_eq!((calls.get(), lane.window().places), (8, 1), "the place was given back");
    }

    #[tokio::test(start_paused = true)]
    async fn events_give_way_to_whoever_is_refused() {
        let (busy, metrics) = (Arc::default(), Metrics::new().unwrap());
        let bindings = Lane::new(LaneName::Bind, 4, None, &busy, &metrics);
        let events = Lane::new(LaneName::Events, 4, None, &busy, &metrics).giving_way();
        let begun = Instant::now();
        let done = async || Ok(answer(201, None));
        events.patiently(|| true, done).await.unwrap().unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO);
        bindings.place().await.heard(&Ok(answer(429, Some(Duration::from_secs(3)))));
        bindings.patiently(|| true, done).await.unwrap().unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO, "other bindings are not held up");
        events.patiently(|| true, done).await.unwrap().unwrap();
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_gives_up_waiting_takes_no_place_along() {
        let lane = lane(1);
        let held = lane.place().await;
        for _ in 0..3 {
            let waited = tokio::time::timeout(Duration::from_secs(1), lane.place()).await;
            assert!(waited.is_err());
        }
        drop(held);
        drop(lane.place().await);
        assert_eq!(lane.places.available_permits(), 1);
    }
}
