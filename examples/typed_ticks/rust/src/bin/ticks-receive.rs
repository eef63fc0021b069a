// SPDX-License-Identifier: Apache-2.0
//! Receives the ticks of ticks-send or send.py; receive.py is the same in Python.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use tachyon_ipc::{Options, TachyonError};
use thousands::Separable;

#[path = "../../../tick.rs"]
mod tick;

use tick::Tick;

/// Receive ticks up to the end of the stream.
#[derive(Parser)]
struct Arguments {
    /// Where to listen
    #[arg(long, value_name = "PATH", default_value = "/tmp/tachyon_ticks.sock")]
    socket: String,
}

fn run(arguments: &Arguments) -> Result<(), TachyonError> {
    let bus = Options::new()
        .types::<Tick>()
        .listen(&arguments.socket, 1 << 20)?;
    let (start, mut ticks, mut shares, mut last) = (Instant::now(), 0_u64, 0_u64, None);
    while let Some(tick) = bus.recv_message::<Tick>()? {
        ticks += 1;
        shares += u64::from(tick.quantity);
        last = Some(tick);
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "received: {} ticks of {} shares, {:.2} M ticks/s",
        ticks.separate_with_commas(),
        shares.separate_with_commas(),
        ticks as f64 / seconds / 1e6,
    );
    if let Some(tick) = last {
        let symbol = String::from_utf8_lossy(&tick.symbol);
        let symbol = symbol.trim_end_matches('\0');
        println!("last: {symbol} {:?} {}", tick.side, tick.price);
    }
    Ok(())
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("receive: {error}");
            ExitCode::FAILURE
        }
    }
}
