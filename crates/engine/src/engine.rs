//! The engine: events in, decisions, effects out. A plain state machine with one owner.

mod ask;
mod awaiting;
mod binding;
mod brake;
mod coexistence;
mod commit;
mod counting;
mod failure;
mod gang;
mod hand_out;
mod ingest;
mod nomination;
mod pre_binding;
mod preempt;
mod shadow;
mod telling;
mod wake;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use plimsoll_framework::cluster::ClusterInfo;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::plugin::EvictionPolicy;
use plimsoll_framework::pod::{PodInfo, Uid};
use plimsoll_framework::table::View;
use plimsoll_framework::time::Time;

use ask::Asking;
use awaiting::AwaitingPods;
use binding::{Binding, Waiting};
use coexistence::Cooling;
use counting::Counting;
use gang::Gangs;
pub use hand_out::HandOut;
use nomination::Nominations;
use pre_binding::PreBinding;
use preempt::Preemptions;
use shadow::Resting;
use telling::Telling;

use crate::cache::Cache;
use crate::decide::{Mismatch, Probe, Proposal, Ticket, TieBreak, Worker};
use crate::effect::{Effect, Observation};
use crate::event::Event;
use crate::headroom::Headroom;
use crate::memo::{MemoSettings, MemoStats};
use crate::profile::Profile;
use crate::queue::{Queue, QueueSettings, QueuedPodInfo};
use crate::sight::Hidden;

/// Says what a pod needs that cannot be done for it as the cluster is now, if anything; such a pod is reported and not
/// queued. It is asked when a pod comes or changes, when one is about to be bound, and of the pods held back whenever an
/// object of a further kind changes.
pub type Admission = Arc<dyn Fn(&PodInfo, &Profile, &ClusterInfo) -> Option<String> + Send + Sync>;

/// Settings of the engine.
#[derive(Clone)]
pub struct EngineSettings {
    /// Of the queue.
    pub queue: QueueSettings,
    /// How many pods may be popped and not yet committed. New pods of high priority wait for at most that many.
    pub line_limit: usize,
    /// How ties between nodes are broken.
    pub tie_break: TieBreak,
    /// Where randomness starts from.
    pub seed: u64,
    /// Which pods are not for this scheduler to place yet.
    pub admission: Admission,
    /// What is kept from one decision to the next, by each worker.
    pub memo: MemoSettings,
    /// Which pods may be made to go for the sake of others.
    pub evictions: EvictionPolicy,
    /// How many pods that extenders have a say in may be on their way to a node at once, the questions included.
    pub ask_limit: usize,
    /// For how long a node is avoided whose kubelet has refused a pod; zero: it is not.
    pub refusal_cooldown: Duration,
    /// What is to stay free on nodes where pods find room elsewhere.
    pub headroom: Headroom,
    /// What the latest decisions and changes may take up that are kept for whoever asks why; 0 keeps none.
    pub history_bytes: usize,
    /// Whose pods are decided here for the sake of comparison alone, by the profile of that name or by the first; `None`:
    /// it places the pods that name its profiles. Nothing is written then, and extenders must have no say.
    pub shadow: Option<Arc<[Istr]>>,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            queue: QueueSettings::default(),
            line_limit: 64,
            tie_break: TieBreak::default(),
            seed: 0,
            admission: Arc::new(|_, _, _| None),
            memo: MemoSettings::default(),
            evictions: EvictionPolicy::default(),
            ask_limit: 1,
            refusal_cooldown: Duration::ZERO,
            headroom: Headroom::default(),
            history_bytes: 8 << 20,
            shadow: None,
        }
    }
}

/// A popped pod, waiting for its turn to be committed.
struct InLine {
    ticket: Ticket,
    info: QueuedPodInfo,
    /// The rest of its group, as on the ticket.
    others: Vec<QueuedPodInfo>,
    answer: InLineAnswer,
}

/// The answer to a popped pod.
enum InLineAnswer {
    /// A worker is to give it.
    Awaited,
    /// A worker gave it, in the batch of this first ticket.
    Proposed(Proposal, u64),
    /// The owner finds it itself when everything before it is committed.
    AtHand,
}

/// The engine.
///
/// [`Engine::handle`] tells it what happened. [`Engine::take_work`] gives pods to be decided by [`Worker`]s on
/// [`Engine::view`], whose answers come back through [`Engine::propose`]; or [`Engine::decide_next`] does both at once,
/// which is the mode in which the order of decisions is exactly that of the queue. [`Engine::poll_effect`] gives what
/// is to be done outside. Nothing happens by itself: [`Engine::tick`] is to be called at [`Engine::next_deadline`].
pub struct Engine {
    profiles: Arc<[Profile]>,
    by_name: HashMap<Istr, usize>,
    settings: EngineSettings,
    cache: Cache,
    counting: Counting,
    queue: Queue,
    gangs: Gangs,
    line: VecDeque<InLine>,
    next_seq: u64,
    /// The last popped pod that was not committed where its worker had put it.
    last_miss: u64,
    asking: Asking,
    waiting: Vec<Waiting>,
    /// Groups that wait for Permit and have lost a pod.
    gangs_in_doubt: Vec<u64>,
    /// Pods for which something is being written before they are bound.
    writing: HashMap<Uid, PreBinding>,
    /// Pods that wait for what others do before they are bound.
    awaiting: AwaitingPods,
    binding: HashMap<Uid, Binding>,
    /// Whether anything may be said of pods that are kept back.
    leads: bool,
    preemptions: Preemptions,
    nominations: Nominations,
    cooling: Cooling,
    /// Pods with a place that another scheduler is to put there.
    resting: Resting,
    telling: Telling,
    hidden: Hidden,
    effects: VecDeque<Effect>,
    observations: Vec<Observation>,
    worker: Worker,
}

impl Engine {
    /// An engine for these profiles, of which there is at least one, each with a name of its own.
    pub fn new(profiles: Vec<Profile>, settings: EngineSettings) -> Self {
        let profiles: Arc<[Profile]> = profiles.into();
        Self {
            by_name: names(&profiles, settings.shadow.as_deref()),
            queue: Queue::new(Arc::clone(&profiles), settings.queue),
            worker: worker(&settings),
            counting: Counting::of(&profiles),
            profiles,
            cache: Cache::with_history(settings.history_bytes),
            settings,
            gangs: Gangs::default(),
            line: VecDeque::new(),
            next_seq: 1,
            last_miss: 0,
            asking: Asking::default(),
            waiting: Vec::new(),
            gangs_in_doubt: Vec::new(),
            writing: HashMap::new(),
            awaiting: AwaitingPods::default(),
            binding: HashMap::new(),
            leads: true,
            preemptions: Preemptions::default(),
            nominations: Nominations::default(),
            cooling: Cooling::default(),
            resting: Resting::default(),
            telling: Telling::default(),
            hidden: Hidden::default(),
            effects: VecDeque::new(),
            observations: Vec::new(),
        }
    }

    /// Takes in something that happened.
    pub fn handle(&mut self, now: Time, event: Event) {
        self.ingest(now, event);
        self.look_at_doubtful_gangs(now);
    }

    /// Does what is due by now.
    pub fn tick(&mut self, now: Time) {
        self.queue.flush(now);
        self.expire_permits(now);
        self.expire_gangs(now);
        self.look_at_doubtful_gangs(now);
        self.end_holding_off(now);
        self.end_cooling(now);
        self.end_resting(now);
        self.look_at_awaiting(now);
    }

    /// When [`Self::tick`] next has something to do.
    pub fn next_deadline(&self) -> Option<Time> {
        let permits = self.waiting.iter().flat_map(|w| w.plugins.iter().map(|(_, deadline, _)| *deadline));
        let gangs = self.next_gang_deadline();
        let held_off = self.preemptions.deadline();
        let others = [self.awaiting.deadline(), self.queue.next_deadline(), gangs, held_off, self.cooling.deadline()];
        permits.chain(others.into_iter().flatten()).chain(self.resting.deadline()).min()
    }

    /// Whether there is a pod to be decided, or something has happened that may have made one ready.
    pub fn has_work(&self) -> bool {
        (self.queue.is_ready() || self.has_answers() || self.cache.has_touched())
            && self.line.len() < self.settings.line_limit
    }

    /// Pops at most `max` pods, as long as the line is not full. Each has to be answered by [`Self::propose`].
    pub fn take_work(&mut self, now: Time, max: usize) -> Vec<Ticket> {
        self.settle(now);
        let mut tickets = Vec::new();
        while tickets.len() < max && self.next_in_line(now) {
            tickets.extend(self.line.back().map(|slot| slot.ticket.clone()));
        }
        tickets
    }

    /// The cluster as it is now, for workers to decide on.
    pub fn view(&self) -> View {
        self.cache.table().view().clone()
    }

    /// The profiles, for workers to decide by.
    pub fn profiles(&self) -> Arc<[Profile]> {
        Arc::clone(&self.profiles)
    }

    /// What says which pods are not for this scheduler to place yet.
    pub fn admission(&self) -> Admission {
        Arc::clone(&self.settings.admission)
    }

    /// Tells `probe` of the decisions that this engine makes by itself.
    pub fn set_probe(&mut self, probe: Box<dyn Probe>) {
        self.worker.set_probe(probe);
    }

    /// A worker that decides as this engine does by itself.
    pub fn new_worker(&self) -> Worker {
        worker(&self.settings)
    }

    /// What the memo of the engine's own worker has been good for.
    pub fn memo_stats(&self) -> MemoStats {
        self.worker.memo_stats()
    }

    /// What its last audit found wrong, if that is not told yet.
    pub fn take_mismatch(&mut self) -> Option<Box<Mismatch>> {
        self.worker.take_mismatch()
    }

    /// Takes in the answers to one batch of tickets, in their order, and commits what has its turn.
    pub fn propose(&mut self, now: Time, batch: Vec<Proposal>) {
        let Some(first) = batch.first().map(|p| p.seq) else { return };
        for proposal in batch {
            let front = self.line.front().map_or(0, |s| s.ticket.seq);
            let at = proposal.seq.checked_sub(front).and_then(|at| usize::try_from(at).ok());
            if let Some(slot) = at.and_then(|at| self.line.get_mut(at)) {
                slot.answer = InLineAnswer::Proposed(proposal, first);
            }
        }
        self.advance(now);
    }

    /// Pops one pod, decides it on the live table and commits it; `false` when there was none. Where workers still have
    /// pods that were popped before it, that is done when it is its turn.
    pub fn decide_next(&mut self, now: Time) -> bool {
        self.settle(now);
        if !self.next_in_line(now) {
            return false;
        }
        if let Some(slot) = self.line.back_mut() {
            slot.answer = InLineAnswer::AtHand;
        }
        self.advance(now);
        true
    }

    /// Whether this engine acts for its pods, as it does unless told otherwise. One that does not is not to be given work,
    /// and says nothing of pods that it keeps back; it does when it begins to.
    pub fn lead(&mut self, leads: bool) {
        if leads && !std::mem::replace(&mut self.leads, leads) {
            self.report_held();
        }
        self.leads = leads;
    }

    /// The next thing to be done outside.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// What happened since the last call, to be counted.
    pub fn take_observations(&mut self) -> Vec<Observation> {
        self.drain_observations().collect()
    }

    /// The same, in memory that is used again.
    pub fn drain_observations(&mut self) -> impl Iterator<Item = Observation> {
        self.queue.drain_observations(&mut self.observations);
        self.observations.drain(..)
    }

    /// The cache, for inspection.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The queue, for inspection.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// How many bindings, and writes before them, are under way. Pods that wait for what others do are not among them.
    pub fn bindings_under_way(&self) -> usize {
        self.binding.len() + self.writing.len()
    }

    /// How many pods wait for what others do before they can be bound.
    pub fn waiting_to_bind(&self) -> usize {
        self.awaiting.len()
    }

    /// How many pods wait for others to be evicted for them.
    pub fn preemptions_under_way(&self) -> usize {
        self.preemptions.len()
    }

    /// How many pods are popped and not committed.
    pub fn line_length(&self) -> usize {
        self.line.len()
    }

    /// How many questions to extenders are open; the pods of a group are asked about one after the other.
    pub fn asks_under_way(&self) -> usize {
        self.asking.under_way()
    }

    /// How many pods are popped and wait until extenders can be asked about them.
    pub fn waiting_to_ask(&self) -> usize {
        self.asking.parked()
    }

    /// How many pods Permit plugins hold.
    pub fn waiting_on_permit(&self) -> usize {
        self.waiting.len()
    }

    /// The next pod that is worth a decision.
    fn pop(&mut self) -> Option<QueuedPodInfo> {
        loop {
            let info = self.queue.pop()?;
            if !self.skip_terminating(&info.pod) {
                return Some(info);
            }
        }
    }

    /// Lets a popped pod go that is being deleted; whether it is (reference section 9.1).
    fn skip_terminating(&mut self, pod: &Arc<PodInfo>) -> bool {
        if pod.terminating {
            let note = format!("skip schedule deleting pod: {}", pod.key);
            self.record(pod, true, "FailedScheduling", "Scheduling", note.into());
            self.queue.done(&pod.key.uid);
        }
        pod.terminating
    }
}

/// Which profile decides the pods of which scheduler.
fn names(profiles: &[Profile], shadowed: Option<&[Istr]>) -> HashMap<Istr, usize> {
    let by_name: HashMap<Istr, usize> = profiles.iter().enumerate().map(|(i, p)| (p.name.clone(), i)).collect();
    match shadowed {
        None => by_name,
        Some(names) => names.iter().map(|name| (name.clone(), by_name.get(name).copied().unwrap_or(0))).collect(),
    }
}

fn worker(settings: &EngineSettings) -> Worker {
    Worker::new(settings.tie_break, settings.seed)
        .with_policy(settings.evictions.clone())
        .with_memo(settings.memo)
        .with_headroom(&settings.headroom)
}

/// The longest that a Permit plugin may hold a pod.
const MAX_PERMIT_WAIT: Duration = Duration::from_secs(15 * 60);
