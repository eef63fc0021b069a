// SPDX-License-Identifier: Apache-2.0
//! send PATH [COUNT]: connects and sends texts.

use std::env;
use std::error::Error;
use std::time::Duration;

use tachyon_ipc::Bus;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = env::args().skip(1);
    let path = words.next().ok_or("usage: send PATH [COUNT]")?;
    let count: u32 = words.next().map_or(Ok(10), |count| count.parse())?;

    let bus = Bus::connect_timeout(&path, Duration::from_secs(10))?;
    for i in 0..count {
        bus.send_timeout(format!("tick {i}").as_bytes(), 1, Duration::MAX)?;
    }
    println!("sent {count}");
    Ok(())
}
