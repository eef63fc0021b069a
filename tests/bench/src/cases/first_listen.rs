// SPDX-License-Identifier: Apache-2.0
//! How long a process with threads is not to be reached after it has begun to listen.
//! What a process does once it has done for good, so each number takes a new one.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, process, thread};

use super::{Case, Effort};
use crate::bus::Bus;
use crate::clock::monotonic_ns;
use crate::link::Link;
use crate::machine::use_all_cores;
use crate::percentile::median;
use crate::report::{Goal, Metric};

pub struct FirstListen;

/// In a process of its own: print the nanoseconds from the call of listen until somebody
/// has connected.
pub fn run() -> ! {
    static BEGIN: AtomicU64 = AtomicU64::new(0);
    use_all_cores();
    let name = format!("tachyon-first-listen-{}", process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a short name");
    thread::spawn(move || {
        while BEGIN.load(Ordering::Acquire) == 0 {
            std::hint::spin_loop();
        }
        while UnixStream::connect_addr(&address).is_err() {}
        println!("{}", monotonic_ns() - BEGIN.load(Ordering::Acquire));
        process::exit(0);
    });
    thread::sleep(std::time::Duration::from_millis(5)); // until the other looks
    BEGIN.store(monotonic_ns(), Ordering::Release);
    Bus::listen(&format!("@{name}"), 1 << 20);
    unreachable!("nobody greets it");
}

fn measure() -> f64 {
    let program = env::current_exe().expect("this program has a path");
    let output = Command::new(program).arg("first-listen").output();
    let output = output.expect("it can be run again").stdout;
    let text = String::from_utf8_lossy(&output);
    text.trim().parse().expect("a number of nanoseconds")
}

impl Case for FirstListen {
    fn metrics(&self) -> Vec<Metric> {
        let title = "first listen in a process with a thread, until one can connect";
        vec![Metric::plain("first_listen", title, "ns").with_goal(Goal::ValueAtMost(1e6))]
    }

    fn lead(&self, effort: &Effort, link: &mut Link) -> Vec<f64> {
        link.meet();
        let times = (0..effort.processes).map(|_| measure()).collect();
        vec![median(times).expect("at least one process")]
    }

    fn peer(&self, _: &Effort, link: &mut Link) {
        link.meet();
    }

    fn once(&self) -> bool {
        true
    }
}
