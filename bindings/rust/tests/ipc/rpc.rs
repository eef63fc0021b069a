// SPDX-License-Identifier: Apache-2.0
use std::mem;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use crate::support::{rpc_pair, Random, LONG};
use tachyon_ipc::{RpcBus, State, TachyonError};

const CAPACITY: usize = 1 << 16;

/// Takes the next request, whatever it is, and returns its id.
fn take(callee: &RpcBus) -> u64 {
    let request = callee.serve_timeout(100, LONG).unwrap();
    request.correlation_id
}

#[test]
fn a_call_is_served_and_answered() {
    let (callee, caller) = rpc_pair(CAPACITY);
    let id = caller.call(b"ping", 7).unwrap();
    assert_eq!(id, 1);
    let request = callee.serve(100).unwrap();
    assert_eq!((request.data(), request.type_id), (&b"ping"[..], 7));
    assert_eq!((request.actual_size, request.correlation_id), (4, 1));
    request.commit().unwrap();
    callee.reply(id, b"pong!", 8).unwrap();
    let reply = caller.wait(id, 100).unwrap();
    assert_eq!((reply.data(), reply.type_id), (&b"pong!"[..], 8));
    assert_eq!((reply.actual_size, reply.correlation_id), (5, 1));
    reply.commit().unwrap();
    let stats = caller.stats().unwrap();
    assert_eq!((stats.calls, stats.replies, stats.outstanding), (1, 1, 0));
    assert_eq!(callee.stats().unwrap().replies, 1);
}

#[test]
fn a_call_and_its_reply_can_be_written_in_place() {
    let (callee, caller) = rpc_pair(CAPACITY);
    let mut call = caller.acquire_call(100).unwrap();
    assert_eq!(call.max_size(), 100);
    call.as_mut_slice()[..3].copy_from_slice(b"abc");
    let id = call.commit(3, 1).unwrap();
    let request = callee.serve(100).unwrap();
    let reply = callee.acquire_reply(id, request.actual_size).unwrap();
    reply.write(request.data()); // answered before it is released
    assert_eq!(reply.commit(3, 2), Ok(id));
    drop(request);
    assert_eq!(caller.wait(id, 100).unwrap().data(), b"abc");
}

#[test]
fn empty_payloads_go_both_ways() {
    let (callee, caller) = rpc_pair(CAPACITY);
    for zero_copy in [false, true] {
        let id = if zero_copy {
            caller.acquire_call(0).unwrap().commit(0, 0).unwrap()
        } else {
            caller.call(b"", 0).unwrap()
        };
        let request = callee.serve(100).unwrap();
        assert_eq!((request.data(), request.type_id), (&b""[..], 0));
        drop(request);
        if zero_copy {
            callee.acquire_reply(id, 0).unwrap().commit(0, 0).unwrap();
        } else {
            callee.reply(id, b"", 0).unwrap();
        }
        assert_eq!(caller.wait(id, 100).unwrap().data(), b"");
    }
}

#[test]
fn replies_may_come_in_any_order() {
    let (callee, caller) = rpc_pair(CAPACITY);
    let mut random = Random(5);
    for _ in 0..50 {
        let calls: Vec<(u64, Vec<u8>)> = (0..20)
            .map(|_| {
                let (bytes, msg_type) = random.message(100);
                (caller.call(&bytes, msg_type).unwrap(), bytes)
            })
            .collect();
        let mut requests: Vec<(u64, Vec<u8>)> = (0..20)
            .map(|_| {
                let request = callee.serve(100).unwrap();
                (request.correlation_id, request.data().to_vec())
            })
            .collect();
        while !requests.is_empty() {
            let (id, bytes) = requests.swap_remove(random.below(requests.len()));
            callee.reply(id, &bytes, id as u32).unwrap();
        }
        for (id, bytes) in &calls {
            let reply = caller.wait(*id, 100).unwrap();
            assert_eq!((reply.data(), reply.type_id), (&bytes[..], *id as u32));
        }
    }
    let stats = caller.stats().unwrap();
    assert_eq!(
        (stats.replies, stats.outstanding, stats.dropped),
        (1000, 0, 0)
    );
    assert!(stats.kept > 0);
}

#[test]
fn a_reply_that_is_there_ends_try_wait() {
    let (callee, caller) = rpc_pair(CAPACITY);
    let (first, second) = (caller.call(b"", 1).unwrap(), caller.call(b"", 2).unwrap());
    assert!(caller.try_wait(second).unwrap().is_none());
    assert_eq!(callee.try_serve().unwrap().unwrap().type_id, 1);
    assert_eq!(callee.try_serve().unwrap().unwrap().type_id, 2);
    callee.reply(second, b"2", 2).unwrap();
    callee.reply(first, b"1", 1).unwrap();
    assert_eq!(caller.try_wait(first).unwrap().unwrap().data(), b"1");
    assert_eq!(caller.try_wait(second).unwrap().unwrap().data(), b"2");
    let error = caller.try_wait(second).unwrap_err();
    assert_eq!(error, TachyonError::InvalidSize);
}

#[test]
fn the_reply_to_a_cancelled_call_is_dropped() {
    let (callee, caller) = rpc_pair(CAPACITY);
    let (first, second) = (caller.call(b"", 1).unwrap(), caller.call(b"", 2).unwrap());
    caller.cancel(first).unwrap();
    assert_eq!(
        caller.wait(first, 0).unwrap_err(),
        TachyonError::InvalidSize
    );
    callee.reply(take(&callee), b"dropped", 1).unwrap();
    callee.reply(take(&callee), b"wanted", 2).unwrap();
    let reply = caller.wait(second, 100).unwrap();
    assert_eq!(reply.data(), b"wanted");
    assert_eq!(caller.cancel(second), Err(TachyonError::Busy)); // its reply is held
    drop(reply);
    let stats = caller.stats().unwrap();
    assert_eq!((stats.dropped, stats.replies), (1, 1));
}

#[test]
fn a_wait_that_timed_out_can_be_repeated() {
    let (callee, caller) = rpc_pair(CAPACITY);
    let id = caller.call(b"", 1).unwrap();
    let short = Duration::from_millis(5);
    let error = caller.wait_timeout(id, 10, short).unwrap_err();
    assert_eq!(error, TachyonError::Timeout);
    callee.reply(take(&callee), b"late", 1).unwrap();
    assert_eq!(caller.wait_timeout(id, 10, LONG).unwrap().data(), b"late");
}

#[test]
fn dropping_a_slot_sends_nothing_and_takes_no_id() {
    let (callee, caller) = rpc_pair(CAPACITY);
    drop(caller.acquire_call(32).unwrap());
    let error = caller.acquire_call(8).unwrap().commit(9, 1).unwrap_err();
    assert_eq!(error, TachyonError::InvalidSize);
    assert_eq!(caller.call(b"real", 1), Ok(1));
    assert_eq!(callee.serve(100).unwrap().data(), b"real");
    drop(callee.acquire_reply(1, 32).unwrap());
    assert!(caller.try_wait(1).unwrap().is_none());
    callee.reply(1, b"answer", 1).unwrap();
    assert_eq!(caller.wait(1, 100).unwrap().data(), b"answer");
}

#[test]
fn fault_14_a_second_guard_is_busy() {
    let (callee, caller) = rpc_pair(CAPACITY);
    let mut slot = caller.acquire_call(8).unwrap();
    let error = caller.acquire_call(8).unwrap_err();
    assert_eq!(error, TachyonError::Busy);
    assert!(error.to_string().contains("a RpcTxGuard"), "{error}");
    assert_eq!(caller.call(b"beside", 1), Err(TachyonError::Busy));
    slot.as_mut_slice().fill(1);
    let first = slot.commit(8, 1).unwrap();
    let second = caller.call(b"second", 2).unwrap();

    let request = callee.serve(100).unwrap();
    assert_eq!(callee.serve(100).unwrap_err(), TachyonError::Busy);
    assert_eq!(request.data(), [1; 8]);
    callee.reply(first, b"1", 1).unwrap(); // sending is another direction
    let slot = callee.acquire_reply(first, 8).unwrap();
    assert_eq!(callee.reply(first, b"1", 1), Err(TachyonError::Busy));
    drop((slot, request));
    callee.reply(take(&callee), b"2", 1).unwrap();

    let reply = caller.wait(second, 100).unwrap();
    assert_eq!(caller.wait(first, 100).unwrap_err(), TachyonError::Busy);
    drop(reply);
    assert_eq!(caller.wait(first, 100).unwrap().data(), b"1");
}

#[test]
fn a_forgotten_guard_keeps_its_direction_busy() {
    let (callee, caller) = rpc_pair(CAPACITY);
    mem::forget(caller.acquire_call(8).unwrap());
    assert_eq!(caller.call(b"", 1), Err(TachyonError::Busy));
    drop(caller);
    assert_eq!(callee.serve(100).unwrap_err(), TachyonError::Closed);
}

#[test]
fn another_thread_is_refused_while_one_is_in_a_call_or_holds_a_guard() {
    let (callee, caller) = rpc_pair(CAPACITY);
    let from_another_thread = |caller: &RpcBus| {
        thread::scope(|scope| {
            let call = scope.spawn(|| {
                let error = caller.call(b"", 1).err();
                error.map(|error| (error, error.to_string()))
            });
            call.join().unwrap()
        })
    };
    let refused = Some((
        TachyonError::Busy,
        "another thread is in a call on this RpcBus, or holds a guard of it".to_string(),
    ));
    let slot = caller.acquire_call(8).unwrap();
    assert_eq!(from_another_thread(&caller), refused);
    let first = slot.commit(8, 1).unwrap();
    assert_eq!(from_another_thread(&caller), None); // the second call
    assert_eq!(caller.state(), State::Ready);

    let entered = Barrier::new(2);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            entered.wait();
            caller.wait(first, 10).map(|reply| reply.data().to_vec())
        });
        entered.wait();
        while from_another_thread(&caller).is_none() {} // until the waiter is inside
        assert_eq!(caller.stats().unwrap_err(), TachyonError::Busy);
        callee.reply(take(&callee), b"1", 1).unwrap();
        assert_eq!(waiter.join().unwrap(), Ok(b"1".to_vec()));
    });
    assert_eq!(from_another_thread(&caller), None);
}

#[test]
fn threads_may_take_turns() {
    const THREADS: u64 = 4;
    const CALLS: u64 = 500;
    let (callee, caller) = rpc_pair(CAPACITY);
    let callee = thread::spawn(move || loop {
        match callee.serve(100) {
            Ok(request) => {
                let id = request.correlation_id;
                callee.reply_timeout(id, request.data(), 1, LONG).unwrap();
            }
            Err(error) => return error,
        }
    });
    let caller = Arc::new(caller);
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let caller = Arc::clone(&caller);
            thread::spawn(move || {
                let mut done = 0;
                while done < CALLS {
                    let payload = (thread * CALLS + done).to_le_bytes();
                    let id = match caller.call_timeout(&payload, 1, LONG) {
                        Ok(id) => id,
                        Err(TachyonError::Busy) => {
                            thread::yield_now();
                            continue;
                        }
                        Err(error) => panic!("{error}"),
                    };
                    loop {
                        match caller.wait_timeout(id, 100, LONG) {
                            Ok(reply) => break assert_eq!(reply.data(), payload),
                            Err(TachyonError::Busy) => thread::yield_now(),
                            Err(error) => panic!("{error}"),
                        }
                    }
                    done += 1;
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(caller.stats().unwrap().replies, THREADS * CALLS);
    drop(caller);
    assert_eq!(callee.join().unwrap(), TachyonError::Closed);
}

#[test]
fn requests_sent_before_the_caller_closed_are_served() {
    let (callee, caller) = rpc_pair(CAPACITY);
    caller.call(b"one", 1).unwrap();
    caller.call(b"two", 2).unwrap();
    drop(caller);
    assert_eq!(callee.serve(100).unwrap().type_id, 1);
    assert_eq!(callee.serve(100).unwrap().type_id, 2);
    assert_eq!(callee.serve(100).unwrap_err(), TachyonError::Closed);
    assert_eq!(callee.state(), State::Disconnected);
    assert_eq!(callee.check(), Err(TachyonError::Closed));
}

#[test]
fn a_callee_that_closes_ends_a_wait() {
    let (callee, caller) = rpc_pair(CAPACITY);
    let id = caller.call(b"", 1).unwrap();
    drop(callee);
    assert_eq!(caller.wait(id, 100).unwrap_err(), TachyonError::Closed);
}

#[test]
fn after_close_a_server_is_told_and_held_messages_stay() {
    let (callee, caller) = rpc_pair(CAPACITY);
    caller.call(b"held", 1).unwrap();
    let held = callee.serve(100).unwrap();
    callee.close();
    assert_eq!(held.data(), b"held");
    drop(held);
    assert_eq!(callee.serve(100).unwrap_err(), TachyonError::Closed);
    assert_eq!(callee.check(), Err(TachyonError::Closed));
}

#[test]
fn another_thread_can_close_a_server() {
    let (callee, _caller) = rpc_pair(CAPACITY);
    thread::scope(|scope| {
        let server = scope.spawn(|| callee.serve(10).map(|_| ()));
        thread::sleep(Duration::from_millis(20));
        callee.close();
        assert_eq!(server.join().unwrap(), Err(TachyonError::Closed));
    });
}

#[test]
fn a_request_that_can_never_fit_is_refused() {
    let (callee, caller) = rpc_pair(4096);
    assert_eq!((caller.max_payload(), callee.max_payload()), (3968, 3968));
    let error = caller.call(&[0; 4000], 1).unwrap_err();
    assert_eq!(error, TachyonError::InvalidSize);
    assert_eq!(
        error.to_string(),
        "a message of 4000 bytes can never fit: this ring takes 3968 at most"
    );
    assert_eq!(caller.call(&[0; 3968], 1), Ok(1));
}

#[test]
fn a_peer_is_told() {
    let (callee, caller) = rpc_pair(4096);
    assert_eq!(caller.peer().pid, Some(std::process::id()));
    assert!(format!("{callee:?}").contains("peer"));
    callee.set_polling_mode(true);
    caller.call(b"", 4).unwrap();
    assert_eq!(callee.serve(0).unwrap().type_id, 4);
}
