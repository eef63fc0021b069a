// SPDX-License-Identifier: Apache-2.0
//! There and back: through two buses, and as a remote procedure call.

use std::collections::VecDeque;

use super::{message, Case, Effort};
use crate::bus::SPIN;
use crate::clock::ticks;
use crate::link::Link;
use crate::percentile::Percentiles;
use crate::report::{Goal, Metric, Reference};

pub struct RoundTrip;

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

pub struct RpcRoundTrip;

impl Case for RpcRoundTrip {
    fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric::time("rpc_round_trip_p50", "RPC, 32 bytes each way, p50"),
            Metric::time("rpc_round_trip_p99", "RPC, 32 bytes each way, p99"),
            Metric::quotient(
                "rpc_over_bus",
                "RPC's p50 / the bus round trip's",
                Reference::Of("round_trip_p50"),
            )
            .with_goal(Goal::RatioAtMost(1.3)),
            Metric::quotient(
                "rpc_gain_of_outstanding",
                "RPC one by one / with 64 outstanding, per call",
                Reference::Of("rpc_outstanding"),
            )
            .with_goal(Goal::RatioAtLeast(3.0)),
        ]
    }

    fn lead(&self, effort: &Effort, link: &mut Link) -> Vec<f64> {
        let mut times = Percentiles::with_capacity(effort.round_trips as usize, link.clock);
        link.meet();
        let start = ticks();
        let mut before = start;
        for number in 1..=effort.round_trips {
            let call = link.rpc.call(&message(number));
            let answer = link.rpc.wait(call);
            let now = ticks();
            times.push(now - before);
            before = now;
            assert_eq!(answer[0], number, "a call was given another's reply");
        }
        let mean = link.clock.ns(before - start) / effort.round_trips as f64;
        vec![times.ns(0.50), times.ns(0.99), times.ns(0.50), mean]
    }

    fn peer(&self, effort: &Effort, link: &mut Link) {
        serve(effort, link);
    }
}

/// The callee of both RPC cases: every request is its own reply.
fn serve(effort: &Effort, link: &mut Link) {
    link.meet();
    for _ in 0..effort.round_trips {
        link.rpc.serve_one();
    }
}

pub struct RpcOutstanding;

const OUTSTANDING: usize = 64;

impl Case for RpcOutstanding {
    fn metrics(&self) -> Vec<Metric> {
        vec![Metric::time(
            "rpc_outstanding",
            "RPC, 64 calls outstanding, per call",
        )]
    }

    fn lead(&self, effort: &Effort, link: &mut Link) -> Vec<f64> {
        let mut outstanding = VecDeque::with_capacity(OUTSTANDING);
        link.meet();
        let start = ticks();
        for number in 1..=effort.round_trips {
            if outstanding.len() == OUTSTANDING {
                finish_oldest(link, &mut outstanding);
            }
            outstanding.push_back((link.rpc.call(&message(number)), number));
        }
        while !outstanding.is_empty() {
            finish_oldest(link, &mut outstanding);
        }
        vec![link.clock.ns(ticks() - start) / effort.round_trips as f64]
    }

    fn peer(&self, effort: &Effort, link: &mut Link) {
        serve(effort, link);
    }
}

fn finish_oldest(link: &Link, outstanding: &mut VecDeque<(u64, u64)>) {
    if let Some((call, number)) = outstanding.pop_front() {
        let answer = link.rpc.wait(call);
        assert_eq!(answer[0], number, "a call was given another's reply");
    }
}
