// SPDX-License-Identifier: Apache-2.0
//! Prints what the processes of workers.py log, until the last of them has left.
//! collector.py is the same in Python.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tachyon_ipc::{Bus, Event, Options, Role, TachyonError, SPIN_THRESHOLD};

/// Bytes of the ring of each process.
const CAPACITY: usize = 1 << 16;
const MAX_PROCESSES: u32 = 256;
/// How long it may take to be noticed that the last one has left.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Print what the processes of workers.py log, until the last of them has left.
#[derive(Parser)]
struct Arguments {
    /// Where to listen
    #[arg(long, value_name = "PATH", default_value = "/tmp/tachyon_logs.sock")]
    socket: String,
}

/// Those who log, by number.
#[derive(Default)]
struct Processes {
    names: HashMap<u32, String>,
    came: u32,
}

impl Processes {
    /// Take what has happened to them. Whoever has sent something is known afterwards; whoever
    /// has left has nothing more to say.
    fn update(&mut self, bus: &Bus) -> Result<(), TachyonError> {
        while let Some(event) = bus.try_accept()? {
            match event {
                Event::Joined { peer, name, .. } => {
                    self.came += 1;
                    self.names.insert(peer, name.unwrap_or_default());
                }
                Event::Left { peer, reason, .. } => {
                    let name = self.names.remove(&peer).unwrap_or_default();
                    if reason != TachyonError::Closed {
                        eprintln!("collector: {name} has died");
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn all_have_left(&self) -> bool {
        self.came > 0 && self.names.is_empty()
    }
}

fn level(type_id: u32) -> &'static str {
    match type_id {
        0..=19 => "DEBUG",
        20..=29 => "INFO",
        30..=39 => "WARNING",
        40..=49 => "ERROR",
        _ => "CRITICAL",
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let bus = Options::new()
        .role(Role::Consumer)
        .max_peers(MAX_PROCESSES)
        .listen(&arguments.socket, CAPACITY)?;
    let mut processes = Processes::default();
    let mut records = 0_u64;
    let mut out = BufWriter::new(io::stdout().lock());
    while !processes.all_have_left() {
        let message = match bus.acquire_rx_timeout(SPIN_THRESHOLD, LOOK_INTERVAL) {
            Ok(message) => message,
            Err(TachyonError::Timeout) => {
                out.flush()?;
                processes.update(&bus)?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let sender = bus.sender().unwrap_or_default();
        if !processes.names.contains_key(&sender) {
            processes.update(&bus)?;
        }
        let name = processes.names.get(&sender).map_or("?", String::as_str);
        let text = String::from_utf8_lossy(message.data());
        writeln!(out, "{name} {} {text}", level(message.type_id))?;
        message.commit()?;
        records += 1;
    }
    writeln!(out, "{records} records of {} processes", processes.came)?;
    Ok(())
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("collector: {error}");
            ExitCode::FAILURE
        }
    }
}
