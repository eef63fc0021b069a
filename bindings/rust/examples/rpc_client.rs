// SPDX-License-Identifier: Apache-2.0
//! rpc_client PATH WORD...: connects and makes a call for each word.

use std::env;
use std::error::Error;
use std::time::Duration;

use tachyon_ipc::{RpcBus, SPIN_THRESHOLD};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = env::args().skip(1);
    let path = words.next().ok_or("usage: rpc_client PATH WORD...")?;

    let bus = RpcBus::connect_timeout(&path, Duration::from_secs(10))?;
    for word in words {
        let call = bus.call_timeout(word.as_bytes(), 1, Duration::MAX)?;
        let reply = bus.wait(call, SPIN_THRESHOLD)?;
        println!("{word} -> {}", String::from_utf8_lossy(reply.data()));
    }
    Ok(())
}
