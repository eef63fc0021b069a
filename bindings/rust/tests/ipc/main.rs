// SPDX-License-Identifier: Apache-2.0
//! The crate as its users see it. One program, so that it is linked once.

mod arrays;
mod auto_traits;
mod batch;
mod bus;
mod ends;
mod errors;
mod event_loops;
mod forerunner;
mod frames;
mod guards;
mod halves;
mod held;
mod interrupter;
mod many;
mod many_rpc;
mod openings;
mod processes;
mod rpc;
mod signals;
mod support;
mod timeouts;
mod tx_batch;
mod typed;
