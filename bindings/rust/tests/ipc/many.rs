// SPDX-License-Identifier: Apache-2.0
//! One listener, many peers.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::event_loops::{in_tokio, readable, run};
use crate::processes::Process;
use crate::support::{child_path, pair, path, LONG};
use tachyon_ipc::{
    Acceptor, Bus, Consumer, Event, Interrupter, Options, Position, Producer, Role, SlowPeer,
    Start, TachyonError, WithoutPeers, SPIN_THRESHOLD,
};

const SHORT: Duration = Duration::from_millis(30);
const ROOM: usize = 4096;

/// A producer with so many consumers.
fn broadcast(max_peers: u32) -> Options {
    Options::new().role(Role::Producer).max_peers(max_peers)
}

/// A consumer of so many producers.
fn fan_in(max_peers: u32) -> Options {
    Options::new().role(Role::Consumer).max_peers(max_peers)
}

fn reads() -> Options {
    Options::new().role(Role::Consumer).timeout(LONG)
}

fn writes() -> Options {
    Options::new().role(Role::Producer).timeout(LONG)
}

/// A peer that the calling thread lets in, and its number.
fn join(listener: &Bus, path: &str, options: &Options) -> (Bus, u32) {
    thread::scope(|scope| {
        let joins = scope.spawn(|| options.connect(path).unwrap());
        let event = listener.accept_timeout(LONG).unwrap();
        let Event::Joined { peer, .. } = event else {
            panic!("{event:?} in place of a peer that joins")
        };
        (joins.join().unwrap(), peer)
    })
}

/// Why a peer is not let in by the calling thread.
fn refusal(listener: &Bus, path: &str, options: &Options) -> TachyonError {
    thread::scope(|scope| {
        let joins = scope.spawn(|| options.connect(path).map(|_| ()).unwrap_err());
        while !joins.is_finished() {
            assert_eq!(listener.try_accept(), Ok(None));
            thread::yield_now();
        }
        joins.join().unwrap()
    })
}

fn send_numbers(producer: &Bus, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let bytes = number.to_le_bytes();
        producer.send_timeout(&bytes, 7, LONG).unwrap();
    }
}

fn number(data: &[u8]) -> u64 {
    u64::from_le_bytes(data.try_into().unwrap())
}

/// The next numbers, each released.
fn take(consumer: &Bus, count: usize) -> Vec<u64> {
    let take_one = |_| {
        let message = consumer.acquire_rx_timeout(SPIN_THRESHOLD, LONG).unwrap();
        let value = number(message.data());
        message.commit().unwrap();
        value
    };
    (0..count).map(take_one).collect()
}

/// The next event that is one of leaving: who, and why.
fn left(acceptor: &Acceptor) -> (u32, TachyonError) {
    loop {
        if let Event::Left { peer, reason, .. } = acceptor.accept_timeout(LONG).unwrap() {
            return (peer, reason);
        }
    }
}

// ---- Broadcast ----

const STREAM: u64 = 20_000;

/// All numbers below STREAM, in order, until the producer closes.
fn read_stream(path: &str) {
    let mut consumer = Consumer::connect_timeout(path, LONG).unwrap();
    let mut next = 0;
    while let Some(message) = consumer.recv().unwrap() {
        assert_eq!(number(message.data()), next);
        next += 1;
    }
    assert_eq!(next, STREAM);
}

/// Waits for `count` peers in one thread, sends the stream in this one.
fn send_stream(producer: &Bus, count: usize) {
    let acceptor = producer.acceptor();
    for _ in 0..count {
        let event = acceptor.accept_timeout(LONG).unwrap();
        assert!(matches!(event, Event::Joined { .. }), "{event:?}");
    }
    send_numbers(producer, 0..STREAM);
}

#[test]
fn three_threads_read_every_message() {
    let path = path();
    let producer = broadcast(3).listen(&path, ROOM).unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| read_stream(&path));
        }
        send_stream(&producer, 3);
        drop(producer);
    });
}

#[test]
fn three_processes_read_every_message() {
    let path = path();
    let producer = broadcast(3).listen(&path, ROOM).unwrap();
    let mut readers: Vec<_> = (0..3)
        .map(|_| Process::start("many::read_in_a_process", &path))
        .collect();
    send_stream(&producer, 3);
    drop(producer);
    for reader in &mut readers {
        reader.expect_success();
    }
}

#[test]
#[ignore = "the other process of three_processes_read_every_message"]
fn read_in_a_process() {
    read_stream(&child_path());
}

#[test]
fn a_thread_accepts_while_another_one_sends() {
    const ROUNDS: u32 = 100;
    let path = path();
    let options = broadcast(8).without_peers(WithoutPeers::FreeRun);
    let producer = options.listen(&path, 1 << 16).unwrap();
    let acceptor = producer.acceptor();
    let doorman = thread::spawn(move || {
        let (mut joined, mut left) = (0, 0);
        for event in acceptor.events() {
            match event.unwrap() {
                Event::Joined { peer, .. } => joined = joined.max(peer),
                Event::Left { reason, .. } => {
                    assert_eq!(reason, TachyonError::Closed);
                    left += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        (joined, left)
    });
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..ROUNDS {
                let consumer = reads().connect(&path).unwrap();
                let first = take(&consumer, 1)[0];
                let expected: Vec<_> = (first + 1..first + 20).collect();
                assert_eq!(take(&consumer, 19), expected);
            }
            done.store(true, Ordering::Release);
        });
        let mut next = 0;
        while !done.load(Ordering::Acquire) {
            send_numbers(&producer, next..next + 1);
            next += 1;
        }
    });
    while !producer.peers().unwrap().is_empty() {
        send_numbers(&producer, 0..1);
    }
    send_numbers(&producer, 0..1);
    drop(producer);
    assert_eq!(doorman.join().unwrap(), (ROUNDS, ROUNDS));
}

#[test]
fn who_reads_from_one_of_many_consumers_cannot_send() {
    let path = path();
    let producer = broadcast(2).listen(&path, ROOM).unwrap();
    let undeclared = Options::new().timeout(LONG);
    for options in [reads(), undeclared] {
        let (consumer, peer) = join(&producer, &path, &options);
        assert_eq!(consumer.acquire_tx(8).unwrap_err(), TachyonError::Busy);
        assert_eq!(consumer.send(b"no", 1), Err(TachyonError::Busy));
        let refused = consumer.acquire_tx_batch(8, 4).unwrap_err();
        assert_eq!(refused, TachyonError::Busy);
        drop(consumer);
        assert_eq!(left(&producer.acceptor()), (peer, TachyonError::Closed));
    }
    let error = refusal(&producer, &path, &writes());
    assert_eq!(error, TachyonError::Busy); // both ends declared one role
}

#[test]
fn a_producer_without_consumers_waits_or_runs_free() {
    let fill = |producer: &Bus| {
        let send = |n: u64| producer.send_timeout(&n.to_le_bytes(), 1, SHORT);
        (0..1000).find_map(|n| send(n).err())
    };
    let here = path();
    let producer = broadcast(2).listen(&here, ROOM).unwrap();
    assert_eq!(fill(&producer), Some(TachyonError::Timeout));
    let (oldest, _) = join(&producer, &here, &reads().start(Start::Oldest));
    assert_eq!(take(&oldest, 3), [0, 1, 2]);

    let here = path();
    let options = broadcast(2).without_peers(WithoutPeers::FreeRun);
    let producer = options.listen(&here, ROOM).unwrap();
    assert_eq!(fill(&producer), None);
    let (oldest, _) = join(&producer, &here, &reads().start(Start::Oldest));
    let (now, _) = join(&producer, &here, &reads());
    let first = take(&oldest, 1)[0];
    assert!((900..1000).contains(&first), "{first}");
    send_numbers(&producer, 1000..1001);
    assert_eq!(take(&now, 1), [1000]);
}

#[test]
fn a_position_survives_the_connection_but_not_the_listener() {
    let path = path();
    let producer = broadcast(2).listen(&path, 1 << 16).unwrap();
    let (consumer, _) = join(&producer, &path, &reads());
    send_numbers(&producer, 0..10);
    assert_eq!(take(&consumer, 4), [0, 1, 2, 3]);
    let position = consumer.position().unwrap();
    let held = consumer.acquire_rx(0).unwrap(); // not released: it comes again
    assert_eq!(held.sender(), None);
    assert_eq!(consumer.position(), Ok(position));
    drop(held);
    assert_ne!(consumer.position(), Ok(position));
    let at_end = producer.position().unwrap();
    assert_eq!(at_end.epoch, position.epoch);
    assert!(at_end.position > position.position);
    let back = Position {
        position: position.position,
        epoch: position.epoch,
    };
    let (again, _) = join(&producer, &path, &reads().start(Start::At(back)));
    assert_eq!(take(&again, 6), [4, 5, 6, 7, 8, 9]);
    assert_eq!(again.position(), Ok(at_end));
    drop(producer);
    assert_eq!(again.position(), Ok(at_end)); // also after the end

    let producer = broadcast(2).listen(&path, ROOM).unwrap();
    send_numbers(&producer, 0..10);
    let error = refusal(&producer, &path, &reads().start(Start::At(position)));
    assert_eq!(error, TachyonError::Lagged); // of another epoch
    let (consumer, _) = join(&producer, &path, &reads().start(Start::Oldest));
    take(&consumer, 1);
    let gone = consumer.position().unwrap();
    take(&consumer, 9);
    for n in 10..1000 {
        send_numbers(&producer, n..n + 1);
        assert_eq!(take(&consumer, 1), [n]);
    }
    let error = refusal(&producer, &path, &reads().start(Start::At(gone)));
    assert_eq!(error, TachyonError::Lagged); // overwritten
}

#[test]
fn a_reader_that_is_let_go_is_told_where_it_releases() {
    let path = path();
    let options = broadcast(2)
        .slow_peer(SlowPeer::Disconnect(Duration::from_millis(5)))
        .without_peers(WithoutPeers::FreeRun);
    let producer = options.listen(&path, ROOM).unwrap();
    let acceptor = producer.acceptor();
    let (slow, slow_one) = join(&producer, &path, &reads());
    send_numbers(&producer, 0..1);
    let held = slow.acquire_rx(0).unwrap();
    send_numbers(&producer, 1..1000); // goes on without it
    assert_eq!(left(&acceptor), (slow_one, TachyonError::Lagged));
    assert_eq!(held.commit(), Err(TachyonError::Lagged));
    assert_eq!(slow.acquire_rx(0).unwrap_err(), TachyonError::Lagged);
    assert_eq!(slow.check(), Err(TachyonError::Lagged));
    let mut messages = slow.iter();
    let last = messages.next().unwrap().map(|_| ());
    assert_eq!(last, Err(TachyonError::Lagged));
    assert!(messages.next().is_none());

    let (quick, _) = join(&producer, &path, &reads());
    send_numbers(&producer, 1000..1010);
    let batch = quick.drain_batch(64, 0).unwrap();
    assert_eq!(batch.len(), 10);
    send_numbers(&producer, 1010..2000);
    assert_eq!(batch.commit(), Err(TachyonError::Lagged));
}

#[test]
fn a_dead_reader_keeps_its_place_for_the_next_of_its_name() {
    let path = path();
    let options = broadcast(2).keep_place(LONG);
    let producer = options.listen(&path, ROOM).unwrap();
    let acceptor = producer.acceptor();
    let mut reader = Process::start("many::read_three_and_hang", &path);
    let joined = acceptor.accept_timeout(LONG).unwrap();
    let Event::Joined {
        peer, who, name, ..
    } = joined
    else {
        panic!("{joined:?}")
    };
    assert_eq!(who.pid, Some(reader.id()));
    assert_eq!(name.as_deref(), Some("reader"));
    let named = reads().name("reader");
    let taken = refusal(&producer, &path, &named);
    assert_eq!(taken, TachyonError::Busy);
    send_numbers(&producer, 0..5);
    let all_read = |info: &tachyon_ipc::PeerInfo| info.behind == 2 * 64;
    while !producer.peers().unwrap().iter().all(all_read) {
        thread::sleep(Duration::from_millis(1));
    }
    let info = producer.peers().unwrap().remove(0);
    assert_eq!((info.peer, info.who, info.name), (peer, who, name));
    reader.kill();
    assert_eq!(left(&acceptor), (peer, TachyonError::PeerDead));
    let (next, number) = join(&producer, &path, &named);
    assert!(number > peer);
    assert_eq!(take(&next, 2), [3, 4]);
    send_numbers(&producer, 5..6);
    assert_eq!(take(&next, 1), [5]);
}

#[test]
#[ignore = "the process that a_dead_reader_keeps_its_place_... kills"]
fn read_three_and_hang() {
    let consumer = reads().name("reader").connect(child_path()).unwrap();
    assert_eq!(take(&consumer, 3), [0, 1, 2]);
    thread::sleep(LONG);
}

#[test]
fn one_consumer_comes_after_the_other() {
    let path = path();
    let mut producer = Producer::from(broadcast(1).listen(&path, ROOM).unwrap());
    for round in 0..3 {
        let (consumer, peer) = join(producer.bus(), &path, &reads());
        assert_eq!(refusal(producer.bus(), &path, &reads()), TachyonError::Busy);
        producer.send_timeout(&[round], 1, LONG).unwrap();
        assert_eq!(consumer.acquire_rx(0).unwrap().data(), [round]);
        assert_eq!(consumer.position(), Err(TachyonError::InvalidSize));
        drop(consumer);
        let filled = (0..1000).find_map(|_| producer.send_timeout(b"lost", 1, SHORT).err());
        assert_eq!(filled, Some(TachyonError::Timeout)); // there is nobody
        let acceptor = producer.bus().acceptor();
        assert_eq!(left(&acceptor), (peer, TachyonError::Closed));
    }
}

// ---- Fan-in ----

#[test]
fn the_order_of_each_producer_is_kept() {
    const PRODUCERS: u64 = 3;
    let path = path();
    let consumer = fan_in(8).listen(&path, ROOM).unwrap();
    assert_eq!(consumer.sender(), None);
    let nobody = consumer.peer();
    assert_eq!(
        (nobody.pid, nobody.uid, nobody.gid),
        (None, u32::MAX, u32::MAX)
    );
    let mut next = [0; PRODUCERS as usize];
    let mut senders = [None; PRODUCERS as usize];
    thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let path = &path;
            scope.spawn(move || {
                let name = format!("producer {producer}");
                let bus = writes().name(name).connect(path).unwrap();
                send_numbers(&bus, producer << 32..(producer << 32) + STREAM);
            });
        }
        for _ in 0..PRODUCERS * STREAM {
            let message = consumer.acquire_rx_timeout(0, LONG).unwrap();
            let value = number(message.data());
            let producer = (value >> 32) as usize;
            assert_eq!(value & u64::from(u32::MAX), next[producer]);
            next[producer] += 1;
            let sender = message.sender().unwrap();
            assert_eq!(*senders[producer].get_or_insert(sender), sender);
            drop(message);
            assert_eq!(consumer.sender(), Some(sender));
        }
    });
    assert_eq!(next, [STREAM; PRODUCERS as usize]);
    assert_eq!(consumer.peer().pid, Some(std::process::id()));
    assert!(consumer.try_acquire_rx().unwrap().is_none());

    let (mut joined, mut gone) = (Vec::new(), Vec::new());
    while let Some(event) = consumer.try_accept().unwrap() {
        match event {
            Event::Joined { peer, name, .. } => joined.push((name.unwrap(), peer)),
            Event::Left { name, reason, .. } => gone.push((name.unwrap(), reason)),
            other => panic!("{other:?}"),
        }
    }
    joined.sort();
    gone.sort_by(|a, b| a.0.cmp(&b.0));
    let names = ["producer 0", "producer 1", "producer 2"].map(String::from);
    let who = |i: usize| (names[i].clone(), senders[i].unwrap());
    assert_eq!(joined, [who(0), who(1), who(2)]);
    assert_eq!(gone, names.map(|name| (name, TachyonError::Closed)));
}

#[test]
fn a_batch_is_of_one_producer() {
    let path = path();
    let consumer = fan_in(2).listen(&path, ROOM).unwrap();
    let (first, one) = join(&consumer, &path, &writes());
    let (second, two) = join(&consumer, &path, &writes());
    send_numbers(&first, 0..5);
    send_numbers(&second, 100..105);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let batch = consumer.drain_batch_timeout(64, 0, LONG).unwrap();
        let numbers: Vec<_> = batch.iter().map(|message| number(message.data())).collect();
        seen.push((batch.sender().unwrap(), numbers));
    }
    seen.sort();
    let of = |peer, from: u64| (peer, (from..from + 5).collect::<Vec<_>>());
    assert_eq!(seen, [of(one, 0), of(two, 100)]);
    let infos = consumer.peers().unwrap();
    assert!(infos.iter().all(|info| info.messages == 5), "{infos:?}");
    assert_eq!(consumer.position(), Err(TachyonError::InvalidSize));
}

#[test]
fn a_killed_producer_is_an_event_after_its_messages() {
    let path = path();
    let consumer = fan_in(4).listen(&path, ROOM).unwrap();
    let mut killed = Process::start("many::send_three_and_hang", &path);
    assert_eq!(take(&consumer, 3), [0, 1, 2]);
    let (other, _) = join_after_one(&consumer, &path);
    killed.kill();
    send_numbers(&other, 50..51);
    assert_eq!(take(&consumer, 1), [50]);
    let acceptor = consumer.acceptor();
    thread::scope(|scope| {
        let event = scope.spawn(|| left(&acceptor).1);
        let none = consumer.acquire_rx_timeout(0, SHORT).map(|_| ());
        assert_eq!(none, Err(TachyonError::Timeout));
        assert_eq!(event.join().unwrap(), TachyonError::PeerDead);
    });
    assert_eq!(consumer.check(), Ok(()));
}

fn join_after_one(listener: &Bus, path: &str) -> (Bus, u32) {
    let event = listener.accept_timeout(LONG).unwrap();
    assert!(matches!(event, Event::Joined { .. }), "{event:?}");
    join(listener, path, &writes())
}

#[test]
#[ignore = "the process that a_killed_producer_is_an_event_after_its_messages kills"]
fn send_three_and_hang() {
    let producer = writes().connect(child_path()).unwrap();
    send_numbers(&producer, 0..3);
    thread::sleep(LONG);
}

// ---- Any thread ----

#[test]
fn any_thread_drops_a_peer() {
    let path = path();
    let producer = broadcast(4).listen(&path, ROOM).unwrap();
    let (behind, one) = join(&producer, &path, &reads());
    let (up_to_date, two) = join(&producer, &path, &reads());
    send_numbers(&producer, 0..2);
    assert_eq!(take(&up_to_date, 2), [0, 1]);
    let acceptor = producer.acceptor();
    let dropper = acceptor.clone();
    thread::spawn(move || {
        dropper.drop_peer(one).unwrap();
        dropper.drop_peer(two).unwrap();
        assert_eq!(dropper.drop_peer(two), Err(TachyonError::InvalidSize));
        let error = dropper.drop_peer(99).unwrap_err();
        assert_eq!(error.to_string(), "no peer 99 is connected");
        assert_eq!(dropper.peers(), Ok(vec![]));
    })
    .join()
    .unwrap();
    drop(producer.acquire_tx_timeout(ROOM - 128, SHORT)); // sees to it that they leave
    let mut gone = [left(&acceptor).0, left(&acceptor).0];
    gone.sort();
    assert_eq!(gone, [one, two]);
    let end = |consumer: &Bus| loop {
        if let Err(error) = consumer.acquire_rx(0).and_then(|message| message.commit()) {
            break error;
        }
    };
    assert_eq!(end(&behind), TachyonError::Lagged);
    let ended = end(&up_to_date); // by what it finds first
    assert!(matches!(ended, TachyonError::Closed | TachyonError::Lagged));
}

#[test]
fn a_producer_that_is_dropped_delivers_no_more() {
    let path = path();
    let consumer = fan_in(4).listen(&path, ROOM).unwrap();
    let (producer, peer) = join(&consumer, &path, &writes());
    send_numbers(&producer, 0..3);
    let held = consumer.acquire_rx(0).unwrap();
    let acceptor = consumer.acceptor();
    thread::spawn(move || {
        acceptor.drop_peer(peer).unwrap();
        for _ in 0..100 {
            assert_eq!(acceptor.try_accept(), Ok(None));
        }
    })
    .join()
    .unwrap();
    assert_eq!(number(held.data()), 0); // it stays as long as it is held
    drop(held);
    assert!(consumer.try_acquire_rx().unwrap().is_none());
    assert_eq!(left(&consumer.acceptor()), (peer, TachyonError::Closed));
    let end = (0..1000).find_map(|_| producer.send_timeout(b"", 1, LONG).err());
    assert_eq!(end, Some(TachyonError::Closed));
}

#[test]
fn dropping_the_bus_ends_a_wait_for_events() {
    let path = path();
    let producer = broadcast(4).listen(&path, ROOM).unwrap();
    let acceptor = producer.acceptor();
    let (consumer, peer) = join(&producer, &path, &reads());
    let waits = acceptor.clone();
    let waiter = thread::spawn(move || loop {
        match waits.accept() {
            Err(TachyonError::Busy) => {} // the other thread has just looked
            event => break event,
        }
    });
    while acceptor.accept_timeout(Duration::from_nanos(1)) != Err(TachyonError::Busy) {
        thread::yield_now();
    }
    let busy = acceptor.accept_timeout(LONG).unwrap_err();
    assert_eq!(
        busy.to_string(),
        "another thread waits for peers on this handle"
    );
    thread::sleep(SHORT);
    drop(producer);
    assert_eq!(waiter.join().unwrap(), Err(TachyonError::Closed));
    assert_eq!(acceptor.accept(), Err(TachyonError::Closed));
    assert_eq!(acceptor.try_accept(), Err(TachyonError::Closed));
    assert!(acceptor.events().next().is_none());
    assert_eq!(acceptor.drop_peer(peer), Err(TachyonError::InvalidSize));
    assert_eq!(acceptor.peers(), Ok(vec![]));
    assert_eq!(consumer.acquire_rx(0).unwrap_err(), TachyonError::Closed);
    // The memory is kept by the acceptor, the path is not.
    broadcast(4).listen(&path, ROOM).unwrap();
}

#[test]
fn an_interrupter_ends_a_wait_for_events() {
    let stop = Interrupter::new().unwrap();
    let options = fan_in(4).interrupter(&stop);
    let consumer = options.listen(path(), ROOM).unwrap();
    let acceptor = consumer.acceptor();
    drop(options);
    let waiter = thread::spawn(move || {
        let first = acceptor.events().next();
        (acceptor, first)
    });
    thread::sleep(SHORT);
    stop.interrupt();
    let (acceptor, first) = waiter.join().unwrap();
    assert_eq!(first, Some(Err(TachyonError::Interrupted)));
    stop.clear();
    let none = acceptor.accept_timeout(SHORT).unwrap_err();
    assert_eq!(none.to_string(), format!("no event within {SHORT:?}"));
    drop(consumer);
    drop(stop); // the acceptor has it still: its waits look at that descriptor
    assert_eq!(acceptor.accept_timeout(LONG), Err(TachyonError::Closed));
}

#[test]
fn events_that_nobody_asks_for_are_counted() {
    const PEERS: u32 = 600;
    let path = path();
    let consumer = fan_in(PEERS).listen(&path, ROOM).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..PEERS {
                let producer = writes().connect(&path).unwrap();
                send_numbers(&producer, number.into()..u64::from(number) + 1);
            }
        });
        let mut received = take(&consumer, PEERS as usize);
        received.sort();
        assert!(received.into_iter().eq(0..PEERS.into()));
    });
    assert!(consumer.try_acquire_rx().unwrap().is_none());
    let mut kept = 0;
    let missed = loop {
        match consumer.try_accept().unwrap().unwrap() {
            Event::Missed(count) => break count,
            _ => kept += 1,
        }
    };
    assert_eq!((kept, kept + missed), (1024, 2 * PEERS));
    assert_eq!(consumer.try_accept(), Ok(None));
}

#[test]
fn a_forked_child_is_refused_and_does_no_harm() {
    let path = path();
    let producer = broadcast(4).listen(&path, ROOM).unwrap();
    let acceptor = producer.acceptor();
    let (consumer, peer) = join(&producer, &path, &reads());
    // SAFETY: as in processes.rs.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let forked = Err(TachyonError::Forked);
        let refused = acceptor.accept().map(|_| ()) == forked
            && acceptor.peers().map(|_| ()) == forked
            && acceptor.drop_peer(peer) == forked
            && producer.send(b"", 1) == forked;
        drop((producer, acceptor, consumer));
        // SAFETY: a plain system call.
        unsafe { libc::_exit(if refused { 42 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: a plain system call.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert!(libc::WIFEXITED(status));
    assert_eq!(libc::WEXITSTATUS(status), 42);
    send_numbers(&producer, 0..1);
    assert_eq!(take(&consumer, 1), [0]);
    assert_eq!(acceptor.peers().unwrap().len(), 1);
}

// ---- Event loops ----

#[test]
fn messages_and_events_come_in_tokio() {
    const PRODUCERS: usize = 3;
    let path = path();
    let mut opening = fan_in(4).start_listen(&path, ROOM).unwrap();
    let consumer = opening
        .step()
        .unwrap()
        .expect("it need not wait for a peer");
    let (mut messages, mut events) = (0, Vec::new());
    thread::scope(|scope| {
        for _ in 0..PRODUCERS {
            scope.spawn(|| send_numbers(&writes().connect(&path).unwrap(), 0..1000));
        }
        run(async {
            let mut consumer = in_tokio(consumer);
            while events.len() < 2 * PRODUCERS {
                let mut ready = consumer.readable_mut().await.unwrap();
                let bus = ready.get_inner_mut();
                while bus.try_acquire_rx().unwrap().is_some() {
                    messages += 1;
                }
                while let Some(event) = bus.try_accept().unwrap() {
                    events.push(event);
                }
                ready.clear_ready();
            }
        });
    });
    assert_eq!(messages, PRODUCERS * 1000);
    let joined = |event: &&Event| matches!(event, Event::Joined { .. });
    assert_eq!(events.iter().filter(joined).count(), PRODUCERS);
}

/// The next two events, each of which the descriptor tells of.
fn two_events(listener: &impl AsRawFd, look: impl Fn() -> Option<Event>) -> [Event; 2] {
    let next = || loop {
        assert!(readable(listener, LONG));
        if let Some(event) = look() {
            break event;
        }
    };
    [next(), next()]
}

#[test]
fn a_receiving_listener_is_readable_for_events_and_quiet_after_them() {
    let (path, rpc_path) = (path(), path());
    let consumer = fan_in(4).listen(&path, ROOM).unwrap();
    let calls = Options::new().timeout(LONG).max_peers(4);
    let callee = calls.rpc_listen(&rpc_path, ROOM, ROOM).unwrap();
    for _ in 0..3 {
        let events = thread::scope(|scope| {
            scope.spawn(|| {
                drop(writes().connect(&path).unwrap());
                drop(calls.clone().max_peers(0).rpc_connect(&rpc_path).unwrap());
            });
            let of_bus = two_events(&consumer, || {
                assert!(consumer.try_acquire_rx().unwrap().is_none());
                consumer.try_accept().unwrap()
            });
            let of_rpc = two_events(&callee, || {
                assert!(callee.try_serve().unwrap().is_none());
                callee.try_accept().unwrap()
            });
            [of_bus, of_rpc]
        });
        for [first, second] in events {
            assert!(matches!(first, Event::Joined { .. }), "{first:?}");
            assert!(matches!(second, Event::Left { .. }), "{second:?}");
        }
        assert!(consumer.try_acquire_rx().unwrap().is_none());
        assert!(!readable(&consumer, Duration::ZERO));
        assert!(callee.try_serve().unwrap().is_none());
        assert!(!readable(&callee, Duration::ZERO));
    }
}

// ---- Bad input ----

#[test]
fn each_mistake_has_an_error_of_its_own() {
    let message = |options: Options, listens: bool| {
        let path = path();
        let opened = match listens {
            true => options.listen(&path, ROOM),
            false => options.connect(&path),
        };
        let error = opened.unwrap_err();
        assert_eq!(error, TachyonError::InvalidSize);
        error.to_string()
    };
    let all = broadcast(2);
    let at = |position| Start::At(Position { position, epoch: 1 });
    let after = |time| all.clone().slow_peer(SlowPeer::Disconnect(time));
    let found = [
        message(broadcast(1025), true),
        message(Options::new().max_peers(2), true),
        message(reads().max_peers(2), false),
        message(broadcast(1).without_peers(WithoutPeers::FreeRun), true),
        message(fan_in(2).keep_place(SHORT), true),
        message(after(Duration::ZERO), true),
        message(all.clone().name("listener"), true),
        message(all.clone().start(Start::Oldest), true),
        message(writes().start(Start::Oldest), false),
        message(reads().start(at(65)), false),
        message(reads().name("x".repeat(32)), false),
        message(reads().name("a\0b"), false),
    ];
    let expected = [
        "options.max_peers is 1025, above 1024",
        "options.max_peers is 2 and options.role 0: who may have many peers says which way \
         messages go",
        "options.max_peers is for listen only",
        "options.without_peers is for listen as producer with max_peers above 1 only",
        "options.keep_place_ns is for listen as producer with max_peers above 1 only",
        "options.slow_after_ns is 0; it goes with TACHYON_SLOW_DISCONNECT, and is above 0 there",
        "options.name is for connect only",
        "options.start is for connect as consumer only",
        "options.start is for connect as consumer only",
        "options.start_position is 65, no multiple of 64: take what tachyon_bus_position() said",
        "options.name has more than 31 bytes",
        "the name has a NUL byte at position 1",
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_longest_times_are_for_ever() {
    let options = broadcast(2)
        .slow_peer(SlowPeer::Disconnect(Duration::MAX))
        .keep_place(Duration::MAX);
    let path = path();
    let producer = options.listen(&path, ROOM).unwrap();
    let (_slow, _) = join(&producer, &path, &reads());
    let fill = (0..1000).find_map(|_| producer.send_timeout(&[0; 64], 1, SHORT).err());
    assert_eq!(fill, Some(TachyonError::Timeout));
    assert_eq!(producer.peers().unwrap().len(), 1);
}

#[test]
fn a_bus_with_one_peer_has_no_events() {
    let (tx, rx) = pair(ROOM);
    for bus in [&tx, &rx] {
        let acceptor = bus.acceptor();
        let error = acceptor.accept().unwrap_err();
        assert_eq!(error, TachyonError::InvalidSize);
        assert_eq!(
            error.to_string(),
            "this bus has a single peer: options.max_peers was 0 when it was opened"
        );
        assert_eq!(bus.try_accept(), Err(TachyonError::InvalidSize));
        let only = bus.events().collect::<Vec<_>>();
        assert_eq!(only, [Err(TachyonError::InvalidSize)]);
        assert_eq!(bus.peers(), Err(TachyonError::InvalidSize));
        assert_eq!(bus.drop_peer(1), Err(TachyonError::InvalidSize));
        assert_eq!(bus.sender(), None);
        assert_eq!(bus.position(), Err(TachyonError::InvalidSize));
    }
}

#[test]
fn one_more_than_may_be_is_refused_and_the_others_go_on() {
    let path = path();
    let producer = broadcast(2).listen(&path, ROOM).unwrap();
    let (one, _) = join(&producer, &path, &reads());
    let (two, _) = join(&producer, &path, &reads());
    assert_eq!(refusal(&producer, &path, &reads()), TachyonError::Busy);
    send_numbers(&producer, 0..3);
    assert_eq!(take(&one, 3), [0, 1, 2]);
    assert_eq!(take(&two, 3), [0, 1, 2]);
    drop(one);
    let event = loop {
        send_numbers(&producer, 3..4);
        take(&two, 1);
        if let Some(event) = producer.try_accept().unwrap() {
            break event;
        }
    };
    assert!(matches!(event, Event::Left { .. }), "{event:?}");
    let (_three, _) = join(&producer, &path, &reads());
}
