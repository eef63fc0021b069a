// SPDX-License-Identifier: Apache-2.0
//! Sends ticks to ticks-receive or receive.py; send.py is the same in Python.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use tachyon_ipc::Options;
use thousands::Separable;

#[path = "../../../tick.rs"]
mod tick;

use tick::{Side, Tick};

const QUOTES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/quotes.csv");
const PATIENCE: Duration = Duration::from_secs(60);

/// Send ticks.
#[derive(Parser)]
struct Arguments {
    /// Where the receiver listens
    #[arg(long, value_name = "PATH", default_value = "/tmp/tachyon_ticks.sock")]
    socket: String,
    /// Ticks to send
    #[arg(long, value_name = "N", default_value_t = 500_000)]
    count: usize,
    /// CSV with date, symbol, side, price and quantity, cycled
    #[arg(long, value_name = "FILE", default_value = QUOTES)]
    input: PathBuf,
}

fn parse(line: &str) -> Option<Tick> {
    let [_, symbol, side, price, quantity] = line.split(',').collect::<Vec<_>>()[..] else {
        return None;
    };
    let mut tick = Tick {
        price: price.parse().ok()?,
        quantity: quantity.parse().ok()?,
        side: match side {
            "bid" => Side::BID,
            "ask" => Side::ASK,
            _ => return None,
        },
        ..Tick::ZERO
    };
    let place = tick.symbol.get_mut(..symbol.len())?;
    place.copy_from_slice(symbol.as_bytes());
    Some(tick)
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let text = std::fs::read_to_string(&arguments.input)?;
    let rows = text.lines().skip(1).map(|line| parse(line).ok_or(line));
    let rows: Vec<Tick> = rows.collect::<Result<_, _>>()?;
    let bus = Options::new()
        .types::<Tick>()
        .timeout(PATIENCE)
        .connect(&arguments.socket)?;
    bus.set_abort_on_drop(true); // who leaves by `?` has not sent the whole
    let (start, mut shares) = (Instant::now(), 0);
    for row in rows.iter().cycle().take(arguments.count) {
        let mut tick = bus.loan_timeout::<Tick>(Duration::MAX)?;
        *tick = *row;
        tick.timestamp = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
        tick.commit()?;
        shares += u64::from(row.quantity);
    }
    bus.close();
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "sent: {} ticks of {} shares, {:.2} M ticks/s",
        arguments.count.separate_with_commas(),
        shares.separate_with_commas(),
        arguments.count as f64 / seconds / 1e6,
    );
    Ok(())
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("send: {error}");
            ExitCode::FAILURE
        }
    }
}
