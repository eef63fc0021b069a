// SPDX-License-Identifier: Apache-2.0
//! What is counted while ticks come in.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;

use crate::progress::Progress;
use crate::tick::{MarketTick, BID};

/// Latencies above this are counted as this.
const LATENCY_CEILING: Duration = Duration::from_secs(3600);

pub struct Tally {
    pub bids: u64,
    pub asks: u64,
    pub checksum: u64,
    pub latency_ns: Histogram<u64>,
    /// Last tick of each symbol, with its type.
    pub last: HashMap<[u8; 8], (MarketTick, u32)>,
    pub elapsed: Duration,
    started: Option<Instant>,
    progress: Progress,
}

impl Tally {
    pub fn new(progress: Progress) -> Self {
        let ceiling = LATENCY_CEILING.as_nanos() as u64;
        Self {
            bids: 0,
            asks: 0,
            checksum: 0,
            latency_ns: Histogram::new_with_bounds(1, ceiling, 3).expect("valid bounds"),
            last: HashMap::new(),
            elapsed: Duration::ZERO,
            started: None,
            progress,
        }
    }

    pub fn messages(&self) -> u64 {
        self.bids + self.asks
    }

    pub fn add(&mut self, tick: &MarketTick, type_id: u32) {
        // First of all: everything below would count as latency.
        let sent_ns = tick.timestamp;
        if sent_ns != 0 {
            self.latency_ns
                .saturating_record(realtime_ns().saturating_sub(sent_ns));
        }
        if self.started.is_none() {
            self.started = Some(Instant::now());
        }
        if type_id == BID {
            self.bids += 1;
        } else {
            self.asks += 1;
        }
        self.checksum = self.checksum.wrapping_add(tick.term(type_id));
        self.last.insert(tick.symbol, (*tick, type_id));
        self.progress.update(self.bids + self.asks);
    }

    pub fn stop(&mut self) {
        self.elapsed = self.started.map_or(Duration::ZERO, |start| start.elapsed());
        self.progress.clear();
    }
}

/// The clock of Python's time.time_ns().
fn realtime_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64)
}
