// SPDX-License-Identifier: Apache-2.0
//! A line on stderr: rewritten in a terminal, else a new one each second.

use std::io::{stderr, IsTerminal};
use std::time::{Duration, Instant};

use thousands::Separable;

/// Messages between two looks at the clock.
const STRIDE: u64 = 4096;

pub struct Progress {
    terminal: bool,
    interval: Duration,
    due: Instant,
}

impl Progress {
    pub fn new() -> Self {
        let terminal = stderr().is_terminal();
        let interval = Duration::from_millis(if terminal { 100 } else { 1000 });
        Self {
            terminal,
            interval,
            due: Instant::now() + interval,
        }
    }

    pub fn update(&mut self, messages: u64) {
        if messages % STRIDE != 0 || Instant::now() < self.due {
            return;
        }
        self.due = Instant::now() + self.interval;
        let text = messages.separate_with_commas();
        if self.terminal {
            eprint!("\rreceived {text}");
        } else {
            eprintln!("received {text}");
        }
    }

    pub fn clear(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
    }
}
