// SPDX-License-Identifier: Apache-2.0
//! rpc_server PATH: listens and answers each request with its text in upper case.

use std::env;
use std::error::Error;
use std::time::Duration;

use tachyon_ipc::{RpcBus, TachyonError, SPIN_THRESHOLD};

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("usage: rpc_server PATH")?;

    let bus = RpcBus::listen(&path, 1 << 16, 1 << 16)?;
    for count in 0.. {
        let request = match bus.serve(SPIN_THRESHOLD) {
            Ok(request) => request,
            Err(TachyonError::Closed) => {
                println!("served {count}");
                break;
            }
            Err(error) => return Err(error.into()),
        };
        let (id, text) = (request.correlation_id, request.data().to_ascii_uppercase());
        bus.reply_timeout(id, &text, request.type_id, Duration::MAX)?;
    }
    Ok(())
}
