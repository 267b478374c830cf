//! Slots, and the heaps that order them.

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
        self.with_heap(place, |heap, less| heap.push(slot, less));
    }

    pub(super) fn unlink(&mut self, slot: u32, place: Place) {
        self.waiting.remove(slot);
        self.with_heap(place, |heap, less| {
            heap.remove(slot, less);
        });
    }

    /// Lends the heap of a place, if it is kept in one, together with its order.
    pub(super) fn with_heap(&mut self, place: Place, f: impl FnOnce(&mut Heap, &dyn Fn(u32, u32) -> bool)) {
        let mut heap = match place {
            Place::Active => std::mem::take(&mut self.active),
            Place::Backoff => std::mem::take(&mut self.backoff),
            Place::ErrorBackoff => std::mem::take(&mut self.error_backoff),
            Place::Unschedulable | Place::Gated => return,
        };
        f(&mut heap, &|a, b| self.less(place, a, b));
        match place {
            Place::Active => self.active = heap,
            Place::Backoff => self.backoff = heap,
            _ => self.error_backoff = heap,
        }
    }

    pub(super) fn less(&self, place: Place, a: u32, b: u32) -> bool {
        let (Some(a), Some(b)) = (self.info(a), self.info(b)) else { return false };
        let sort = || self.profiles[0].queue_sort.less(self.sorted_as(a), self.sorted_as(b));
        let expiry = |info: &QueuedPodInfo| info.backoff_expiry(&self.settings.backoff);
        match place {
            Place::Backoff => expiry(a) < expiry(b) || (expiry(a) == expiry(b) && sort()),
            Place::ErrorBackoff => expiry(a) < expiry(b),
            _ if a.first != b.first => a.first,
            _ => sort(),
        }
    }
}
