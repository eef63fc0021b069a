// SPDX-License-Identifier: Apache-2.0
//! The result, for people and for machines.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use thousands::Separable;

use crate::tally::Tally;
use crate::tick::{symbol_text, MarketTick, BID};

#[derive(Serialize)]
pub struct Report {
    messages: u64,
    expected: u64,
    lost: u64,
    checksum_matches: bool,
    bids: u64,
    asks: u64,
    seconds: f64,
    ticks_per_second: f64,
    /// Ticks a second by the producer's schedule, None as fast as possible.
    rate: Option<f64>,
    /// From a tick's timestamp until it is here. Without a schedule that is above all
    /// the time in the queue. None where no timestamps were sent.
    latency_ns: Option<Latency>,
    last: BTreeMap<String, LastTick>,
}

#[derive(Serialize)]
struct Latency {
    p50: u64,
    p90: u64,
    p99: u64,
    p99_9: u64,
    max: u64,
}

#[derive(Serialize)]
struct LastTick {
    side: &'static str,
    price: f64,
    quantity: u32,
}

impl Report {
    pub fn new(tally: &Tally, sentinel: &MarketTick) -> Self {
        let messages = tally.messages();
        let expected = u64::from(sentinel.quantity);
        let seconds = tally.elapsed.as_secs_f64();
        let rate = sentinel.price;
        let quantile = |q| tally.latency_ns.value_at_quantile(q);
        Self {
            messages,
            expected,
            lost: expected.saturating_sub(messages),
            checksum_matches: tally.checksum == { sentinel.timestamp },
            bids: tally.bids,
            asks: tally.asks,
            seconds,
            ticks_per_second: messages as f64 / seconds,
            rate: (rate != 0.0).then_some(rate),
            latency_ns: (!tally.latency_ns.is_empty()).then(|| Latency {
                p50: quantile(0.5),
                p90: quantile(0.9),
                p99: quantile(0.99),
                p99_9: quantile(0.999),
                max: tally.latency_ns.max(),
            }),
            last: tally
                .last
                .iter()
                .map(|(symbol, (tick, type_id))| {
                    let last = LastTick {
                        side: if *type_id == BID { "bid" } else { "ask" },
                        price: tick.price,
                        quantity: tick.quantity,
                    };
                    (symbol_text(symbol), last)
                })
                .collect(),
        }
    }

    /// What is wrong with the stream, if anything.
    pub fn fault(&self) -> Option<String> {
        let (messages, expected) = (self.messages, self.expected);
        if messages != expected {
            Some(format!("{messages} ticks came, {expected} were sent"))
        } else if !self.checksum_matches {
            Some("the ticks' sum is not the sender's: something was changed".to_string())
        } else {
            None
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "messages: {}", self.messages.separate_with_commas())?;
        writeln!(out, "lost: {}", self.lost.separate_with_commas())?;
        writeln!(out, "bids: {}", self.bids.separate_with_commas())?;
        writeln!(out, "asks: {}", self.asks.separate_with_commas())?;
        writeln!(
            out,
            "throughput: {:.2} M ticks/s ({:.3} s)",
            self.ticks_per_second / 1e6,
            self.seconds
        )?;
        match &self.latency_ns {
            Some(latency) => {
                let us = |ns: u64| ns as f64 / 1e3;
                match self.rate {
                    Some(rate) => {
                        let rate = (rate as u64).separate_with_commas();
                        write!(out, "one-way latency at {rate} ticks/s")?;
                    }
                    None => write!(out, "time in the queue, sent as fast as possible")?,
                }
                writeln!(
                    out,
                    ": p50 {:.2} µs, p90 {:.2} µs, p99 {:.2} µs, p99.9 {:.2} µs, max {:.2} µs",
                    us(latency.p50),
                    us(latency.p90),
                    us(latency.p99),
                    us(latency.p99_9),
                    us(latency.max)
                )?;
            }
            None => writeln!(out, "no latency: no timestamps were sent")?,
        }
        write!(out, "last tick:")?;
        for (symbol, tick) in &self.last {
            let LastTick {
                side,
                price,
                quantity,
            } = tick;
            write!(out, "\n  {symbol:<8} {side} {price:>10.2} x {quantity}")?;
        }
        Ok(())
    }
}
