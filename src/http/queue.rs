//! A FIFO queue that stores its first element inline. Most queues of this module hold at most one element, which then
//! needs no heap memory and no pointer chase.

use std::collections::VecDeque;

/// Elements in insertion order.
///
/// Invariant: if there is no first element, `rest` is empty.
#[derive(Debug)]
pub(super) struct Queue<T> {
    first: Option<T>,
    rest: VecDeque<T>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { first: None, rest: VecDeque::new() }
    }
}

impl<T> Queue<T> {
    /// Removes all elements; keeps at most this heap capacity.
    pub(super) fn clear(&mut self, capacity: usize) {
        self.first = None;
        self.rest.clear();
        self.rest.shrink_to(capacity);
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    /// Returns the heap memory held, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.rest.capacity() * size_of::<T>()
    }

    pub(super) const fn front(&self) -> Option<&T> {
        self.first.as_ref()
    }

    pub(super) fn back(&self) -> Option<&T> {
        self.rest.back().or(self.first.as_ref())
    }

    pub(super) fn push_back(&mut self, element: T) {
        if self.first.is_none() {
            self.first = Some(element);
        } else {
            self.rest.push_back(element);
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<T> {
        let next = self.rest.pop_front();
        std::mem::replace(&mut self.first, next)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.rest)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.first.iter_mut().chain(&mut self.rest)
    }

    /// Keeps the elements for which `keep` returns `true`; calls it once for each, in order.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        let first_removed = self.first.take_if(|first| !keep(first)).is_some();
        self.rest.retain(keep);
        if first_removed {
            self.first = self.rest.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn queue_behaves_like_vec_deque(steps in prop::collection::vec((0_u8..8, any::<u8>()), 0..60)) {
            let (mut queue, mut deque) = (Queue::default(), VecDeque::new());
            for (step, value) in steps {
                match step {
                    0..4 => {
                        queue.push_back(value);
                        deque.push_back(value);
                    }
                    4 | 5 => prop_assert_eq!(queue.pop_front(), deque.pop_front()),
                    6 => {
                        let (mut visited, mut expected) = (Vec::new(), Vec::new());
                        queue.retain(|&element| { visited.push(element); element % 3 != value % 3 });
                        deque.retain(|&element| { expected.push(element); element % 3 != value % 3 });
                        prop_assert_eq!(visited, expected);
                    }
                    _ if value < 32 => {
                        queue.clear(4);
                        deque.clear();
                    }
                    _ => {
                        queue.iter_mut().for_each(|element| *element = element.wrapping_add(value));
                        deque.iter_mut().for_each(|element| *element = element.wrapping_add(value));
                    }
                }
                prop_assert_eq!(queue.iter().collect::<Vec<_>>(), deque.iter().collect::<Vec<_>>());
                prop_assert_eq!((queue.front(), queue.back()), (deque.front(), deque.back()));
                prop_assert_eq!((queue.len(), queue.is_empty()), (deque.len(), deque.is_empty()));
            }
        }
    }
}
