// SPDX-License-Identifier: Apache-2.0
//! shmem-ipc: a ring of 8-byte items in each direction; a message is some of them. Who
//! sleeps, sleeps on the crate's eventfd.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};

use link::{until_there, Link, Mode, Or, Read, Setting, Write};
use sendfd::{RecvWithFd, SendWithFd};
use shmem_ipc::sharedring::{Receiver, Sender};

const WORD: usize = 8;

struct ShmemIpc {
    out: Sender<u64>,
    incoming: Receiver<u64>,
    spins: bool,
    length: usize, // of each ring, in words
    out_at: usize,
    incoming_at: usize,
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
        let path = setting.path("fds");
        let stream = match setting.lead {
            true => until_there(|| UnixStream::connect(&path)),
            false => UnixListener::bind(&path).or_cannot().accept().or_cannot().0,
        };
        let capacity = setting.ring_bytes() / WORD;
        let incoming = Receiver::new(capacity).or_cannot();
        hand_over(&stream, &incoming);
        let mut out = take_over(&stream, capacity);
        let length = out.sender_mut().write_count().or_cannot(); // nothing is in it yet
        ShmemIpc {
            out,
            incoming,
            spins: setting.mode != Mode::Sleep,
            length,
            out_at: 0,
            incoming_at: 0,
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
            self.out_at = (self.out_at + copied / WORD) % self.length;
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
            self.incoming_at = (self.incoming_at + copied / WORD) % self.length;
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

    const IN_PLACE: bool = true;

    // A ring has whole pages without a line: what would lie across its end begins anew.
    fn send_in_place(&mut self, size: usize, write: Write) {
        let (words, rest) = (size / WORD, self.length - self.out_at);
        if rest < words {
            self.put(rest, |_| ());
        }
        // SAFETY: the room is for so many words, and only this process writes it.
        let room = |first: *mut u64| unsafe { std::slice::from_raw_parts_mut(first.cast(), size) };
        self.put(words, |first| write.fill(room(first)));
    }

    fn receive_in_place(&mut self, size: usize, read: Read) {
        let (words, rest) = (size / WORD, self.length - self.incoming_at);
        if rest < words {
            self.take(rest, |_| ());
        }
        // SAFETY: there are so many words, which the sender leaves alone.
        let data = |first: *const u64| unsafe { std::slice::from_raw_parts(first.cast(), size) };
        self.take(words, |first| read.look(data(first)));
    }
}

impl ShmemIpc {
    /// Words that lie together, once there is room for them.
    fn put(&mut self, words: usize, write: impl Fn(*mut u64)) {
        let mut done = 0;
        while done == 0 {
            let some = |first: *mut u64, count: usize| {
                if count >= words {
                    write(first);
                    done = words;
                }
                done
            };
            self.out.send_raw(some).or_cannot();
        }
        self.out_at = (self.out_at + words) % self.length;
    }

    /// Words that lie together, once they are there.
    fn take(&mut self, words: usize, read: impl Fn(*const u64)) {
        let mut done = 0;
        while done == 0 {
            let some = |first: *const u64, count: usize| {
                if count >= words {
                    read(first);
                    done = words;
                }
                done
            };
            self.incoming.receive_raw(some).or_cannot();
        }
        self.incoming_at = (self.incoming_at + words) % self.length;
    }
}

link::export!(ShmemIpc);
