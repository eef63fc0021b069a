// SPDX-License-Identifier: Apache-2.0
//! Which thread has an `RpcBus`.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::RefUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::fail;
use crate::raw::RawRpc;
use crate::TachyonError;

/// Lets one thread in at a time, as often as it likes: what is inside belongs to a thread
/// from its first call or guard until its last one has ended. Others are refused, not made
/// to wait: they might wait for a reply that only they can bring about.
pub(crate) struct Owner<T> {
    thread: AtomicU64, // 0: free
    /// Calls and guards that have not ended. Touched by the owning thread only.
    depth: Cell<usize>,
    inside: T,
}

// SAFETY: `depth` and `inside` are only touched between taking `thread`, which acquires what
// the owner before has released, and giving it back; so `inside` only needs to be `Send`.
unsafe impl<T: Send> Sync for Owner<T> {}
// Nothing panics between two writes to its cells, nor to those of a `RawRpc`.
impl RefUnwindSafe for Owner<RawRpc> {}

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

impl<T> Owner<T> {
    pub(crate) fn new(inside: T) -> Self {
        Self {
            thread: AtomicU64::new(0),
            depth: Cell::new(0),
            inside,
        }
    }

    /// Take what is inside for this thread until the answer is dropped.
    #[inline]
    pub(crate) fn enter(&self) -> Result<Entered<'_, T>, TachyonError> {
        let me = this_thread();
        // Only this thread writes its number there, so this needs no order.
        if self.thread.load(Ordering::Relaxed) != me
            && self
                .thread
                .compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed)
                .is_err()
        {
            return Err(refuse());
        }
        self.depth.set(self.depth.get() + 1);
        Ok(Entered {
            owner: self,
            stays_in_its_thread: PhantomData,
        })
    }
}

#[cold]
fn refuse() -> TachyonError {
    fail(
        TachyonError::Busy,
        "another thread is in a call on this RpcBus, or holds a guard of it",
    )
}

/// This thread has what is inside.
pub(crate) struct Entered<'a, T> {
    owner: &'a Owner<T>,
    stays_in_its_thread: PhantomData<*const ()>,
}

impl<T> Deref for Entered<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.owner.inside
    }
}

impl<T> Drop for Entered<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let depth = self.owner.depth.get() - 1;
        self.owner.depth.set(depth);
        if depth == 0 {
            self.owner.thread.store(0, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_thread_may_enter_again_and_others_only_when_it_has_left() {
        let owner = Owner::new(());
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
        let counter = Owner::new(Cell::new(0));
        let counter = &counter;
        let entered: u64 = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(move || {
                        let mut entered = 0;
                        for _ in 0..50_000 {
                            if let Ok(count) = counter.enter() {
                                count.set(count.get() + 1);
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
        assert_eq!(counter.enter().unwrap().get(), entered);
    }

    #[test]
    fn a_forgotten_entry_is_not_taken_over_by_a_later_thread() {
        let owner = Owner::new(());
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
