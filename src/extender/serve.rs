//! Being an extender: another scheduler asks, Plimsoll's plugins answer (reference section 9.8).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use hashbrown::HashSet;
use plimsoll_engine::decide::{NodeScores, NodeVerdict, Worker};
use plimsoll_engine::profile::Profile;
use plimsoll_framework::api;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::{Table, View};
use plimsoll_framework::verdict::Code;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use super::wire::{ExtenderArgs, FilterAnswer, HostScore, Named, NodeItems, decode};
use crate::reflector::parse_pod;
use crate::scheduler::Watching;

/// The longest question: some thousand nodes in full.
const MAX_QUESTION_BYTES: usize = 128 << 20;
/// Questions that are read and answered at once; others wait.
const AT_ONCE: usize = 8;
/// What is said of a node that is neither known nor sent in full.
const UNKNOWN: &str = "node(s) not known to plimsoll yet";
/// The best score of the protocol.
const MAX_SCORE: i64 = 10;

/// What answers.
pub(crate) struct Service {
    watching: Watching,
    /// The number of the profile whose plugins answer.
    profile: usize,
    places: Semaphore,
}

impl Service {
    /// Answers by the profile of this number.
    pub(crate) fn new(watching: Watching, profile: usize) -> Self {
        Self { watching, profile, places: Semaphore::new(AT_ONCE) }
    }

    /// The paths that it serves.
    pub(crate) fn router(self) -> Router {
        Router::new().route("/filter", post(filter)).route("/prioritize", post(prioritize)).with_state(Arc::new(self))
    }
}

async fn filter(State(service): State<Arc<Service>>, request: Request) -> Response {
    answer(service, request, |judged| match judged {
        Ok(judged) => to_json(&judged.filtered()),
        Err(error) => to_json(&FilterAnswer { error, ..FilterAnswer::default() }),
    })
    .await
}

async fn prioritize(State(service): State<Arc<Service>>, request: Request) -> Response {
    // The protocol has no room for an error here.
    answer(service, request, |judged| judged.and_then(|judged| to_json(&judged.scored()))).await
}

/// Reads a question, has it judged, and writes what `write` makes of that.
async fn answer(
    service: Arc<Service>,
    request: Request,
    write: impl FnOnce(Result<Judged, String>) -> Result<Vec<u8>, String> + Send + 'static,
) -> Response {
    let text = |status, text: String| (status, text + "\n").into_response();
    if let Some(missing) = service.watching.health.not_ready() {
        return text(StatusCode::SERVICE_UNAVAILABLE, missing);
    }
    let Ok(_place) = service.places.acquire().await else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "shutting down".to_owned());
    };
    let body = match to_bytes(request.into_body(), MAX_QUESTION_BYTES).await {
        Ok(body) => body,
        Err(error) => return text(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
    };
    let question = match Question::read(&body, &service.watching.annotation_keys) {
        Ok(question) => question,
        Err(error) => return text(StatusCode::BAD_REQUEST, error),
    };
    let Some(view) = service.watching.view().await else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "shutting down".to_owned());
    };
    // Deciding takes a processor: not one of those that serve the network.
    let profile = service.profile;
    let profiles = Arc::clone(&service.watching.profiles);
    let judge = move || {
        let judged = profiles.get(profile).map(|profile| question.judge(&mut Worker::default(), profile, view));
        write(judged.unwrap_or_else(|| Err("there is no such profile".to_owned())))
    };
    match tokio::task::spawn_blocking(judge).await {
        Ok(Ok(json)) => ([(header::CONTENT_TYPE, "application/json")], Body::from(json)).into_response(),
        Ok(Err(error)) => text(StatusCode::INTERNAL_SERVER_ERROR, error),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn to_json(answer: &impl serde::Serialize) -> Result<Vec<u8>, String> {
    serde_json::to_vec(answer).map_err(|error| error.to_string())
}

/// A question, taken apart.
struct Question {
    pod: PodInfo,
    names: Vec<Istr>,
    /// The nodes as they were sent, in the order of the names, where they were sent in full.
    full: Option<Vec<Box<RawValue>>>,
    annotation_keys: Arc<[Istr]>,
}

impl Question {
    fn read(body: &[u8], annotation_keys: &Arc<[Istr]>) -> Result<Self, String> {
        let args: ExtenderArgs = decode(body).map_err(|error| format!("not a question of an extender: {error}"))?;
        let pod = args.pod.ok_or("the question has no Pod")?;
        let pod = parse_pod(pod.get().as_bytes(), annotation_keys).ok_or("the Pod cannot be read")?;
        if let Some(faults) = &pod.faults {
            return Err(format!("the Pod cannot be read: {faults}"));
        }
        let annotation_keys = Arc::clone(annotation_keys);
        if let Some(names) = args.node_names {
            let names = names.iter().map(|name| Istr::new(name)).collect();
            return Ok(Self { pod, names, full: None, annotation_keys });
        }
        let nodes = args.nodes.and_then(|nodes| nodes.items).unwrap_or_default();
        let name = |node: &RawValue| -> Result<Istr, String> {
            let named: Named =
                decode(node.get().as_bytes()).map_err(|error| format!("a node cannot be read: {error}"))?;
            Ok(Istr::new(&named.metadata.and_then(|m| m.name).unwrap_or_default()))
        };
        let names = nodes.iter().map(|node| name(node)).collect::<Result<_, _>>()?;
        Ok(Self { pod, names, full: Some(nodes), annotation_keys })
    }

    fn judge(self, worker: &mut Worker, profile: &Profile, view: View) -> Result<Judged, String> {
        let view = self.with_sent_nodes(view);
        let verdicts = worker.judge(profile, &view, &self.pod, &self.names)?;
        Ok(Judged { names: self.names, full: self.full, verdicts })
    }

    /// The view, with the nodes that were sent and are not in it.
    fn with_sent_nodes(&self, view: View) -> View {
        let Some(full) = &self.full else { return view };
        let known: HashSet<Istr> = view.rows().filter_map(|row| Some(view.node(row)?.name.clone())).collect();
        let unknown = self.names.iter().zip(full).filter(|(name, _)| !known.contains(*name)).map(|(_, node)| node);
        let parse = |node: &RawValue| {
            let node: api::Node = serde_json::from_str(node.get()).ok()?;
            Some(Arc::new(NodeInfo::parse(&node, &self.annotation_keys).0))
        };
        let unknown: Vec<Arc<NodeInfo>> = unknown.filter_map(|node| parse(node)).collect();
        if unknown.is_empty() {
            return view;
        }
        let mut table = Table::of(&view);
        for node in unknown {
            table.set_node(node);
        }
        table.view().clone()
    }
}

/// What the plugins say.
struct Judged {
    names: Vec<Istr>,
    full: Option<Vec<Box<RawValue>>>,
    verdicts: Vec<Option<Result<NodeScores, NodeVerdict>>>,
}

impl Judged {
    /// As an answer to a filter call, in the form of the question.
    fn filtered(&self) -> FilterAnswer<'_> {
        let (mut failed, mut unresolvable) = (BTreeMap::new(), BTreeMap::new());
        for (name, verdict) in self.names.iter().zip(&self.verdicts) {
            match verdict {
                None => drop(failed.insert(&**name, UNKNOWN.to_owned())),
                Some(Ok(_)) => {}
                Some(Err(verdict)) => {
                    let into = match verdict.code {
                        Code::UnschedulableAndUnresolvable => &mut unresolvable,
                        _ => &mut failed,
                    };
                    into.insert(&**name, verdict.reasons.join(", "));
                }
            }
        }
        let passed = |(_, verdict): &(usize, &Option<Result<NodeScores, NodeVerdict>>)| matches!(verdict, Some(Ok(_)));
        let passed = || self.verdicts.iter().enumerate().filter(passed).map(|(at, _)| at);
        let nodes = self
            .full
            .as_ref()
            .map(|full| NodeItems { items: passed().filter_map(|at| full.get(at)).map(|node| &**node).collect() });
        let node_names = match &nodes {
            Some(_) => None,
            None => Some(passed().filter_map(|at| self.names.get(at)).map(|name| &**name).collect()),
        };
        let (failed_nodes, failed_and_unresolvable_nodes) = (failed, unresolvable);
        FilterAnswer { nodes, node_names, failed_nodes, failed_and_unresolvable_nodes, error: String::new() }
    }

    /// As an answer to a prioritize call. The protocol knows eleven scores: the best of these nodes gets the highest, the
    /// worst 0, so that what little they differ by is not lost.
    fn scored(&self) -> Vec<HostScore<'_>> {
        let total = |verdict: &Option<Result<NodeScores, NodeVerdict>>| match verdict {
            Some(Ok(scores)) => Some(scores.total),
            _ => None,
        };
        let totals = || self.verdicts.iter().filter_map(total);
        let (worst, best) = (totals().min().unwrap_or(0), totals().max().unwrap_or(0));
        let score = |total: i64| {
            let spread = best - worst;
            if spread == 0 { 0 } else { ((total - worst) * MAX_SCORE * 2 + spread) / (spread * 2) }
        };
        let scored =
            |(name, verdict): (_, &Option<_>)| HostScore { host: name, score: total(verdict).map_or(0, score) };
        self.names.iter().map(|name| &**name).zip(&self.verdicts).map(scored).collect()
    }
}

#[cfg(test)]
mod tests;
