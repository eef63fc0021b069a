// SPDX-License-Identifier: Apache-2.0
//! Descriptors in poll() and in Tokio, whose reactor is edge-triggered.

use std::future::{poll_fn, Future};
use std::os::fd::{AsFd, AsRawFd};
use std::pin::pin;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;

use crate::support::{child, child_path, pair, path, rpc_pair, Random, LONG};
use tachyon_ipc::{Bus, Consumer, RpcBus, TachyonError};

pub fn readable(object: &impl AsRawFd, timeout: Duration) -> bool {
    let mut poll = libc::pollfd {
        fd: object.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one pollfd.
    unsafe { libc::poll(&mut poll, 1, timeout.as_millis() as libc::c_int) == 1 }
}

pub fn run<T>(main: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async { tokio::time::timeout(10 * LONG, main).await.unwrap() })
}

#[test]
fn a_descriptor_is_readable_from_a_message_until_there_is_none() {
    let (tx, rx) = pair(4096);
    let fd = rx.as_raw_fd();
    assert_eq!(rx.as_fd().as_raw_fd(), fd);
    assert_eq!(rx.descriptor().unwrap().as_raw_fd(), fd);
    assert!(rx.try_acquire_rx().unwrap().is_none());
    let mut rx = rx.into_consumer();
    assert_eq!(rx.as_raw_fd(), fd);
    for _ in 0..10 {
        assert!(!readable(&rx, Duration::ZERO));
        tx.send(b"x", 1).unwrap();
        assert!(readable(&rx, LONG));
        assert!(rx.try_acquire_rx().unwrap().is_some());
        assert!(rx.try_acquire_rx().unwrap().is_none());
    }
    drop(tx);
    assert!(readable(&rx, LONG));
    assert_eq!(rx.try_acquire_rx().unwrap_err(), TachyonError::Closed);
}

#[test]
fn a_sending_end_learns_of_room() {
    let (tx, rx) = pair(4096);
    tx.send(b"x", 1).unwrap();
    let tx = tx.into_producer();
    assert!(!readable(&tx, Duration::ZERO));
    while tx.bus().send(b"x", 1).is_ok() {}
    assert!(!readable(&tx, Duration::ZERO));
    drop(rx.acquire_rx(0).unwrap());
    assert!(readable(&tx, LONG));
    tx.bus().send(b"x", 1).unwrap();
}

#[test]
fn an_rpc_descriptor_can_be_had_from_any_thread_once_it_is_made() {
    let (callee, caller) = rpc_pair(1 << 16);
    let held = caller.acquire_call(8).unwrap();
    thread::scope(|scope| {
        let elsewhere = || scope.spawn(|| caller.as_raw_fd()).join().unwrap();
        assert_eq!(elsewhere(), -1); // this thread has the handle
        let fd = caller.as_raw_fd();
        assert!(fd >= 0);
        assert_eq!(elsewhere(), fd);
    });
    drop(held);
    caller.call(b"?", 1).unwrap();
    assert!(caller.try_wait_any().unwrap().is_none());
    assert!(!readable(&caller, Duration::ZERO));
    assert!(readable(&callee, LONG));
    let request = callee.try_serve().unwrap().unwrap();
    callee.reply(request.correlation_id, b"!", 1).unwrap();
    assert!(readable(&caller, LONG));
}

pub fn in_tokio<T: AsRawFd>(object: T) -> AsyncFd<T> {
    // SAFETY: its descriptor is the same each time and lives as long as it.
    unsafe { AsyncFd::register(object) }.unwrap()
}

/// The next message in Tokio; None at the end of the stream.
async fn receive(consumer: &mut AsyncFd<Consumer>) -> Result<Option<u64>, TachyonError> {
    loop {
        let mut ready = consumer.readable_mut().await.unwrap();
        let message = ready.get_inner_mut().try_acquire_rx();
        match message.map(|message| message.map(|message| u64::from(message.type_id))) {
            Ok(None) => ready.clear_ready(),
            Err(TachyonError::Closed) => return Ok(None),
            message => return message,
        }
    }
}

#[test]
fn tokio_loses_no_wake_up() {
    const COUNT: u64 = 20_000;
    let (tx, rx) = pair(4096);
    let (back_tx, back_rx) = pair(4096);
    let echo = thread::spawn(move || {
        let mut random = Random(1);
        for message in &rx {
            let type_id = message.unwrap().type_id;
            for _ in 0..random.below(2000) {
                std::hint::spin_loop();
            }
            back_tx.send_timeout(b"", type_id, LONG).unwrap();
        }
    });
    run(async {
        let mut random = Random(2);
        let mut consumer = in_tokio(back_rx.into_consumer());
        for i in 0..COUNT {
            tx.send(b"", i as u32).unwrap();
            for _ in 0..random.below(2000) {
                std::hint::spin_loop();
            }
            assert_eq!(receive(&mut consumer).await, Ok(Some(i)));
        }
        drop(tx);
        assert_eq!(receive(&mut consumer).await, Ok(None));
    });
    echo.join().unwrap();
}

#[test]
fn a_cancelled_wait_loses_no_message() {
    const COUNT: u64 = 20_000;
    let (tx, rx) = pair(4096);
    let sender = thread::spawn(move || {
        let mut random = Random(3);
        for i in 0..COUNT {
            tx.send_timeout(b"", i as u32, LONG).unwrap();
            if random.below(20) == 0 {
                thread::sleep(Duration::from_micros(random.below(200) as u64));
            }
        }
    });
    let cancelled = run(async {
        let (mut random, mut cancelled, mut next) = (Random(4), 0, 0);
        let mut consumer = in_tokio(rx.into_consumer());
        loop {
            // Dropped when it has been woken in vain, or at once.
            let mut patience = random.below(3);
            let mut receiving = pin!(receive(&mut consumer));
            let received = poll_fn(|context| match receiving.as_mut().poll(context) {
                Poll::Ready(message) => Poll::Ready(Some(message)),
                Poll::Pending if patience == 0 => Poll::Ready(None),
                Poll::Pending => {
                    patience -= 1;
                    Poll::Pending
                }
            });
            match received.await {
                None => {
                    cancelled += 1;
                    tokio::task::yield_now().await;
                }
                Some(Ok(Some(number))) => {
                    assert_eq!(number, next);
                    next += 1;
                }
                Some(end) => {
                    assert_eq!((end, next), (Ok(None), COUNT));
                    return cancelled;
                }
            }
        }
    });
    assert!(cancelled > 100);
    sender.join().unwrap();
}

#[test]
fn replies_in_any_order_are_awaited_in_tokio() {
    let (callee, caller) = rpc_pair(1 << 16);
    let server = thread::spawn(move || {
        let mut waiting = Vec::new();
        let mut random = Random(5);
        loop {
            match callee.serve(100) {
                Ok(request) => waiting.push(request.correlation_id),
                Err(TachyonError::Closed) => return,
                Err(error) => panic!("{error}"),
            }
            if waiting.len() == 8 {
                while !waiting.is_empty() {
                    let id = waiting.swap_remove(random.below(waiting.len()));
                    callee.reply(id, &id.to_le_bytes(), 1).unwrap();
                }
            }
        }
    });
    run(async {
        let caller = in_tokio(caller);
        for _ in 0..1000 {
            let mut ids: Vec<u64> = (0..8)
                .map(|_| caller.get_ref().call(b"", 1).unwrap())
                .collect();
            while !ids.is_empty() {
                let mut ready = caller.readable().await.unwrap();
                let reply = ready.get_inner().try_wait_any().unwrap();
                match reply {
                    Some(reply) => {
                        assert_eq!(reply.data(), reply.correlation_id.to_le_bytes());
                        let place = ids.iter().position(|&id| id == reply.correlation_id);
                        ids.swap_remove(place.unwrap());
                    }
                    None => ready.clear_ready(),
                }
            }
        }
        let error = caller.get_ref().try_wait_any().unwrap_err();
        assert_eq!(error, TachyonError::InvalidSize);
    });
    server.join().unwrap();
}

#[test]
fn death_wakes_tokio() {
    let path = path();
    let mut peer = child("event_loops::waits_to_be_killed", &path)
        .spawn()
        .unwrap();
    let bus = Bus::listen_timeout(&path, 4096, LONG).unwrap();
    run(async {
        let mut consumer = in_tokio(bus.into_consumer());
        let killer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            peer.kill().unwrap();
            let killed = Instant::now();
            peer.wait().unwrap();
            killed
        });
        let error = receive(&mut consumer).await.unwrap_err();
        let noticed = Instant::now();
        assert_eq!(error, TachyonError::PeerDead);
        let killed = killer.join().unwrap();
        assert!(noticed.saturating_duration_since(killed) < Duration::from_secs(2));
    });
}

#[test]
#[ignore = "run by death_wakes_tokio in a process of its own"]
fn waits_to_be_killed() {
    let _bus = Bus::connect_timeout(&child_path(), LONG).unwrap();
    thread::sleep(LONG);
}

#[test]
fn waiting_for_any_reply_ends_as_every_wait() {
    let (callee, caller) = rpc_pair(4096);
    let error = |result: Result<tachyon_ipc::RpcRxGuard<'_>, _>| result.unwrap_err();
    assert_eq!(error(caller.wait_any(0)), TachyonError::InvalidSize);
    let first = caller.call(b"1", 1).unwrap();
    let second = caller.call(b"2", 1).unwrap();
    let short = Duration::from_millis(20);
    assert_eq!(
        error(caller.wait_any_timeout(0, short)),
        TachyonError::Timeout
    );
    assert_eq!(
        error(caller.wait_any_timeout(0, Duration::ZERO)),
        TachyonError::BufferEmpty
    );
    assert_eq!(error(callee.wait_any(0)), TachyonError::Busy);
    drop(callee.serve(0).unwrap());
    drop(callee.serve(0).unwrap());
    callee.reply(second, b"two", 2).unwrap();
    callee.reply(first, b"one", 1).unwrap();
    let reply = caller.wait_any(0).unwrap();
    assert_eq!((reply.correlation_id, reply.data()), (second, &b"two"[..]));
    assert_eq!(error(caller.wait_any(0)), TachyonError::Busy); // one guard at a time
    drop(reply);
    let reply: tachyon_ipc::RpcRxGuard<'_> = caller.wait_any_timeout(0, LONG).unwrap();
    assert_eq!((reply.correlation_id, reply.type_id), (first, 1));
    drop(reply);
    caller.call(b"3", 1).unwrap();
    drop::<RpcBus>(callee);
    assert_eq!(error(caller.wait_any(0)), TachyonError::Closed);
}
