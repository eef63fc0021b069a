// SPDX-License-Identifier: Apache-2.0
//! What is measured. A case has two halves, which stand together: the lead's takes the
//! numbers, the peer's is what it takes them against.

use std::hint::black_box;
use std::sync::atomic::Ordering;

use crate::bus::{Payload, SPIN};
use crate::clock::{monotonic_ns, ticks};
use crate::futex;
use crate::link::Link;
use crate::percentile::{histogram, Percentiles};
use crate::report::{Goal, Metric, Reference};

/// How much of everything; fixed before the fork, so that both processes agree.
#[derive(Clone, Copy)]
pub struct Effort {
    pub line_rounds: u64,
    round_trips: u64,
    messages: u64,
    large_messages: u64,
    wakes: u64,
    paced_messages: u64,
    idle_ns: i64,
}

impl Effort {
    pub const QUICK: Effort = Effort {
        line_rounds: 2_000,
        round_trips: 2_000,
        messages: 20_000,
        large_messages: 1_000,
        wakes: 100,
        paced_messages: 2_000,
        idle_ns: 500_000_000,
    };
    /// Short enough that the machine seldom changes regime within a sample.
    pub const FULL: Effort = Effort {
        line_rounds: 5_000,
        round_trips: 10_000,
        messages: 100_000,
        large_messages: 2_000,
        wakes: 500,
        paced_messages: 10_000,
        idle_ns: 1_000_000_000,
    };
}

pub trait Case {
    fn metrics(&self) -> Vec<Metric>;
    /// One value for each metric.
    fn lead(&self, effort: &Effort, link: &mut Link) -> Vec<f64>;
    fn peer(&self, effort: &Effort, link: &mut Link);
    /// Measured in the first round only: takes long, and no cache line matters to it.
    fn once(&self) -> bool {
        false
    }
}

/// In the order of a round: what is compared with each other stands side by side.
pub const ALL: [&dyn Case; 9] = [
    &RoundTrip,
    &Unbatched,
    &SharedIndex,
    &Batches,
    &Large,
    &Wake,
    &FutexWake,
    &Paced,
    &Idle,
];

fn message(number: u64) -> Payload {
    [number, 2, 3, 4]
}

/// The sum of 1 to `count`: what the first words of that many messages add up to.
fn sum_to(count: u64) -> u64 {
    count * (count + 1) / 2
}

struct RoundTrip;

impl Case for RoundTrip {
    fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric::time("round_trip_p50", "round trip, 32 bytes, p50")
                .with_goal(Goal::RatioAtMost(1.5)),
            Metric::time("round_trip_p99", "round trip, 32 bytes, p99"),
        ]
    }

    fn lead(&self, effort: &Effort, link: &mut Link) -> Vec<f64> {
        let mut times = Percentiles::with_capacity(effort.round_trips as usize, link.clock);
        link.meet();
        let mut before = ticks();
        for number in 1..=effort.round_trips {
            link.forward.send(&message(number));
            let answer = link.back.receive_payload(SPIN);
            let now = ticks();
            times.push(now - before);
            before = now;
            assert_eq!(answer[0], number, "a round trip brought another message");
        }
        vec![times.ns(0.50), times.ns(0.99)]
    }

    fn peer(&self, effort: &Effort, link: &mut Link) {
        link.meet();
        for _ in 0..effort.round_trips {
            let payload = link.forward.receive_payload(SPIN);
            link.back.send(&payload);
        }
    }
}

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

struct Unbatched;

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

struct SharedIndex;

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

struct Batches;

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
struct Large;

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

/// Time until a peer that went to sleep 50 us ago has taken the message.
fn time_wakes(link: &mut Link, wakes: u64, mut wake: impl FnMut(&mut Link, u64)) -> Vec<f64> {
    let mut times = Percentiles::with_capacity(wakes as usize, link.clock);
    let first = link.signals.awake.word.load(Ordering::Acquire) + 1;
    link.meet();
    for number in first..first + wakes {
        link.clock.spin_for_ns(50_000);
        let start = ticks();
        wake(link, number);
        while link.signals.awake.word.load(Ordering::Acquire) != number {}
        times.push(ticks() - start);
    }
    vec![times.ns(0.50), times.ns(0.99)]
}

struct Wake;

impl Case for Wake {
    fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric::time("wake_p50", "wake from a 50 us sleep, p50"),
            Metric::time("wake_p99", "wake from a 50 us sleep, p99"),
        ]
    }

    fn lead(&self, effort: &Effort, link: &mut Link) -> Vec<f64> {
        let times = time_wakes(link, effort.wakes, |link, number| {
            link.forward.send(&message(number));
        });
        let [sleeps, ..] = link.await_answer();
        // A few may find the message before they sleep; most must not.
        assert!(
            sleeps * 2 > effort.wakes,
            "only {sleeps} of {} receives slept",
            effort.wakes
        );
        times
    }

    fn peer(&self, effort: &Effort, link: &mut Link) {
        let before = link.forward.sleeps();
        link.meet();
        for _ in 0..effort.wakes {
            let payload = link.forward.receive_payload(0);
            link.signals.awake.word.store(payload[0], Ordering::Release);
        }
        let sleeps = link.forward.sleeps() - before;
        link.answer([sleeps, 0, 0, 0]);
    }
}

/// The least that the kernel asks for a wake-up.
struct FutexWake;

impl Case for FutexWake {
    fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric::time("futex_wake_p50", "the same with a bare futex, p50"),
            Metric::time("futex_wake_p99", "the same with a bare futex, p99"),
            Metric::quotient(
                "futex_over_wake",
                "bare futex's time / ours",
                Reference::Of("wake_p50"),
            ),
        ]
    }

    fn lead(&self, effort: &Effort, link: &mut Link) -> Vec<f64> {
        let times = time_wakes(link, effort.wakes, |link, number| {
            let word = &link.signals.futex.word;
            word.store(number as u32, Ordering::SeqCst);
            futex::wake(word);
        });
        vec![times[0], times[1], times[0]]
    }

    fn peer(&self, effort: &Effort, link: &mut Link) {
        let (word, awake) = (&link.signals.futex.word, &link.signals.awake.word);
        let first = awake.load(Ordering::Relaxed) + 1;
        let mut seen = word.load(Ordering::SeqCst);
        link.meet();
        for number in first..first + effort.wakes {
            while word.load(Ordering::SeqCst) == seen {
                futex::wait(word, seen);
            }
            seen = word.load(Ordering::SeqCst);
            awake.store(number, Ordering::Release);
        }
    }
}

/// One message every 10 us, so that queueing plays no part.
struct Paced;

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

/// Processor time of a receiver that waits for what does not come.
struct Idle;

fn cpu_time_ns() -> u64 {
    // SAFETY: zero is a valid rusage, and it is writable.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let ns = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1_000;
    ns(usage.ru_utime) + ns(usage.ru_stime)
}

impl Case for Idle {
    fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric::plain("idle_cpu", "processor use of an idle receiver", "%")
                .with_goal(Goal::ValueAtMost(0.1)),
        ]
    }

    fn lead(&self, effort: &Effort, link: &mut Link) -> Vec<f64> {
        link.meet();
        let [cpu_ns, ..] = link.await_answer();
        vec![100.0 * cpu_ns as f64 / effort.idle_ns as f64]
    }

    fn peer(&self, effort: &Effort, link: &mut Link) {
        link.meet();
        let before = cpu_time_ns();
        let silent = link.forward.stays_silent_for(effort.idle_ns);
        let used = cpu_time_ns() - before;
        assert!(silent, "an idle receiver was handed something");
        link.answer([black_box(used), 0, 0, 0]);
    }

    fn once(&self) -> bool {
        true
    }
}
