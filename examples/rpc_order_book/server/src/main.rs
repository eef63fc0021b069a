// SPDX-License-Identifier: Apache-2.0
//! Keeps order books and answers the calls of client.py, one client after the other. The
//! calls are described in order_book.h.

mod book;
mod message;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tachyon_ipc::{RpcBus, TachyonError, SPIN_THRESHOLD};
use thousands::Separable;

use book::Market;
use message::{Message, OrderBookAdd, OrderBookOrder, OrderBookSnapshotRequest};
use message::{ADD, CANCEL, ERROR, SNAPSHOT};

/// Bytes of each ring.
const CAPACITY: usize = 1 << 16;
/// Room for a reply, whatever it will be; what is not used is given back.
const REPLY_MAX: usize = 512;

/// Keep order books and answer the calls of client.py.
#[derive(Parser)]
struct Arguments {
    /// Where to listen
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/tmp/tachyon_order_book.sock"
    )]
    socket: String,
    /// End with the first client
    #[arg(long)]
    once: bool,
}

/// Writes the reply where the client will read it; returns its size, or why there is none.
fn answer(
    market: &mut Market,
    msg_type: u32,
    request: &[u8],
    reply: &mut [u8],
) -> Result<usize, String> {
    match msg_type {
        SNAPSHOT => {
            let request = OrderBookSnapshotRequest::from_bytes(request)?;
            Ok(write(reply, market.snapshot(&request.symbol)?.as_bytes()))
        }
        ADD => {
            let order_id = market.add(&OrderBookAdd::from_bytes(request)?)?;
            Ok(write(reply, OrderBookOrder { order_id }.as_bytes()))
        }
        CANCEL => {
            market.cancel(OrderBookOrder::from_bytes(request)?.order_id)?;
            Ok(0)
        }
        _ => Err(format!("there is no call of type {msg_type}")),
    }
}

/// Writes what fits; returns how much that is.
fn write(slot: &mut [u8], bytes: &[u8]) -> usize {
    let size = bytes.len().min(slot.len());
    slot[..size].copy_from_slice(&bytes[..size]);
    size
}

/// Answers one client until it closes; returns how many calls it made.
fn serve(rpc: &RpcBus, market: &mut Market) -> Result<u64, TachyonError> {
    let mut calls = 0;
    loop {
        let request = match rpc.serve(SPIN_THRESHOLD) {
            Ok(request) => request,
            Err(TachyonError::Closed) => return Ok(calls),
            Err(TachyonError::Interrupted) => continue,
            Err(error) => return Err(error),
        };
        let (id, msg_type) = (request.correlation_id, request.type_id);
        let mut reply = rpc.acquire_reply_timeout(id, REPLY_MAX, Duration::MAX)?;
        let slot = reply.as_mut_slice();
        let (size, msg_type) = match answer(market, msg_type, request.data(), slot) {
            Ok(size) => (size, msg_type),
            Err(cause) => {
                let size = write(slot, &(msg_type as u16).to_be_bytes());
                (size + write(&mut slot[size..], cause.as_bytes()), ERROR)
            }
        };
        reply.commit(size, msg_type)?;
        request.commit()?;
        calls += 1;
    }
}

fn run(arguments: &Arguments) -> Result<(), TachyonError> {
    let mut market = Market::default();
    loop {
        eprintln!("listening on {}", arguments.socket);
        // The path is free again as soon as a client has come.
        let rpc = RpcBus::listen(&arguments.socket, CAPACITY, CAPACITY)?;
        let served = serve(&rpc, &mut market);
        match &served {
            Ok(calls) => eprintln!(
                "the client closed after {} calls",
                calls.separate_with_commas()
            ),
            Err(error) => eprintln!("the client is lost: {error}"),
        }
        if arguments.once {
            return served.map(drop);
        }
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("server: {error}");
            ExitCode::FAILURE
        }
    }
}
