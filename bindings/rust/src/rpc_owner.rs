// SPDX-License-Identifier: Apache-2.0
//! Which thread has an `RpcBus`.

use std::cell::Cell;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::fail;
use crate::TachyonError;

/// Lets one thread in at a time, as often as it likes: a handle belongs to a thread from
/// its first call or guard until its last one has ended. Others are refused, not made to
/// wait: they might wait for a reply that only they can bring about.
#[derive(Default)]
pub(crate) struct Owner {
    thread: AtomicU64, // 0: free
    /// Calls and guards that have not ended. Touched by the owning thread only.
    depth: Cell<usize>,
}

// SAFETY: `depth` is only touched between taking `thread`, which acquires what the owner
// before has released, and giving it back.
unsafe impl Sync for Owner {}

/// A number for the calling thread, never that of another one, living or dead.
#[inline]
fn this_thread() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static NUMBER: Cell<u64> = const { Cell::new(0) };
    }
    NUMBER.with(|number| {
        if number.get() == 0 {
            number.set(LAST.fetch_add(1, Ordering::Relaxed) + 1);
        }
        number.get()
    })
}

impl Owner {
    /// Take the handle for this thread until the answer is dropped.
    #[inline]
    pub(crate) fn enter(&self) -> Result<Entered<'_>, TachyonError> {
        let me = this_thread();
        // Only this thread writes its number there, so this needs no order.
        if self.thread.load(Ordering::Relaxed) != me
            && self
                .thread
                .compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed)
                .is_err()
        {
            return Err(Self::refuse());
        }
        self.depth.set(self.depth.get() + 1);
        Ok(Entered { owner: self })
    }

    /// The end of what has entered; by this thread, as often as it has entered.
    #[inline]
    pub(crate) fn leave(&self) {
        let depth = self.depth.get() - 1;
        self.depth.set(depth);
        if depth == 0 {
            self.thread.store(0, Ordering::Release);
        }
    }

    #[cold]
    fn refuse() -> TachyonError {
        fail(
            TachyonError::Busy,
            "another thread is in a call on this RpcBus, or holds a guard of it",
        )
    }
}

/// This thread has the handle.
pub(crate) struct Entered<'a> {
    owner: &'a Owner,
}

impl Entered<'_> {
    /// Hand the duty to leave over to a guard.
    #[inline]
    pub(crate) fn stay(self) {
        mem::forget(self);
    }
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        self.owner.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_thread_may_enter_again_and_others_only_when_it_has_left() {
        let owner = Owner::default();
        let elsewhere = || thread::scope(|s| s.spawn(|| owner.enter().is_ok()).join().unwrap());
        let first = owner.enter().unwrap();
        let second = owner.enter().unwrap();
        assert!(!elsewhere());
        drop(first);
        assert!(!elsewhere());
        drop(second);
        assert!(elsewhere());
    }

    #[test]
    fn no_two_threads_are_in_at_once() {
        struct Plain(Owner, Cell<u64>);
        // SAFETY: what this test is about: the cell is touched by the owner only.
        unsafe impl Sync for Plain {}
        let plain = Plain(Owner::default(), Cell::new(0));
        let plain = &plain;
        let entered: u64 = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(move || {
                        let mut entered = 0;
                        for _ in 0..50_000 {
                            if let Ok(_in) = plain.0.enter() {
                                plain.1.set(plain.1.get() + 1);
                                entered += 1;
                            }
                        }
                        entered
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert!(entered > 0);
        assert_eq!(plain.1.get(), entered);
    }

    #[test]
    fn a_forgotten_entry_is_not_taken_over_by_a_later_thread() {
        let owner = Owner::default();
        thread::scope(|s| {
            s.spawn(|| std::mem::forget(owner.enter()));
        });
        thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| assert!(owner.enter().is_err()));
            }
        });
    }
}
