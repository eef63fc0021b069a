// SPDX-License-Identifier: Apache-2.0
//! Waits that another thread ends.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::{path, LONG};
use tachyon_ipc::{Bus, Interrupter, Options, RpcBus, TachyonError};

const SHORT: Duration = Duration::from_millis(30);

fn pair_with(interrupter: &Interrupter) -> (Bus, Bus) {
    let options = Options::new().timeout(LONG).interrupter(interrupter);
    let (path, other) = (path(), options.clone());
    let address = path.clone();
    let listener = thread::spawn(move || other.listen(address, 4096));
    let connector = options.connect(&path).unwrap();
    (listener.join().unwrap().unwrap(), connector)
}

fn rpc_pair_with(interrupter: &Interrupter) -> (RpcBus, RpcBus) {
    let options = Options::new().timeout(LONG).interrupter(interrupter);
    let (path, other) = (path(), options.clone());
    let address = path.clone();
    let listener = thread::spawn(move || other.rpc_listen(address, 4096, 4096));
    let caller = options.rpc_connect(&path).unwrap();
    (listener.join().unwrap().unwrap(), caller)
}

/// The call waits, is interrupted, and is told so at once.
fn check_interrupted(
    interrupter: &Interrupter,
    call: impl FnOnce() -> Result<(), TachyonError> + Send,
) {
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(SHORT);
            interrupter.interrupt();
        });
        let start = Instant::now();
        assert_eq!(call(), Err(TachyonError::Interrupted));
        assert!(start.elapsed() >= SHORT && start.elapsed() < LONG / 2);
    });
    assert!(interrupter.is_interrupted());
    interrupter.clear();
    assert!(!interrupter.is_interrupted());
}

#[test]
fn it_ends_every_wait_of_a_bus() {
    let stop = Interrupter::new().unwrap();
    let (tx, rx) = pair_with(&stop);
    let mut items = [0; 8];
    for i in 0..3 {
        let start = Instant::now();
        let ended = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(SHORT);
                stop.interrupt();
            });
            match i {
                0 => rx.acquire_rx(10).map(drop),
                1 => rx.drain_batch_timeout(8, 10, LONG).map(drop),
                _ => rx.recv_batch_into(&mut items, 8, 10).map(drop),
            }
        });
        assert_eq!(ended, Err(TachyonError::Interrupted));
        assert!(start.elapsed() >= SHORT && start.elapsed() < LONG / 2);
        // It stays so, but not for what need not wait.
        assert_eq!(rx.acquire_rx(0).map(drop), Err(TachyonError::Interrupted));
        assert!(rx.try_acquire_rx().unwrap().is_none());
        tx.send_timeout(b"there", 1, LONG).unwrap();
        assert_eq!(rx.acquire_rx(0).unwrap().data(), b"there");
        stop.clear();
    }
    while tx.send(&[0; 1000], 1).is_ok() {}
    stop.interrupt();
    for sent in [
        tx.send_timeout(&[0; 1000], 1, LONG),
        tx.acquire_tx_timeout(1000, Duration::MAX).map(drop),
        tx.acquire_tx_batch_timeout(1000, 2, LONG).map(drop),
        tx.send_batch_timeout(&[0; 2000], 1000, 1, LONG).map(drop),
    ] {
        assert_eq!(sent, Err(TachyonError::Interrupted));
    }
    stop.clear();
    let late = tx.send_timeout(&[0; 1000], 1, Duration::from_millis(1));
    assert_eq!(late, Err(TachyonError::Timeout));
}

#[test]
fn it_ends_every_wait_of_calls() {
    let stop = Interrupter::new().unwrap();
    let (callee, caller) = rpc_pair_with(&stop);
    let id = caller.call(b"", 1).unwrap();
    check_interrupted(&stop, || caller.wait(id, 10).map(drop));
    check_interrupted(&stop, || caller.wait_any_timeout(10, LONG).map(drop));
    callee.serve(0).unwrap().commit().unwrap();
    check_interrupted(&stop, || callee.serve(10).map(drop));
    callee.reply(id, b"late", 2).unwrap();
    assert_eq!(caller.wait(id, 0).unwrap().data(), b"late");
}

#[test]
fn it_ends_every_opening() {
    let stop = Interrupter::new().unwrap();
    let options = Options::new().interrupter(&stop).timeout(Duration::MAX);
    check_interrupted(&stop, || options.listen(path(), 4096).map(drop));
    check_interrupted(&stop, || options.connect(path()).map(drop));
    check_interrupted(&stop, || options.rpc_listen(path(), 4096, 4096).map(drop));
    check_interrupted(&stop, || options.rpc_connect(path()).map(drop));
}

#[test]
fn an_opening_in_steps_goes_on_afterwards() {
    let stop = Interrupter::new().unwrap();
    let path = path();
    let options = Options::new().interrupter(&stop);
    let mut opening = options.start_listen(&path, 4096).unwrap();
    stop.interrupt();
    assert!(opening.step().unwrap().is_none()); // nobody waits here
    opening.descriptor().unwrap();
    let interrupted = opening.step().map(drop);
    assert_eq!(interrupted, Err(TachyonError::Interrupted));
    stop.clear();
    assert!(opening.step().unwrap().is_none());
    let peer = thread::spawn(move || Bus::connect_timeout(&path, LONG).map(drop));
    opening.wait().unwrap();
    peer.join().unwrap().unwrap();
}

#[test]
fn it_may_go_before_what_was_opened_with_it() {
    let stop = Interrupter::new().unwrap();
    let (tx, rx) = pair_with(&stop);
    drop(stop);
    let late = rx.acquire_rx_timeout(0, SHORT).map(drop);
    assert_eq!(late, Err(TachyonError::Timeout));
    tx.send(b"", 5).unwrap();
    assert_eq!(rx.acquire_rx(0).unwrap().type_id, 5);
}

#[test]
fn it_may_be_raised_and_cleared_any_number_of_times() {
    let stop = Interrupter::new().unwrap();
    let same = stop.clone();
    assert_eq!(stop, same);
    assert_ne!(stop, Interrupter::new().unwrap());
    for _ in 0..1000 {
        stop.interrupt();
        same.interrupt();
        assert!(stop.is_interrupted());
        same.clear();
        stop.clear();
        assert!(!same.is_interrupted());
    }
}
