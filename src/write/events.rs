//! Kubernetes events about pods (`events.k8s.io/v1`).
//!
//! Events are the first to be dropped when there is too much to write: a bounded number waits, and what does not fit is
//! counted. The same event again and again (a pod that is tried in vain) becomes a series: the second is written as
//! such, further ones are only counted and told with the series' next update (reference section 9.5.1). Where
//! `eventPolicy` says so, pods of one owner that found a place are told together, or not at all.

mod summary;

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use http::{Method, StatusCode};
use plimsoll_engine::effect::PodEvent;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::{PodInfo, Uid};
use plimsoll_framework::time::Time;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::lane::{Busy, Lane};
use super::{CALL_TIMEOUT, WriterSettings, permission, refusal, segment};
use crate::client::{RawRequest, describe};
use crate::driver::timestamp;
use crate::metrics::{LaneName, Metrics};
use summary::Summary;

/// Events that may wait to be written.
const WAITING: usize = 1_000;
/// Calls at a time.
const LANE: u16 = 8;
/// Events that are remembered as possible beginnings of a series.
const REMEMBERED: usize = 4_096;
/// An event that comes again within this is the same series.
const SERIES_GAP: Duration = Duration::from_secs(6 * 60);
/// How often a running series is written.
const SERIES_EVERY: Duration = Duration::from_secs(30 * 60);
/// The longest note the API server takes.
const MAX_NOTE_BYTES: usize = 1_024;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    pod: Uid,
    resource_version: u64,
    reason: &'static str,
    warning: bool,
}

struct Series {
    name: String,
    count: u32,
    last: Time,
    written: Time,
}

/// One call to be made.
struct Call {
    method: Method,
    path: String,
    body: bytes::Bytes,
}

/// Takes in events and writes them, some at a time.
pub(super) struct Recorder {
    calls: Option<mpsc::Sender<Call>>,
    series: HashMap<Key, Series>,
    summary: Summary,
    instance: String,
    dropped: prometheus::IntCounter,
}

impl Recorder {
    pub(super) fn start(settings: &WriterSettings, busy: &Arc<Busy>, tasks: &mut JoinSet<()>) -> Self {
        let (calls, incoming) = mpsc::channel::<Call>(WAITING);
        let lane = Lane::new(LaneName::Events, LANE, settings.limit, busy, &settings.metrics).giving_way();
        let (incoming, lane) = (Arc::new(tokio::sync::Mutex::new(incoming)), Arc::new(lane));
        for _ in 0..LANE {
            let (incoming, lane) = (Arc::clone(&incoming), Arc::clone(&lane));
            let (client, metrics) = (settings.clients.events.clone(), Arc::clone(&settings.metrics));
            tasks.spawn(async move {
                loop {
                    let call = incoming.lock().await.recv().await;
                    let Some(call) = call else { return };
                    write(&lane, &client, &metrics, call).await;
                }
            });
        }
        Self {
            calls: Some(calls),
            series: HashMap::new(),
            summary: Summary::new(settings.event_policy),
            instance: settings.instance.clone(),
            dropped: settings.metrics.plimsoll.events_dropped.clone(),
        }
    }

    /// Records an event, if it is to be written and there is room.
    pub(super) fn record(&mut self, event: PodEvent, now: Time) {
        if let Some(event) = self.summary.take(event, now) {
            self.send(&event, now);
        }
    }

    /// When [`Self::tick`] next has something to do.
    pub(super) fn next_due(&self) -> Option<Time> {
        self.summary.next_due()
    }

    /// Records what is due by now of what was put off.
    pub(super) fn tick(&mut self, now: Time) {
        for event in self.summary.due(now) {
            self.send(&event, now);
        }
    }

    fn send(&mut self, event: &PodEvent, now: Time) {
        let pod = &event.pod;
        let key = Key {
            pod: pod.key.uid.clone(),
            resource_version: pod.resource_version,
            reason: event.reason,
            warning: event.warning,
        };
        let events = format!("/apis/events.k8s.io/v1/namespaces/{}/events", segment(&pod.key.namespace));
        let known = self.series.get_mut(&key).filter(|s| now.since(s.last) < SERIES_GAP);
        let call = if let Some(series) = known {
            series.count += 1;
            series.last = now;
            if series.count > 2 && now.since(series.written) < SERIES_EVERY {
                return;
            }
            series.written = now;
            let body = json!({ "series": { "count": series.count, "lastObservedTime": micro_time(now) } });
            Call { method: Method::PATCH, path: format!("{events}/{}", series.name), body: body.to_string().into() }
        } else {
            let name = format!("{}.{:x}", pod.key.name, now.as_duration().as_nanos());
            let body = self.body(event, &name, now).to_string().into();
            self.remember(key, Series { name, count: 1, last: now, written: now });
            Call { method: Method::POST, path: events, body }
        };
        if self.calls.as_ref().is_some_and(|calls| calls.try_send(call).is_err()) {
            self.dropped.inc();
        }
    }

    /// No more events come; those that wait are written.
    pub(super) fn close(&mut self, now: Time) {
        for event in self.summary.rest(now) {
            self.send(&event, now);
        }
        self.calls = None;
    }

    fn remember(&mut self, key: Key, series: Series) {
        if self.series.len() >= REMEMBERED {
            let now = series.last;
            self.series.retain(|_, s| now.since(s.last) < SERIES_GAP);
            // Still too many within six minutes: series are lost, events are not.
            if self.series.len() >= REMEMBERED {
                self.series.clear();
            }
        }
        self.series.insert(key, series);
    }

    fn body(&self, event: &PodEvent, name: &str, now: Time) -> serde_json::Value {
        let pod = &event.pod;
        // Who makes a pod go is the scheduler of the one it goes for.
        let scheduler: &Istr = &event.related.as_ref().unwrap_or(pod).scheduler_name;
        let reference = |pod: &PodInfo| {
            json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "name": &*pod.key.name,
                "namespace": pod.key.namespace.as_str(),
                "uid": pod.key.uid.as_str(),
                "resourceVersion": pod.resource_version.to_string(),
            })
        };
        let mut body = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": { "name": name, "namespace": pod.key.namespace.as_str() },
            "eventTime": micro_time(now),
            "reportingController": scheduler.as_str(),
            "reportingInstance": cut(&format!("{scheduler}-{}", self.instance), 128, ""),
            "action": event.action,
            "reason": event.reason,
            "regarding": reference(pod),
            "note": cut(&event.note, MAX_NOTE_BYTES, " ..."),
            "type": if event.warning { "Warning" } else { "Normal" },
        });
        if let Some(related) = &event.related {
            body["related"] = reference(related);
        }
        body
    }
}

async fn write(lane: &Lane, client: &kube::Client, metrics: &Metrics, call: Call) {
    let patch = call.method == Method::PATCH;
    let request = RawRequest {
        method: call.method,
        path: &call.path,
        content_type: if patch { "application/merge-patch+json" } else { "application/json" },
        body: call.body,
        timeout: CALL_TIMEOUT,
    };
    // Whoever stands by says why pods are held back, too.
    let Ok(answer) = lane.send(client, &request, || true).await else { return };
    match answer {
        Ok(answer) => {
            permission(metrics, if patch { "patch" } else { "create" }, "events", &answer);
            // The namespace is being deleted, or a series' first event has expired: nobody misses the event.
            let missed = !(patch && answer.status == StatusCode::NOT_FOUND);
            if !answer.status.is_success() && missed {
                tracing::debug!(error = %refusal(&answer), "writing an event");
            }
        }
        Err(error) => tracing::debug!(error = %describe(&error), "writing an event"),
    }
}

/// `text`, at most `limit` bytes long; if it is cut, `end` says so.
fn cut(text: &str, limit: usize, end: &str) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    format!("{}{end}", &text[..text.floor_char_boundary(limit - end.len())])
}

fn micro_time(now: Time) -> String {
    timestamp(now).strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_notes_are_cut_at_a_character() {
        let note = "ä".repeat(600);
        let written = cut(&note, MAX_NOTE_BYTES, " ...");
        assert_eq!(written.len(), 1_024);
        assert!(written.ends_with("ä ..."));
        assert_eq!(cut("short", MAX_NOTE_BYTES, " ..."), "short");
    }

    #[test]
    fn times_have_microseconds() {
        let time = Time::since_epoch(Duration::new(1_700_000_000, 123_456_789));
        assert_eq!(micro_time(time), "2023-11-14T22:13:20.123456Z");
    }
}
