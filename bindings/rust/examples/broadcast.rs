// SPDX-License-Identifier: Apache-2.0
//! A feed of ticks, and readers that come, fall behind, are let go and come back.
//!
//! cargo run --release -p tachyon-ipc --example broadcast

use std::env;
use std::error::Error;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tachyon_ipc::{
    Acceptor, Bus, Event, Options, Producer, Role, SlowPeer, TachyonError, WithoutPeers,
    SPIN_THRESHOLD,
};

const CAPACITY: usize = 1 << 16;
const TICK: u32 = 1;
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> Result<(), Box<dyn Error>> {
    match env::args().collect::<Vec<_>>().as_slice() {
        [_, path, name, pause] => read(path, name, Duration::from_millis(pause.parse()?)),
        _ => feed(),
    }
}

fn feed() -> Result<(), Box<dyn Error>> {
    let path = format!("@tachyon-broadcast-{}", std::process::id());
    let options = Options::new()
        .role(Role::Producer)
        .max_peers(16)
        .without_peers(WithoutPeers::FreeRun)
        .slow_peer(SlowPeer::Disconnect(Duration::from_millis(20)));
    let mut producer = Producer::from(options.listen(&path, CAPACITY)?);
    let visits = Arc::new(AtomicU32::new(0));
    let acceptor = producer.bus().acceptor();
    let doorman = {
        let visits = visits.clone();
        thread::spawn(move || keep_the_door(&acceptor, &visits))
    };
    let mut readers = [start(&path, "quick", "0")?, start(&path, "slow", "100")?];

    // Until the slow one has been let go and is back, and a little longer.
    let (mut tick, mut rest) = (0u64, 1000);
    while rest > 0 {
        producer.send_timeout(&tick.to_le_bytes(), TICK, PATIENCE)?;
        tick += 1;
        rest -= u32::from(visits.load(Ordering::Relaxed) >= 2);
    }
    drop(producer); // who has not read all still may
    for reader in &mut readers {
        if !reader.wait()?.success() {
            return Err("a reader failed".into());
        }
    }
    doorman.join().expect("no panic at the door")?;
    println!("sent {tick}");
    Ok(())
}

fn start(path: &str, name: &str, pause: &str) -> Result<Child, Box<dyn Error>> {
    let mut reader = Command::new(env::current_exe()?);
    Ok(reader.args([path, name, pause]).spawn()?)
}

/// Lets readers in while the feed only sends, and counts the visits of the slow one.
fn keep_the_door(acceptor: &Acceptor, visits: &AtomicU32) -> Result<(), TachyonError> {
    for event in acceptor.events() {
        match event? {
            Event::Joined { name, .. } if name.as_deref() == Some("slow") => {
                visits.fetch_add(1, Ordering::Relaxed);
            }
            Event::Left { name, reason, .. } => {
                println!("{} has left: {reason}", name.unwrap_or_default());
            }
            _ => {}
        }
    }
    Ok(())
}

fn read(path: &str, name: &str, pause: Duration) -> Result<(), Box<dyn Error>> {
    let options = Options::new().role(Role::Consumer).name(name);
    let mut bus = options.clone().timeout(PATIENCE).connect(path)?;
    let (mut ticks, mut missed, mut next) = (0u64, 0, None);
    loop {
        match take(&bus) {
            Ok(tick) => {
                missed += tick - next.unwrap_or(tick);
                next = Some(tick + 1);
                ticks += 1;
                if ticks % 1000 == 0 {
                    thread::sleep(pause);
                }
            }
            Err(TachyonError::Lagged) => match options.connect(path) {
                Ok(again) => bus = again,                 // with what is sent from now on
                Err(TachyonError::NetworkError) => break, // the feed has ended meanwhile
                Err(error) => return Err(error.into()),
            },
            Err(TachyonError::Closed) => break,
            Err(error) => return Err(error.into()),
        }
    }
    println!("{name}: read {ticks}, missed {missed}");
    Ok(())
}

/// The next tick: copied first, and good if it could still be released then.
fn take(bus: &Bus) -> Result<u64, TachyonError> {
    let message = bus.acquire_rx(SPIN_THRESHOLD)?;
    let bytes = message.data().try_into().expect("ticks of 8 bytes");
    message.commit()?;
    Ok(u64::from_le_bytes(bytes))
}
