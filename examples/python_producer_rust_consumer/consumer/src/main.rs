// SPDX-License-Identifier: Apache-2.0
//! Receives market ticks from producer.py, checks that all arrived, and prints rate and
//! latency. The messages are described in market_tick.h.

mod bus;
mod progress;
mod report;
mod tally;
mod tick;

use std::process::ExitCode;

use clap::Parser;

use bus::Receiver;
use progress::Progress;
use report::Report;
use tally::Tally;
use thousands::Separable;

/// Receive market ticks from producer.py; exit with 0 only if all of them arrived.
#[derive(Parser)]
struct Arguments {
    /// Where to listen, or the producer does
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/tmp/tachyon_market_ticks.sock"
    )]
    socket: String,
    /// Do not listen: join the readers of a producer that does
    #[arg(long)]
    connect: bool,
    /// Bytes of the ring, a power of two
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    capacity: usize,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("consumer: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    eprintln!("waiting for a producer on {}", arguments.socket);
    let mut receiver = if arguments.connect {
        Receiver::connect(&arguments.socket)?
    } else {
        Receiver::listen(&arguments.socket, arguments.capacity)?
    };
    let mut tally = Tally::new(Progress::new());
    let received = receiver.receive(&mut tally);
    tally.stop();
    let sentinel = received.map_err(|message| {
        let messages = tally.messages().separate_with_commas();
        format!("{message}; {messages} ticks had come")
    })?;
    let report = Report::new(&tally, &sentinel);
    let fault = report.fault();
    if fault.is_none() {
        receiver.accept();
    }
    if arguments.json {
        let json = serde_json::to_string(&report).map_err(|error| error.to_string())?;
        println!("{json}");
    } else {
        println!("{report}");
    }
    fault.map_or(Ok(()), Err)
}
