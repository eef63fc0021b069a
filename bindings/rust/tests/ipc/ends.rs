// SPDX-License-Identifier: Apache-2.0
//! An end that fails is told from one that has finished.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::event_loops::run;
use crate::support::{child, child_path, pair, path, rpc_pair, LONG};
use tachyon_ipc::{Bus, Consumer, Producer, RpcBus, State, TachyonError};

use TachyonError::{Aborted, Closed};

/// The types of what arrives, and the error that ends it; none at the end of the stream.
fn all_of(bus: &Bus) -> (Vec<u32>, Option<TachyonError>) {
    let mut types = Vec::new();
    for message in bus {
        match message {
            Ok(message) => types.push(message.type_id),
            Err(error) => return (types, Some(error)),
        }
    }
    (types, None)
}

/// What ends a sender: it learns of it when it finds no room.
fn end_of_sending(bus: &Bus) -> TachyonError {
    loop {
        if let Err(error) = bus.send_timeout(&[0; 1000], 9, LONG) {
            return error;
        }
    }
}

/// Runs `fail`, which panics, in a thread of its own.
fn panics<T: Send>(fail: impl FnOnce() -> T + Send) {
    thread::scope(|scope| assert!(scope.spawn(fail).join().is_err()));
}

#[test]
fn who_aborts_leaves_what_was_flushed_and_says_so() {
    let (rx, tx) = pair(4096);
    tx.send(b"", 1).unwrap();
    tx.send(b"", 2).unwrap();
    tx.acquire_tx(8).unwrap().commit_unflushed(8, 3).unwrap(); // half of a batch
    tx.abort();
    assert_eq!(tx.send(b"", 4), Err(Closed));
    assert_eq!(tx.check(), Err(Closed));
    drop(tx);
    assert_eq!(rx.state(), State::Ready); // there is something to receive
    assert_eq!(all_of(&rx), (vec![1, 2], Some(Aborted)));
    assert_eq!(rx.state(), State::FatalError);
    let error = rx.check().unwrap_err();
    assert_eq!(error, Aborted);
    assert!(error.to_string().contains("gave up"), "{error}");
    let error = std::io::Error::from(rx.acquire_rx(0).unwrap_err());
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
}

#[test]
fn a_consumer_that_aborts_stops_the_producer() {
    let (rx, tx) = pair(4096);
    let consumer = rx.into_consumer();
    let aborter = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        consumer.abort();
        consumer
    });
    assert_eq!(end_of_sending(&tx), Aborted);
    assert_eq!(tx.acquire_tx(1).unwrap_err(), Aborted);
    aborter.join().unwrap();
}

#[test]
fn the_first_of_close_and_abort_counts() {
    let (rx, tx) = pair(4096);
    tx.set_abort_on_drop(true);
    tx.close();
    tx.abort();
    drop(tx);
    assert_eq!(all_of(&rx), (vec![], None));

    let (rx, tx) = pair(4096);
    tx.abort();
    tx.close();
    drop(tx);
    assert_eq!(all_of(&rx), (vec![], Some(Aborted)));
}

#[test]
fn a_panic_aborts_whichever_half_it_meets() {
    let (rx, tx) = pair(4096);
    panics(move || {
        let mut producer = tx.into_producer();
        producer.send(b"", 1).unwrap();
        let guard = producer.acquire_tx(8).unwrap();
        guard.write(b"half");
        panic!("between a reservation and its commit");
    });
    assert_eq!(all_of(&rx), (vec![1], Some(Aborted)));

    let (rx, tx) = pair(4096);
    tx.send(b"", 1).unwrap();
    panics(move || {
        let mut consumer = rx.into_consumer();
        let message = consumer.recv().unwrap().unwrap();
        assert_eq!(message.type_id, 2, "another one than was expected");
    });
    assert_eq!(end_of_sending(&tx), Aborted);
}

#[test]
fn a_panic_in_a_loop_over_messages_aborts() {
    let (rx, tx) = pair(4096);
    tx.send(b"", 1).unwrap();
    panics(move || {
        for message in &rx {
            assert_eq!(message.unwrap().type_id, 2, "another one than was expected");
        }
    });
    assert_eq!(tx.check(), Err(Aborted));
}

#[test]
fn a_panic_of_a_task_aborts_what_the_task_has() {
    let (rx, tx) = pair(4096);
    run(async {
        let task = tokio::spawn(async move {
            tx.send(b"", 1).unwrap();
            tokio::task::yield_now().await;
            tx.send(b"", 2).unwrap();
            panic!("in a runtime that catches it");
        });
        assert!(task.await.unwrap_err().is_panic());
    });
    assert_eq!(all_of(&rx), (vec![1, 2], Some(Aborted)));
}

#[test]
fn a_panic_aborts_calls_in_both_directions() {
    let (callee, caller) = rpc_pair(4096);
    let id = caller.call(b"", 1).unwrap();
    panics(move || {
        let _request = callee.serve_timeout(100, LONG).unwrap();
        panic!("while it is served");
    });
    assert_eq!(caller.wait(id, 100).unwrap_err(), Aborted);
    assert_eq!(caller.call(b"", 1), Err(Aborted));
    assert_eq!(caller.check(), Err(Aborted));

    let (callee, caller) = rpc_pair(4096);
    caller.call(b"", 1).unwrap();
    panics(move || {
        let guard = caller.acquire_call(8).unwrap();
        guard.write(b"half");
        panic!("between a reservation and its commit");
    });
    let request = callee.serve_timeout(100, LONG).unwrap();
    assert_eq!(request.type_id, 1);
    drop(request);
    assert_eq!(callee.serve_timeout(100, LONG).unwrap_err(), Aborted);
}

#[test]
fn calls_are_aborted_by_hand_or_when_asked_for() {
    for by_hand in [true, false] {
        let (callee, caller) = rpc_pair(4096);
        caller.call(b"", 1).unwrap();
        if by_hand {
            caller.abort();
        } else {
            caller.set_abort_on_drop(true);
        }
        drop(caller);
        assert_eq!(callee.serve_timeout(100, LONG).unwrap().type_id, 1);
        assert_eq!(callee.serve_timeout(100, LONG).unwrap_err(), Aborted);
    }
    let (callee, caller) = rpc_pair(4096);
    caller.set_abort_on_drop(true);
    caller.close();
    drop(caller);
    assert_eq!(callee.serve_timeout(100, LONG).unwrap_err(), Closed);
}

#[test]
fn a_shared_rpc_bus_outlives_the_panic_of_one_of_its_threads() {
    let (callee, caller) = rpc_pair(4096);
    let caller = std::sync::Arc::new(caller);
    let shared = caller.clone();
    panics(move || {
        shared.call(b"", 1).unwrap();
        panic!("in one of two threads");
    });
    caller.call(b"", 2).unwrap();
    drop(caller);
    assert_eq!(callee.serve_timeout(100, LONG).unwrap().type_id, 1);
    assert_eq!(callee.serve_timeout(100, LONG).unwrap().type_id, 2);
    assert_eq!(callee.serve_timeout(100, LONG).unwrap_err(), Closed);
}

#[test]
fn leaving_early_aborts_when_asked_for() {
    fn produce(bus: Bus, text: &str) -> Result<(), std::num::ParseIntError> {
        let mut producer = bus.into_producer();
        for number in text.split(' ') {
            producer.send(b"", number.parse()?).unwrap();
        }
        producer.close();
        Ok(())
    }
    for (text, asked, end) in [
        ("1 2 x", true, Some(Aborted)),
        ("1 2", true, None),
        ("1 2 x", false, None), // as in 0.5.1
    ] {
        let (rx, tx) = pair(4096);
        tx.set_abort_on_drop(asked);
        let whole = produce(tx, text);
        assert_eq!(whole.is_ok(), text == "1 2");
        assert_eq!(all_of(&rx), (vec![1, 2], end), "{text}, {asked}");
    }
}

#[test]
fn the_wish_to_abort_can_be_taken_back_and_moves_along() {
    let (rx, tx) = pair(4096);
    tx.set_abort_on_drop(true);
    drop(Bus::from(tx.into_producer()).into_consumer());
    assert_eq!(all_of(&rx), (vec![], Some(Aborted)));

    let (rx, tx) = pair(4096);
    tx.set_abort_on_drop(true);
    tx.set_abort_on_drop(false);
    drop(tx);
    assert_eq!(all_of(&rx), (vec![], None));
}

#[test]
fn a_panic_that_does_not_reach_the_bus_does_not_abort() {
    let (rx, tx) = pair(4096);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let _guard = tx.acquire_tx(8).unwrap();
        panic!("caught below");
    }));
    assert!(caught.is_err());
    tx.send(b"", 1).unwrap(); // the guard is gone, its slot given back
    drop(tx);
    assert_eq!(all_of(&rx), (vec![1], None));
}

#[test]
fn a_bus_of_a_destructor_is_not_what_has_failed() {
    struct SaysGoodbye(String);
    impl Drop for SaysGoodbye {
        fn drop(&mut self) {
            let bus = Bus::connect_timeout(&self.0, LONG).unwrap();
            bus.send(b"", 1).unwrap();
        }
    }
    let path = path();
    let peer = path.clone();
    let panicking = thread::spawn(move || {
        let _says_goodbye = SaysGoodbye(peer);
        panic!("what is cleaned up after");
    });
    let rx = Bus::listen_timeout(&path, 4096, LONG).unwrap();
    assert_eq!(all_of(&rx), (vec![1], None));
    assert!(panicking.join().is_err());
}

#[test]
fn a_closer_aborts_from_another_thread() {
    let (rx, tx) = pair(4096);
    let closer = rx.closer();
    let receiver = thread::spawn(move || rx.acquire_rx(100).map(|_| ()));
    thread::sleep(Duration::from_millis(20));
    closer.abort();
    assert_eq!(receiver.join().unwrap(), Err(Closed));
    assert_eq!(end_of_sending(&tx), Aborted);
}

/// Starts a test of this program that panics, and waits for that at the end.
fn while_it_fails<T>(test: &str, path: &str, peer: impl FnOnce() -> T) -> T {
    let mut process = child(test, path);
    process.stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = process.spawn().unwrap();
    let seen = peer();
    assert_eq!(process.wait().unwrap().code(), Some(101)); // a test that has failed
    seen
}

const SENT: u32 = 20_000;

#[test]
fn a_process_that_panics_aborts_its_stream() {
    let path = path();
    let seen = while_it_fails("ends::produce_and_panic", &path, || {
        let bus = Bus::from(Consumer::listen(&path, 4096).unwrap());
        all_of(&bus)
    });
    assert_eq!(seen, ((0..SENT).collect(), Some(Aborted)));
}

#[test]
#[ignore = "the process of a_process_that_panics_aborts_its_stream"]
fn produce_and_panic() {
    let mut producer = Producer::connect_timeout(&child_path(), LONG).unwrap();
    for i in 0..SENT {
        producer.send_timeout(b"12345678", i, LONG).unwrap();
    }
    let guard = producer.acquire_tx_timeout(8, LONG).unwrap();
    guard.commit_unflushed(8, SENT).unwrap();
    panic!("after {SENT} messages");
}

#[test]
fn a_process_that_exits_in_the_middle_has_died() {
    let path = path();
    let mut process = child("ends::produce_and_exit", &path);
    let mut process = process.stdout(Stdio::null()).spawn().unwrap();
    let rx = Bus::listen_timeout(&path, 4096, LONG).unwrap();
    assert_eq!(all_of(&rx), (vec![1], Some(TachyonError::PeerDead)));
    assert!(process.wait().unwrap().success());
}

#[test]
#[ignore = "the process of a_process_that_exits_in_the_middle_has_died"]
fn produce_and_exit() {
    let tx = Bus::connect_timeout(&child_path(), LONG).unwrap();
    tx.send(b"", 1).unwrap();
    std::process::exit(0); // no destructor runs
}

#[test]
fn a_callee_that_panics_aborts_every_outstanding_call() {
    let path = path();
    while_it_fails("ends::answer_one_and_panic", &path, || {
        let caller = RpcBus::connect_timeout(&path, LONG).unwrap();
        let calls: Vec<_> = (0..3).map(|i| caller.call(b"", i).unwrap()).collect();
        assert_eq!(caller.wait(calls[0], 100).unwrap().data(), b"answer");
        for id in &calls[1..] {
            assert_eq!(caller.wait(*id, 100).unwrap_err(), Aborted);
        }
    });
}

#[test]
#[ignore = "the process of a_callee_that_panics_aborts_every_outstanding_call"]
fn answer_one_and_panic() {
    let callee = RpcBus::listen_timeout(&child_path(), 4096, 4096, LONG).unwrap();
    let first = callee.serve_timeout(100, LONG).unwrap().correlation_id;
    callee.reply(first, b"answer", 0).unwrap();
    let _second = callee.serve_timeout(100, LONG).unwrap();
    panic!("while it serves the second one");
}

#[test]
fn a_caller_that_panics_aborts_its_callee_after_its_requests() {
    let path = path();
    while_it_fails("ends::call_and_panic", &path, || {
        let callee = RpcBus::listen_timeout(&path, 4096, 4096, LONG).unwrap();
        for i in 0..3 {
            assert_eq!(callee.serve_timeout(100, LONG).unwrap().type_id, i);
        }
        assert_eq!(callee.serve_timeout(100, LONG).unwrap_err(), Aborted);
        assert_eq!(callee.reply(1, b"", 0), Err(Aborted));
    });
}

#[test]
#[ignore = "the process of a_caller_that_panics_aborts_its_callee_after_its_requests"]
fn call_and_panic() {
    let caller = RpcBus::connect_timeout(&child_path(), LONG).unwrap();
    for i in 0..3 {
        caller.call(b"", i).unwrap();
    }
    panic!("with three calls outstanding");
}
