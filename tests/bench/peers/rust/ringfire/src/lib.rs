// SPDX-License-Identifier: Apache-2.0
//! ringfire: a ring in each direction that loses nothing, with items of one size.

use std::path::Path;

use link::{cannot, Link, Mode, Or, Setting};
use ringfire::{
    BusySpin, FlowControl, FutexWait, RingConsumer, RingConsumerBuilder, RingProducer,
    RingProducerBuilder,
};

type Item<const SIZE: usize> = [u8; SIZE];

struct Rings<const SIZE: usize> {
    out: RingProducer<Item<SIZE>>,
    incoming: RingConsumer<Item<SIZE>>,
    mode: Mode,
}

/// Of a size that is known to the compiler.
trait OfSize {
    fn send(&mut self, payload: &[u8]);
    fn receive(&mut self, payload: &mut [u8]);
    fn send_batch(&mut self, items: &[u8]);
    fn receive_batch(&mut self, items: &mut [u8]) -> usize;
}

impl<const SIZE: usize> Rings<SIZE> {
    fn open(setting: &Setting) -> Box<dyn OfSize> {
        // In memory, as it is meant to be.
        let path = |name: &str| format!("/dev/shm/tachyon-bench-{}-{name}", setting.unique());
        let (own, other) = match setting.lead {
            true => (path("forth"), path("back")),
            false => (path("back"), path("forth")),
        };
        let out = RingProducerBuilder::new((setting.ring_bytes() / SIZE) as u64)
            .flow_control(FlowControl::LosslessBackpressure)
            .build(&own)
            .or_cannot();
        let incoming = loop {
            let builder = RingConsumerBuilder::new().start_from_oldest();
            // It comes into being in more steps than one.
            if Path::new(&other).exists() {
                if let Ok(consumer) = builder.attach(&other) {
                    break consumer;
                }
            }
        };
        Box::new(Rings::<SIZE> {
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

impl<const SIZE: usize> OfSize for Rings<SIZE> {
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

struct Ringfire(Box<dyn OfSize>);

impl Link for Ringfire {
    const BATCHES: bool = true;

    fn open(setting: &Setting) -> Self {
        let rings = match setting.size {
            8 => Rings::<8>::open(setting),
            32 => Rings::<32>::open(setting),
            256 => Rings::<256>::open(setting),
            4096 => Rings::<4096>::open(setting),
            65536 => Rings::<65536>::open(setting),
            1048576 => Rings::<1048576>::open(setting),
            size => cannot(format!(
                "its items go over the stack, which has no {size} bytes"
            )),
        };
        Ringfire(rings)
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
}

link::export!(Ringfire);
