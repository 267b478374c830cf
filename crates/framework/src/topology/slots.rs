//! Things under numbers that are used again.

#[derive(Debug)]
pub(super) struct Slots<T> {
    items: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { items: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slots<T> {
    /// Keeps `item`; gives its number.
    pub(super) fn insert(&mut self, item: T) -> usize {
        if let Some(id) = self.free.pop() {
            self.items[id] = Some(item);
            return id;
        }
        self.items.push(Some(item));
        self.items.len() - 1
    }

    pub(super) fn remove(&mut self, id: usize) -> Option<T> {
        let item = self.items.get_mut(id)?.take()?;
        self.free.push(id);
        Some(item)
    }

    pub(super) fn get(&self, id: usize) -> Option<&T> {
        self.items.get(id)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: usize) -> Option<&mut T> {
        self.items.get_mut(id)?.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.items.iter().enumerate().filter_map(|(id, item)| Some((id, item.as_ref()?)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        self.items.iter_mut().enumerate().filter_map(|(id, item)| Some((id, item.as_mut()?)))
    }
}
