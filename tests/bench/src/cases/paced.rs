// SPDX-License-Identifier: Apache-2.0
//! Latency of streams that leave the receiver time.

use super::{message, Case, Effort};
use crate::bus::SPIN;
use crate::clock::{monotonic_ns, ticks};
use crate::link::Link;
use crate::percentile::histogram;
use crate::report::{Goal, Metric};

/// One message every 10 us, so that queueing plays no part.
pub struct Paced;

const PACE_NS: u64 = 10_000;

impl Case for Paced {
    fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric::time("paced_p50", "latency of a stream paced at 100 k/s, p50")
                .with_goal(Goal::ValueAtMost(2_000.0)),
            Metric::time("paced_p99", "latency of a stream paced at 100 k/s, p99")
                .with_goal(Goal::ValueAtMost(50_000.0)),
            Metric::time("paced_p999", "latency of a stream paced at 100 k/s, p99.9"),
        ]
    }

    fn lead(&self, effort: &Effort, link: &mut Link) -> Vec<f64> {
        link.meet();
        let mut due = monotonic_ns();
        for _ in 0..effort.paced_messages {
            due += PACE_NS;
            while monotonic_ns() < due {
                std::hint::spin_loop();
            }
            link.forward.send(&message(monotonic_ns()));
        }
        let [p50, p99, p999, _] = link.await_answer();
        vec![p50 as f64, p99 as f64, p999 as f64]
    }

    fn peer(&self, effort: &Effort, link: &mut Link) {
        let mut histogram = histogram();
        link.meet();
        for _ in 0..effort.paced_messages {
            let sent = link.forward.receive_payload(SPIN)[0];
            histogram.saturating_record(monotonic_ns().saturating_sub(sent));
        }
        link.answer([
            histogram.value_at_quantile(0.50),
            histogram.value_at_quantile(0.99),
            histogram.value_at_quantile(0.999),
            0,
        ]);
    }
}

/// As fast as a program that does a little for each message, with a flush of its own every
/// so many. Messages wait for the flush that shows them, be it that one or the library's.
pub struct FlushedEvery(pub u64);

const WORK_NS: f64 = 200.0;

impl Case for FlushedEvery {
    fn metrics(&self) -> Vec<Metric> {
        let (name, text) = match self.0 {
            16 => ("flushed_every_16", "latency with a flush every 16, p50"),
            32 => ("flushed_every_32", "latency with a flush every 32, p50"),
            64 => ("flushed_every_64", "latency with a flush every 64, p50"),
            _ => ("flushed_every_128", "latency with a flush every 128, p50"),
        };
        vec![Metric::time(name, text)]
    }

    fn lead(&self, effort: &Effort, link: &mut Link) -> Vec<f64> {
        link.meet();
        let start = ticks();
        for number in 1..=effort.paced_messages {
            let due = number as f64 * WORK_NS;
            while link.clock.ns(ticks() - start) < due {
                std::hint::spin_loop();
            }
            link.forward.write(&message(ticks()));
            if number % self.0 == 0 || number == effort.paced_messages {
                link.forward.flush();
            }
        }
        let [p50, ..] = link.await_answer();
        vec![p50 as f64]
    }

    fn peer(&self, effort: &Effort, link: &mut Link) {
        let mut histogram = histogram();
        link.meet();
        for _ in 0..effort.paced_messages {
            let sent = link.forward.receive_payload(SPIN)[0];
            let waited = link.clock.ns(ticks().saturating_sub(sent));
            histogram.saturating_record(waited as u64);
        }
        link.answer([histogram.value_at_quantile(0.50), 0, 0, 0]);
    }
}
