// SPDX-License-Identifier: Apache-2.0
//! Keeps order books and answers the calls of client.py, one client after the other. The
//! calls are described in order_book.h.

mod book;
#[path = "../../order_book.rs"]
mod order_book;

use std::mem::size_of;
use std::process::ExitCode;
use std::time::Duration;

use bytemuck::{bytes_of, try_pod_read_unaligned, Pod};
use clap::Parser;
use tachyon_ipc::{Message, Options, RpcBus, TachyonError, SPIN_THRESHOLD};
use thousands::Separable;

use book::Market;
use order_book::{OrderBookAdd, OrderBookCancel, OrderBookLook, OrderBookOrder, OrderBookSnapshot};
use order_book::{ORDER_BOOK_DONE, ORDER_BOOK_ERROR};

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

/// Writes the reply where the client will read it; returns its size and type, or why there
/// is none.
fn answer(
    market: &mut Market,
    msg_type: u32,
    request: &[u8],
    reply: &mut [u8],
) -> Result<(usize, u32), String> {
    match msg_type {
        OrderBookLook::TYPE_ID => {
            let look: OrderBookLook = read(request)?;
            Ok(write_message(reply, &market.snapshot(&look.symbol)?))
        }
        OrderBookAdd::TYPE_ID => {
            let order_id = market.add(&read(request)?)?;
            Ok(write_message(reply, &OrderBookOrder { order_id }))
        }
        OrderBookCancel::TYPE_ID => {
            let cancel: OrderBookCancel = read(request)?;
            market.cancel(cancel.order_id)?;
            Ok((0, ORDER_BOOK_DONE))
        }
        _ => Err(format!("there is no call of type {msg_type}")),
    }
}

fn read<T: Message + Pod>(request: &[u8]) -> Result<T, String> {
    try_pod_read_unaligned(request).map_err(|_| {
        let (size, wanted) = (request.len(), size_of::<T>());
        format!("the request has {size} bytes instead of {wanted}")
    })
}

fn write_message<T: Message + Pod>(slot: &mut [u8], message: &T) -> (usize, u32) {
    (write(slot, bytes_of(message)), T::TYPE_ID)
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
            Ok(written) => written,
            Err(cause) => {
                let size = write(slot, &(msg_type as u16).to_be_bytes());
                let size = size + write(&mut slot[size..], cause.as_bytes());
                (size, ORDER_BOOK_ERROR)
            }
        };
        reply.commit(size, msg_type)?;
        request.commit()?;
        calls += 1;
    }
}

fn run(arguments: &Arguments) -> Result<(), TachyonError> {
    let mut market = Market::default();
    let options = Options::new()
        .types::<OrderBookLook>()
        .types::<OrderBookAdd>()
        .types::<OrderBookCancel>()
        .types::<OrderBookSnapshot>()
        .types::<OrderBookOrder>();
    loop {
        eprintln!("listening on {}", arguments.socket);
        // The path is free again as soon as a client has come.
        let rpc = options.rpc_listen(&arguments.socket, CAPACITY, CAPACITY)?;
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
