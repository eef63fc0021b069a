// SPDX-License-Identifier: Apache-2.0
//! One callee, many callers.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use crate::event_loops::{in_tokio, run};
use crate::processes::Process;
use crate::support::{child_path, path, rpc_pair, Random, LONG};
use tachyon_ipc::{Event, Options, RpcBus, TachyonError};

const SHORT: Duration = Duration::from_millis(30);
const ROOM: usize = 4096;

fn callee(path: &str, max_peers: u32) -> RpcBus {
    let options = Options::new().max_peers(max_peers);
    options.rpc_listen(path, ROOM, ROOM).unwrap()
}

fn calls() -> Options {
    Options::new().timeout(LONG)
}

/// A caller that the calling thread lets in, and its number.
fn join(callee: &RpcBus, path: &str) -> (RpcBus, u32) {
    thread::scope(|scope| {
        let joins = scope.spawn(|| calls().rpc_connect(path).unwrap());
        let event = callee.accept_timeout(LONG).unwrap();
        let Event::Joined { peer, .. } = event else {
            panic!("{event:?} in place of a caller that joins")
        };
        (joins.join().unwrap(), peer)
    })
}

/// The next event is that it has left: why.
fn left(callee: &RpcBus, who: u32) -> TachyonError {
    let event = callee.accept_timeout(LONG).unwrap();
    let Event::Left { peer, reason, .. } = event else {
        panic!("{event:?} in place of a caller that leaves")
    };
    assert_eq!(peer, who);
    reason
}

/// Takes a request and releases it: its id.
fn take(callee: &RpcBus) -> u64 {
    let request = callee.serve_timeout(0, LONG).unwrap();
    let id = request.correlation_id;
    request.commit().unwrap();
    id
}

fn reply_of(caller: &RpcBus, id: u64) -> Vec<u8> {
    caller.wait_timeout(id, 0, LONG).unwrap().data().to_vec()
}

/// Calls with several outstanding; each reply is that to the call.
fn call_and_check(caller: &RpcBus, seed: u64) {
    let mut random = Random(seed);
    for _ in 0..100 {
        let (bytes, msg_type) = random.message(200);
        let ids: Vec<u64> = (0..4)
            .map(|_| caller.call_timeout(&bytes, msg_type, LONG).unwrap())
            .collect();
        for id in ids {
            let reply = caller.wait_timeout(id, 0, LONG).unwrap();
            assert_eq!((reply.data(), reply.type_id), (&bytes[..], msg_type));
            assert_eq!(reply.sender(), None);
            assert_eq!(reply.peer(), caller.peer());
        }
    }
}

#[test]
fn each_caller_gets_its_own_replies() {
    const CALLERS: usize = 5;
    let path = path();
    let callee = callee(&path, 8);
    thread::scope(|scope| {
        for seed in 0..CALLERS as u64 {
            let path = &path;
            scope.spawn(move || call_and_check(&calls().rpc_connect(path).unwrap(), seed));
        }
        let mut senders = HashSet::new();
        for _ in 0..CALLERS * 400 {
            let request = callee.serve_timeout(0, LONG).unwrap();
            senders.insert(request.sender().unwrap());
            assert_eq!(request.peer().pid, Some(std::process::id()));
            let (id, msg_type) = (request.correlation_id, request.type_id);
            if id % 2 == 0 {
                callee
                    .reply_timeout(id, request.data(), msg_type, LONG)
                    .unwrap();
            } else {
                let size = request.data().len();
                let slot = callee.acquire_reply_timeout(id, size, LONG).unwrap();
                slot.write(request.data());
                assert_eq!(slot.commit(size, msg_type), Ok(id));
            }
        }
        assert_eq!(senders.len(), CALLERS);
    });
    assert!(callee.try_serve().unwrap().is_none());
    let stats = callee.stats().unwrap();
    assert_eq!(stats.replies, CALLERS as u64 * 400);
    assert_eq!(stats.outstanding, 0);
}

#[test]
fn replies_go_to_who_has_asked_in_any_order() {
    let path = path();
    let callee = callee(&path, 4);
    let (one, _) = join(&callee, &path);
    let (two, _) = join(&callee, &path);
    let asked = [one.call(b"1", 1).unwrap(), two.call(b"2", 2).unwrap()];
    assert_eq!(asked, [1, 1]); // each counts its own
    let mut requests = [(0, 0); 2];
    for _ in 0..2 {
        let request = callee.serve_timeout(0, LONG).unwrap();
        requests[request.type_id as usize - 1] =
            (request.correlation_id, request.sender().unwrap());
    }
    let [(of_one, _), (of_two, _)] = requests;
    assert_ne!(of_one, of_two);
    assert_ne!(requests[0].1, requests[1].1);
    // Whichever was taken last has the room; the other's is copied.
    for (id, text) in [(of_two, b"two"), (of_one, b"one")] {
        let mut slot = callee.acquire_reply(id, 64).unwrap();
        slot.as_mut()[..3].copy_from_slice(text);
        slot.commit(3, 0).unwrap();
    }
    assert_eq!(reply_of(&one, 1), b"one");
    assert_eq!(reply_of(&two, 1), b"two");
    assert_eq!(callee.reply(of_one, b"", 0), Err(TachyonError::InvalidSize));
}

#[test]
fn a_caller_that_has_left_is_the_outcome_of_its_reply_only() {
    let path = path();
    let callee = callee(&path, 4);
    let mut dies = Process::start("many_rpc::call_and_hang", &path);
    let dying = take(&callee);
    assert!(matches!(callee.accept().unwrap(), Event::Joined { .. }));
    let (closes, number) = join(&callee, &path);
    closes.call(b"", 1).unwrap();
    let closing = take(&callee);
    let (stays, _) = join(&callee, &path);

    dies.kill();
    drop(closes);
    assert!(callee.try_serve().unwrap().is_none());
    let dead = callee.reply_timeout(dying, b"", 1, LONG).unwrap_err();
    assert_eq!(dead, TachyonError::PeerDead);
    assert!(dead.to_string().contains("has left"), "{dead}");
    let closed = callee.reply_timeout(closing, b"", 1, LONG);
    assert_eq!(closed, Err(TachyonError::Closed));
    let mut reasons = Vec::new();
    while reasons.len() < 2 {
        drop(callee.try_serve().unwrap());
        if let Some(Event::Left { peer, reason, .. }) = callee.try_accept().unwrap() {
            reasons.push((peer == number, reason));
        }
    }
    reasons.sort_by_key(|(closes, _)| *closes);
    let expected = [
        (false, TachyonError::PeerDead),
        (true, TachyonError::Closed),
    ];
    assert_eq!(reasons, expected);

    assert_eq!(callee.check(), Ok(()));
    let id = stays.call(b"", 1).unwrap();
    callee.reply(take(&callee), b"still here", 1).unwrap();
    assert_eq!(reply_of(&stays, id), b"still here");
}

#[test]
#[ignore = "the process that a_caller_that_has_left_... kills"]
fn call_and_hang() {
    let caller = calls().rpc_connect(child_path()).unwrap();
    caller.call(b"", 1).unwrap();
    thread::sleep(LONG);
}

#[test]
fn room_for_a_caller_that_has_left_is_not_what_memory_held() {
    let path = path();
    let callee = callee(&path, 4);
    let (caller, number) = join(&callee, &path);
    caller.call(b"", 1).unwrap();
    let id = take(&callee);
    drop(caller);
    assert!(callee.try_serve().unwrap().is_none());
    assert_eq!(left(&callee, number), TachyonError::Closed);
    for size in [100, 1000, 3000] {
        let secrets: Vec<_> = (0..64).map(|_| vec![0xAA; size]).collect();
        drop(secrets);
        let mut slot = callee.acquire_reply(id, size).unwrap();
        assert_eq!(slot.as_mut(), vec![0; size]);
        assert_eq!(slot.commit(size, 1), Err(TachyonError::Closed));
    }
}

#[test]
fn what_guards_hold_outlives_the_caller() {
    let path = path();
    let callee = callee(&path, 4);
    let (caller, number) = join(&callee, &path);
    let text = [7; 3000];
    caller.call(&text, 1).unwrap();
    let request = callee.serve(0).unwrap();
    let mut slot = callee.acquire_reply(request.correlation_id, 3000).unwrap();
    drop(caller);
    let acceptor = callee.acceptor();
    thread::spawn(move || {
        for _ in 0..100 {
            assert_eq!(acceptor.try_accept(), Ok(None));
        }
    })
    .join()
    .unwrap();
    slot.as_mut().copy_from_slice(request.data());
    assert_eq!(slot.as_mut(), text);
    assert_eq!(slot.commit(3000, 1), Err(TachyonError::Closed));
    drop(request);
    assert!(callee.try_serve().unwrap().is_none());
    assert_eq!(left(&callee, number), TachyonError::Closed);
}

#[test]
fn any_thread_accepts_looks_and_drops_while_one_serves() {
    let path = path();
    let callee = callee(&path, 4);
    let acceptor = callee.acceptor();
    let doorman = thread::spawn(move || {
        let mut reasons = Vec::new();
        for event in acceptor.events() {
            match event.unwrap() {
                Event::Joined { peer, .. } if peer > 2 => acceptor.drop_peer(peer).unwrap(),
                Event::Joined { .. } => {}
                Event::Left { peer, reason, .. } => reasons.push((peer, reason)),
                other => panic!("{other:?}"),
            }
        }
        (acceptor, reasons)
    });
    thread::scope(|scope| {
        let server = scope.spawn(|| loop {
            let request = match callee.serve_timeout(0, LONG) {
                Ok(request) => request,
                Err(TachyonError::Interrupted) => continue,
                Err(error) => return error,
            };
            let (id, msg_type) = (request.correlation_id, request.type_id);
            let replied = callee.reply_timeout(id, request.data(), msg_type, LONG);
            assert!(matches!(replied, Ok(()) | Err(TachyonError::Closed))); // dropped
        });
        for seed in 1..=2 {
            call_and_check(&calls().rpc_connect(&path).unwrap(), seed);
        }
        let dropped = calls().rpc_connect(&path).unwrap();
        let end = loop {
            let id = dropped.call_timeout(b"", 1, LONG);
            if let Err(error) = id.and_then(|id| dropped.wait(id, 0).map(|_| ())) {
                break error;
            }
        };
        assert_eq!(end, TachyonError::Closed);
        // What needs no turn of the one that serves.
        while !callee.peers().unwrap().is_empty() {
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(callee.peer().uid, u32::MAX);
        thread::sleep(SHORT);
        callee.close();
        assert_eq!(server.join().unwrap(), TachyonError::Closed);
    });
    drop(callee);
    let (acceptor, reasons) = doorman.join().unwrap();
    let closed = |peer| (peer, TachyonError::Closed);
    assert_eq!(reasons, [closed(1), closed(2), closed(3)]);
    assert_eq!(acceptor.accept(), Err(TachyonError::Closed));
}

#[test]
fn requests_come_in_tokio() {
    const CALLERS: usize = 3;
    let path = path();
    let callee = callee(&path, 4);
    thread::scope(|scope| {
        for seed in 0..CALLERS as u64 {
            let path = &path;
            scope.spawn(move || call_and_check(&calls().rpc_connect(path).unwrap(), seed));
        }
        run(async {
            let callee = in_tokio(callee);
            let mut left = 0;
            while left < CALLERS {
                let mut ready = callee.readable().await.unwrap();
                let rpc = ready.get_inner();
                while let Some(request) = rpc.try_serve().unwrap() {
                    let (id, msg_type) = (request.correlation_id, request.type_id);
                    rpc.reply(id, request.data(), msg_type).unwrap();
                }
                while let Some(event) = rpc.try_accept().unwrap() {
                    left += usize::from(matches!(event, Event::Left { .. }));
                }
                ready.clear_ready();
            }
        });
    });
}

#[test]
fn a_callee_with_one_caller_has_no_events() {
    let (callee, caller) = rpc_pair(ROOM);
    caller.call(b"", 1).unwrap();
    let request = callee.serve(0).unwrap();
    assert_eq!(request.sender(), None);
    assert_eq!(request.peer(), callee.peer());
    for rpc in [&callee, &caller] {
        assert_eq!(rpc.peer().pid, Some(std::process::id()));
        let error = rpc.accept().unwrap_err();
        assert_eq!(error, TachyonError::InvalidSize);
        assert!(error.to_string().contains("options.max_peers"), "{error}");
        assert_eq!(rpc.acceptor().try_accept(), Err(TachyonError::InvalidSize));
        assert_eq!(rpc.peers(), Err(TachyonError::InvalidSize));
        assert_eq!(rpc.drop_peer(1), Err(TachyonError::InvalidSize));
    }
}

#[test]
fn one_caller_more_or_of_a_name_that_lives_is_refused() {
    let path = path();
    let callee = callee(&path, 2);
    let refusal = |options: Options| {
        thread::scope(|scope| {
            let joins = scope.spawn(|| options.rpc_connect(&path).map(|_| ()));
            while !joins.is_finished() {
                assert!(callee.try_serve().unwrap().is_none());
                thread::yield_now();
            }
            joins.join().unwrap()
        })
    };
    let named = calls().name("only");
    let only = thread::scope(|scope| {
        let joins = scope.spawn(|| named.rpc_connect(&path).unwrap());
        assert!(matches!(callee.accept().unwrap(), Event::Joined { .. }));
        joins.join().unwrap()
    });
    assert_eq!(callee.peers().unwrap()[0].name.as_deref(), Some("only"));
    assert_eq!(refusal(named), Err(TachyonError::Busy));
    let (_second, _) = join(&callee, &path);
    assert_eq!(refusal(calls()), Err(TachyonError::Busy));
    let too_many = Options::new().max_peers(1025);
    let error = too_many.rpc_listen(crate::support::path(), ROOM, ROOM);
    assert_eq!(error.map(|_| ()), Err(TachyonError::InvalidSize));
    let id = only.call(b"", 1).unwrap();
    callee.reply(take(&callee), b"fine", 1).unwrap();
    assert_eq!(reply_of(&only, id), b"fine");
}
