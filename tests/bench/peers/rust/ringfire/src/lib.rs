// SPDX-License-Identifier: Apache-2.0
//! ringfire: a ring in each direction that loses nothing, with items of one size. In place
//! it is its blobs, in rings that lose what is not read in time: who writes looks first.

use std::path::Path;

use link::{cannot, until_there, Link, Mode, Or, Read, Setting, Write};
use ringfire::{
    BlobConsumer, BlobProducer, BlobProducerBuilder, BusySpin, FlowControl, FutexWait,
    RingConsumer, RingConsumerBuilder, RingProducer, RingProducerBuilder,
};

const LINE: usize = 64; // what a blob's place is a multiple of

type Item<const SIZE: usize> = [u8; SIZE];

trait Rings {
    fn send(&mut self, payload: &[u8]);
    fn receive(&mut self, payload: &mut [u8]);
    fn send_batch(&mut self, _items: &[u8]) {}
    fn receive_batch(&mut self, _items: &mut [u8]) -> usize {
        0
    }
    fn send_in_place(&mut self, _size: usize, _write: Write) {}
    fn receive_in_place(&mut self, _read: Read) {}
}

/// In memory, as it is meant to be: of this process's own ring, and of the other's.
fn paths(setting: &Setting) -> (String, String) {
    let path = |name: &str| format!("/dev/shm/tachyon-bench-{}-{name}", setting.unique());
    let (own, other) = setting.directions();
    (path(own), path(other))
}

/// It comes into being in more steps than one.
fn attach<T>(path: &str, attach: impl Fn() -> ringfire::Result<T>) -> T {
    while !Path::new(path).exists() {
        std::hint::spin_loop();
    }
    until_there(attach)
}

/// Of a size that is known to the compiler.
struct Items<const SIZE: usize> {
    out: RingProducer<Item<SIZE>>,
    incoming: RingConsumer<Item<SIZE>>,
    mode: Mode,
}

impl<const SIZE: usize> Items<SIZE> {
    fn open(setting: &Setting) -> Box<dyn Rings> {
        let (own, other) = paths(setting);
        let out = RingProducerBuilder::new((setting.ring_bytes() / SIZE) as u64)
            .flow_control(FlowControl::LosslessBackpressure)
            .build(&own)
            .or_cannot();
        let incoming = attach(&other, || {
            let builder = RingConsumerBuilder::new().start_from_oldest();
            builder.attach(&other)
        });
        Box::new(Items::<SIZE> {
            out,
            incoming,
            mode: setting.mode,
        })
    }
}

fn as_items<const SIZE: usize>(bytes: &[u8]) -> &[Item<SIZE>] {
    // SAFETY: arrays of bytes are aligned anywhere and have no gaps.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / SIZE) }
}

fn as_items_mut<const SIZE: usize>(bytes: &mut [u8]) -> &mut [Item<SIZE>] {
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len() / SIZE) }
}

impl<const SIZE: usize> Rings for Items<SIZE> {
    fn send(&mut self, payload: &[u8]) {
        self.out.push(&as_items(payload)[0]);
    }

    fn receive(&mut self, payload: &mut [u8]) {
        let item = &mut as_items_mut(payload)[0];
        *item = match self.mode {
            Mode::Spin => self.incoming.recv_blocking(&mut BusySpin),
            Mode::Adaptive => self.incoming.recv_blocking(&mut FutexWait::default()),
            Mode::Sleep => self.incoming.recv_blocking(&mut FutexWait::new(0, None)),
        };
    }

    fn send_batch(&mut self, items: &[u8]) {
        self.out.push_batch(as_items(items));
    }

    fn receive_batch(&mut self, items: &mut [u8]) -> usize {
        let items = as_items_mut(items);
        loop {
            let count = self.incoming.recv_batch(items);
            if count > 0 {
                return count;
            }
        }
    }
}

/// Of any size, written and read where they are.
struct Blobs {
    out: BlobProducer<()>,
    incoming: BlobConsumer<()>,
    room: u64, // for how many there has been room when it last looked
}

impl Blobs {
    fn open(setting: &Setting) -> Box<dyn Rings> {
        let (own, other) = paths(setting);
        let arena = setting.ring_bytes();
        let count = arena / setting.size.next_multiple_of(LINE);
        let out = BlobProducerBuilder::new(count as u64, arena).build(&own);
        Box::new(Blobs {
            out: out.or_cannot(),
            incoming: attach(&other, || BlobConsumer::attach(&other)),
            room: 0,
        })
    }

    /// There is no call that waits for it.
    fn wait_for_room(&mut self) {
        while self.room == 0 {
            self.room = self.out.headroom();
        }
        self.room -= 1;
    }

    /// There is no call that waits for one.
    fn next(&mut self, mut look: impl FnMut(&[u8])) {
        while self
            .incoming
            .view(|(), bytes| look(bytes))
            .or_cannot()
            .is_none()
        {
            std::hint::spin_loop();
        }
    }
}

impl Rings for Blobs {
    fn send(&mut self, payload: &[u8]) {
        self.wait_for_room();
        self.out.push_payload(payload).or_cannot();
    }

    fn receive(&mut self, payload: &mut [u8]) {
        self.next(|bytes| payload.copy_from_slice(bytes));
    }

    fn send_in_place(&mut self, size: usize, write: Write) {
        self.wait_for_room();
        let put = |room: &mut [u8]| write.fill(room);
        self.out.push_with(&(), size, put).or_cannot();
    }

    fn receive_in_place(&mut self, read: Read) {
        self.next(|bytes| read.look(bytes));
    }
}

struct Ringfire(Box<dyn Rings>);

impl Link for Ringfire {
    const BATCHES: bool = true;
    const IN_PLACE: bool = true;

    fn open(setting: &Setting) -> Self {
        if setting.in_place {
            return Ringfire(Blobs::open(setting));
        }
        Ringfire(match setting.size {
            8 => Items::<8>::open(setting),
            32 => Items::<32>::open(setting),
            256 => Items::<256>::open(setting),
            4096 => Items::<4096>::open(setting),
            65536 => Items::<65536>::open(setting),
            1048576 => Items::<1048576>::open(setting),
            size => cannot(format!(
                "its items go over the stack, which has no {size} bytes"
            )),
        })
    }

    fn send(&mut self, payload: &[u8]) {
        self.0.send(payload);
    }

    fn receive(&mut self, payload: &mut [u8]) {
        self.0.receive(payload);
    }

    fn send_batch(&mut self, items: &[u8], _: usize) {
        self.0.send_batch(items);
    }

    fn receive_batch(&mut self, items: &mut [u8], _: usize) -> usize {
        self.0.receive_batch(items)
    }

    fn send_in_place(&mut self, size: usize, write: Write) {
        self.0.send_in_place(size, write);
    }

    fn receive_in_place(&mut self, _: usize, read: Read) {
        self.0.receive_in_place(read);
    }
}

link::export!(Ringfire);
