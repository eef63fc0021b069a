// SPDX-License-Identifier: Apache-2.0
//! Receivers that sleep: how fast they wake, and what they use meanwhile.

use std::hint::black_box;
use std::sync::atomic::Ordering;

use super::{message, Case, Effort};
use crate::clock::ticks;
use crate::link::Link;
use crate::percentile::Percentiles;
use crate::report::{Goal, Metric, Reference};
use crate::wakers::{futex_wait, futex_wake, Descriptor};

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

pub struct Wake;

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
        // On a busy machine many are late and find the message waiting; never all.
        assert!(sleeps > 0, "no receive slept before its message came");
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
pub struct FutexWake;

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
            futex_wake(word);
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
                futex_wait(word, seen);
            }
            seen = word.load(Ordering::SeqCst);
            awake.store(number, Ordering::Release);
        }
    }
}

/// The wake-up by a descriptor alone: why the core sends a byte on its socket.
pub struct DescriptorWake(pub Descriptor);

impl Case for DescriptorWake {
    fn metrics(&self) -> Vec<Metric> {
        match self.0 {
            Descriptor::Socket => vec![
                Metric::time("socket_wake_p50", "the same with a bare socket, p50"),
                Metric::time("socket_wake_p99", "the same with a bare socket, p99"),
            ],
            Descriptor::Eventfd => vec![
                Metric::time("eventfd_wake_p50", "the same with a bare eventfd, p50"),
                Metric::time("eventfd_wake_p99", "the same with a bare eventfd, p99"),
                Metric::quotient(
                    "eventfd_over_socket",
                    "bare eventfd's time / bare socket's",
                    Reference::Of("socket_wake_p50"),
                ),
            ],
        }
    }

    fn lead(&self, effort: &Effort, link: &mut Link) -> Vec<f64> {
        let mut times = time_wakes(link, effort.wakes, |link, _| link.descriptors.wake(self.0));
        if matches!(self.0, Descriptor::Eventfd) {
            times.push(times[0]);
        }
        times
    }

    fn peer(&self, effort: &Effort, link: &mut Link) {
        let first = link.signals.awake.word.load(Ordering::Relaxed) + 1;
        link.meet();
        for number in first..first + effort.wakes {
            link.descriptors.sleep(self.0);
            link.signals.awake.word.store(number, Ordering::Release);
        }
    }
}

/// Processor time of a receiver that waits for what does not come.
pub struct Idle;

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
