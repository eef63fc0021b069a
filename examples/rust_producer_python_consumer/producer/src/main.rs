// SPDX-License-Identifier: Apache-2.0
//! Sends frames of 256 samples to consumer.py, then a message by which it checks that it
//! has got them all.

use std::mem::size_of;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use adler2::Adler32;
use clap::Parser;
use tachyon_ipc::{Producer, TachyonError};
use thousands::Separable;

/// The type_id of a frame: 256 little-endian f32.
const FRAME: u32 = 0;
/// The type_id of the last message: count of frames (u64), Adler-32 of them all (u32).
const END: u32 = 1;

const SAMPLES: usize = 256;
const FRAME_SIZE: usize = SAMPLES * size_of::<f32>();
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// Send frames of 256 samples to consumer.py.
#[derive(Parser)]
struct Arguments {
    /// Where the consumer listens
    #[arg(long, value_name = "PATH", default_value = "/tmp/tachyon_frames.sock")]
    socket: String,
    /// Frames to send
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    count: u64,
}

/// A sawtooth of 65,536 samples, each of which an f32 holds exactly.
fn sample(position: u64) -> f32 {
    (position % 65_536) as f32 / 65_536.0 - 0.5
}

/// Write one frame into shared memory; it is flushed with the next 63.
fn send_frame(
    producer: &mut Producer,
    number: u64,
    checksum: &mut Adler32,
) -> Result<(), TachyonError> {
    let mut guard = producer.acquire_tx_timeout(FRAME_SIZE, Duration::MAX)?;
    let slot = guard.as_mut();
    let first = number * SAMPLES as u64;
    for (position, bytes) in (first..).zip(slot.chunks_exact_mut(size_of::<f32>())) {
        bytes.copy_from_slice(&sample(position).to_le_bytes());
    }
    checksum.write_slice(slot);
    guard.commit_unflushed(FRAME_SIZE, FRAME)
}

fn run(arguments: &Arguments) -> Result<(), TachyonError> {
    // With a time-out it waits for the consumer to listen.
    let mut producer = Producer::connect_timeout(&arguments.socket, CONNECT_TIMEOUT)?;
    // Who leaves by `?` has not sent the whole: the consumer is told so.
    producer.bus().set_abort_on_drop(true);
    let mut checksum = Adler32::new();
    let start = Instant::now();
    for number in 0..arguments.count {
        send_frame(&mut producer, number, &mut checksum)?;
    }
    let mut end = [0; 12];
    end[..8].copy_from_slice(&arguments.count.to_le_bytes());
    end[8..].copy_from_slice(&checksum.checksum().to_le_bytes());
    producer.send_timeout(&end, END, Duration::MAX)?;
    producer.close(); // the whole was sent
    println!(
        "sent: {} frames in {:.3} s, Adler-32 {:08x}",
        arguments.count.separate_with_commas(),
        start.elapsed().as_secs_f64(),
        checksum.checksum(),
    );
    Ok(())
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("producer: {error}");
            ExitCode::FAILURE
        }
    }
}
