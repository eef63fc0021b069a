// SPDX-License-Identifier: Apache-2.0
//! Sends frames of 256 samples to consumer.py, then a message by which it checks that it
//! has got them all.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use adler2::Adler32;
use bytemuck::bytes_of;
use clap::Parser;
use tachyon_ipc::{Options, Producer, Role, TachyonError};
use thousands::Separable;

#[path = "../../frames.rs"]
mod frames;

use frames::{End, Frame, FRAME_SAMPLES};

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
    let mut frame = producer.loan_timeout::<Frame>(Duration::MAX)?;
    let first = number * u64::from(FRAME_SAMPLES);
    for (position, place) in (first..).zip(&mut frame.samples) {
        *place = sample(position);
    }
    checksum.write_slice(bytes_of::<Frame>(&frame));
    frame.commit_unflushed()
}

fn run(arguments: &Arguments) -> Result<(), TachyonError> {
    let options = Options::new()
        .types::<Frame>()
        .types::<End>()
        .role(Role::Producer)
        .timeout(CONNECT_TIMEOUT); // it waits for the consumer to listen
    let mut producer = Producer::from(options.connect(&arguments.socket)?);
    // Who leaves by `?` has not sent the whole: the consumer is told so.
    producer.bus().set_abort_on_drop(true);
    let mut checksum = Adler32::new();
    let start = Instant::now();
    for number in 0..arguments.count {
        send_frame(&mut producer, number, &mut checksum)?;
    }
    let end = End {
        frames: arguments.count,
        adler32: checksum.checksum(),
        ..End::ZERO
    };
    producer.send_message_timeout(&end, Duration::MAX)?;
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
