// SPDX-License-Identifier: Apache-2.0
//! The two processes and what connects them. The lead measures; the peer is forked
//! from it and serves the other half of each measurement on its own core.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::bus::Bus;
use crate::clock::Clock;
use crate::machine::{pin, preemptions, Pinning};
use crate::rpc::RpcBus;
use crate::shared::{Shared, Signals};
use crate::shared_index::{SharedIndexMemory, SharedIndexRing, CAPACITY};
use crate::wakers::Descriptors;

/// No single measurement takes longer; one that does has hung.
const STUCK_AFTER_S: u32 = 60;
const END: u8 = u8::MAX;

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Lead,
    Peer,
}

/// What one process holds of the connection.
pub struct Link<'a> {
    side: Side,
    pub clock: Clock,
    pub signals: &'a Signals,
    /// From the lead to the peer.
    pub forward: Bus,
    /// From the peer to the lead.
    pub back: Bus,
    /// The peer is the callee.
    pub rpc: RpcBus,
    pub shared_index: SharedIndexRing<'a>,
    pub descriptors: &'a Descriptors,
    stream: UnixStream,
}

/// Numbers that the peer hands to the lead after a measurement.
pub type Answer = [u64; 4];

impl Link<'_> {
    /// Both sides wait here for each other: one line each way.
    pub fn meet(&self) {
        let [lead, peer] = &self.signals.arrivals;
        let (own, other) = match self.side {
            Side::Lead => (lead, peer),
            Side::Peer => (peer, lead),
        };
        let mine = own.word.load(Ordering::Relaxed) + 1;
        own.word.store(mine, Ordering::Release);
        while other.word.load(Ordering::Acquire) < mine {
            std::hint::spin_loop();
        }
    }

    /// Lead: have the peer run its half of a case.
    pub fn start(&mut self, case: u8) {
        // SAFETY: only arms a timer; its signal ends the process.
        unsafe { libc::alarm(STUCK_AFTER_S) };
        self.stream.write_all(&[case]).expect("the peer is there");
    }

    /// Lead: how often either process has lost its core to another.
    pub fn preemptions(&self) -> u64 {
        let peer = PEER.load(Ordering::Relaxed).to_string();
        preemptions("self") + preemptions(&peer)
    }

    pub fn answer(&mut self, answer: Answer) {
        for number in answer {
            let sent = self.stream.write_all(&number.to_ne_bytes());
            sent.expect("the lead is there");
        }
    }

    pub fn await_answer(&mut self) -> Answer {
        std::array::from_fn(|_| {
            let mut bytes = [0; 8];
            self.stream.read_exact(&mut bytes).expect("an answer");
            u64::from_ne_bytes(bytes)
        })
    }
}

static PEER: AtomicI32 = AtomicI32::new(0);

fn say_and_exit(text: &[u8]) -> ! {
    // SAFETY: write and _exit may be called from a signal handler.
    unsafe {
        libc::write(2, text.as_ptr().cast(), text.len());
        libc::_exit(1)
    }
}

extern "C" fn on_signal(signal: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    if signal == libc::SIGALRM {
        say_and_exit(b"benchmarks: a measurement hung for a minute\n");
    }
    // SAFETY: the kernel passes a valid siginfo with SA_SIGINFO.
    if unsafe { (*info).si_pid() } == PEER.load(Ordering::Relaxed) {
        say_and_exit(b"benchmarks: the second process has died\n");
    }
}

/// A lead that spins on memory would not notice either by itself.
fn watch_for_hangs_and_deaths() {
    // SAFETY: the handler only does what a handler may; zeroed is a valid sigaction.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
        libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut());
        libc::sigaction(libc::SIGCHLD, &action, std::ptr::null_mut());
    }
}

/// Fork the peer, let it `serve` the cases it is told, and give the lead to `measure`.
pub fn with_peer<T>(
    pinning: Pinning,
    clock: Clock,
    serve: impl Fn(u8, &mut Link),
    measure: impl FnOnce(&mut Link) -> T,
) -> std::io::Result<T> {
    // SAFETY: both hold atomics and plain bytes only.
    let signals = unsafe { Shared::<Signals>::zeroed() }?;
    let memory = unsafe { Shared::<SharedIndexMemory>::zeroed() }?;
    let descriptors = Descriptors::new()?;
    let (lead_stream, peer_stream) = UnixStream::pair()?;
    let lead_pid = std::process::id();
    // "@": the abstract namespace, which leaves no file behind.
    let path = |direction: &str| format!("@tachyon-bench-{lead_pid}-{direction}");

    // SAFETY: this process has a single thread.
    let child = unsafe { libc::fork() };
    if child < 0 {
        return Err(std::io::Error::last_os_error());
    }
    if child == 0 {
        // SAFETY: plain system call; the peer must not outlive the lead.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        drop(lead_stream);
        pin(pinning.peer)?;
        let forward = Bus::listen(&path("forward"), CAPACITY);
        let mut link = Link {
            side: Side::Peer,
            clock,
            signals: &signals,
            forward,
            back: Bus::connect(&path("back")),
            rpc: RpcBus::listen(&path("rpc"), CAPACITY),
            shared_index: SharedIndexRing::consumer(&memory),
            descriptors: &descriptors,
            stream: peer_stream,
        };
        let mut case = [END];
        while link.stream.read_exact(&mut case).is_ok() && case[0] != END {
            serve(case[0], &mut link);
        }
        drop(link);
        std::process::exit(0);
    }

    drop(peer_stream);
    PEER.store(child, Ordering::Relaxed);
    watch_for_hangs_and_deaths();
    pin(pinning.lead)?;
    let forward = Bus::connect(&path("forward"));
    let mut link = Link {
        side: Side::Lead,
        clock,
        signals: &signals,
        forward,
        back: Bus::listen(&path("back"), CAPACITY),
        rpc: RpcBus::connect(&path("rpc")),
        shared_index: SharedIndexRing::producer(&memory),
        descriptors: &descriptors,
        stream: lead_stream,
    };
    let result = measure(&mut link);

    PEER.store(0, Ordering::Relaxed);
    // SAFETY: disarms the timer and reaps our own child.
    unsafe { libc::alarm(0) };
    link.stream.write_all(&[END])?;
    drop(link);
    let mut status = 0;
    // SAFETY: as above.
    unsafe { libc::waitpid(child, &mut status, 0) };
    if status != 0 {
        return Err(std::io::Error::other(format!(
            "the second process ended with wait status {status:#x}"
        )));
    }
    Ok(result)
}
