// SPDX-License-Identifier: Apache-2.0
//! tachyon-ipc 0.5.1 of crates.io, by its Rust crate: a bus in each direction.

use link::{Link, Mode, Or, Setting};
use tachyon_ipc::{Bus, TachyonError};

struct Old {
    out: Bus,
    incoming: Bus,
    spin: u32,
}

fn connect(path: &str) -> Bus {
    loop {
        if let Ok(bus) = Bus::connect(path) {
            return bus;
        }
    }
}

impl Link for Old {
    const BATCHES: bool = true;

    fn open(setting: &Setting) -> Self {
        let path = |name: &str| format!("{}/{name}", setting.directory);
        let listen = |name| Bus::listen(&path(name), setting.ring_bytes()).or_cannot();
        let (out, incoming) = if setting.lead {
            let out = connect(&path("forth"));
            (out, listen("back"))
        } else {
            let incoming = listen("forth");
            (connect(&path("back")), incoming)
        };
        for bus in [&out, &incoming] {
            bus.set_polling_mode((setting.mode == Mode::Spin).into());
        }
        Old {
            out,
            incoming,
            spin: if setting.mode == Mode::Sleep {
                0
            } else {
                10_000
            },
        }
    }

    fn send(&mut self, payload: &[u8]) {
        // It has no call that waits for room.
        loop {
            match self.out.send(payload, 1) {
                Err(TachyonError::BufferFull) => std::hint::spin_loop(),
                result => return result.or_cannot(),
            }
        }
    }

    fn receive(&mut self, payload: &mut [u8]) {
        let message = self.incoming.acquire_rx(self.spin).or_cannot();
        payload.copy_from_slice(message.data());
        message.commit().or_cannot();
    }

    fn send_batch(&mut self, items: &[u8], size: usize) {
        for item in items.chunks(size) {
            let slot = loop {
                match self.out.acquire_tx(size) {
                    Err(TachyonError::BufferFull) => self.out.flush(),
                    result => break result.or_cannot(),
                }
            };
            slot.write(item);
            slot.commit_unflushed(size, 1).or_cannot();
        }
        self.out.flush();
    }

    fn receive_batch(&mut self, items: &mut [u8], size: usize) -> usize {
        let most = items.len() / size;
        let batch = self.incoming.drain_batch(most, self.spin).or_cannot();
        let mut count = 0;
        for (message, item) in batch.iter().zip(items.chunks_mut(size)) {
            item.copy_from_slice(message.data());
            count += 1;
        }
        batch.commit().or_cannot();
        count
    }
}

link::export!(Old);
