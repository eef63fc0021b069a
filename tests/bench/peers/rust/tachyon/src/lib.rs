// SPDX-License-Identifier: Apache-2.0
//! Tachyon by its Rust crate: a bus in each direction.

use std::time::Duration;

use link::{Link, Mode, Or, Setting, RING_BYTES};
use tachyon_ipc::Bus;

const LIMIT: Duration = Duration::from_secs(20);

struct Tachyon {
    out: Bus,
    incoming: Bus,
    spin: u32,
}

impl Link for Tachyon {
    const BATCHES: bool = true;

    fn open(setting: &Setting) -> Self {
        let path = |name: &str| format!("{}/{name}", setting.directory);
        let listen = |name| Bus::listen_timeout(&path(name), RING_BYTES, LIMIT).or_cannot();
        let connect = |name| Bus::connect_timeout(&path(name), LIMIT).or_cannot();
        let (out, incoming) = if setting.lead {
            let out = connect("forth");
            (out, listen("back"))
        } else {
            let incoming = listen("forth");
            (connect("back"), incoming)
        };
        for bus in [&out, &incoming] {
            bus.set_polling_mode((setting.mode == Mode::Spin).into());
        }
        Tachyon {
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
        self.out.send_timeout(payload, 1, Duration::MAX).or_cannot();
    }

    fn receive(&mut self, payload: &mut [u8]) {
        let message = self.incoming.acquire_rx(self.spin).or_cannot();
        payload.copy_from_slice(message.data());
        message.commit().or_cannot();
    }

    fn send_batch(&mut self, items: &[u8], size: usize) {
        for item in items.chunks(size) {
            let slot = self.out.acquire_tx_timeout(size, Duration::MAX).or_cannot();
            slot.write(item);
            slot.commit_unflushed(size, 1).or_cannot();
        }
        self.out.flush();
    }

    fn receive_batch(&mut self, items: &mut [u8], size: usize) -> usize {
        let most = items.len() / size;
        let batch = self.incoming.drain_batch(most, self.spin).or_cannot();
        for (message, item) in batch.iter().zip(items.chunks_mut(size)) {
            item.copy_from_slice(message.data());
        }
        let count = batch.len();
        batch.commit().or_cannot();
        count
    }
}

link::export!(Tachyon);
