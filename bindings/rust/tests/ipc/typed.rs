// SPDX-License-Identifier: Apache-2.0
//! Typed messages, between programs of one and of several versions of their header.

use std::time::Duration;

use static_assertions::{assert_impl_all, assert_not_impl_any, const_assert_eq};
use tachyon_ipc::{
    plain, Bool, Bus, Consumer, Loan, Message, Options, Plain, Producer, Role, SlowPeer,
    TachyonError, U16Be, WithoutPeers,
};

use crate::support::{meet, pair, LONG};

#[path = "messages/market.rs"]
mod market;
#[path = "messages/market_next.rs"]
mod market_next;
#[path = "messages/market_other.rs"]
mod market_other;

use market::{MarketTick, Order, Order_spread, Side};
use market_next::Order as NextOrder;
use market_other::MarketTick as WideTick;

assert_impl_all!(MarketTick: Message, Plain, Copy);
assert_not_impl_any!(bool: Plain);
assert_not_impl_any!(char: Plain);
assert_not_impl_any!(&'static u8: Plain);
assert_not_impl_any!((u8, u32): Plain);
assert_not_impl_any!(Order_spread: Message);
assert_not_impl_any!(Loan<'static, Order>: Send, Sync, Clone);
const_assert_eq!(Order::SMALLEST, 32);
const_assert_eq!(NextOrder::SMALLEST, 32);

const TICK: MarketTick = MarketTick {
    symbol: *b"AAPL\0\0\0\0",
    price: 189.5,
    quantity: 100,
    timestamp: 1 << 40,
};
const ORDER: Order = Order {
    number: 7,
    side: Side::ASK,
    hidden: Bool::TRUE,
    port: U16Be::new(0x1234),
    spread: [Order_spread { bid: 1.0, ask: 2.0 }; 2],
    ..Order::ZERO
};
const NEXT: NextOrder = NextOrder {
    number: 8,
    side: market_next::Side::CROSS,
    expires: u64::MAX,
    flags: u32::MAX,
    venue: u32::MAX,
    ..NextOrder::ZERO
};

fn options() -> Options {
    Options::new().timeout(LONG)
}

fn failed<T>(result: Result<T, TachyonError>) -> TachyonError {
    result.map(drop).unwrap_err()
}

#[track_caller]
fn assert_tick(tick: Option<MarketTick>) {
    let tick = tick.expect("a tick");
    assert_eq!(format!("{tick:?}"), format!("{TICK:?}"));
}

#[test]
fn messages_pass_by_copy_and_in_place() {
    let (tx, rx) = pair(1 << 16);
    tx.send_message(&TICK).unwrap();
    let message = rx.acquire_rx(0).unwrap();
    assert_eq!((message.type_id, message.data().len()), (1, 28));
    assert_eq!(&message.data()[..8], b"AAPL\0\0\0\0");
    assert_eq!(message.data()[16..20], 100u32.to_ne_bytes());
    drop(message);

    tx.send(&[0xff; 4000], 9).unwrap(); // so that a slot is not zero by chance
    drop(rx.acquire_rx(0).unwrap());
    for _ in 0..100 {
        let mut loan = tx.loan::<Order>().unwrap();
        assert_eq!((loan.number, loan.side, loan.port.get()), (0, Side(0), 0));
        loan.number = 7;
        loan.hidden = true.into();
        loan.spread[1].ask = 2.5;
        loan.commit().unwrap();
        let order = rx.recv_message::<Order>().unwrap().unwrap();
        assert_eq!((order.number, order.spread[1].ask), (7, 2.5));
        assert_eq!((order.hidden, order.side.name()), (Bool::TRUE, None));
    }

    tx.send_message_timeout(&TICK, LONG).unwrap();
    assert_tick(rx.recv_message_timeout(LONG).unwrap());
    let mut loan = tx.loan_timeout::<MarketTick>(LONG).unwrap();
    *loan = TICK;
    loan.commit_unflushed().unwrap();
    assert!(rx.try_recv_message::<MarketTick>().unwrap().is_none());
    tx.flush();
    assert_tick(rx.try_recv_message().unwrap());
}

#[test]
fn a_loan_that_is_dropped_sends_nothing() {
    let (tx, rx) = pair(4096);
    let mut loan = tx.loan::<MarketTick>().unwrap();
    loan.price = 1.0;
    assert_eq!(failed(tx.loan::<Order>()), TachyonError::Busy);
    assert_eq!(tx.send_message(&TICK), Err(TachyonError::Busy));
    drop(loan);
    assert!(rx.try_recv_message::<MarketTick>().unwrap().is_none());
    tx.send_message(&TICK).unwrap();
    assert_tick(rx.recv_message().unwrap());
    assert_eq!(rx.stats().messages, 1);
}

#[test]
fn the_halves_have_the_same_calls() {
    let (tx, rx) = pair(4096);
    let (mut tx, mut rx): (Producer, Consumer) = (tx.into(), rx.into());
    tx.send_message(&TICK).unwrap();
    tx.send_message_timeout(&TICK, LONG).unwrap();
    tx.loan::<Order>().unwrap().commit().unwrap();
    *tx.loan_timeout(LONG).unwrap() = ORDER; // rolled back
    assert_tick(rx.recv_message().unwrap());
    assert_tick(rx.recv_message_timeout(LONG).unwrap());
    assert!(rx.try_recv_message::<Order>().unwrap().is_some());
    drop(tx);
    assert!(rx.recv_message::<Order>().unwrap().is_none());
}

#[test]
fn the_end_of_the_stream_and_time_outs_are_not_messages() {
    let (tx, rx) = pair(4096);
    let get = |timeout| failed(rx.recv_message_timeout::<MarketTick>(timeout));
    assert_eq!(get(Duration::ZERO), TachyonError::BufferEmpty);
    assert_eq!(get(Duration::from_millis(1)), TachyonError::Timeout);
    tx.send_message(&TICK).unwrap();
    drop(tx);
    assert_tick(rx.recv_message().unwrap());
    assert!(rx.recv_message::<MarketTick>().unwrap().is_none());
    let error = failed(rx.try_recv_message::<MarketTick>());
    assert_eq!(error, TachyonError::Closed);

    let (tx, rx) = pair(4096);
    tx.abort();
    let error = failed(rx.recv_message::<MarketTick>());
    assert_eq!(error, TachyonError::Aborted);
}

#[test]
fn a_message_of_another_type_or_size_stays_in_the_ring() {
    let (tx, rx) = pair(4096);
    tx.send_message(&ORDER).unwrap();
    tx.send(&[1; 27], 1).unwrap();
    tx.send(&[1; 29], 1).unwrap();
    tx.send(&[], 1).unwrap();
    tx.send(&[1; 31], 2).unwrap();
    for _ in 0..3 {
        let error = failed(rx.recv_message::<MarketTick>());
        assert_eq!(error, TachyonError::UnexpectedMessage);
        assert_eq!(
            error.to_string(),
            "the next message is of type_id 2 and 32 bytes, not MarketTick of type_id 1 and \
             28 bytes; it stays in the ring"
        );
        let error = failed(rx.try_recv_message::<MarketTick>());
        assert_eq!(error, TachyonError::UnexpectedMessage);
    }
    assert_eq!(rx.recv_message::<Order>().unwrap().unwrap().number, 7);
    for size in [27, 29, 0] {
        let error = failed(rx.recv_message::<MarketTick>());
        assert_eq!(error, TachyonError::UnexpectedMessage);
        assert!(error.to_string().contains(&format!("and {size} bytes")));
        assert_eq!(rx.acquire_rx(0).unwrap().data().len(), size);
    }
    let error = failed(rx.recv_message::<Order>());
    assert_eq!(
        error.to_string(),
        "the next message is of type_id 2 and 31 bytes, not Order of type_id 2 and 32 or more \
         bytes; it stays in the ring"
    );
}

#[test]
fn what_one_of_many_producers_sent_stays_too() {
    let path = crate::support::path();
    let many = Options::new().role(Role::Consumer).max_peers(2);
    let many = many.types::<MarketTick>().types::<Order>();
    let rx = many.listen(&path, 4096).unwrap();
    let connect = || {
        let options = options().role(Role::Producer);
        let next = options.types::<market_next::MarketTick>();
        next.types::<NextOrder>().connect(&path)
    };
    let (one, two) = std::thread::scope(|scope| {
        let join = || scope.spawn(connect);
        let (one, two) = (join(), join());
        for _ in 0..2 {
            rx.accept_timeout(LONG).unwrap();
        }
        (one.join().unwrap().unwrap(), two.join().unwrap().unwrap())
    });
    one.send_message(&NEXT).unwrap();
    two.send_message(&NEXT).unwrap();
    for _ in 0..2 {
        let stays = |bus: &Bus| {
            let error = failed(bus.recv_message::<MarketTick>());
            assert_eq!(error, TachyonError::UnexpectedMessage);
        };
        stays(&rx);
        stays(&rx);
        assert_eq!(rx.recv_message::<Order>().unwrap().unwrap().number, 8);
    }
    assert!(rx.try_recv_message::<Order>().unwrap().is_none());
}

#[test]
fn a_reader_that_is_let_go_gets_no_message_that_is_overwritten() {
    let path = crate::support::path();
    let producer = Options::new()
        .role(Role::Producer)
        .max_peers(2)
        .slow_peer(SlowPeer::Disconnect(Duration::from_millis(5)))
        .without_peers(WithoutPeers::FreeRun)
        .types::<MarketTick>();
    let producer = producer.listen(&path, 4096).unwrap();
    let options = options().role(Role::Consumer).types::<MarketTick>();
    let reader = std::thread::scope(|scope| {
        let reader = scope.spawn(|| options.connect(&path));
        producer.accept_timeout(LONG).unwrap();
        reader.join().unwrap().unwrap()
    });
    producer.send_message(&TICK).unwrap();
    assert_tick(reader.recv_message().unwrap());
    for _ in 0..1000 {
        producer.send_message_timeout(&TICK, LONG).unwrap();
    }
    let error = failed(reader.recv_message::<MarketTick>());
    assert_eq!(error, TachyonError::Lagged);
}

#[test]
fn several_types_are_told_apart_by_their_ids() {
    let (tx, rx) = pair(4096);
    tx.send_message(&ORDER).unwrap();
    tx.send_message(&TICK).unwrap();
    drop(tx);
    let mut seen = Vec::new();
    for message in &rx {
        let message = message.unwrap();
        match message.type_id {
            MarketTick::TYPE_ID => {
                let tick: MarketTick = message.message().unwrap();
                seen.push(u64::from(tick.quantity));
            }
            Order::TYPE_ID => seen.push(message.message::<Order>().unwrap().number),
            id => panic!("{id}"),
        }
        let wrong = message.message::<WideTick>();
        assert_eq!(failed(wrong), TachyonError::UnexpectedMessage);
    }
    assert_eq!(seen, [7, 100]);
}

#[test]
fn the_description_of_all_types_is_that_of_the_file() {
    let alone = [MarketTick::TYPES, Order::TYPES];
    assert_eq!(alone.map(|text| market::TYPES == text), [false; 2]);
    // Two ends of one description connect by it, and by the number alone.
    let both = options().types::<Order>().types::<MarketTick>();
    let number = options().schema(market::FINGERPRINT);
    let required = both.clone().types_required(true);
    let (listener, connector) = meet(required, |path| number.connect(path));
    assert_eq!((listener.map(drop), connector.map(drop)), (Ok(()), Ok(())));
    let one = options().types::<MarketTick>();
    let number = options().schema(MarketTick::FINGERPRINT);
    let (listener, connector) = meet(one, |path| number.connect(path));
    assert!(listener.is_ok() && connector.is_ok());
    let error = failed(both.schema(1).connect("@nobody"));
    assert_eq!(error, TachyonError::InvalidSize);
}

#[test]
fn types_that_cannot_be_on_one_bus_are_refused() {
    let error = failed(
        options()
            .types::<MarketTick>()
            .types::<WideTick>()
            .connect("@nobody"),
    );
    assert_eq!(error, TachyonError::InvalidSize);
    assert_eq!(
        error.to_string(),
        "two different types are called MarketTick"
    );
}

/// What a peer with `wrong` options is told; the listener then takes one of its own kind.
fn refusal(listen: Options, wrong: Options) -> (TachyonError, String) {
    let right = listen.clone();
    let (listener, refusal) = meet(listen, |path| {
        let error = failed(wrong.connect(path));
        let refusal = (error, error.to_string());
        right.connect(path).unwrap();
        refusal
    });
    listener.unwrap();
    refusal
}

#[test]
fn another_type_is_refused_and_named() {
    let ticks = options().types::<MarketTick>();
    let (error, text) = refusal(ticks.clone(), options().types::<WideTick>());
    assert_eq!(error, TachyonError::AbiMismatch);
    let differs = "MarketTick.quantity: u64 at 16 here, u32 at 16 at the peer";
    assert!(text.contains(differs), "{text}");
    let (error, text) = refusal(ticks, options().types::<Order>());
    assert_eq!(error, TachyonError::AbiMismatch);
    assert!(text.contains("message 2 Order +: only here"), "{text}");
}

#[test]
fn a_listener_says_what_differed_last() {
    let path = crate::support::path();
    let address = path.clone();
    let listener = std::thread::spawn(move || {
        let options = Options::new().timeout(Duration::from_secs(2));
        let error = failed(options.types::<MarketTick>().listen(&address, 4096));
        (error, error.to_string())
    });
    let error = failed(options().types::<WideTick>().connect(&path));
    assert_eq!(error, TachyonError::AbiMismatch);
    let (error, text) = listener.join().unwrap();
    assert_eq!(error, TachyonError::Timeout);
    let differs = "MarketTick.quantity: u32 at 16 here, u64 at 16 at the peer";
    assert!(text.contains(differs), "{text}");
}

#[test]
fn a_peer_without_types_is_let_in_unless_they_are_required() {
    let orders = options().types::<Order>();
    let (listener, connector) = meet(orders.clone(), |path| options().connect(path));
    assert!(listener.is_ok() && connector.is_ok());
    let (error, _) = refusal(orders.types_required(true), options());
    assert_eq!(error, TachyonError::AbiMismatch);
    let error = failed(options().types_required(true).connect("@nobody"));
    assert_eq!(error, TachyonError::InvalidSize);
}

/// Both ends of a bus between a program of this version and one of the next.
fn old_and_next() -> (Bus, Bus) {
    let old = options().types::<MarketTick>().types::<Order>();
    let next = options()
        .types::<market_next::MarketTick>()
        .types::<NextOrder>();
    let (old, next) = meet(old, |path| next.connect(path));
    (old.unwrap(), next.unwrap())
}

#[test]
fn an_older_end_reads_what_it_knows() {
    let (old, next) = old_and_next();
    next.send_message(&NEXT).unwrap();
    next.send_message(&market_next::MarketTick::ZERO).unwrap();
    let order: Order = old.recv_message().unwrap().unwrap();
    assert_eq!((order.number, order.side), (8, Side(3)));
    assert_eq!(order.side.name(), None);
    assert!(old.recv_message::<MarketTick>().unwrap().is_some());
}

#[test]
fn a_newer_end_sees_zero_in_what_an_older_one_did_not_have() {
    let (old, next) = old_and_next();
    old.send_message(&ORDER).unwrap();
    let order: NextOrder = next.recv_message().unwrap().unwrap();
    assert_eq!((order.number, order.side.name()), (7, Some("ASK")));
    assert_eq!(order.spread[1].ask, 2.0);
    assert_eq!((order.expires, order.flags, order.venue), (0, 0, 0));
}

#[test]
fn a_field_that_is_not_whole_is_zero() {
    let (tx, rx) = pair(4096);
    for size in 30..50 {
        tx.send(&[0xff; 50][..size], NextOrder::TYPE_ID).unwrap();
        let order = rx.recv_message::<NextOrder>();
        if size < 32 {
            assert_eq!(failed(order), TachyonError::UnexpectedMessage);
            drop(rx.acquire_rx(0).unwrap());
            continue;
        }
        let order = order.unwrap().unwrap();
        let all = |whole| if whole { u32::MAX } else { 0 };
        assert_eq!(order.number, u64::MAX);
        assert!(order.hidden.get() && !order.hidden.is_valid());
        assert_eq!(order.expires as u32, all(size >= 40));
        assert_eq!((order.expires >> 32) as u32, all(size >= 40));
        assert_eq!(order.flags, all(size >= 44));
        assert_eq!(order.venue, all(size >= 48));
    }
}

#[test]
fn a_type_by_hand_takes_any_sizes_that_it_claims() {
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct Pair {
        first: u32,
        second: u32,
    }
    plain!(Pair {
        first: u32,
        second: u32
    });
    impl Message for Pair {
        const TYPE_ID: u32 = 5;
        const TYPES: &'static str = "";
        const SMALLEST: usize = 100;
        const GROWTH: Option<&'static [usize]> = Some(&[1000, 4, 0]);
    }
    let (tx, rx) = pair(4096);
    for size in [0, 4, 7] {
        tx.send(&[0xff; 8][..size], 5).unwrap();
        let error = failed(rx.recv_message::<Pair>());
        assert_eq!(error, TachyonError::UnexpectedMessage);
        drop(rx.acquire_rx(0).unwrap());
    }
    tx.send(&[0xff; 200], 5).unwrap();
    let pair = rx.recv_message::<Pair>().unwrap().unwrap();
    assert_eq!((pair.first, pair.second), (u32::MAX, u32::MAX));
}

#[cfg(feature = "bytemuck")]
#[test]
fn messages_are_plain_for_bytemuck_too() {
    let (tx, rx) = pair(4096);
    assert_eq!(tx.send_items(&[TICK; 3], MarketTick::TYPE_ID), Ok(3));
    let mut ticks = [MarketTick::ZERO; 8];
    assert_eq!(rx.recv_items_into(&mut ticks, 0).unwrap().count, 3);
    assert_tick(Some(ticks[2]));
    tx.send_items(&[ORDER; 2], Order::TYPE_ID).unwrap();
    let batch = rx.drain_batch(8, 0).unwrap();
    let orders = batch.strided().unwrap().items::<Order>().unwrap();
    assert!(orders.iter().all(|order| order.number == 7));
}
