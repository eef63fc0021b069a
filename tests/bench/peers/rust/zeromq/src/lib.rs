// SPDX-License-Identifier: Apache-2.0
//! ZeroMQ: libzmq, which the crate brings, a PAIR of sockets over ipc://, or REQ and REP.

use link::{cannot, Link, Mode, Or, Setting};

struct ZeroMq {
    socket: zmq::Socket,
    _context: zmq::Context,
}

impl Link for ZeroMq {
    const RPC: bool = true;

    fn open(setting: &Setting) -> Self {
        if setting.mode == Mode::Spin {
            cannot("its thread needs the core that would spin");
        }
        let context = zmq::Context::new();
        let kind = match (setting.rpc, setting.lead) {
            (false, _) => zmq::PAIR,
            (true, true) => zmq::REQ,
            (true, false) => zmq::REP,
        };
        let socket = context.socket(kind).or_cannot();
        let address = format!("ipc://{}", setting.path("zmq"));
        if setting.lead {
            socket.connect(&address).or_cannot();
        } else {
            socket.bind(&address).or_cannot();
        }
        ZeroMq {
            socket,
            _context: context,
        }
    }

    fn send(&mut self, payload: &[u8]) {
        self.socket.send(payload, 0).or_cannot();
    }

    fn receive(&mut self, payload: &mut [u8]) {
        self.socket.recv_into(payload, 0).or_cannot();
    }
}

link::export!(ZeroMq);
