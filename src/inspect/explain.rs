//! Why a pod is where it is, or waits: as the scheduler knew the cluster when it decided, or knows it now.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_engine::decide::Explanation;
use plimsoll_engine::engine::{Admission, Engine};
use plimsoll_engine::history::{Decision, Past};
use plimsoll_engine::profile::Profile;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::{Table, View};
use plimsoll_framework::time::Time;
use serde_json::{Value, json};

use super::PodName;
use super::queue::{self, Waiting};
use crate::config::show_duration;
use crate::explain::people::Style;
use crate::explain::{Answer, Subject, answer, decide, people};

/// The pod that is asked about, and the form of the answer.
#[derive(Clone, Debug)]
pub(crate) struct ExplainPick {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) form: Form,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// For people.
    Text { wide: bool, colours: bool },
    /// For machines: that of recorded decisions, and what was decided when.
    Json,
}

/// What the owner gives.
pub(super) struct Taken {
    view: View,
    past: Past,
    profiles: Arc<[Profile]>,
    admission: Admission,
    waiting: Option<queue::Entry>,
}

/// Asked of the owner. Looks at every pod that waits once, as its gauges do every second.
pub(super) fn take(engine: &Engine, pick: &ExplainPick) -> Taken {
    let is = |pod: &PodInfo| *pod.key.namespace == *pick.namespace && *pod.key.name == *pick.name;
    Taken {
        view: engine.view(),
        past: engine.cache().past(),
        profiles: engine.profiles(),
        admission: engine.admission(),
        waiting: queue::find(engine, is),
    }
}

/// How a pod stands.
enum Standing {
    Waiting(Box<Waiting>),
    /// It was decided here, and the cluster as it was then can still be told.
    Decided(Decision),
    /// It has a node; how that was decided is not known here, or not any more.
    Placed(Istr),
}

impl Taken {
    /// The answer; `None` where no such pod is known. Takes as long as building the table of nodes anew.
    pub(super) fn tell(self, pick: &ExplainPick, now: Time) -> Option<String> {
        let is = |pod: &PodInfo| *pod.key.namespace == *pick.namespace && *pod.key.name == *pick.name;
        let Self { view, past, profiles, admission, waiting } = self;
        let (standing, pod, world) = if let Some(entry) = waiting {
            let waiting = Waiting::of(&entry, now);
            (Standing::Waiting(Box::new(waiting)), PodInfo::clone(&entry.pod), Table::of(&view))
        } else {
            let on_node = on_node(&view, is);
            let of_this_one = |pod: &PodInfo| match &on_node {
                Some((_, known)) => pod.key.uid == known.key.uid,
                None => is(pod),
            };
            match (past.decision(of_this_one), on_node) {
                (Some(decision), _) => {
                    let world = past.table_at(decision.epoch, &view);
                    (Standing::Decided(decision.clone()), PodInfo::clone(&decision.pod), world)
                }
                (None, Some((node, pod))) => {
                    let mut world = Table::of(&view);
                    world.remove_pod(&node, &pod.key.uid);
                    let pod = PodInfo { node_name: None, nominated_node_name: None, ..PodInfo::clone(&pod) };
                    (Standing::Placed(node), pod, world)
                }
                (None, None) => return None,
            }
        };
        let profile = profiles.iter().position(|profile| profile.name == pod.scheduler_name).unwrap_or(0);
        let mut answer = decide(&admission, profiles.get(profile)?, world.view(), &pod);
        let victims_elsewhere = hide_victims(&mut answer, &pod.key.namespace);
        let now_on = match &standing {
            Standing::Waiting(_) => None,
            Standing::Decided(Decision { node, .. }) | Standing::Placed(node) => Some(node.clone()),
        };
        let mut subject = Subject { pod, now_on, profiles, profile, world, answer, victims_elsewhere };
        Some(match pick.form {
            Form::Json => json(&standing, &subject, now).to_string() + "\n",
            Form::Text { wide, colours } => {
                head(&standing, &subject, now) + &people::text(&mut subject, Style { wide, colours })
            }
        })
    }
}

/// The pod among those on nodes.
fn on_node(view: &View, is: impl Fn(&PodInfo) -> bool) -> Option<(Istr, Arc<PodInfo>)> {
    view.rows().find_map(|row| {
        let pod = view.pods(row).iter().find(|pod| is(pod))?;
        Some((view.node(row)?.name.clone(), Arc::clone(pod)))
    })
}

/// Whoever may see the pods of one namespace is not told of those of others. Gives how many are left out.
fn hide_victims(answer: &mut Answer, namespace: &str) -> usize {
    let Answer::Decided(explanation) = answer else { return 0 };
    let Explanation { preemption: Some(done), .. } = explanation.as_mut() else { return 0 };
    let all = done.victims.len();
    done.victims.retain(|pod| *pod.key.namespace == *namespace);
    all - done.victims.len()
}

/// What is known beside the answer, in the lines before it.
fn head(standing: &Standing, subject: &Subject, now: Time) -> String {
    let pod = &subject.pod.key;
    let mut text = match standing {
        Standing::Waiting(waiting) => format!("{pod} {}\nAs the cluster is now:\n", waiting.sentence()),
        Standing::Decided(Decision { node, score, at, attempts, .. }) => {
            let score = score.map_or_else(|| "as the only one that fits".to_owned(), |score| format!("score {score}"));
            let ago = ago(now.since(*at));
            format!("{pod} was placed on {node} {ago} ago, attempt {attempts}, {score}.\nAs the cluster was then:\n")
        }
        Standing::Placed(node) => format!(
            "{pod} is on {node}; how that was decided is not known here, or not any more.\nAs the cluster is now, without the pod:\n"
        ),
    };
    if subject.extended() {
        let _ = writeln!(text, "(extenders have a say, too, and are not asked again)");
    }
    text
}

fn json(standing: &Standing, subject: &Subject, now: Time) -> Value {
    let mut value = answer::golden(&subject.answer);
    value["pod"] = json!(PodName::of(&subject.pod.key));
    value["asOf"] = if matches!(standing, Standing::Decided(_)) { "decision" } else { "now" }.into();
    match standing {
        Standing::Waiting(waiting) => value["waiting"] = json!(waiting),
        Standing::Decided(Decision { node, score, at, attempts, .. }) => {
            let seconds_ago = now.since(*at).as_secs_f64();
            value["decision"] =
                json!({"node": node.as_str(), "score": score, "attempts": attempts, "secondsAgo": seconds_ago});
        }
        Standing::Placed(node) => value["node"] = node.as_str().into(),
    }
    if subject.victims_elsewhere > 0 {
        value["preemption"]["victimsInOtherNamespaces"] = subject.victims_elsewhere.into();
    }
    if subject.extended() {
        value["extendersLeftOut"] = true.into();
    }
    value
}

/// To the second, from a minute on; else to the tenth of one.
pub(super) fn ago(duration: Duration) -> String {
    let exact = if duration >= Duration::from_secs(60) { 1_000 } else { 100 };
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX) / exact * exact;
    show_duration(Duration::from_millis(milliseconds))
}
