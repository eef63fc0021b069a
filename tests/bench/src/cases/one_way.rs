// SPDX-License-Identifier: Apache-2.0
//! One way: how many messages pass, small ones and large ones.

use super::{message, sum_to, Case, Effort};
use crate::bus::SPIN;
use crate::clock::ticks;
use crate::link::Link;
use crate::report::{Goal, Metric, Reference};

/// Time per message from the first send until the peer has seen the last one.
fn time_one_way(link: &mut Link, messages: u64, mut send: impl FnMut(&mut Link, u64)) -> f64 {
    link.meet();
    let start = ticks();
    for number in 1..=messages {
        send(link, number);
    }
    link.meet();
    link.clock.ns(ticks() - start) / messages as f64
}

pub struct Unbatched;

impl Case for Unbatched {
    fn metrics(&self) -> Vec<Metric> {
        vec![Metric::time(
            "one_way_unbatched",
            "one way, 32 bytes, a flush each, per message",
        )]
    }

    fn lead(&self, effort: &Effort, link: &mut Link) -> Vec<f64> {
        vec![time_one_way(link, effort.messages, |link, number| {
            link.forward.send(&message(number));
        })]
    }

    fn peer(&self, effort: &Effort, link: &mut Link) {
        link.meet();
        let mut sum = 0;
        for _ in 0..effort.messages {
            sum += link.forward.receive_payload(SPIN)[0];
        }
        link.meet();
        assert_eq!(sum, sum_to(effort.messages), "unbatched messages differ");
    }
}

pub struct SharedIndex;

impl Case for SharedIndex {
    fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric::time(
                "shared_index_unbatched",
                "the same through a shared-index ring, 64-byte header",
            ),
            Metric::quotient(
                "speedup_over_shared_index",
                "shared-index ring's time / ours",
                Reference::Of("one_way_unbatched"),
            )
            .with_goal(Goal::RatioAtLeast(2.0)),
        ]
    }

    fn lead(&self, effort: &Effort, link: &mut Link) -> Vec<f64> {
        let time = time_one_way(link, effort.messages, |link, number| {
            link.shared_index.send(&message(number), 1);
        });
        vec![time, time]
    }

    fn peer(&self, effort: &Effort, link: &mut Link) {
        link.meet();
        let mut sum = 0;
        for _ in 0..effort.messages {
            sum += link.shared_index.receive()[0];
        }
        link.meet();
        assert_eq!(sum, sum_to(effort.messages), "the compared ring lost some");
    }
}

pub struct Batches;

const BATCH: u64 = 64;

impl Case for Batches {
    fn metrics(&self) -> Vec<Metric> {
        vec![Metric::time(
            "one_way_batches",
            "one way, 32 bytes, batches of 64, per message",
        )]
    }

    fn lead(&self, effort: &Effort, link: &mut Link) -> Vec<f64> {
        vec![time_one_way(link, effort.messages, |link, number| {
            link.forward.write(&message(number));
            if number % BATCH == 0 || number == effort.messages {
                link.forward.flush();
            }
        })]
    }

    fn peer(&self, effort: &Effort, link: &mut Link) {
        // SAFETY: a view is plain data, for which zero is a value.
        let mut views = unsafe { std::mem::zeroed() };
        let (mut received, mut sum) = (0, 0);
        link.meet();
        while received < effort.messages {
            received += link.forward.drain(&mut views, |payload| sum += payload[0]) as u64;
        }
        link.meet();
        assert_eq!(sum, sum_to(effort.messages), "batched messages differ");
    }
}

/// Written in place by the lead, read in place by the peer.
pub struct Large;

const LARGE: usize = 64 << 10;

impl Case for Large {
    fn metrics(&self) -> Vec<Metric> {
        vec![Metric::plain(
            "large",
            "64 KiB messages, written and read in place",
            "GB/s",
        )]
    }

    fn lead(&self, effort: &Effort, link: &mut Link) -> Vec<f64> {
        let ns = time_one_way(link, effort.large_messages, |link, number| {
            let slot = link.forward.acquire(LARGE);
            // SAFETY: `LARGE` bytes were reserved.
            unsafe { std::ptr::write_bytes(slot, number as u8, LARGE) };
            link.forward.commit(LARGE, 1);
            link.forward.flush();
        });
        vec![LARGE as f64 / ns]
    }

    fn peer(&self, effort: &Effort, link: &mut Link) {
        link.meet();
        for number in 1..=effort.large_messages {
            let sum = link.forward.receive(SPIN, |bytes| {
                // SAFETY: any bytes are valid words; the payload is aligned to 64.
                let (_, words, _) = unsafe { bytes.align_to::<u64>() };
                words.iter().fold(0u64, |sum, word| sum.wrapping_add(*word))
            });
            let word = u64::from_ne_bytes([number as u8; 8]);
            let expected = word.wrapping_mul((LARGE / 8) as u64);
            assert_eq!(sum, expected, "a large message has other bytes");
        }
        link.meet();
    }
}
