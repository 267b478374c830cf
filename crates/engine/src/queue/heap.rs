//! A binary heap over slots that also knows where each of them is, so that any one can be taken out or moved.

/// A heap of slot numbers. The order is given with each call and must not change for slots that are in the heap.
#[derive(Debug, Default)]
pub(super) struct Heap {
    slots: Vec<u32>,
    /// Position in `slots`, by slot number; `ABSENT` for slots that are not in the heap.
    positions: Vec<u32>,
}

const ABSENT: u32 = u32::MAX;

impl Heap {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn peek(&self) -> Option<u32> {
        self.slots.first().copied()
    }

    pub(super) fn push(&mut self, slot: u32, less: impl Fn(u32, u32) -> bool) {
        if self.positions.len() <= slot as usize {
            self.positions.resize(slot as usize + 1, ABSENT);
        }
        self.slots.push(slot);
        self.up(self.slots.len() - 1, less);
    }

    /// Takes a slot out; `false` if it was not in the heap.
    pub(super) fn remove(&mut self, slot: u32, less: impl Fn(u32, u32) -> bool) -> bool {
        let Some(at) = self.position(slot) else { return false };
        self.positions[slot as usize] = ABSENT;
        self.slots.swap_remove(at);
        if at < self.slots.len() {
            let at = self.up(at, &less);
            self.down(at, less);
        }
        true
    }

    fn position(&self, slot: u32) -> Option<usize> {
        self.positions.get(slot as usize).filter(|at| **at != ABSENT).map(|at| *at as usize)
    }

    fn place(&mut self, at: usize, slot: u32) {
        self.slots[at] = slot;
        self.positions[slot as usize] = u32::try_from(at).unwrap_or(ABSENT);
    }

    fn up(&mut self, mut at: usize, less: impl Fn(u32, u32) -> bool) -> usize {
        let slot = self.slots[at];
        while at > 0 {
            let parent = (at - 1) / 2;
            if !less(slot, self.slots[parent]) {
                break;
            }
            self.place(at, self.slots[parent]);
            at = parent;
        }
        self.place(at, slot);
        at
    }

    fn down(&mut self, mut at: usize, less: impl Fn(u32, u32) -> bool) {
        let slot = self.slots[at];
        loop {
            let left = 2 * at + 1;
            let Some(mut child) = (left < self.slots.len()).then_some(left) else { break };
            if left + 1 < self.slots.len() && less(self.slots[left + 1], self.slots[left]) {
                child = left + 1;
            }
            if !less(self.slots[child], slot) {
                break;
            }
            self.place(at, self.slots[child]);
            at = child;
        }
        self.place(at, slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pops_in_order_whatever_is_taken_out(keys in prop::collection::vec(0u32..50, 1..80), gone in prop::collection::vec(any::<prop::sample::Index>(), 0..30)) {
            let less = |a: u32, b: u32| (keys[a as usize], a) < (keys[b as usize], b);
            let mut heap = Heap::default();
            let mut model: Vec<u32> = (0..u32::try_from(keys.len()).unwrap()).collect();
            for slot in &model {
                heap.push(*slot, less);
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
