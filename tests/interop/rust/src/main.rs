// SPDX-License-Identifier: Apache-2.0
//! The Rust peer of the conformance tests; ../README.md has the rules it follows.

use std::collections::HashMap;
use std::mem;
use std::process::exit;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use tachyon_ipc::{plain, Bus, Message, Options, Role, RpcBus, RxBatchGuard, TachyonError};

type Outcome = Result<usize, TachyonError>;

const SPIN: u32 = 10_000;
const BATCH: usize = 100;
const TICKS: usize = 1000;
const TICK_BYTES: usize = 32;
const DEFAULTS: [(&str, &str); 16] = [
    ("end", "connect"),
    ("open", "20"),
    ("capacity", "65536"),
    ("schema", "0"),
    ("role", "0"),
    ("wait", "20"),
    ("count", "1"),
    ("size", "32"),
    ("how", "single"),
    ("seed", "0"),
    ("finish", "close"),
    ("outstanding", "1"),
    ("order", "in"),
    ("cancel", "0"),
    ("types", ""),
    ("required", "0"),
];

macro_rules! described {
    ($($Name:ident = $file:literal)+) => {
        $(
            #[derive(Clone, Copy)]
            #[repr(transparent)]
            struct $Name(u8);
            plain!($Name { 0: u8 });
            impl Message for $Name {
                const TYPE_ID: u32 = 1;
                const TYPES: &'static str = include_str!(concat!("../../types/", $file));
            }
        )+

        /// Declares the types that are described so.
        fn typed(options: Options, types: &str) -> Options {
            match types {
                "" => options,
                $(_ if types == $Name::TYPES => options.types::<$Name>(),)+
                _ => panic!("{types}"),
            }
        }
    };
}
described! {
    Narrow = "narrow.txt"
    Wide = "wide.txt"
    First = "first.txt"
    Second = "second.txt"
    Wrong = "wrong.txt"
}

fn code(error: TachyonError) -> u32 {
    match error {
        TachyonError::InvalidSize => 8,
        TachyonError::BufferFull => 9,
        TachyonError::BufferEmpty => 10,
        TachyonError::NetworkError => 11,
        TachyonError::AbiMismatch => 14,
        TachyonError::PeerDead => 15,
        TachyonError::Closed => 16,
        TachyonError::Timeout => 17,
        TachyonError::Busy => 18,
        TachyonError::AddrInUse => 20,
        TachyonError::Aborted => 23,
        other => panic!("{other:?}"),
    }
}

fn expect(right: bool, i: usize) {
    if !right {
        println!("wrong {i}");
        exit(1);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum How {
    Single,
    Batch,
    InPlace,
}

struct Peer {
    path: String,
    keys: HashMap<&'static str, String>,
    tells_why: bool,
    sizes: Vec<usize>,
    how: How,
    wait: Duration,
    count: usize,
    seed: usize,
}

impl Peer {
    fn new(path: String, words: impl Iterator<Item = String>) -> Self {
        let mut keys: HashMap<_, _> = DEFAULTS.map(|(k, v)| (k, v.to_owned())).into();
        for word in words {
            let pair = word.split_once('=');
            match pair.and_then(|(k, v)| keys.get_mut(k).map(|at| (at, v))) {
                Some((at, value)) => value.clone_into(at),
                None => {
                    eprintln!("peer: {word}?");
                    exit(2)
                }
            }
        }
        Self {
            path,
            tells_why: false,
            sizes: keys["size"].split(',').map(parse).collect(),
            how: match &*keys["how"] {
                "single" => How::Single,
                "batch" => How::Batch,
                _ => How::InPlace,
            },
            wait: Duration::from_secs_f64(parse(&keys["wait"])),
            count: parse(&keys["count"]),
            seed: parse(&keys["seed"]),
            keys,
        }
    }

    fn type_of(&self, i: usize) -> u32 {
        if self.how == How::Batch {
            1
        } else {
            (i % 7) as u32 + 1
        }
    }

    fn message(&self, i: usize) -> Vec<u8> {
        let cycle = if self.how == How::Batch { i / BATCH } else { i };
        let size = self.sizes[cycle % self.sizes.len()];
        (0..size)
            .map(|j| (31 * i + 7 * j + self.seed) as u8)
            .collect()
    }

    fn options(&self) -> Options {
        let role = match &*self.keys["role"] {
            "1" => Role::Producer,
            "2" => Role::Consumer,
            _ => Role::None,
        };
        let options = Options::new()
            .timeout(Duration::from_secs_f64(parse(&self.keys["open"])))
            .role(role)
            .schema(parse(&self.keys["schema"]))
            .types_required(self.keys["required"] == "1");
        typed(options, &self.keys["types"])
    }

    fn opened<T>(&self, outcome: Result<T, TachyonError>) -> T {
        outcome.unwrap_or_else(|error| {
            println!("error {}", code(error));
            if self.tells_why {
                println!("why {error}");
            }
            exit(0)
        })
    }

    fn open(&self) -> Bus {
        let listens = self.keys["end"] == "listen";
        self.opened(if listens {
            let capacity = parse(&self.keys["capacity"]);
            self.options().listen(&self.path, capacity)
        } else {
            self.options().connect(&self.path)
        })
    }

    fn finish<T>(&self, bus: T, abort: impl FnOnce(&T)) {
        match &*self.keys["finish"] {
            // SAFETY: a plain system call; the process does not survive it.
            "kill" => unsafe {
                libc::raise(libc::SIGKILL);
            },
            "abort" => abort(&bus),
            "leave" => mem::forget(bus),
            _ => {}
        }
    }

    /// Sends message i, or those up to the next hundred.
    fn send_next(&self, bus: &Bus, i: usize, wait: Duration) -> Outcome {
        let message = self.message(i);
        match self.how {
            How::Single => bus.send_timeout(&message, self.type_of(i), wait)?,
            How::InPlace => {
                let mut slot = bus.acquire_tx_timeout(message.len(), wait)?;
                slot.as_mut()[..message.len()].copy_from_slice(&message);
                slot.commit_unflushed(message.len(), self.type_of(i))?;
            }
            How::Batch => {
                let end = self.count.min((i / BATCH + 1) * BATCH);
                let items: Vec<u8> = (i..end).flat_map(|k| self.message(k)).collect();
                return bus.send_batch_timeout(&items, message.len(), 1, wait);
            }
        }
        Ok(1)
    }

    fn recv_next(&self, bus: &Bus, i: usize, wait: Duration) -> Outcome {
        let right = |k, data: &[u8], type_id| {
            expect(data == self.message(k) && type_id == self.type_of(k), k);
        };
        match self.how {
            How::Single => {
                let message = bus.acquire_rx_timeout(SPIN, wait)?;
                right(i, message.data(), message.type_id);
                message.commit()?;
                Ok(1)
            }
            How::InPlace => {
                let batch = bus.drain_batch_timeout(BATCH, SPIN, wait)?;
                for (k, view) in batch.iter().enumerate() {
                    right(i + k, view.data(), view.type_id());
                }
                let count = batch.len();
                batch.commit()?;
                Ok(count)
            }
            How::Batch => {
                let size = self.message(i).len();
                let mut items = vec![0; (BATCH - i % BATCH) * size];
                let batch = bus.recv_batch_into_timeout(&mut items, size, SPIN, wait)?;
                for (k, item) in items.chunks(size).take(batch.count).enumerate() {
                    right(i + k, item, batch.type_id);
                }
                Ok(batch.count)
            }
        }
    }

    fn op_open(&self) {
        let bus = self.open();
        println!("opened");
        self.finish(bus, Bus::abort);
    }

    fn op_send(&self) {
        let bus = self.open();
        let (sent, error) = until(self.count, |i| self.send_next(&bus, i, self.wait));
        bus.flush();
        println!("sent {sent}");
        say_error(error);
        self.finish(bus, Bus::abort);
    }

    fn op_recv(&self) {
        let bus = self.open();
        let (received, error) = until(usize::MAX, |i| self.recv_next(&bus, i, self.wait));
        println!("received {received}");
        say_error(error);
    }

    fn op_fill(&mut self) {
        let bus = self.open();
        self.count = usize::MAX;
        let (sent, error) = until(usize::MAX, |i| self.send_next(&bus, i, Duration::ZERO));
        println!("sent {sent}");
        say_error(error);
        say_error(self.send_next(&bus, sent, self.wait).err());
        bus.flush();
        self.finish(bus, Bus::abort);
    }

    fn op_drain(&self) {
        let bus = self.open();
        println!("ready");
        say_error(self.recv_next(&bus, 0, Duration::ZERO).err());
        say_error(self.recv_next(&bus, 0, self.wait).err());
    }

    fn op_hold(&self) {
        let _bus = self.open();
        println!("ready");
        loop {
            thread::park();
        }
    }

    /// A bus that was never opened does not exist in Rust.
    fn op_misuse(&self) {
        let bus = self.open();
        bus.close();
        bus.close();
        say_error(self.send_next(&bus, 0, self.wait).err());
        say_error(self.recv_next(&bus, 0, self.wait).err());
        bus.flush();
    }

    fn op_serve(&self) {
        let capacity = parse(&self.keys["capacity"]);
        let options = self.options();
        let bus = self.opened(options.rpc_listen(&self.path, capacity, capacity));
        let group: usize = parse(&self.keys["outstanding"]);
        let mut served = 0;
        let error = loop {
            let requests: Result<Vec<_>, _> = (0..group)
                .map(|_| {
                    let request = bus.serve_timeout(SPIN, self.wait)?;
                    let data: Vec<u8> = request.data().iter().rev().copied().collect();
                    Ok((request.correlation_id, data, request.type_id))
                })
                .collect();
            let mut requests = match requests {
                Ok(requests) => requests,
                Err(error) => break error,
            };
            if self.keys["order"] == "reverse" {
                requests.reverse();
            }
            let replied = requests.iter().try_for_each(|(id, data, type_id)| {
                bus.reply_timeout(*id, data, type_id + 1, self.wait)?;
                served += 1;
                Ok(())
            });
            if let Err(error) = replied {
                break error;
            }
        };
        println!("served {served}");
        say_error(Some(error));
    }

    fn op_call(&self) {
        let bus = self.opened(self.options().rpc_connect(&self.path));
        let group: usize = parse(&self.keys["outstanding"]);
        let every: usize = parse(&self.keys["cancel"]);
        let (mut answered, mut cancelled) = (0, 0);
        let (_, error) = until(self.count, |first| {
            let group = first..self.count.min(first + group);
            let calls: Result<Vec<_>, _> = group
                .clone()
                .map(|i| bus.call_timeout(&self.message(i), self.type_of(i), self.wait))
                .collect();
            for (i, call) in group.clone().zip(calls?) {
                if every > 0 && (i + 1) % every == 0 {
                    bus.cancel(call)?;
                    cancelled += 1;
                    continue;
                }
                let reply = bus.wait_timeout(call, SPIN, self.wait)?;
                let right = reply.data().iter().eq(self.message(i).iter().rev());
                expect(right && reply.type_id == self.type_of(i) + 1, i);
                answered += 1;
            }
            Ok(group.len())
        });
        println!("answered {answered}");
        match error {
            None => println!("cancelled {cancelled}"),
            error => say_error(error),
        }
        self.finish(bus, RpcBus::abort);
    }

    fn op_produce(&self) -> Result<(), TachyonError> {
        let bus = self.open();
        let mut room = vec![0; TICKS * TICK_BYTES];
        let start = Instant::now();
        let mut i = 0;
        while i < self.count {
            match self.how {
                How::Single => {
                    write_tick(&mut room[..TICK_BYTES], i);
                    bus.send_timeout(&room[..TICK_BYTES], 7, self.wait)?;
                    i += 1;
                }
                How::InPlace => {
                    let mut slot = bus.acquire_tx_timeout(TICK_BYTES, self.wait)?;
                    write_tick(&mut slot.as_mut()[..TICK_BYTES], i);
                    slot.commit_unflushed(TICK_BYTES, 7)?;
                    i += 1;
                }
                How::Batch => {
                    let count = TICKS.min(self.count - i);
                    for (k, tick) in room.chunks_exact_mut(TICK_BYTES).take(count).enumerate() {
                        write_tick(tick, i + k);
                    }
                    let items = &room[..count * TICK_BYTES];
                    i += bus.send_batch_timeout(items, TICK_BYTES, 7, self.wait)?;
                }
            }
        }
        bus.flush();
        let ns = start.elapsed().as_nanos();
        let mut sums = Sums::default();
        for i in 0..self.count {
            write_tick(&mut room[..TICK_BYTES], i);
            sums.add(&room[..TICK_BYTES]);
        }
        sums.report(ns);
        Ok(())
    }

    fn op_consume(&self) -> Result<(), TachyonError> {
        let bus = self.open();
        let mut room = vec![0; TICKS * TICK_BYTES];
        let mut sums = Sums::default();
        let mut start = None;
        let error = loop {
            // What a call gives is read before the next one.
            let error = match self.how {
                How::Single => bus.acquire_rx_timeout(SPIN, self.wait).map(|tick| {
                    start.get_or_insert_with(Instant::now);
                    expect(tick.type_id == 7, sums.count);
                    sums.add(tick.data());
                }),
                How::InPlace => {
                    let batch = bus.drain_batch_timeout(TICKS, SPIN, self.wait);
                    batch.map(|batch: RxBatchGuard<'_>| {
                        start.get_or_insert_with(Instant::now);
                        for view in &batch {
                            expect(view.type_id() == 7, sums.count);
                            sums.add(view.data());
                        }
                    })
                }
                How::Batch => {
                    let batch = bus.recv_batch_into_timeout(&mut room, TICK_BYTES, SPIN, self.wait);
                    batch.map(|batch| {
                        start.get_or_insert_with(Instant::now);
                        expect(batch.type_id == 7, sums.count);
                        room.chunks_exact(TICK_BYTES)
                            .take(batch.count)
                            .for_each(|tick| sums.add(tick));
                    })
                }
            };
            if let Err(error) = error {
                break error;
            }
        };
        if error != TachyonError::Closed {
            return Err(error);
        }
        sums.report(start.map_or(0, |start| start.elapsed().as_nanos()));
        Ok(())
    }

    fn op_ping(&self) -> Result<(), TachyonError> {
        let bus = self.open();
        let back = self.opened(self.options().connect(format!("{}-back", self.path)));
        let data = self.message(0);
        for i in 0..self.count {
            bus.send_timeout(&data, 1, self.wait)?;
            let answer = back.acquire_rx_timeout(SPIN, self.wait)?;
            expect(answer.data() == data, i);
        }
        println!("answered {}", self.count);
        Ok(())
    }

    fn op_ask(&self) -> Result<(), TachyonError> {
        let bus = self.opened(self.options().rpc_connect(&self.path));
        let data = self.message(0);
        for i in 0..self.count {
            let call = bus.call_timeout(&data, 1, self.wait)?;
            let answer = bus.wait_timeout(call, SPIN, self.wait)?;
            expect(answer.data() == data, i);
        }
        println!("answered {}", self.count);
        Ok(())
    }
}

fn parse<T: FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| {
        eprintln!("peer: {text}?");
        exit(2)
    })
}

fn say_error(error: Option<TachyonError>) {
    if let Some(error) = error {
        println!("error {}", code(error));
    }
}

/// Steps until there are `count` messages, or until an error.
fn until(count: usize, mut step: impl FnMut(usize) -> Outcome) -> (usize, Option<TachyonError>) {
    let mut done = 0;
    while done < count {
        match step(done) {
            Ok(n) => done += n,
            Err(error) => return (done, Some(error)),
        }
    }
    (done, None)
}

/// symbol, price, qty, pad, ts
fn write_tick(at: &mut [u8], i: usize) {
    at[..8].copy_from_slice(b"TCHY\0\0\0\0");
    at[8..16].copy_from_slice(&(100.0 + i as f64 * 0.25).to_ne_bytes());
    at[16..20].copy_from_slice(&((i % 1000) as u32).to_ne_bytes());
    at[20..24].copy_from_slice(&0u32.to_ne_bytes());
    at[24..32].copy_from_slice(&(i as u64).to_ne_bytes());
}

#[derive(Default)]
struct Sums {
    count: usize,
    qty: u64,
    price: f64,
}

impl Sums {
    #[inline]
    fn add(&mut self, tick: &[u8]) {
        let Ok(tick): Result<&[u8; TICK_BYTES], _> = tick.try_into() else {
            return expect(false, self.count);
        };
        let four = |at: usize| [tick[at], tick[at + 1], tick[at + 2], tick[at + 3]];
        let eight = |at: usize| {
            let ([a, b, c, d], [e, f, g, h]) = (four(at), four(at + 4));
            [a, b, c, d, e, f, g, h]
        };
        let right = eight(0) == *b"TCHY\0\0\0\0" && u32::from_ne_bytes(four(20)) == 0;
        let ts = u64::from_ne_bytes(eight(24));
        expect(right && ts == self.count as u64, self.count);
        self.price += f64::from_ne_bytes(eight(8));
        self.qty += u64::from(u32::from_ne_bytes(four(16)));
        self.count += 1;
    }

    fn report(&self, ns: u128) {
        let Self { count, qty, price } = self;
        let each = ns as f64 / (*count).max(1) as f64;
        println!("count {count} qty {qty} price {price:.2} ns {each:.1}");
    }
}

fn main() {
    let mut words = std::env::args().skip(1);
    let (Some(operation), Some(path)) = (words.next(), words.next()) else {
        eprintln!("peer OPERATION PATH [key=value ...]");
        exit(2)
    };
    let mut peer = Peer::new(path, words);
    let outcome = match &*operation {
        "produce" => peer.op_produce(),
        "consume" => peer.op_consume(),
        "ping" => peer.op_ping(),
        "ask" => peer.op_ask(),
        _ => {
            match &*operation {
                "open" => peer.op_open(),
                "meet" => {
                    println!("ready");
                    peer.tells_why = true;
                    peer.op_open();
                }
                "send" => peer.op_send(),
                "recv" => peer.op_recv(),
                "fill" => peer.op_fill(),
                "drain" => peer.op_drain(),
                "hold" => peer.op_hold(),
                "misuse" => peer.op_misuse(),
                "serve" => peer.op_serve(),
                "call" => peer.op_call(),
                other => {
                    eprintln!("peer: {other}?");
                    exit(2)
                }
            }
            Ok(())
        }
    };
    if let Err(error) = outcome {
        println!("error {}", code(error));
        exit(1);
    }
}
