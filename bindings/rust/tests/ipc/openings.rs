// SPDX-License-Identifier: Apache-2.0
//! Connections that are opened in an event loop: nothing waits, and giving up leaves
//! nothing behind.

use std::thread;
use std::time::{Duration, Instant};

use crate::event_loops::{in_tokio, readable, run};
use crate::support::{path, LONG};
use tachyon_ipc::{Bus, Opened, Opening, Options, RpcBus, TachyonError};

/// What becomes of it, when it is stepped only while its descriptor is readable.
fn outcome<T: Opened>(opening: &mut Opening<T>) -> Result<T, TachyonError> {
    loop {
        if let Some(bus) = opening.step()? {
            return Ok(bus);
        }
        assert!(readable(opening, LONG), "nothing to do for {LONG:?}");
    }
}

/// The same in Tokio; dropping the future gives up.
async fn open<T: Opened>(opening: Opening<T>) -> Result<T, TachyonError> {
    let mut opening = in_tokio(opening);
    loop {
        if let Some(bus) = opening.get_mut().step()? {
            return Ok(bus);
        }
        opening.readable_mut().await.unwrap().clear_ready();
    }
}

#[test]
fn a_listener_has_something_to_do_when_a_client_comes() {
    let path = path();
    let mut opening = Options::new().start_listen(&path, 4096).unwrap();
    assert!(opening.step().unwrap().is_none());
    assert!(!readable(&opening, Duration::ZERO));
    let peer = path.clone();
    let client = thread::spawn(move || Bus::connect(&peer).unwrap());
    let rx = outcome(&mut opening).unwrap();
    client.join().unwrap().send(b"", 7).unwrap();
    assert_eq!(rx.acquire_rx(0).unwrap().type_id, 7);

    // It is taken, and the path is free.
    assert_eq!(opening.step().unwrap_err(), TachyonError::BufferEmpty);
    drop(Options::new().start_listen(&path, 4096).unwrap());
    drop(opening);
    assert_eq!(rx.check(), Err(TachyonError::Closed));
}

#[test]
fn both_ends_may_be_opened_by_one_thread() {
    let path = path();
    let mut listening = Options::new().start_listen(&path, 4096).unwrap();
    let mut connecting = Options::new().timeout(LONG).start_connect(&path).unwrap();
    let (mut rx, mut tx) = (None, None);
    while rx.is_none() || tx.is_none() {
        if rx.is_none() {
            rx = listening.step().unwrap();
        }
        if tx.is_none() {
            tx = connecting.step().unwrap();
        }
    }
    tx.unwrap().send(b"", 7).unwrap();
    assert_eq!(rx.unwrap().acquire_rx(0).unwrap().type_id, 7);
}

#[test]
fn calls_too() {
    let path = path();
    let mut listening = Options::new().start_rpc_listen(&path, 4096, 8192).unwrap();
    let peer = path.clone();
    let caller = thread::spawn(move || {
        outcome(&mut Options::new().start_rpc_connect(&peer).unwrap()).unwrap()
    });
    let callee: RpcBus = outcome(&mut listening).unwrap();
    let caller = caller.join().unwrap();
    let id = caller.call(b"?", 1).unwrap();
    assert_eq!(callee.serve(0).unwrap().correlation_id, id);
}

#[test]
fn time_outs_and_errors_are_those_of_the_calls_that_wait() {
    let path = path();
    let refused = |opening: Result<Opening<Bus>, TachyonError>| {
        let error = opening.and_then(|mut opening| outcome(&mut opening));
        error.map(|_| ()).unwrap_err()
    };
    let error = refused(Options::new().start_connect(&path));
    assert_eq!(error, TachyonError::NetworkError);
    assert!(error.to_string().contains(&path), "{error}");
    let error = refused(Options::new().start_listen(&path, 4097));
    assert_eq!(error, TachyonError::InvalidSize);
    let error = refused(Options::new().start_listen("nul\0", 4096));
    assert_eq!(error, TachyonError::InvalidSize);

    let time = Duration::from_millis(30);
    for listens in [true, false] {
        let start = Instant::now();
        let options = Options::new().timeout(time);
        let error = refused(if listens {
            options.start_listen(&path, 4096)
        } else {
            options.start_connect(&path)
        });
        assert_eq!(error, TachyonError::Timeout);
        assert!(error.to_string().contains(&path), "{error}");
        assert!(start.elapsed() >= time && start.elapsed() < LONG);
    }
}

#[test]
fn an_error_is_said_again() {
    let options = Options::new().timeout(Duration::from_millis(1));
    let mut opening = options.start_listen(path(), 4096).unwrap();
    assert!(readable(&opening, LONG));
    for _ in 0..2 {
        assert_eq!(opening.step().unwrap_err(), TachyonError::Timeout);
    }
}

#[test]
fn dropping_gives_up() {
    let file = std::env::temp_dir().join(format!("tachyon-opening-{}", std::process::id()));
    let opening = Options::new().start_listen(&file, 4096).unwrap();
    assert!(file.exists());
    let mut client = Options::new().timeout(LONG).start_connect(&file).unwrap();
    assert!(client.step().unwrap().is_none());
    drop(opening);
    assert!(!file.exists());
    let mut opening = Options::new().start_listen(&file, 4096).unwrap();
    let listener = thread::spawn(move || outcome(&mut opening).map(|bus| bus.peer()));
    outcome(&mut client).unwrap(); // it goes on trying, and finds the second listener
    listener.join().unwrap().unwrap();
    assert!(!file.exists());
}

#[test]
fn tokio_opens_both_ends_and_gives_up_when_a_future_is_dropped() {
    run(async {
        let path = path();
        let opening = Options::new().start_listen(&path, 4096).unwrap();
        let given_up = tokio::time::timeout(Duration::from_millis(20), open(opening)).await;
        assert!(given_up.is_err());
        let error = Bus::connect(&path).unwrap_err();
        assert_eq!(error, TachyonError::NetworkError);

        let listening = Options::new().start_listen(&path, 4096).unwrap();
        let connecting = Options::new().timeout(LONG).start_connect(&path).unwrap();
        let tx = tokio::spawn(open(connecting));
        let rx = open(listening).await.unwrap();
        tx.await.unwrap().unwrap().send(b"", 7).unwrap();
        assert_eq!(rx.acquire_rx(0).unwrap().type_id, 7);
    });
}
