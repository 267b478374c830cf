//! The recorder: what the owner hands over is written by a thread of its own. The owner never waits for it; when it cannot
//! keep up, recording ends.

use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use plimsoll_engine::effect::Effect;
use plimsoll_framework::time::Time;

use super::line::{Entry, Lines};
use super::segments::{Segments, create};
use super::{HEAD_FILE, Head, LONGEST_LINE, Recording, STOPPED, effect};

/// So many entries, and so many bytes of them, may wait to be written.
const QUEUE_ENTRIES: usize = 1 << 16;
const QUEUE_BYTES: usize = 256 << 20;
/// What is written can be read by others after so long at most.
const FLUSH_AFTER: Duration = Duration::from_millis(200);
/// How long the end is waited for.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Why a recording ends otherwise.
const TOO_SLOW: &str = "tooSlow";
const FULL: &str = "full";
const UNWRITABLE: &str = "unwritable";

/// A folder for a recording is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is a recording in it.
    #[error("recording to {}: it holds a recording already; name a folder of its own for each run", .0.display())]
    Taken(PathBuf),
    /// It cannot be made or looked into.
    #[error("recording to {}", .path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
}

/// A folder in which a recording can be made, and how large that may become.
#[derive(Debug)]
pub struct Room {
    dir: PathBuf,
    most_bytes: u64,
}

impl Room {
    /// Looks whether there is room in `dir`, which is made if it does not exist.
    ///
    /// # Errors
    /// When it holds a recording, or cannot be made.
    pub fn new(dir: &Path, most_mebibytes: u64) -> Result<Self, Refused> {
        let unusable = |source| Refused::Unusable { path: dir.to_owned(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(unusable)?;
        if dir.join(HEAD_FILE).try_exists().map_err(unusable)? {
            return Err(Refused::Taken(dir.to_owned()));
        }
        Ok(Self { dir: dir.to_owned(), most_bytes: most_mebibytes.saturating_mul(1 << 20) })
    }

    /// Begins to record. With `patience` the owner waits rather than that anything is lost: for simulations, whose clock
    /// stands still meanwhile.
    pub(crate) fn begin(self, head: &Head, patience: bool) -> anyhow::Result<Recorder> {
        let path = self.dir.join(HEAD_FILE);
        let text = serde_json::to_string_pretty(head).context("writing the head of the recording")? + "\n";
        let write = create(&path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_data()
        });
        write.with_context(|| format!("recording to {}", path.display()))?;
        let (send, entries) = sync_channel(QUEUE_ENTRIES);
        let (ended, end) = channel();
        let (waiting, why) = (Arc::new(AtomicUsize::new(0)), Arc::new(OnceLock::new()));
        let recording = Recording::on();
        let scribe = Scribe {
            entries,
            waiting: Arc::clone(&waiting),
            why: Arc::clone(&why),
            lines: Lines::default(),
            segments: Segments::new(&self.dir, self.most_bytes),
            recording: recording.clone(),
        };
        let thread = std::thread::Builder::new().name("record".to_owned());
        thread
            .spawn(move || {
                scribe.run();
                // Nobody may wait for it.
                let _ = ended.send(());
            })
            .context("starting the thread that records")?;
        tracing::info!(folder = %self.dir.display(), "recording everything that reaches the engine");
        Ok(Recorder { send: Some(send), waiting, why, recording, end, patience })
    }
}

/// Where the owner tells what it does.
pub struct Recorder {
    send: Option<SyncSender<Entry>>,
    /// Bytes that wait to be written.
    waiting: Arc<AtomicUsize>,
    /// Why nothing follows.
    why: Arc<OnceLock<&'static str>>,
    recording: Recording,
    end: Receiver<()>,
    patience: bool,
}

impl Recorder {
    /// Whether it records, for those who tell the owner.
    pub(crate) fn recording(&self) -> Recording {
        self.recording.clone()
    }

    pub(crate) fn lead(&mut self, leads: bool) {
        self.put(Entry::Lead(leads));
    }

    pub(crate) fn tick(&mut self, now: Time) {
        self.put(Entry::Tick(now));
    }

    pub(crate) fn decide(&mut self, now: Time) {
        self.put(Entry::Decide(now));
    }

    /// What the engine is told.
    pub(crate) fn event(&mut self, now: Time, text: Option<Box<str>>) {
        match text {
            Some(text) => self.put(Entry::Event(now, text)),
            // What was told before recording ended may be taken in after.
            None if !self.recording.is_on() => self.send = None,
            None => self.give_up(UNWRITABLE, "something that the engine was told cannot be written"),
        }
    }

    /// What the engine asks for.
    pub(crate) fn effect(&mut self, effect: &Effect) {
        if self.send.is_none() {
            return;
        }
        match effect::text(effect) {
            Some(text) => self.put(Entry::Effect(text)),
            None => self.give_up(UNWRITABLE, "something that the engine asks for cannot be written"),
        }
    }

    fn put(&mut self, entry: Entry) {
        let Some(send) = &self.send else { return };
        let bytes = entry.bytes();
        if bytes > LONGEST_LINE {
            return self.give_up(UNWRITABLE, "something that the engine was told is too long to be written");
        }
        if self.patience {
            self.waiting.fetch_add(bytes, Ordering::Relaxed);
            // Who wrote has said why it ended.
            if send.send(entry).is_err() {
                self.send = None;
            }
            return;
        }
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let sent = if before > QUEUE_BYTES { Err(TrySendError::Full(entry)) } else { send.try_send(entry) };
        match sent {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.give_up(TOO_SLOW, "writing does not keep up"),
            Err(TrySendError::Disconnected(_)) => self.send = None,
        }
    }

    /// Ends recording; what waits is still written.
    fn give_up(&mut self, why: &'static str, text: &str) {
        // The first reason counts.
        let _ = self.why.set(why);
        self.send = None;
        self.recording.end();
        tracing::error!("{text}: nothing is recorded any more; scheduling goes on");
    }

    /// Ends the recording in good order: what follows is not a part of it.
    pub(crate) fn finish(&mut self) {
        if self.send.take().is_some() {
            let _ = self.why.set(STOPPED);
        }
        self.recording.end();
        if let Err(RecvTimeoutError::Timeout) = self.end.recv_timeout(LAST_WORDS) {
            tracing::warn!("the recording was not written to its end in {LAST_WORDS:?}");
        }
    }
}

impl Drop for Recorder {
    /// Whoever takes away the owner finds the recording whole.
    fn drop(&mut self) {
        self.finish();
    }
}

/// Who writes.
struct Scribe {
    entries: Receiver<Entry>,
    waiting: Arc<AtomicUsize>,
    why: Arc<OnceLock<&'static str>>,
    lines: Lines,
    segments: Segments,
    recording: Recording,
}

impl Scribe {
    fn run(mut self) {
        let written = self.write();
        self.recording.end();
        if let Err(error) = written {
            let path = self.segments.path();
            tracing::error!(file = %path.display(), %error, "recording failed: nothing is recorded any more; scheduling goes on");
        }
    }

    fn write(&mut self) -> std::io::Result<()> {
        let mut unread: Option<Instant> = None;
        loop {
            let next = match unread {
                Some(since) => self.entries.recv_timeout(FLUSH_AFTER.saturating_sub(since.elapsed())),
                None => self.entries.recv().map_err(Into::into),
            };
            match next {
                Ok(entry) => {
                    self.waiting.fetch_sub(entry.bytes(), Ordering::Relaxed);
                    self.segments.write(self.lines.line(&entry))?;
                    // In a flood there is always another entry.
                    if unread.get_or_insert_with(Instant::now).elapsed() > FLUSH_AFTER {
                        self.segments.flush()?;
                        unread = None;
                    }
                    if self.segments.is_full() {
                        tracing::warn!(
                            "the recording is as large as it may become: nothing is recorded any more; scheduling goes on"
                        );
                        return self.end(FULL);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.segments.flush()?;
                    unread = None;
                }
                Err(RecvTimeoutError::Disconnected) => return self.end(self.why.get().copied().unwrap_or(STOPPED)),
            }
        }
    }

    fn end(&mut self, why: &'static str) -> std::io::Result<()> {
        self.segments.write(self.lines.line(&Entry::End(why)))?;
        self.segments.end()
    }
}
