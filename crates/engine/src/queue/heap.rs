//! A binary heap over slots that also knows where each of them is, so that any one can be taken out or moved.

/// A slot, and by what it is ordered as far as that is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Counts first. Entries are 32 bytes, so that few of them are many places of memory.
    pub(super) major: u64,
    pub(super) slot: u32,
    /// Whether `rank` says all that is left. Otherwise the slots have to be looked at.
    pub(super) ranked: bool,
    pub(super) rank: u128,
}

/// A heap of slots. The order is given with each call and must not change for slots that are in the heap.
#[derive(Debug, Default)]
pub(super) struct Heap {
    entries: Vec<Entry>,
    /// Position in `entries`, by slot number; `ABSENT` for slots that are not in the heap.
    positions: Vec<u32>,
}

const ABSENT: u32 = u32::MAX;

impl Heap {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn peek(&self) -> Option<u32> {
        self.entries.first().map(|entry| entry.slot)
    }

    pub(super) fn push(&mut self, entry: Entry, less: impl Fn(&Entry, &Entry) -> bool) {
        if self.positions.len() <= entry.slot as usize {
            self.positions.resize(entry.slot as usize + 1, ABSENT);
        }
        self.entries.push(entry);
        self.up(self.entries.len() - 1, less);
    }

    /// Takes a slot out; `false` if it was not in the heap.
    pub(super) fn remove(&mut self, slot: u32, less: impl Fn(&Entry, &Entry) -> bool) -> bool {
        let Some(at) = self.position(slot) else { return false };
        self.positions[slot as usize] = ABSENT;
        self.entries.swap_remove(at);
        if at < self.entries.len() {
            let at = self.up(at, &less);
            self.down(at, less);
        }
        true
    }

    fn position(&self, slot: u32) -> Option<usize> {
        self.positions.get(slot as usize).filter(|at| **at != ABSENT).map(|at| *at as usize)
    }

    fn place(&mut self, at: usize, entry: Entry) {
        self.entries[at] = entry;
        self.positions[entry.slot as usize] = u32::try_from(at).unwrap_or(ABSENT);
    }

    fn up(&mut self, mut at: usize, less: impl Fn(&Entry, &Entry) -> bool) -> usize {
        let entry = self.entries[at];
        while at > 0 {
            let parent = (at - 1) / 2;
            if !less(&entry, &self.entries[parent]) {
                break;
            }
            self.place(at, self.entries[parent]);
            at = parent;
        }
        self.place(at, entry);
        at
    }

    fn down(&mut self, mut at: usize, less: impl Fn(&Entry, &Entry) -> bool) {
        let entry = self.entries[at];
        loop {
            let left = 2 * at + 1;
            let Some(mut child) = (left < self.entries.len()).then_some(left) else { break };
            if left + 1 < self.entries.len() && less(&self.entries[left + 1], &self.entries[left]) {
                child = left + 1;
            }
            if !less(&self.entries[child], &entry) {
                break;
            }
            self.place(at, self.entries[child]);
            at = child;
        }
        self.place(at, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pops_in_order_whatever_is_taken_out(keys in prop::collection::vec(0u32..50, 1..80), gone in prop::collection::vec(any::<prop::sample::Index>(), 0..30)) {
            let less = |a: &Entry, b: &Entry| (keys[a.slot as usize], a.slot) < (keys[b.slot as usize], b.slot);
            let mut heap = Heap::default();
            let mut model: Vec<u32> = (0..u32::try_from(keys.len()).unwrap()).collect();
            for slot in &model {
                heap.push(Entry { major: 0, slot: *slot, ranked: false, rank: 0 }, less);
            }
            for index in gone {
                let slot = u32::try_from(index.index(keys.len())).unwrap();
                prop_assert_eq!(heap.remove(slot, less), model.contains(&slot));
                model.retain(|s| *s != slot);
            }
            model.sort_by_key(|s| (keys[*s as usize], *s));
            let mut popped = Vec::new();
            while let Some(first) = heap.peek() {
                heap.remove(first, less);
                popped.push(first);
            }
            prop_assert_eq!(popped, model);
        }
    }
}
