// SPDX-License-Identifier: Apache-2.0
//! A server that counts words, and a client with several calls outstanding.
//!
//! cargo run -p tachyon-ipc --example rpc

use std::thread;
use std::time::Duration;

use tachyon_ipc::{RpcBus, TachyonError};

const CAPACITY: usize = 1 << 16;
const PATIENCE: Duration = Duration::from_secs(5);
const SPIN: u32 = 10_000;

const COUNT_WORDS: u32 = 1;
const COUNT: u32 = 2;
const UNKNOWN: u32 = 3;

fn main() -> Result<(), TachyonError> {
    let name = format!("@tachyon-rpc-{}", std::process::id());
    let address = name.clone();
    let server = thread::spawn(move || serve(&address));

    let bus = RpcBus::connect_timeout(&name, PATIENCE)?;
    let texts = ["one", "one and two", "", "words, words, words"];
    let mut calls = Vec::new();
    for text in texts {
        calls.push(bus.call(text.as_bytes(), COUNT_WORDS)?);
    }
    let odd = bus.call(b"?", 99)?;

    // In any order: a reply that comes before it is awaited is kept.
    assert_eq!(bus.wait_timeout(odd, SPIN, PATIENCE)?.type_id, UNKNOWN);
    for (text, call) in texts.iter().zip(calls) {
        let reply = bus.wait_timeout(call, SPIN, PATIENCE)?;
        let count = u32::from_le_bytes(reply.data().try_into().expect("four bytes"));
        println!("{count} words in {text:?}");
    }
    drop(bus); // the server's next serve() says Closed
    server.join().expect("the server does not panic")
}

fn serve(address: &str) -> Result<(), TachyonError> {
    let bus = RpcBus::listen_timeout(address, CAPACITY, CAPACITY, PATIENCE)?;
    loop {
        let request = match bus.serve(SPIN) {
            Ok(request) => request,
            Err(TachyonError::Interrupted) => continue,
            Err(TachyonError::Closed) => return Ok(()),
            Err(error) => return Err(error),
        };
        let id = request.correlation_id;
        if request.type_id == COUNT_WORDS {
            let text = String::from_utf8_lossy(request.data());
            let count = text.split_whitespace().count() as u32;
            bus.reply_timeout(id, &count.to_le_bytes(), COUNT, PATIENCE)?;
        } else {
            bus.reply_timeout(id, b"", UNKNOWN, PATIENCE)?;
        }
    }
}

#[test]
fn every_call_is_answered() {
    assert_eq!(main(), Ok(()));
}
