// SPDX-License-Identifier: Apache-2.0
//! shmem-ipc: a ring of 8-byte items in each direction; a message is some of them. Who
//! sleeps, sleeps on the crate's eventfd.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};

use link::{Link, Mode, Or, Setting};
use sendfd::{RecvWithFd, SendWithFd};
use shmem_ipc::sharedring::{Receiver, Sender};

const WORD: usize = 8;

struct ShmemIpc {
    out: Sender<u64>,
    incoming: Receiver<u64>,
    spins: bool,
    taken: usize, // words of what is acquired
}

fn hand_over(stream: &UnixStream, ring: &Receiver<u64>) {
    let signals = [ring.empty_signal(), ring.full_signal()];
    let mut fds = vec![ring.memfd().as_file().as_raw_fd()];
    fds.extend(signals.map(AsRawFd::as_raw_fd));
    stream.send_with_fd(b"x", &fds).or_cannot();
}

fn take_over(stream: &UnixStream, capacity: usize) -> Sender<u64> {
    let mut fds: [RawFd; 3] = [-1; 3];
    stream.recv_with_fd(&mut [0], &mut fds).or_cannot();
    // SAFETY: the kernel has just made them for this process.
    let [memory, empty, full] = fds.map(|fd| unsafe { File::from_raw_fd(fd) });
    Sender::open(capacity, memory, empty, full).or_cannot()
}

impl Link for ShmemIpc {
    fn open(setting: &Setting) -> Self {
        let path = format!("{}/fds", setting.directory);
        let stream = if setting.lead {
            loop {
                if let Ok(stream) = UnixStream::connect(&path) {
                    break stream;
                }
            }
        } else {
            UnixListener::bind(&path).or_cannot().accept().or_cannot().0
        };
        let capacity = setting.ring_bytes() / WORD;
        let incoming = Receiver::new(capacity).or_cannot();
        hand_over(&stream, &incoming);
        ShmemIpc {
            out: take_over(&stream, capacity),
            incoming,
            spins: setting.mode != Mode::Sleep,
            taken: 0,
        }
    }

    fn send(&mut self, payload: &[u8]) {
        let mut sent = 0;
        while sent < payload.len() {
            let rest = &payload[sent..];
            let mut copied = 0;
            let result = self.out.send_raw(|room, count| {
                copied = rest.len().min(count * WORD);
                // SAFETY: the room is for `count` words, and only this process writes it.
                unsafe { std::ptr::copy_nonoverlapping(rest.as_ptr(), room.cast(), copied) };
                copied / WORD
            });
            result.or_cannot();
            sent += copied;
            if copied == 0 && !self.spins {
                self.out.block_until_writable().or_cannot();
            }
        }
    }

    fn receive(&mut self, payload: &mut [u8]) {
        let mut got = 0;
        while got < payload.len() {
            if !self.spins {
                self.incoming.block_until_readable().or_cannot();
            }
            let rest = &mut payload[got..];
            let mut copied = 0;
            let result = self.incoming.receive_raw(|data, count| {
                copied = rest.len().min(count * WORD);
                // SAFETY: there are `count` words, which the sender leaves alone.
                unsafe { std::ptr::copy_nonoverlapping(data.cast(), rest.as_mut_ptr(), copied) };
                copied / WORD
            });
            result.or_cannot();
            got += copied;
        }
    }

    // What is in a batch lies as one message does.
    const BATCHES: bool = true;

    fn send_batch(&mut self, items: &[u8], _: usize) {
        self.send(items);
    }

    fn receive_batch(&mut self, items: &mut [u8], size: usize) -> usize {
        let there = self.incoming.receiver_mut().read_count().or_cannot() * WORD / size;
        let count = there.clamp(1, items.len() / size);
        self.receive(&mut items[..count * size]);
        count
    }

    // A ring of as many bytes as some messages have: none lies on both sides of its end.
    const IN_PLACE: bool = true;

    fn reserve(&mut self, size: usize) -> *mut u8 {
        loop {
            let mut found: *mut u8 = std::ptr::null_mut();
            let look = |room: *mut u64, count: usize| {
                if count * WORD >= size {
                    found = room.cast();
                }
                0
            };
            self.out.send_raw(look).or_cannot();
            if !found.is_null() {
                return found;
            }
        }
    }

    fn commit(&mut self, size: usize) {
        self.out.send_raw(|_, _| size / WORD).or_cannot();
    }

    fn acquire(&mut self, size: usize) -> *const u8 {
        self.taken = size / WORD;
        loop {
            let mut found: *const u8 = std::ptr::null();
            let look = |data: *const u64, count: usize| {
                if count * WORD >= size {
                    found = data.cast();
                }
                0
            };
            self.incoming.receive_raw(look).or_cannot();
            if !found.is_null() {
                return found;
            }
        }
    }

    fn release(&mut self) {
        let taken = self.taken;
        self.incoming.receive_raw(|_, _| taken).or_cannot();
    }
}

link::export!(ShmemIpc);
