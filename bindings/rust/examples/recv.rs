// SPDX-License-Identifier: Apache-2.0
//! recv PATH: listens and prints what comes until the stream ends.

use std::env;
use std::error::Error;

use tachyon_ipc::Bus;

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("usage: recv PATH")?;

    let bus = Bus::listen(&path, 1 << 16)?;
    let mut count = 0;
    for message in &bus {
        let message = message?;
        let text = String::from_utf8_lossy(message.data());
        println!("type {}: {text}", message.type_id);
        count += 1;
    }
    println!("received {count}");
    Ok(())
}
