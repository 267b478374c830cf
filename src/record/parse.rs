//! Written events as the engine knows them.

use std::sync::Arc;

use hashbrown::HashMap;
use plimsoll_engine::effect::Effect;
use plimsoll_engine::event::{Event, WriteFailure};
use plimsoll_engine::extender::{NodeAnswer, Shrunk};
use plimsoll_framework::api;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::{KindRef, ObjectKey};
use plimsoll_framework::plugin::Candidate;
use plimsoll_framework::pod::{Faults, KubeletRefusal, PodInfo, PodKey, PodParser, RefusalKind, Uid};
use plimsoll_framework::verdict::Code;

use super::event::{CandidateForm, Form, KeyForm, KindName, NodeForm, Said};
use crate::registry::Registry;

/// All pods of each node that extenders were asked about.
type PodsByNode = HashMap<Istr, Vec<Arc<PodInfo>>>;

/// Parses events as those who told them did.
pub(super) struct Parser<'a> {
    pods: PodParser,
    annotation_keys: Vec<Istr>,
    kinds: Vec<KindRef>,
    registry: &'a Registry,
    /// What extenders were asked about, by the number of the question: their answers name pods by UID.
    asked: HashMap<u64, PodsByNode>,
}

fn uid(text: &str) -> Uid {
    Uid::new(text)
}

fn key(form: KeyForm) -> PodKey {
    PodKey { namespace: form.namespace.into(), name: form.name.into(), uid: uid(&form.uid) }
}

impl<'a> Parser<'a> {
    pub(super) fn new(annotation_keys: Vec<Istr>, kinds: Vec<KindRef>, registry: &'a Registry) -> Self {
        let pods = PodParser::new(annotation_keys.clone());
        Self { pods, annotation_keys, kinds, registry, asked: HashMap::new() }
    }

    /// Keeps what an answer will need.
    pub(super) fn keep(&mut self, effect: &Effect) {
        if let Effect::AskPreempt(ask) = effect {
            self.asked.insert(ask.number, ask.pods.clone());
        }
    }

    /// An event; the error says what is wrong with it.
    pub(super) fn event(&mut self, text: &str) -> Result<Event, String> {
        Ok(match serde_json::from_str(text).map_err(|error| error.to_string())? {
            Form::Pod { object, fault, read } => {
                let mut own = read.then(|| PodParser::new(self.annotation_keys.clone()));
                let pod: api::Pod = serde_json::from_str(object.get()).map_err(|error| format!("pod: {error}"))?;
                let mut pod = own.as_mut().unwrap_or(&mut self.pods).parse(&pod);
                if let Some(fault) = fault {
                    pod.faults = Some(Box::new(Faults::one("pod", fault)));
                }
                Event::Pod(Box::new(pod))
            }
            Form::PodDeleted { uid: of, resource_version } => Event::PodDeleted { uid: uid(&of), resource_version },
            Form::PodsListed { present, resource_version } => {
                Event::PodsListed { present: present.iter().map(|of| uid(of)).collect(), resource_version }
            }
            Form::Node { object } => {
                let node: api::Node = serde_json::from_str(object.get()).map_err(|error| format!("node: {error}"))?;
                Event::Node(Box::new(NodeInfo::parse(&node, &self.annotation_keys).0))
            }
            Form::NodeDeleted { name } => Event::NodeDeleted { name: name.into() },
            Form::NodesListed { present } => {
                Event::NodesListed { present: present.into_iter().map(Istr::from).collect() }
            }
            Form::Namespace { name, labels } => {
                let labels = labels.map(|labels| Arc::new(labels.iter().collect()));
                Event::Namespace { name: name.into(), labels }
            }
            Form::NamespacesListed { present } => {
                Event::NamespacesListed { present: present.into_iter().map(Istr::from).collect() }
            }
            Form::Object { kind, namespace, name, resource_version, object } => {
                let kind = self.kind(&kind)?;
                let key = ObjectKey { namespace: namespace.into(), name: name.into() };
                let json = object.map(|object| serde_json::from_str(object.get()));
                let json = json.transpose().map_err(|error| format!("object: {error}"))?;
                // One that its plugin cannot read counts as absent.
                let object = json.and_then(|json| (kind.decode)(&json).ok());
                Event::Object { kind, key, resource_version, object }
            }
            Form::ObjectsListed { kind, present } => {
                let key =
                    |(namespace, name): (String, String)| ObjectKey { namespace: namespace.into(), name: name.into() };
                Event::ObjectsListed { kind: self.kind(&kind)?, present: present.into_iter().map(key).collect() }
            }
            Form::KindServed { kind, version } => {
                Event::KindServed { kind: self.kind(&kind)?, version: version.map(Istr::from) }
            }
            Form::Hidden { kind, hidden } => {
                Event::Hidden { kind: kind.map(|kind| self.kind(&kind)).transpose()?, hidden }
            }
            Form::WritesFinished { uid: of, failure } => {
                let failure = failure.map(|failure| {
                    let plugin = self.registry.name_of(&failure.plugin);
                    let plugin = plugin.ok_or_else(|| format!("there is no plugin {:?}", failure.plugin))?;
                    Ok::<_, String>(WriteFailure { plugin, message: failure.message })
                });
                let result = failure.transpose()?.map_or(Ok(()), Err);
                Event::WritesFinished { uid: uid(&of), result }
            }
            Form::NominationWritten { uid: of, number, version } => {
                Event::NominationWritten { uid: uid(&of), number, version }
            }
            Form::BindFinished { uid: of, result } => Event::BindFinished { uid: uid(&of), result: result.into() },
            Form::Evicted { victim, preemptor, result } => {
                Event::Evicted { victim: uid(&victim), preemptor: uid(&preemptor), result: result.into() }
            }
            Form::Answered { uid: of, number, result } => {
                let result = match result {
                    Said::Ok(nodes) => {
                        let nodes = nodes.into_iter().map(|(node, said)| Ok((node.into(), node_answer(said)?)));
                        Ok(nodes.collect::<Result<_, String>>()?)
                    }
                    Said::Error(error) => Err(error),
                };
                Event::Answered { uid: uid(&of), number, result }
            }
            Form::PreemptAnswered { uid: of, number, result } => {
                Event::PreemptAnswered { uid: uid(&of), number, result: self.shrunk(number, result)? }
            }
            Form::PodAbsent { pod } => Event::PodAbsent { key: key(pod) },
            Form::RefusedByKubelet { pod, node, kind, message } => Event::RefusedByKubelet(Box::new(KubeletRefusal {
                key: key(pod),
                node: node.into(),
                kind: RefusalKind::of(&kind),
                message: message.into(),
            })),
        })
    }

    fn kind(&self, name: &KindName) -> Result<KindRef, String> {
        let found = self.kinds.iter().find(|kind| KindName::of(kind) == *name);
        found.copied().ok_or_else(|| format!("no plugin of the recorded configuration reads {name}"))
    }

    fn shrunk(&mut self, number: u64, result: Said<Vec<CandidateForm>>) -> Result<Shrunk, String> {
        let left = match result {
            Said::Ok(left) => left,
            Said::Error(error) => return Ok(Err(error)),
        };
        let asked = self.asked.remove(&number).unwrap_or_default();
        let candidate = |form: CandidateForm| {
            let node = Istr::from(form.node);
            let there = asked.get(&node).map_or(&[][..], Vec::as_slice);
            let victim = |uid: String| {
                let found = there.iter().find(|pod| pod.key.uid.as_str() == uid).cloned();
                found.ok_or_else(|| format!("extenders were not asked about a pod {uid} on {node}"))
            };
            let victims = form.victims.into_iter().map(victim).collect::<Result<_, String>>()?;
            Ok(Candidate { victims, node, pdb_violations: form.pdb_violations })
        };
        left.into_iter().map(candidate).collect::<Result<_, String>>().map(Ok)
    }
}

fn node_answer(form: NodeForm) -> Result<NodeAnswer, String> {
    const CODES: [Code; 2] = [Code::Unschedulable, Code::UnschedulableAndUnresolvable];
    Ok(match form {
        NodeForm::Passed(score) => NodeAnswer::Passed(score),
        NodeForm::LeftOut => NodeAnswer::LeftOut,
        NodeForm::Failed { code, reason } => {
            let code = CODES.into_iter().find(|known| known.as_str() == code);
            NodeAnswer::Failed { code: code.ok_or("an extender answers with no such code")?, reason }
        }
    })
}
