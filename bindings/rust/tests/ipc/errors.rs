// SPDX-License-Identifier: Apache-2.0
//! Every error that can be brought about says its cause.

use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use crate::support::{child_path, meet, pair, path, rpc_pair, run_alone, LONG};
use tachyon_ipc::{Bus, Options, Role, RpcBus, State, TachyonError};

/// The error and its text.
fn said<T: std::fmt::Debug>(result: Result<T, TachyonError>) -> (TachyonError, String) {
    let error = result.unwrap_err();
    (error, error.to_string())
}

fn temporary_path(name: &str) -> String {
    let name = format!("tachyon-ipc-{}-{name}", std::process::id());
    let path = std::env::temp_dir().join(name);
    path.to_str().unwrap().to_string()
}

#[test]
fn capacity_and_path_out_of_range() {
    for capacity in [0, 1000, 1 << 32] {
        let (error, text) = said(Bus::listen(&path(), capacity));
        assert_eq!(error, TachyonError::InvalidSize);
        assert!(
            text.contains(&format!("capacity is {capacity} bytes")),
            "{text}"
        );
    }
    for (bad, cause) in [
        ("", "the socket path is empty"),
        ("a\0b", "the socket path has a NUL byte at position 1"),
        (
            &*"x".repeat(108),
            "the socket path has 108 bytes, more than 107",
        ),
    ] {
        for opened in [Bus::listen(bad, 4096), Bus::connect(bad)] {
            let (error, text) = said(opened);
            assert_eq!(error, TachyonError::InvalidSize);
            assert!(text.starts_with(cause), "{text}");
        }
        assert_eq!(RpcBus::connect(bad).unwrap_err(), TachyonError::InvalidSize);
    }
}

#[test]
fn options_out_of_range() {
    let (error, text) = said(Options::new().mode(0o1777).listen(path(), 4096));
    assert_eq!(error, TachyonError::InvalidSize);
    assert!(text.contains("1777"), "{text}");
    let (error, text) = said(
        Options::new()
            .role(Role::Producer)
            .rpc_listen(path(), 4096, 4096),
    );
    assert_eq!(error, TachyonError::InvalidSize);
    assert!(text.contains("role"), "{text}");
}

#[test]
fn nobody_listens() {
    let path = path();
    let error = Bus::connect(&path).unwrap_err();
    assert_eq!(error, TachyonError::NetworkError);
    assert!(error.to_string().contains(&path), "{error}");
    assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED));
    assert_eq!(
        std::io::Error::from(error).kind(),
        std::io::ErrorKind::ConnectionRefused
    );
    let (error, text) = said(Bus::listen("/nonexistent/socket", 4096));
    assert_eq!(error, TachyonError::NetworkError);
    assert!(text.contains("/nonexistent/socket"), "{text}");
}

#[test]
fn the_path_is_taken() {
    let file = temporary_path("file");
    std::fs::write(&file, "precious").unwrap();
    let (error, text) = said(Bus::listen(&file, 4096));
    assert_eq!(error, TachyonError::AddrInUse);
    assert!(text.contains(&file), "{text}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    std::fs::remove_file(&file).unwrap();

    let socket = temporary_path("socket");
    let other = UnixListener::bind(&socket).unwrap();
    let (error, text) = said(Bus::listen(&socket, 4096));
    assert_eq!(error, TachyonError::AddrInUse);
    assert!(text.contains(&socket), "{text}");
    drop(other);
    std::fs::remove_file(&socket).unwrap();
}

#[test]
fn the_listener_is_no_tachyon() {
    use std::io::{Read, Write};
    let socket = temporary_path("greeter");
    let listener = UnixListener::bind(&socket).unwrap();
    let greeter = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client.write_all(&[b'x'; 4096]).unwrap();
        let _ = client.read(&mut [0; 4096]);
    });
    let (error, text) = said(Bus::connect(&socket));
    assert_eq!(error, TachyonError::AbiMismatch);
    let cause = "the peer is no Tachyon: it begins with 78787878";
    assert_eq!(text, format!("{cause} ({socket})"));
    greeter.join().unwrap();
    std::fs::remove_file(&socket).unwrap();
}

#[test]
fn a_bus_and_an_rpc_bus_do_not_meet() {
    let path = path();
    let address = path.clone();
    let listener = thread::spawn(move || Bus::listen_timeout(&address, 4096, LONG).map(|_| ()));
    let (error, text) = said(RpcBus::connect_timeout(&path, LONG));
    assert_eq!(error, TachyonError::AbiMismatch);
    assert!(text.contains("bus"), "{text}");
    Bus::connect(&path).unwrap(); // the listener goes on
    assert_eq!(listener.join().unwrap(), Ok(()));
}

/// What the wrong client of a listener is told; the right one is served after it.
fn refused(listen: Options, wrong: Options, right: Options) -> (TachyonError, String) {
    let path = path();
    let address = path.clone();
    let listener = thread::spawn(move || listen.timeout(LONG).listen(address, 4096));
    let refusal = said(wrong.timeout(LONG).connect(&path));
    right.timeout(LONG).connect(&path).unwrap();
    listener.join().unwrap().unwrap();
    let (error, text) = refusal;
    let cause = text.strip_suffix(&format!(" ({path})"));
    (error, cause.expect("it names the path").to_string())
}

#[test]
fn schemas_that_differ_do_not_meet() {
    let schema = |schema| Options::new().schema(schema);
    let (error, text) = refused(schema(1), schema(2), schema(1));
    assert_eq!(error, TachyonError::AbiMismatch);
    let both = "the peer's message schema is 0000000000000001, ours 0000000000000002";
    assert_eq!(text, both);
    for (ours, theirs) in [(0, 2), (1, 0)] {
        let long = |s| schema(s).timeout(LONG);
        let (listened, connected) = meet(long(ours), |path| long(theirs).connect(path));
        listened.unwrap();
        connected.unwrap();
    }
}

#[test]
fn users_that_are_not_named_are_refused() {
    // SAFETY: a plain system call.
    let uid = unsafe { libc::geteuid() };
    let second = Options::new().timeout(Duration::from_secs(1));
    let (listened, connected) = meet(second.allow_uid(uid + 1), |path| {
        Options::new()
            .timeout(LONG)
            .connect(path)
            .map_err(|error| (error, error.to_string()))
    });
    assert_eq!(listened.unwrap_err(), TachyonError::Timeout);
    let (error, text) = connected.unwrap_err();
    assert_eq!(error, TachyonError::Permission);
    assert!(text.contains("does not allow our user id"), "{text}");

    for allowed in [
        Options::new().allow_uid(uid + 1).allow_uid(uid),
        Options::new().allow_any_uid(),
    ] {
        let (listened, connected) = meet(allowed.timeout(LONG), |path| {
            Options::new().timeout(LONG).connect(path)
        });
        listened.unwrap();
        connected.unwrap();
    }
}

#[test]
fn the_socket_has_the_mode_that_was_asked_for() {
    use std::os::unix::fs::PermissionsExt;
    for (options, mode) in [(Options::new(), 0o600), (Options::new().mode(0o640), 0o640)] {
        let socket = temporary_path(&format!("mode-{mode:o}"));
        let address = socket.clone();
        let listener = thread::spawn(move || options.timeout(LONG).listen(address, 4096));
        let found = (0..1000).find_map(|_| {
            thread::sleep(Duration::from_millis(5));
            std::fs::metadata(&socket).ok()
        });
        assert_eq!(found.unwrap().permissions().mode() & 0o777, mode);
        Bus::connect_timeout(&socket, LONG).unwrap();
        listener.join().unwrap().unwrap();
        assert!(!std::path::Path::new(&socket).exists());
    }
}

#[test]
fn a_message_that_can_never_fit() {
    let (tx, _rx) = pair(4096);
    let expected = "a message of 4000 bytes can never fit: this ring takes 3968 at most";
    let sent = tx.send(&[0; 4000], 1);
    assert_eq!(said(sent), (TachyonError::InvalidSize, expected.into()));
    assert_eq!(said(tx.acquire_tx(4000)).1, expected);
    assert_eq!(said(tx.send_timeout(&[0; 4000], 1, LONG)).1, expected);
    assert_eq!(said(tx.acquire_tx(usize::MAX)).0, TachyonError::InvalidSize);
    let debug = format!("{:?}", tx.acquire_tx(4000).unwrap_err());
    assert_eq!(debug, format!("InvalidSize: {expected}"));
}

#[test]
fn full_and_empty() {
    let (tx, rx) = pair(4096);
    assert_eq!(
        said(rx.acquire_rx_timeout(0, Duration::ZERO)),
        (TachyonError::BufferEmpty, "the ring is empty".into())
    );
    assert_eq!(
        said(rx.drain_batch_timeout(1, 0, Duration::ZERO)).0,
        TachyonError::BufferEmpty
    );
    while tx.send(&[0; 1000], 1).is_ok() {}
    assert_eq!(
        said(tx.send(&[0; 1000], 1)),
        (TachyonError::BufferFull, "the ring is full".into())
    );
    assert_eq!(said(tx.acquire_tx(1000)).0, TachyonError::BufferFull);
    assert!(tx.stats().full >= 3);
}

#[test]
fn both_directions_on_one_end() {
    let (tx, rx) = pair(4096);
    tx.send(b"", 1).unwrap();
    assert_eq!(
        said(tx.acquire_rx(0)),
        (
            TachyonError::Busy,
            "this end sends; it cannot do both".into()
        )
    );
    assert_eq!(
        said(rx.send(b"", 1)),
        (
            TachyonError::Busy,
            "the peer already sends on this bus".into()
        )
    );
    rx.acquire_rx(0).unwrap();
    assert_eq!(
        said(rx.send(b"", 1)),
        (
            TachyonError::Busy,
            "this end receives; it cannot do both".into()
        )
    );
}

#[test]
fn both_ends_with_one_role() {
    let role = |role| Options::new().role(role);
    for (ours, name, other) in [
        (Role::Consumer, "consumer", Role::Producer),
        (Role::Producer, "producer", Role::Consumer),
    ] {
        let refusal = refused(role(ours), role(ours), role(other));
        let text = format!("both ends declared the role of {name}");
        assert_eq!(refusal, (TachyonError::Busy, text));
    }

    let long = |role| Options::new().timeout(LONG).role(role);
    let (listened, connected) = meet(long(Role::Producer), |path| long(Role::None).connect(path));
    let (error, text) = said(listened.unwrap().acquire_rx(0));
    assert_eq!(error, TachyonError::Busy);
    assert_eq!(text, "this end declared that it sends");
    drop(connected);
}

#[test]
fn numa_nodes_that_are_not() {
    let (tx, _rx) = pair(4096);
    for node in [-1, 64] {
        assert_eq!(
            said(tx.set_numa_node(node)),
            (
                TachyonError::InvalidSize,
                format!("NUMA node {node} is not in 0 to 63")
            )
        );
    }
    let (error, text) = said(tx.set_numa_node(63));
    assert_eq!(error, TachyonError::SystemError);
    assert!(
        text.starts_with("cannot move the ring to NUMA node 63: "),
        "{text}"
    );
    assert!(error.raw_os_error().is_some());
}

#[test]
fn the_end_of_the_stream_names_who_ended_it() {
    let (tx, rx) = pair(4096);
    drop(tx);
    let pid = std::process::id();
    assert_eq!(
        said(rx.acquire_rx(0)),
        (
            TachyonError::Closed,
            format!("the peer (process {pid}) has closed the stream")
        )
    );
    rx.close();
    assert_eq!(
        said(rx.acquire_rx(0)),
        (TachyonError::Closed, "this handle has been closed".into())
    );
}

#[test]
fn calls_that_are_not_outstanding() {
    let (callee, caller) = rpc_pair(4096);
    let missing = |what, id| {
        let text = format!("no {what} {id} is outstanding");
        (TachyonError::InvalidSize, text)
    };
    assert_eq!(said(caller.wait(0, 0)), missing("call", 0));
    assert_eq!(said(caller.wait(5, 0)), missing("call", 5));
    assert_eq!(said(caller.cancel(5)), missing("call", 5));
    assert_eq!(said(callee.reply(0, b"", 1)), missing("request", 0));
    assert_eq!(said(callee.reply(5, b"", 1)), missing("request", 5));
    let (error, text) = said(callee.acquire_reply(0, 8));
    assert_eq!(error, TachyonError::InvalidSize);
    assert!(text.contains("correlation ids start at 1"), "{text}");
    let reserved = callee.acquire_reply(5, 8).unwrap();
    assert_eq!(said(reserved.commit(8, 1)), missing("request", 5));

    caller.call(b"", 1).unwrap();
    callee.serve(0).unwrap().commit().unwrap();
    callee.reply(1, b"", 1).unwrap();
    assert_eq!(said(callee.reply(1, b"again", 1)), missing("request", 1));
}

#[test]
fn the_wrong_side_of_a_call() {
    let (callee, caller) = rpc_pair(4096);
    let listens = "this end listens: it serves requests and replies".to_string();
    let calls = "this end has connected: it calls and waits".to_string();
    let (busy, text) = said(callee.call(b"", 1));
    assert_eq!((busy, text), (TachyonError::Busy, listens.clone()));
    assert_eq!(said(callee.wait(1, 0)).1, listens);
    assert_eq!(said(callee.cancel(1)).1, listens);
    assert_eq!(said(callee.acquire_call(8)).1, listens);
    assert_eq!(said(caller.serve(0)).1, calls);
    assert_eq!(said(caller.reply(1, b"", 1)).1, calls);
    assert_eq!(said(caller.acquire_reply(1, 8)).1, calls);
}

#[test]
fn errors_of_two_kinds_do_not_mix_their_texts() {
    let (tx, _rx) = pair(4096);
    let large = tx.send(&[0; 4000], 1).unwrap_err();
    let busy = tx.acquire_rx(0).unwrap_err();
    assert_eq!(busy.to_string(), "this end sends; it cannot do both");
    assert_eq!(large.to_string(), "an argument is out of range");
}

#[test]
fn a_ring_that_the_peer_scribbled_on() {
    run_alone("errors::scribble");
}

#[test]
#[ignore = "run by a_ring_that_the_peer_scribbled_on, whose process has one ring only"]
fn scribble() {
    assert!(child_path().starts_with('@'));
    let (tx, rx) = pair(4096);
    tx.send(b"good", 1).unwrap();
    rx.acquire_rx(0).unwrap().commit().unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let data = maps
        .lines()
        .find(|line| line.contains("memfd:") && line.contains(" 00002000 "))
        .and_then(|line| usize::from_str_radix(line.split('-').next()?, 16).ok())
        .expect("the data of the ring is mapped behind its two pages of words");
    // A record without a length, where the next one begins.
    // SAFETY: inside the mapping of an end, which other code reads as an atomic only.
    unsafe { ((data + 64) as *mut u64).write_volatile(1 << 32) };
    let corrupt = (
        TachyonError::Corrupt,
        "the peer wrote an impossible value into the ring".to_string(),
    );
    assert_eq!(said(rx.acquire_rx(0)), corrupt);
    assert_eq!(said(rx.drain_batch(8, 0)), corrupt); // for good
    assert_eq!(rx.state(), State::FatalError);
    assert_eq!(said(rx.check()).0, TachyonError::Corrupt);
}

#[test]
fn no_descriptor_is_left() {
    run_alone("errors::without_descriptors");
}

#[test]
#[ignore = "run by no_descriptor_is_left, since it takes the descriptors of the process"]
fn without_descriptors() {
    let limit = libc::rlimit {
        rlim_cur: 3,
        rlim_max: 3,
    };
    // SAFETY: a plain system call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    let error = Bus::connect(&child_path()).unwrap_err();
    assert_eq!(error, TachyonError::NetworkError);
    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    assert!(
        error.to_string().contains("cannot create a socket"),
        "{error}"
    );
    assert!(Bus::listen(&child_path(), 4096).unwrap_err().raw_os_error() == Some(libc::EMFILE));
}
