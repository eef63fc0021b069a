// SPDX-License-Identifier: Apache-2.0
//! The Rust peer of the interop tests; test_interop.py has the rules it follows.

use std::ffi::{CStr, CString};
use std::io::Write;
use std::process::{self, exit};
use std::{mem, ptr, slice};

use adler2::Adler32;
use clap::{Parser, ValueEnum};
use tachyon_sys::{
    tachyon_error_t_TACHYON_ERR_CLOSED as CLOSED,
    tachyon_error_t_TACHYON_ERR_PEER_DEAD as PEER_DEAD, tachyon_error_t_TACHYON_SUCCESS as SUCCESS,
    *,
};

const TAPE_BYTES: usize = 1 << 19;
const SPIN_THRESHOLD: u32 = 1000;
const CONNECT_TIMEOUT_NS: i64 = 10_000_000_000;
const EXIT_PEER_DEAD: i32 = 3;

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Role {
    Produce,
    Consume,
}

#[derive(Parser)]
struct Arguments {
    role: Role,
    #[arg(long)]
    socket: String,
    #[arg(long)]
    count: u64,
    #[arg(long)]
    seed: u64,
    #[arg(long, value_delimiter = ',', required = true)]
    sizes: Vec<usize>,
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Capacity of the ring; without it, connect
    #[arg(long)]
    listen: Option<usize>,
    #[arg(long)]
    die_after: Option<u64>,
}

fn last_error() -> tachyon_error_t {
    // SAFETY: reads a value of this thread's own.
    unsafe { tachyon_last_error() }
}

fn fail(what: &str) -> ! {
    // SAFETY: the text is valid until this thread's next call.
    let message = unsafe { CStr::from_ptr(tachyon_last_error_message()) };
    eprintln!("peer: {what}: {}", message.to_string_lossy());
    exit(if last_error() == PEER_DEAD {
        EXIT_PEER_DEAD
    } else {
        1
    })
}

/// The stream that both peers know.
struct Stream {
    sizes: Vec<usize>,
    state: u64,
    tape: Vec<u8>,
}

struct Message {
    place: usize,
    size: usize,
    reserved: usize,
    type_id: u32,
}

impl Stream {
    fn new(sizes: &[usize], seed: u64) -> Self {
        let mut state = seed;
        let tape = (0..TAPE_BYTES / 8)
            .flat_map(|_| splitmix64(&mut state).to_le_bytes())
            .collect();
        Self {
            sizes: sizes.to_vec(),
            state,
            tape,
        }
    }

    fn next(&mut self) -> Message {
        let pick = splitmix64(&mut self.state);
        let type_id = splitmix64(&mut self.state) as u32;
        let place = splitmix64(&mut self.state);
        let size = self.sizes[(pick % self.sizes.len() as u64) as usize];
        Message {
            place: (place % (TAPE_BYTES - size + 1) as u64) as usize,
            size,
            reserved: size + (pick >> 32) as usize % 64,
            type_id,
        }
    }

    fn bytes(&self, message: &Message) -> &[u8] {
        &self.tape[message.place..message.place + message.size]
    }
}

fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = *state;
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

struct Totals {
    count: u64,
    bytes: u64,
    adler: Adler32,
    die_after: Option<u64>,
}

impl Totals {
    fn add(&mut self, bytes: &[u8]) {
        self.count += 1;
        self.bytes += bytes.len() as u64;
        self.adler.write_slice(bytes);
    }

    fn print(&self) {
        println!(
            "count={} bytes={} adler32={:08x}",
            self.count,
            self.bytes,
            self.adler.checksum()
        );
    }

    fn die_when_due(&self) {
        if self.die_after.is_some_and(|limit| self.count >= limit) {
            self.print();
            std::io::stdout().flush().expect("stdout is open");
            // SAFETY: plain system calls; the process does not survive them.
            unsafe { libc::kill(process::id() as i32, libc::SIGKILL) };
        }
    }
}

fn produce(
    bus: *mut tachyon_bus_t,
    arguments: &Arguments,
    stream: &mut Stream,
    totals: &mut Totals,
) {
    let mut unflushed = 0;
    while totals.count < arguments.count {
        let message = stream.next();
        let bytes = stream.bytes(&message);
        if arguments.batch == 1 {
            // SAFETY: `bytes` is valid for its length.
            let error = unsafe {
                tachyon_send(
                    bus,
                    bytes.as_ptr().cast(),
                    bytes.len(),
                    message.type_id,
                    SPIN_THRESHOLD,
                    -1,
                )
            };
            if error != SUCCESS {
                fail("send");
            }
        } else {
            // SAFETY: the slot has room for at least `bytes`, and is committed once.
            unsafe {
                let largest = tachyon_max_payload(bus);
                let reserved = if message.reserved > largest {
                    message.size
                } else {
                    message.reserved
                };
                let slot = tachyon_acquire_tx_timed(bus, reserved, SPIN_THRESHOLD, -1);
                if slot.is_null() {
                    fail("acquire_tx");
                }
                ptr::copy_nonoverlapping(bytes.as_ptr(), slot.cast(), bytes.len());
                if tachyon_commit_tx(bus, bytes.len(), message.type_id) != SUCCESS {
                    fail("commit_tx");
                }
            }
            unflushed += 1;
            if unflushed == arguments.batch {
                // SAFETY: `bus` is open.
                unsafe { tachyon_flush(bus) };
                unflushed = 0;
            }
        }
        totals.add(bytes);
        if unflushed == 0 {
            totals.die_when_due();
        }
    }
}

fn take(stream: &mut Stream, totals: &mut Totals, bytes: &[u8], type_id: u32) {
    let message = stream.next();
    let expected = stream.bytes(&message);
    if bytes != expected || type_id != message.type_id {
        eprintln!(
            "peer: message {} is not the one sent: size {} and type {type_id}, expected {} and {}",
            totals.count,
            bytes.len(),
            message.size,
            message.type_id
        );
        exit(1);
    }
    totals.add(bytes);
}

/// Returns the error that ended the stream.
fn consume(
    bus: *mut tachyon_bus_t,
    batch: usize,
    stream: &mut Stream,
    totals: &mut Totals,
) -> tachyon_error_t {
    // SAFETY: a struct of integers and pointers, written by the library before it is read.
    let mut views: Vec<tachyon_msg_view_t> = vec![unsafe { mem::zeroed() }; batch];
    loop {
        if batch == 1 {
            let (mut type_id, mut size) = (0, 0);
            // SAFETY: the payload is valid for `size` bytes until it is committed.
            unsafe {
                let bytes =
                    tachyon_acquire_rx_blocking(bus, &mut type_id, &mut size, SPIN_THRESHOLD);
                if bytes.is_null() {
                    return last_error();
                }
                take(
                    stream,
                    totals,
                    slice::from_raw_parts(bytes.cast(), size),
                    type_id,
                );
                if tachyon_commit_rx(bus) != SUCCESS {
                    fail("commit_rx");
                }
            }
        } else {
            // SAFETY: as above, for the views that were filled in.
            unsafe {
                let n = tachyon_drain_batch(bus, views.as_mut_ptr(), batch, SPIN_THRESHOLD);
                if n == 0 {
                    return last_error();
                }
                for view in &views[..n] {
                    let bytes = slice::from_raw_parts(view.ptr.cast(), view.actual_size);
                    take(stream, totals, bytes, view.type_id);
                }
                if tachyon_commit_rx_batch(bus, views.as_ptr(), n) != SUCCESS {
                    fail("commit_rx_batch");
                }
            }
        }
        totals.die_when_due();
    }
}

fn open_bus(arguments: &Arguments) -> *mut tachyon_bus_t {
    let path = CString::new(arguments.socket.as_str()).expect("a path has no NUL");
    let mut bus = ptr::null_mut();
    // SAFETY: zero is the default of every option, and all pointers outlive the calls.
    let error = unsafe {
        let mut options: tachyon_options_t = mem::zeroed();
        options.size = std::mem::size_of::<tachyon_options_t>();
        options.timeout_ns = CONNECT_TIMEOUT_NS;
        match arguments.listen {
            Some(capacity) => tachyon_bus_listen_with(path.as_ptr(), capacity, &options, &mut bus),
            None => tachyon_bus_connect_with(path.as_ptr(), &options, &mut bus),
        }
    };
    if error != SUCCESS {
        fail(if arguments.listen.is_some() {
            "listen"
        } else {
            "connect"
        });
    }
    bus
}

fn main() {
    let arguments = Arguments::parse();
    let mut stream = Stream::new(&arguments.sizes, arguments.seed);
    let mut totals = Totals {
        count: 0,
        bytes: 0,
        adler: Adler32::new(),
        die_after: arguments.die_after,
    };
    let bus = open_bus(&arguments);
    let mut status = 0;
    match arguments.role {
        Role::Produce => produce(bus, &arguments, &mut stream, &mut totals),
        Role::Consume => match consume(bus, arguments.batch, &mut stream, &mut totals) {
            CLOSED => {}
            PEER_DEAD => status = EXIT_PEER_DEAD,
            _ => fail("receive"),
        },
    }
    // SAFETY: `bus` was opened here and is not used again.
    unsafe { tachyon_bus_destroy(bus) };
    totals.print();
    exit(status);
}
