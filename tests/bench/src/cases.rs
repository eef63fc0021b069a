// SPDX-License-Identifier: Apache-2.0
//! What is measured. A case has two halves, which stand together: the lead's takes the
//! numbers, the peer's is what it takes them against.

pub mod first_listen;
mod one_way;
mod paced;
mod round_trip;
mod sleep;

use crate::bus::Payload;
use crate::link::Link;
use crate::report::Metric;
use crate::wakers::Descriptor;

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
    processes: u32,
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
        processes: 3,
    };
    /// Short enough that the machine seldom changes regime within a sample, and that
    /// the scheduler leaves most of them alone.
    pub const FULL: Effort = Effort {
        line_rounds: 5_000,
        round_trips: 10_000,
        messages: 20_000,
        large_messages: 1_000,
        wakes: 200,
        paced_messages: 2_000,
        idle_ns: 1_000_000_000,
        processes: 21,
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
pub const ALL: [&dyn Case; 18] = [
    &round_trip::RoundTrip,
    &round_trip::RpcRoundTrip,
    &round_trip::RpcOutstanding,
    &one_way::Unbatched,
    &one_way::SharedIndex,
    &one_way::Batches,
    &one_way::Large,
    &sleep::Wake,
    &sleep::FutexWake,
    &sleep::DescriptorWake(Descriptor::Socket),
    &sleep::DescriptorWake(Descriptor::Eventfd),
    &paced::Paced,
    &paced::FlushedEvery(16),
    &paced::FlushedEvery(32),
    &paced::FlushedEvery(64),
    &paced::FlushedEvery(128),
    &sleep::Idle,
    &first_listen::FirstListen,
];

fn message(number: u64) -> Payload {
    [number, 2, 3, 4]
}

/// The sum of 1 to `count`: what the first words of that many messages add up to.
fn sum_to(count: u64) -> u64 {
    count * (count + 1) / 2
}
