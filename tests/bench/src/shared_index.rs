// SPDX-License-Identifier: Apache-2.0
//! The ring to compare with: the classic single-producer ring, whose consumer learns
//! of a message from a shared head index. Records are a 64-byte header and the payload
//! on the lines after it. Each side keeps a copy of the other's index and reads the
//! shared one only when that copy says full or empty, the best form of this design.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::shared::{Line, Shared};

const LINE: u64 = 64;
/// Bytes of the ring: as many as the bus has.
pub const CAPACITY: usize = 1 << 20;

#[repr(C, align(64))]
struct Header {
    size: u32,
    type_id: u32,
}

#[repr(C, align(4096))]
pub struct SharedIndexMemory {
    /// Written by the producer; all before it is published.
    head: Line,
    /// Written by the consumer; all before it is free.
    tail: Line,
    data: [u8; CAPACITY],
}

/// One end. Indices count bytes and run freely; 2^64 is never reached.
pub struct SharedIndexRing<'a> {
    memory: &'a Shared<SharedIndexMemory>,
    own: u64,
    other_seen: u64,
}

impl<'a> SharedIndexRing<'a> {
    pub fn producer(memory: &'a Shared<SharedIndexMemory>) -> SharedIndexRing<'a> {
        SharedIndexRing {
            memory,
            own: memory.head.word.load(Ordering::Relaxed),
            other_seen: memory.tail.word.load(Ordering::Acquire),
        }
    }

    pub fn consumer(memory: &'a Shared<SharedIndexMemory>) -> SharedIndexRing<'a> {
        SharedIndexRing {
            memory,
            own: memory.tail.word.load(Ordering::Relaxed),
            other_seen: memory.head.word.load(Ordering::Acquire),
        }
    }

    #[inline(always)]
    fn line(&self, index: u64) -> *mut u8 {
        let offset = index as usize & (CAPACITY - 1);
        // SAFETY: the mask keeps it inside `data`; `as_ptr` goes without a reference.
        unsafe {
            std::ptr::addr_of_mut!((*self.memory.as_ptr()).data)
                .cast::<u8>()
                .add(offset)
        }
    }

    #[inline(always)]
    fn wait_while(&mut self, index: &AtomicU64, blocked: impl Fn(u64) -> bool) {
        while blocked(self.other_seen) {
            self.other_seen = index.load(Ordering::Acquire);
            if blocked(self.other_seen) {
                std::hint::spin_loop();
            }
        }
    }

    /// Write and publish one message of a single payload line.
    #[inline(always)]
    pub fn send(&mut self, payload: &[u64; 4], type_id: u32) {
        let memory = self.memory;
        let end = self.own + 2 * LINE;
        self.wait_while(&memory.tail.word, |tail| end - tail > CAPACITY as u64);
        // SAFETY: two lines of `data` that the consumer has released; the capacity is
        // a multiple of a record, so that none runs over the end.
        unsafe {
            self.line(self.own).cast::<Header>().write(Header {
                size: std::mem::size_of_val(payload) as u32,
                type_id,
            });
            self.line(self.own + LINE)
                .cast::<[u64; 4]>()
                .write(*payload);
        }
        self.own = end;
        // Pairs with the load of `head` in wait_while().
        memory.head.word.store(end, Ordering::Release);
    }

    /// Wait for a message, read it, release it.
    #[inline(always)]
    pub fn receive(&mut self) -> [u64; 4] {
        let memory = self.memory;
        let start = self.own;
        self.wait_while(&memory.head.word, |head| head == start);
        // SAFETY: two published lines, which the producer leaves alone until released.
        let payload = unsafe {
            let header = self.line(start).cast::<Header>().read();
            assert_eq!(header.size, 32, "the shared-index ring lost its place");
            self.line(start + LINE).cast::<[u64; 4]>().read()
        };
        self.own = start + 2 * LINE;
        // Pairs with the load of `tail` in wait_while().
        memory.tail.word.store(self.own, Ordering::Release);
        payload
    }
}
