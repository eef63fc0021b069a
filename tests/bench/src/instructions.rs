// SPDX-License-Identifier: Apache-2.0
//! Instructions per message: the one number that no neighbour on the machine disturbs.
//! valgrind runs this program again with two counts of messages; their difference is
//! free of start-up.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{json, Value};

use crate::bus::{Bus, Payload};

const FEW: u64 = 1_000;
const MANY: u64 = 11_000;

/// acquire_tx, 32 bytes, commit_tx, flush. callgrind counts inside of it only.
#[no_mangle]
#[inline(never)]
extern "C" fn bench_send_one(bus: &Bus, payload: &Payload) {
    bus.send(payload);
}

/// acquire_rx_blocking, 32 bytes, commit_rx.
#[no_mangle]
#[inline(never)]
extern "C" fn bench_receive_one(bus: &Bus) -> u64 {
    bus.receive_payload(1)[0]
}

/// What runs under valgrind: both ends in this process, in turns.
pub fn run(count: u64) {
    let path = format!("@tachyon-bench-{}-instructions", std::process::id());
    let listener = {
        let path = path.clone();
        std::thread::spawn(move || SendableBus(Bus::listen(&path, 1 << 20)))
    };
    let producer = Bus::connect(&path);
    let SendableBus(consumer) = listener.join().expect("listen");
    for number in 0..count {
        bench_send_one(&producer, &[number, 2, 3, 4]);
        assert_eq!(bench_receive_one(&consumer), number);
    }
}

/// A handle may move to another thread; raw pointers do not say so by themselves.
struct SendableBus(Bus);
// SAFETY: the C API binds a handle to no thread.
unsafe impl Send for SendableBus {}

fn collected(valgrind_says: &str) -> Option<u64> {
    let line = valgrind_says
        .lines()
        .find(|line| line.contains("Collected"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}

fn count_in(function: &str, messages: u64) -> io::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--toggle-collect={function}"))
        .arg(std::env::current_exe()?)
        .args(["instructions", "--count"])
        .arg(messages.to_string())
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    match collected(&said) {
        Some(count) if output.status.success() => Ok(count),
        _ => Err(io::Error::other(format!("callgrind failed: {said}"))),
    }
}

fn per_message(function: &str) -> io::Result<f64> {
    let difference = count_in(function, MANY)? - count_in(function, FEW)?;
    Ok(difference as f64 / (MANY - FEW) as f64)
}

fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|dir| Path::new(&dir).join(program).is_file())
    })
}

/// Rows for both sides; none where there is no valgrind.
pub fn measure() -> io::Result<Vec<Value>> {
    if !is_installed("valgrind") {
        return Ok(Vec::new());
    }
    [
        (
            "send_instructions",
            "acquire_tx, write, commit_tx, flush",
            "bench_send_one",
        ),
        (
            "receive_instructions",
            "acquire_rx_blocking, read, commit_rx",
            "bench_receive_one",
        ),
    ]
    .into_iter()
    .map(|(id, title, function)| {
        Ok(json!({
            "id": id,
            "title": title,
            "regime": "any",
            "value": per_message(function)?,
            "unit": "instr",
            "ratio": null,
            "ratio_to": "",
            "goal": null,
            "met": null,
            "samples": 1,
        }))
    })
    .collect()
}
