// SPDX-License-Identifier: Apache-2.0
//! A bus in each direction, or an RPC bus: what this version and 0.5.1 have in common. The
//! crate that has this file says how each of them opens and sends.

use link::{cannot, Link, Mode, Or, Read, Setting, Write};
use tachyon_ipc::{Bus, RpcBus};

pub struct Tachyon {
    ends: Ends,
    looks: u32,
    leads: bool,
    id: u64, // of the call that is under way
}

enum Ends {
    Buses { out: Bus, incoming: Bus },
    Rpc(RpcBus),
}

impl Ends {
    fn buses(setting: &Setting) -> Self {
        let listen = |path: &str| crate::listen(path, setting);
        let (out, incoming) = setting.both_ways(listen, crate::connect);
        for bus in [&out, &incoming] {
            bus.set_polling_mode((setting.mode == Mode::Spin).into());
        }
        Ends::Buses { out, incoming }
    }

    fn rpc(setting: &Setting) -> Self {
        let path = setting.path("rpc");
        let rpc = match setting.lead {
            true => crate::rpc_connect(&path),
            false => crate::rpc_listen(&path, setting),
        };
        rpc.set_polling_mode(setting.mode == Mode::Spin);
        Ends::Rpc(rpc)
    }
}

impl Tachyon {
    fn out(&self) -> &Bus {
        match &self.ends {
            Ends::Buses { out, .. } => out,
            Ends::Rpc(_) => cannot("an RPC bus has calls only"),
        }
    }

    fn incoming(&self) -> &Bus {
        match &self.ends {
            Ends::Buses { incoming, .. } => incoming,
            Ends::Rpc(_) => cannot("an RPC bus has calls only"),
        }
    }
}

impl Link for Tachyon {
    const BATCHES: bool = true;
    const IN_PLACE: bool = true;
    const RPC: bool = true;

    fn open(setting: &Setting) -> Self {
        let ends = match setting.rpc {
            true => Ends::rpc(setting),
            false => Ends::buses(setting),
        };
        Tachyon {
            ends,
            looks: setting.looks(),
            leads: setting.lead,
            id: 0,
        }
    }

    fn send(&mut self, payload: &[u8]) {
        match &self.ends {
            Ends::Buses { out, .. } => crate::send(out, payload),
            Ends::Rpc(rpc) if self.leads => self.id = crate::call(rpc, payload),
            Ends::Rpc(rpc) => crate::reply(rpc, self.id, payload),
        }
    }

    fn receive(&mut self, payload: &mut [u8]) {
        match &self.ends {
            Ends::Buses { incoming, .. } => {
                let message = incoming.acquire_rx(self.looks).or_cannot();
                payload.copy_from_slice(message.data());
                message.commit().or_cannot();
            }
            Ends::Rpc(rpc) => {
                let message = match self.leads {
                    true => rpc.wait(self.id, self.looks).or_cannot(),
                    false => rpc.serve(self.looks).or_cannot(),
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
            let room = crate::room(out, size);
            room.write(item);
            room.commit_unflushed(size, 1).or_cannot();
        }
        out.flush();
    }

    fn receive_batch(&mut self, items: &mut [u8], size: usize) -> usize {
        let most = items.len() / size;
        let batch = self.incoming().drain_batch(most, self.looks).or_cannot();
        for (message, item) in batch.iter().zip(items.chunks_mut(size)) {
            item.copy_from_slice(message.data());
        }
        let count = batch.len();
        batch.commit().or_cannot();
        count
    }

    fn send_in_place(&mut self, size: usize, write: Write) {
        let mut room = crate::room(self.out(), size);
        // SAFETY: it is all written before it is committed, and never read.
        write.fill(unsafe { room.as_mut_slice() });
        room.commit(size, 1).or_cannot();
    }

    fn receive_in_place(&mut self, _: usize, read: Read) {
        let message = self.incoming().acquire_rx(self.looks).or_cannot();
        read.look(message.data());
        message.commit().or_cannot();
    }
}

link::export!(Tachyon);
