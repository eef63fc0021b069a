// SPDX-License-Identifier: Apache-2.0
//! Times kept as they are taken, and put into a histogram when the measurement is over.

use hdrhistogram::Histogram;

use crate::clock::Clock;

/// For ticks or nanoseconds up to a minute, to three digits.
pub fn histogram() -> Histogram<u64> {
    const LONGEST: u64 = 60 * 10_000_000_000;
    Histogram::new_with_max(LONGEST, 3).expect("these bounds are legal")
}

pub struct Percentiles {
    ticks: Vec<u64>,
    clock: Clock,
}

impl Percentiles {
    /// Room for all of them, touched now so that no page fault is measured.
    pub fn with_capacity(count: usize, clock: Clock) -> Percentiles {
        let mut ticks = vec![1; count];
        ticks.clear();
        Percentiles { ticks, clock }
    }

    #[inline(always)]
    pub fn push(&mut self, ticks: u64) {
        self.ticks.push(ticks);
    }

    pub fn ns(&self, quantile: f64) -> f64 {
        let mut histogram = histogram();
        for &ticks in &self.ticks {
            histogram.saturating_record(ticks);
        }
        self.clock.ns(histogram.value_at_quantile(quantile))
    }
}

/// The middle of a few values; `None` of none.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        count if count % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}
