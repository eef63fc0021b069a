// SPDX-License-Identifier: Apache-2.0
//! The machine that the numbers belong to, and the two cores they were taken on.

use std::fs;

use serde_json::{json, Value};

/// Cores for the two processes.
#[derive(Clone, Copy)]
pub struct Pinning {
    pub lead: usize,
    pub peer: usize,
}

impl Pinning {
    /// The first two cores this process may run on, which honours taskset and cpusets.
    pub fn of_this_process() -> Option<Pinning> {
        let cores = allowed_cores();
        match cores[..] {
            [lead, peer, ..] => Some(Pinning { lead, peer }),
            _ => None,
        }
    }
}

fn allowed_cores() -> Vec<usize> {
    // SAFETY: an all-zero cpu_set_t is an empty set, and the size given is its own.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, std::mem::size_of_val(&set), &mut set) != 0 {
            return Vec::new();
        }
        (0..libc::CPU_SETSIZE as usize)
            .filter(|&core| libc::CPU_ISSET(core, &set))
            .collect()
    }
}

/// Bind the calling process to one core.
pub fn pin(core: usize) -> std::io::Result<()> {
    // SAFETY: as above.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, std::mem::size_of_val(&set), &set)
    };
    match result {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Undo what pin() did to the process that has started this one.
pub fn use_all_cores() {
    // SAFETY: a set of processors of which the kernel takes those that there are.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        for core in 0..libc::CPU_SETSIZE as usize {
            libc::CPU_SET(core, &mut set);
        }
        libc::sched_setaffinity(0, std::mem::size_of_val(&set), &set);
    }
}

fn first_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").trim().to_string()
}

/// How often the scheduler has taken the core away from a process ("self" or its id).
pub fn preemptions(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let mut lines = status.lines();
    lines
        .find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"))
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

/// A field of the first processor in /proc/cpuinfo.
fn cpuinfo(field: &str) -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

/// What a reader needs to judge the numbers.
pub fn describe(pinning: Pinning) -> Value {
    let virtual_machine =
        cpuinfo("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    json!({
        "cpu": cpuinfo("model name").unwrap_or_else(|| std::env::consts::ARCH.to_string()),
        "cores": allowed_cores().len(),
        "virtual_machine": virtual_machine,
        "kernel": first_line("/proc/sys/kernel/osrelease"),
        "load": first_line("/proc/loadavg").split(' ').next().unwrap_or("unknown"),
        "lead_on_core": pinning.lead,
        "peer_on_core": pinning.peer,
    })
}
