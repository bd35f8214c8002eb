//! Deadlines in the order in which they come due.

use core::hash::Hash;
use std::collections::{BTreeSet, HashMap};

use crate::Instant;

/// At most one deadline per key, the nearest found at once.
///
/// Bounded by its owner: it holds one entry for each key that the owner holds.
#[derive(Clone, Debug)]
pub struct Deadlines<K> {
    order: BTreeSet<(Instant, K)>,
    by_key: HashMap<K, Instant>,
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Self { order: BTreeSet::new(), by_key: HashMap::new() }
    }
}

impl<K: Copy + Eq + Hash + Ord> Deadlines<K> {
    /// Sets or moves the deadline of `key`.
    pub fn set(&mut self, key: K, at: Instant) {
        if let Some(before) = self.by_key.insert(key, at) {
            self.order.remove(&(before, key));
        }
        self.order.insert((at, key));
    }

    /// Forgets the deadline of `key`; says whether there was one.
    pub fn remove(&mut self, key: &K) -> bool {
        let Some(at) = self.by_key.remove(key) else { return false };
        self.order.remove(&(at, *key))
    }

    /// The deadline of `key`.
    pub fn get(&self, key: &K) -> Option<Instant> {
        self.by_key.get(key).copied()
    }

    /// The nearest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes one key whose deadline is not after `now`, the earliest first.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        let (at, key) = *self.order.first()?;
        if at > now {
            return None;
        }
        self.order.pop_first();
        self.by_key.remove(&key);
        Some(key)
    }

    /// Gives back the room of keys that are gone.
    pub fn shrink(&mut self) {
        self.by_key.shrink_to_fit();
    }

    /// How many keys have a deadline.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether no key has a deadline.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.order.clear();
        self.by_key.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn keys_come_out_in_the_order_of_their_deadlines() {
        let mut deadlines = Deadlines::default();
        deadlines.set('b', at(20));
        deadlines.set('a', at(30));
        deadlines.set('c', at(10));
        assert_eq!(deadlines.next(), Some(at(10)));
        assert_eq!(deadlines.pop_due(at(25)), Some('c'));
        assert_eq!(deadlines.pop_due(at(25)), Some('b'));
        assert_eq!(deadlines.pop_due(at(25)), None);
        assert_eq!(deadlines.len(), 1);
    }

    #[test]
    fn moving_a_deadline_forgets_where_it_was() {
        let mut deadlines = Deadlines::default();
        deadlines.set(1, at(10));
        deadlines.set(1, at(50));
        assert_eq!(deadlines.pop_due(at(40)), None);
        assert_eq!(deadlines.pop_due(at(50)), Some(1));
        assert!(deadlines.is_empty());
    }

    #[test]
    fn a_removed_key_never_comes_due() {
        let mut deadlines = Deadlines::default();
        deadlines.set(1, at(10));
        assert!(deadlines.remove(&1));
        assert!(!deadlines.remove(&1));
        assert_eq!(deadlines.pop_due(at(99)), None);
    }
}
