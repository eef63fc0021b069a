// SPDX-License-Identifier: Apache-2.0
//! nng: libnng, which the crate brings, a pair of sockets over ipc://, or Req0 and Rep0.

use link::{cannot, until_there, Link, Mode, Or, Setting};
use nng::{Protocol, Socket};

struct Nng(Socket);

impl Link for Nng {
    const RPC: bool = true;

    fn open(setting: &Setting) -> Self {
        if setting.mode == Mode::Spin {
            cannot("its threads need the core that would spin");
        }
        let protocol = match (setting.rpc, setting.lead) {
            (false, _) => Protocol::Pair0,
            (true, true) => Protocol::Req0,
            (true, false) => Protocol::Rep0,
        };
        let socket = Socket::new(protocol).or_cannot();
        let address = format!("ipc://{}", setting.path("nng"));
        if setting.lead {
            until_there(|| socket.dial(&address));
        } else {
            socket.listen(&address).or_cannot();
        }
        Nng(socket)
    }

    fn send(&mut self, payload: &[u8]) {
        self.0.send(payload).map_err(|(_, error)| error).or_cannot();
    }

    fn receive(&mut self, payload: &mut [u8]) {
        payload.copy_from_slice(&self.0.recv().or_cannot());
    }
}

link::export!(Nng);
