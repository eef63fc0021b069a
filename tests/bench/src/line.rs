// SPDX-License-Identifier: Apache-2.0
//! The yardstick: one cache line thrown back and forth between the two cores.

use std::sync::atomic::Ordering;

use crate::clock::ticks;
use crate::link::Link;
use crate::percentile::Percentiles;

pub struct LineTimes {
    pub p50_ns: f64,
    pub p99_ns: f64,
}

pub fn lead(link: &Link, rounds: u64) -> LineTimes {
    let (ping, pong) = (&link.signals.ping.word, &link.signals.pong.word);
    let first = ping.load(Ordering::Relaxed) + 1;
    let mut times = Percentiles::with_capacity(rounds as usize, link.clock);
    link.meet();
    let mut before = ticks();
    for value in first..first + rounds {
        ping.store(value, Ordering::Release);
        while pong.load(Ordering::Acquire) != value {}
        let now = ticks();
        times.push(now - before);
        before = now;
    }
    LineTimes {
        p50_ns: times.ns(0.50),
        p99_ns: times.ns(0.99),
    }
}

pub fn peer(link: &Link, rounds: u64) {
    let (ping, pong) = (&link.signals.ping.word, &link.signals.pong.word);
    let first = pong.load(Ordering::Relaxed) + 1;
    link.meet();
    for value in first..first + rounds {
        while ping.load(Ordering::Acquire) != value {}
        pong.store(value, Ordering::Release);
    }
}
