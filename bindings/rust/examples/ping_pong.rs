// SPDX-License-Identifier: Apache-2.0
//! Round trips of 32 bytes between two processes, over one bus for each direction.
//!
//! cargo run --release -p tachyon-ipc --example ping_pong

use std::env;
use std::error::Error;
use std::process::Command;
use std::time::{Duration, Instant};

use tachyon_ipc::{Consumer, Producer};

const CAPACITY: usize = 1 << 16;
const WARM_UP: usize = 10_000;
const ROUND_TRIPS: usize = 200_000;
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> Result<(), Box<dyn Error>> {
    match env::args().nth(1) {
        Some(name) => answer(&name),
        None => ask(),
    }
}

fn ask() -> Result<(), Box<dyn Error>> {
    let name = format!("@tachyon-ping-pong-{}", std::process::id());
    let mut other = Command::new(env::current_exe()?).arg(&name).spawn()?;
    let mut pings = Producer::listen(&format!("{name}-ping"), CAPACITY)?;
    let mut pongs = Consumer::listen(&format!("{name}-pong"), CAPACITY)?;

    let mut nanoseconds = Vec::with_capacity(ROUND_TRIPS);
    for i in 0..WARM_UP + ROUND_TRIPS {
        let start = Instant::now();
        pings.send(&[i as u8; 32], 1)?;
        let pong = pongs.recv()?.ok_or("the other process has closed")?;
        let took = start.elapsed();
        assert_eq!(pong.data(), [i as u8; 32]);
        if i >= WARM_UP {
            nanoseconds.push(took.as_nanos());
        }
    }
    drop(pings);
    if !other.wait()?.success() {
        return Err("the other process failed".into());
    }

    nanoseconds.sort_unstable();
    println!("{ROUND_TRIPS} round trips of 32 bytes, in nanoseconds");
    for (name, of_10_000) in [("p50", 5_000), ("p99", 9_900), ("p99.9", 9_990)] {
        println!(
            "{name:>6} {:>8}",
            nanoseconds[ROUND_TRIPS / 10_000 * of_10_000]
        );
    }
    println!("{:>6} {:>8}", "max", nanoseconds[ROUND_TRIPS - 1]);
    Ok(())
}

fn answer(name: &str) -> Result<(), Box<dyn Error>> {
    let mut pings = Consumer::connect_timeout(&format!("{name}-ping"), PATIENCE)?;
    let mut pongs = Producer::connect_timeout(&format!("{name}-pong"), PATIENCE)?;
    while let Some(ping) = pings.recv()? {
        let pong = pongs.acquire_tx(ping.data().len())?;
        pong.write(ping.data()); // from one ring to the other
        pong.commit(ping.data().len(), ping.type_id)?;
    }
    Ok(())
}
