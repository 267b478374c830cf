//! Slots, and the heaps that order them.

use super::heap::Entry;
use super::*;

impl Queue {
    pub(super) fn info(&self, slot: u32) -> Option<&QueuedPodInfo> {
        self.slots.get(slot as usize)?.as_ref().map(|s| &s.info)
    }

    pub(super) fn place_of(&self, slot: u32) -> Option<Place> {
        self.slots.get(slot as usize)?.as_ref().map(|s| s.place)
    }

    pub(super) fn insert(&mut self, info: QueuedPodInfo, place: Place, reason: QueueReason) {
        let uid = info.pod.key.uid.clone();
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        self.slots[slot as usize] = Some(Slot { info, place });
        self.by_uid.insert(uid, slot);
        self.enter_group(slot);
        self.link(slot, place);
        self.observe(place, reason);
    }

    pub(super) fn take(&mut self, slot: u32, place: Place) -> QueuedPodInfo {
        self.unlink(slot, place);
        self.leave_group(slot);
        let Some(Slot { info, .. }) = self.slots[slot as usize].take() else {
            unreachable!("only occupied slots are taken")
        };
        self.by_uid.remove(&info.pod.key.uid);
        self.free.push(slot);
        info
    }

    pub(super) fn observe(&mut self, place: Place, event: QueueReason) {
        self.observations.push(Observation::QueueIncoming { queue: place.as_str(), event });
    }

    pub(super) fn heap(&self, place: Place) -> &Heap {
        match place {
            Place::Backoff => &self.backoff,
            Place::ErrorBackoff => &self.error_backoff,
            _ => &self.active,
        }
    }

    pub(super) fn link(&mut self, slot: u32, place: Place) {
        if matches!(place, Place::Unschedulable | Place::Gated)
            && let Some(Slot { info, .. }) = self.slots.get(slot as usize).and_then(Option::as_ref)
        {
            self.waiting.insert(slot, info, &self.profiles[info.profile]);
        }
        if let Some(entry) = self.entry(slot, place) {
            self.with_heap(place, |heap, less| heap.push(entry, less));
        }
    }

    /// A slot as it is ordered in the heap of a place. Nothing that this follows from changes while it is there.
    fn entry(&self, slot: u32, place: Place) -> Option<Entry> {
        let info = self.info(slot)?;
        // The whole second, so that 0 is left for those that have no backoff.
        let expiry = || info.backoff_expiry(&self.settings.backoff).map_or(0, |at| 1 + at.as_duration().as_secs());
        let (major, rank) = match place {
            Place::Active => (u64::from(!info.first), self.rank(info)),
            Place::Backoff => (expiry(), self.rank(info)),
            Place::ErrorBackoff => (expiry(), Some(0)),
            Place::Unschedulable | Place::Gated => return None,
        };
        Some(Entry { major, slot, ranked: rank.is_some(), rank: rank.unwrap_or(0) })
    }

    fn rank(&self, info: &QueuedPodInfo) -> Option<u128> {
        self.profiles[0].queue_sort.rank(self.sorted_as(info))
    }

    pub(super) fn unlink(&mut self, slot: u32, place: Place) {
        self.waiting.remove(slot);
        self.with_heap(place, |heap, less| {
            heap.remove(slot, less);
        });
    }

    /// Lends the heap of a place, if it is kept in one, together with its order.
    pub(super) fn with_heap(&mut self, place: Place, f: impl FnOnce(&mut Heap, &dyn Fn(&Entry, &Entry) -> bool)) {
        let mut heap = match place {
            Place::Active => std::mem::take(&mut self.active),
            Place::Backoff => std::mem::take(&mut self.backoff),
            Place::ErrorBackoff => std::mem::take(&mut self.error_backoff),
            Place::Unschedulable | Place::Gated => return,
        };
        f(&mut heap, &|a, b| self.less(a, b));
        match place {
            Place::Active => self.active = heap,
            Place::Backoff => self.backoff = heap,
            _ => self.error_backoff = heap,
        }
    }

    fn less(&self, a: &Entry, b: &Entry) -> bool {
        if a.major != b.major {
            return a.major < b.major;
        }
        if a.ranked && b.ranked {
            return a.rank < b.rank;
        }
        let (Some(a), Some(b)) = (self.info(a.slot), self.info(b.slot)) else { return false };
        self.profiles[0].queue_sort.less(self.sorted_as(a), self.sorted_as(b))
    }
}
