//! Where the owner is told things.
//!
//! Waking a thread costs about as much as deciding a pod. What only confirms what the owner has done itself can wait a
//! little, and is taken along by whatever comes next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plimsoll_engine::decide::Proposal;
use plimsoll_engine::engine::Engine;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep};

use crate::admin::Check;
use crate::record::{Recording, Told, self_told};

/// The longest that an unhurried event waits.
const LATEST: Duration = Duration::from_millis(5);
/// So many do not wait at all: somebody may wait for them.
const MANY: usize = 16;

/// What the owner can be told.
pub(super) enum Message {
    Events(Vec<Told>),
    /// Some that have waited, each with the moment at which it came.
    Unhurried(Vec<(Instant, Told)>),
    /// Everything sent before this has been taken in: the list of this number is complete.
    Synced(usize, Check),
    /// The list of this number is read anew; until it is complete, nothing is decided.
    Unlisted(usize),
    Proposed {
        worker: usize,
        proposals: Vec<Proposal>,
        took: Duration,
    },
    Leading(bool),
    Paused(bool),
    Ask(Box<dyn FnOnce(&Engine) + Send>),
    /// Pop no more, and say when no binding is under way.
    Drain(oneshot::Sender<()>),
    Stop,
}

/// Where the owner is told things. Cheap to clone.
#[derive(Clone)]
pub struct Inbox {
    messages: mpsc::UnboundedSender<Message>,
    unhurried: Arc<Unhurried>,
    recording: Recording,
}

/// What waits for something else to be told.
#[derive(Default)]
struct Unhurried {
    events: Mutex<Vec<(Instant, Told)>>,
    /// Something has begun to wait.
    first: Notify,
}

impl Unhurried {
    fn lock(&self) -> MutexGuard<'_, Vec<(Instant, Told)>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    fn send(&self, message: Message) {
        // Under the lock, so that nothing overtakes.
        let mut waiting = self.unhurried.lock();
        // The owner is gone only when the process ends; then nobody misses the message.
        if !waiting.is_empty() {
            drop(self.messages.send(Message::Unhurried(std::mem::take(&mut *waiting))));
        }
        drop(self.messages.send(message));
    }

    /// Something happened.
    pub fn event(&self, event: impl Into<Told>) {
        self.events(vec![event.into()]);
    }

    /// Something happened that can wait: it is told with what is told next, and soon in any case.
    pub fn unhurried(&self, event: impl Into<Told>) {
        let event = self.with_text(event.into());
        let mut waiting = self.unhurried.lock();
        waiting.push((Instant::now(), event));
        if waiting.len() >= MANY {
            drop(self.messages.send(Message::Unhurried(std::mem::take(&mut *waiting))));
        } else if waiting.len() == 1 {
            self.unhurried.first.notify_one();
        }
    }

    /// Some things happened, in this order.
    pub fn events(&self, mut events: Vec<Told>) {
        if self.recording.is_on() {
            events = events.into_iter().map(|told| self.with_text(told)).collect();
        }
        self.send(Message::Events(events));
    }

    /// With what it is recorded by, where somebody records.
    fn with_text(&self, mut told: Told) -> Told {
        if self.recording.is_on() {
            told.text = told.text.take().or_else(|| self_told(&told.event));
        }
        told
    }

    /// Whether what is told is recorded: events that were parsed are to come with what they were parsed from.
    pub(crate) fn recording(&self) -> &Recording {
        &self.recording
    }

    /// A list is complete: its check passes once everything sent so far has been taken in.
    pub fn synced(&self, list: usize, check: Check) {
        self.send(Message::Synced(list, check));
    }

    /// A list is read anew, and does not count before it is complete.
    pub fn unlisted(&self, list: usize) {
        self.send(Message::Unlisted(list));
    }

    /// Whether pods may be popped.
    pub fn leading(&self, leading: bool) {
        self.send(Message::Leading(leading));
    }

    /// Whether no pods are popped, whoever leads.
    pub fn paused(&self, paused: bool) {
        self.send(Message::Paused(paused));
    }

    /// Asks something of the engine as it is now; `None` when it has ended.
    pub async fn ask<T: Send + 'static>(&self, question: impl FnOnce(&Engine) -> T + Send + 'static) -> Option<T> {
        let (answer, wait) = oneshot::channel();
        self.send(Message::Ask(Box::new(move |engine| drop(answer.send(question(engine))))));
        wait.await.ok()
    }

    /// Pops no more pods; returns when no binding is under way.
    pub async fn drain(&self) {
        let (answer, wait) = oneshot::channel();
        self.send(Message::Drain(answer));
        drop(wait.await);
    }

    /// What a deciding thread has found.
    pub(super) fn proposed(&self, worker: usize, proposals: Vec<Proposal>, took: Duration) {
        self.send(Message::Proposed { worker, proposals, took });
    }

    /// Ends the driver.
    pub fn stop(&self) {
        self.send(Message::Stop);
    }
}

/// A new inbox, and the end it is read at.
pub fn inbox() -> (Inbox, Incoming) {
    recorded_inbox(Recording::default())
}

/// The same, where what is told may be recorded.
pub(crate) fn recorded_inbox(recording: Recording) -> (Inbox, Incoming) {
    let (messages, receive) = mpsc::unbounded_channel();
    let unhurried: Arc<Unhurried> = Arc::default();
    let incoming = Incoming { messages: receive, sender: messages.downgrade(), unhurried: Arc::clone(&unhurried) };
    (Inbox { messages, unhurried, recording }, incoming)
}

/// The end at which an inbox is read.
pub struct Incoming {
    messages: mpsc::UnboundedReceiver<Message>,
    /// Weak, since whether anybody can still write is for those to say who do.
    sender: mpsc::WeakUnboundedSender<Message>,
    unhurried: Arc<Unhurried>,
}

impl Incoming {
    /// The next message; `None` when nobody can write any more.
    pub(super) async fn recv(&mut self) -> Option<Message> {
        self.messages.recv().await
    }

    pub(super) fn try_recv(&mut self) -> Result<Message, TryRecvError> {
        self.messages.try_recv()
    }

    /// Sees to it that nothing waits for too long. It never ends.
    pub(super) fn hurry(&self) -> impl Future<Output = ()> + Send + use<> {
        let (sender, unhurried) = (self.sender.clone(), Arc::clone(&self.unhurried));
        async move {
            loop {
                unhurried.first.notified().await;
                sleep(LATEST).await;
                let mut waiting = unhurried.lock();
                if let Some(messages) = sender.upgrade()
                    && !waiting.is_empty()
                {
                    drop(messages.send(Message::Unhurried(std::mem::take(&mut *waiting))));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_engine::event::Event;
    use plimsoll_framework::intern::Istr;

    use super::*;

    fn gone(name: &str) -> Event {
        Event::NodeDeleted { name: Istr::new(name) }
    }

    /// The names of the nodes that were told of as gone, in their order.
    fn told(incoming: &mut Incoming) -> Vec<String> {
        let mut names = Vec::new();
        let mut take = |event: Event| match event {
            Event::NodeDeleted { name } => names.push(name.to_string()),
            _ => unreachable!("nothing else is told here"),
        };
        while let Ok(message) = incoming.try_recv() {
            match message {
                Message::Events(events) => events.into_iter().for_each(|told| take(told.event)),
                Message::Unhurried(events) => events.into_iter().for_each(|(_, told)| take(told.event)),
                _ => {}
            }
        }
        names
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_wait_is_taken_along_in_order() {
        let (inbox, mut incoming) = inbox();
        inbox.unhurried(gone("a"));
        inbox.unhurried(gone("b"));
        assert!(told(&mut incoming).is_empty());
        inbox.event(gone("c"));
        assert_eq!(told(&mut incoming), ["a", "b", "c"]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_waits_for_long() {
        let (inbox, mut incoming) = inbox();
        tokio::spawn(incoming.hurry());
        for round in ["a", "b"] {
            let begun = Instant::now();
            inbox.unhurried(gone(round));
            let Some(Message::Unhurried(events)) = incoming.recv().await else { unreachable!("it waits") };
            // Timers are good to the millisecond.
            assert!(begun.elapsed() <= LATEST + Duration::from_millis(1));
            assert_eq!((events.len(), events[0].0), (1, begun), "it is told when it came");
        }
        (0..MANY).for_each(|n| inbox.unhurried(gone(&n.to_string())));
        assert_eq!(told(&mut incoming).len(), MANY, "many do not wait");
        drop(inbox);
        assert!(incoming.recv().await.is_none(), "the end is noticed");
    }
}
