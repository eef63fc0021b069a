// SPDX-License-Identifier: Apache-2.0
//! Tachyon by its Rust crate: a bus in each direction, or an RPC bus.

use std::time::Duration;

use link::{Link, Mode, Or, Setting};
use tachyon_ipc::{Bus, RpcBus, RxGuard, TxGuard};

const LIMIT: Duration = Duration::from_secs(20);

struct Tachyon {
    ends: Ends,
    spin: u32,
    leads: bool,
    id: u64, // of the call that is under way
    // In place; the buses live as long as the process, so that guards can be kept.
    room: Option<TxGuard<'static>>,
    message: Option<RxGuard<'static>>,
}

enum Ends {
    Buses {
        out: &'static Bus,
        incoming: &'static Bus,
    },
    Rpc(RpcBus),
}

impl Ends {
    fn buses(setting: &Setting) -> Self {
        let path = |name: &str| format!("{}/{name}", setting.directory);
        let capacity = setting.ring_bytes();
        let listen = |name| Bus::listen_timeout(&path(name), capacity, LIMIT).or_cannot();
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
        let (out, incoming) = (Box::leak(Box::new(out)), Box::leak(Box::new(incoming)));
        Ends::Buses { out, incoming }
    }

    fn rpc(setting: &Setting) -> Self {
        let path = format!("{}/rpc", setting.directory);
        let capacity = setting.ring_bytes();
        let rpc = if setting.lead {
            RpcBus::connect_timeout(&path, LIMIT).or_cannot()
        } else {
            RpcBus::listen_timeout(&path, capacity, capacity, LIMIT).or_cannot()
        };
        rpc.set_polling_mode(setting.mode == Mode::Spin);
        Ends::Rpc(rpc)
    }
}

impl Tachyon {
    fn out(&self) -> &'static Bus {
        match self.ends {
            Ends::Buses { out, .. } => out,
            Ends::Rpc(_) => link::cannot("an RPC bus has no batches"),
        }
    }

    fn incoming(&self) -> &'static Bus {
        match self.ends {
            Ends::Buses { incoming, .. } => incoming,
            Ends::Rpc(_) => link::cannot("an RPC bus has no batches"),
        }
    }
}

impl Link for Tachyon {
    const BATCHES: bool = true;
    const IN_PLACE: bool = true;
    const RPC: bool = true;

    fn open(setting: &Setting) -> Self {
        let ends = if setting.rpc {
            Ends::rpc(setting)
        } else {
            Ends::buses(setting)
        };
        Tachyon {
            ends,
            spin: if setting.mode == Mode::Sleep {
                0
            } else {
                10_000
            },
            leads: setting.lead,
            id: 0,
            room: None,
            message: None,
        }
    }

    fn send(&mut self, payload: &[u8]) {
        match &self.ends {
            Ends::Buses { out, .. } => out.send_timeout(payload, 1, Duration::MAX).or_cannot(),
            Ends::Rpc(rpc) if self.leads => {
                self.id = rpc.call_timeout(payload, 1, Duration::MAX).or_cannot();
            }
            Ends::Rpc(rpc) => rpc
                .reply_timeout(self.id, payload, 1, Duration::MAX)
                .or_cannot(),
        }
    }

    fn receive(&mut self, payload: &mut [u8]) {
        match &self.ends {
            Ends::Buses { incoming, .. } => {
                let message = incoming.acquire_rx(self.spin).or_cannot();
                payload.copy_from_slice(message.data());
                message.commit().or_cannot();
            }
            Ends::Rpc(rpc) => {
                let message = if self.leads {
                    rpc.wait(self.id, self.spin).or_cannot()
                } else {
                    rpc.serve(self.spin).or_cannot()
                };
                payload.copy_from_slice(message.data());
                self.id = message.correlation_id;
                message.commit().or_cannot();
            }
        }
    }

    fn send_batch(&mut self, items: &[u8], size: usize) {
        let out = self.out();
        for item in items.chunks(size) {
            let slot = out.acquire_tx_timeout(size, Duration::MAX).or_cannot();
            slot.write(item);
            slot.commit_unflushed(size, 1).or_cannot();
        }
        out.flush();
    }

    fn receive_batch(&mut self, items: &mut [u8], size: usize) -> usize {
        let most = items.len() / size;
        let batch = self.incoming().drain_batch(most, self.spin).or_cannot();
        for (message, item) in batch.iter().zip(items.chunks_mut(size)) {
            item.copy_from_slice(message.data());
        }
        let count = batch.len();
        batch.commit().or_cannot();
        count
    }

    fn reserve(&mut self, size: usize) -> *mut u8 {
        let room = self.out().acquire_tx_timeout(size, Duration::MAX);
        let room = self.room.insert(room.or_cannot());
        // SAFETY: it is all written before it is committed, and never read.
        unsafe { room.as_mut_slice() }.as_mut_ptr()
    }

    fn commit(&mut self, size: usize) {
        if let Some(room) = self.room.take() {
            room.commit(size, 1).or_cannot();
        }
    }

    fn acquire(&mut self, _: usize) -> *const u8 {
        let message = self.incoming().acquire_rx(self.spin).or_cannot();
        self.message.insert(message).data().as_ptr()
    }

    fn release(&mut self) {
        if let Some(message) = self.message.take() {
            message.commit().or_cannot();
        }
    }
}

link::export!(Tachyon);
