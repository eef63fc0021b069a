// SPDX-License-Identifier: Apache-2.0
//! peer.c in Rust, with the messages of every version, of which the first word chooses one.

use std::ptr;
use std::time::Duration;

use tachyon_ipc::{Message, Options, TachyonError};

mod versions {
    include!(env!("VERSIONS"));
}

fn send<T: Message>(options: &Options, path: &str, text: &str) -> Result<(), TachyonError> {
    let bytes: Vec<u8> = (0..size_of::<T>())
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect();
    // SAFETY: any bytes are a message, and there are as many as one has.
    let message: T = unsafe { ptr::read_unaligned(bytes.as_ptr().cast()) };
    println!("ready");
    let bus = options.connect(path)?;
    bus.send_message(&message)?;
    println!("sent");
    Ok(())
}

fn receive<T: Message>(options: Options, path: &str, seconds: f64) -> Result<(), TachyonError> {
    let timeout = Duration::from_secs_f64(seconds);
    let bus = options.timeout(timeout).listen(path, 4096)?;
    let message: T = bus.recv_message_timeout(timeout)?.expect("a message");
    for i in 0..size_of::<T>() {
        // SAFETY: it lies in the message, which has no padding.
        let byte = unsafe { *ptr::addr_of!(message).cast::<u8>().add(i) };
        print!("{byte:02x}");
    }
    println!();
    Ok(())
}

pub fn run<T: Message>(options: Options, words: &[String]) {
    let options = options.timeout(Duration::from_secs(20));
    let (path, last) = (&words[1], &words[2]);
    let done = match &*words[0] {
        "connect" => send::<T>(&options, path, last),
        _ => receive::<T>(options, path, last.parse().unwrap()),
    };
    if let Err(error) = done {
        let code = match error {
            TachyonError::AbiMismatch => 14,
            TachyonError::Timeout => 17,
            _ => 0,
        };
        println!("error {code} {error}");
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    versions::run(&words[0], &words[1..]);
}
