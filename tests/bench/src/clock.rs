// SPDX-License-Identifier: Apache-2.0
//! Time stamps cheap enough to stand between two 100 ns round trips.

use std::time::{Duration, Instant};

/// The processor's own counter where it has a constant one, else the system's clock.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn ticks() -> u64 {
    // SAFETY: reads a register.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub fn ticks() -> u64 {
    monotonic_ns()
}

/// CLOCK_MONOTONIC: the same in both processes, unlike an `Instant`.
#[inline(always)]
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is writable; this clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Converts ticks to nanoseconds.
#[derive(Clone, Copy)]
pub struct Clock {
    ns_per_tick: f64,
}

impl Clock {
    pub fn calibrate() -> Clock {
        let (start, first) = (Instant::now(), ticks());
        std::thread::sleep(Duration::from_millis(30));
        let (elapsed, ticked) = (start.elapsed(), ticks() - first);
        Clock {
            ns_per_tick: elapsed.as_nanos() as f64 / ticked as f64,
        }
    }

    pub fn ns(&self, ticks: u64) -> f64 {
        ticks as f64 * self.ns_per_tick
    }

    /// Busy-wait: a sleep would wake on a core that has grown cold.
    pub fn spin_for_ns(&self, ns: u64) {
        let (start, wanted) = (ticks(), (ns as f64 / self.ns_per_tick) as u64);
        while ticks() - start < wanted {
            std::hint::spin_loop();
        }
    }
}
