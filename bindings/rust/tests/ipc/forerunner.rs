// SPDX-License-Identifier: Apache-2.0
//! The names and signatures that existing code relies on, each as the type it must have.

use crate::support::{pair, rpc_pair};
use tachyon_ipc::*;

type Result<T> = std::result::Result<T, TachyonError>;

#[test]
fn every_name_and_signature_is_there() {
    let _: fn(&str, usize) -> Result<Bus> = Bus::listen;
    let _: fn(&str) -> Result<Bus> = Bus::connect;
    let _: fn(&Bus, i32) -> Result<()> = Bus::set_numa_node;
    let _: fn(&Bus, i32) = Bus::set_polling_mode;
    let _: fn(&Bus, &[u8], u32) -> Result<()> = Bus::send;
    let _: for<'a> fn(&'a Bus, usize) -> Result<TxGuard<'a>> = Bus::acquire_tx;
    let _: for<'a> fn(&'a Bus, u32) -> Result<RxGuard<'a>> = Bus::acquire_rx;
    let _: for<'a> fn(&'a Bus, usize, u32) -> Result<RxBatchGuard<'a>> = Bus::drain_batch;
    let _: fn(&Bus) = Bus::flush;

    let _: fn(&str, usize, usize) -> Result<RpcBus> = RpcBus::listen;
    let _: fn(&str) -> Result<RpcBus> = RpcBus::connect;
    let _: for<'a> fn(&'a RpcBus, usize) -> Result<RpcTxGuard<'a>> = RpcBus::acquire_call;
    let _: fn(&RpcBus, &[u8], u32) -> Result<u64> = RpcBus::call;
    let _: for<'a> fn(&'a RpcBus, u64, u32) -> Result<RpcRxGuard<'a>> = RpcBus::wait;
    let _: for<'a> fn(&'a RpcBus, u32) -> Result<RpcRxGuard<'a>> = RpcBus::serve;
    let _: for<'a> fn(&'a RpcBus, u64, usize) -> Result<RpcTxGuard<'a>> = RpcBus::acquire_reply;
    let _: fn(&RpcBus, u64, &[u8], u32) -> Result<()> = RpcBus::reply;
    let _: fn(&RpcBus, bool) = RpcBus::set_polling_mode;

    let _: fn(u16, u16) -> u32 = make_type_id;
    let _: fn(u32) -> u16 = route_id;
    let _: fn(u32) -> u16 = msg_type;

    of_guards();

    // As values and as patterns.
    for error in [
        TachyonError::NullPtr,
        TachyonError::OutOfMemory,
        TachyonError::OpenFailed,
        TachyonError::TruncateFailed,
        TachyonError::ChmodFailed,
        TachyonError::SealFailed,
        TachyonError::MapFailed,
        TachyonError::InvalidSize,
        TachyonError::BufferFull,
        TachyonError::BufferEmpty,
        TachyonError::NetworkError,
        TachyonError::SystemError,
        TachyonError::Interrupted,
        TachyonError::AbiMismatch,
        TachyonError::PeerDead,
        TachyonError::Unknown(7),
    ] {
        let of_the_forerunner = match error {
            TachyonError::BufferFull | TachyonError::BufferEmpty => true,
            TachyonError::Unknown(code) => code == 7,
            ref other => !other.to_string().is_empty(),
        };
        assert!(of_the_forerunner, "{error:?}");
    }
}

#[allow(clippy::extra_unused_lifetimes)] // it is the guards' in each signature
fn of_guards<'g>() {
    let _: fn(&TxGuard<'g>, &[u8]) = TxGuard::write;
    let _: for<'a> unsafe fn(&'a mut TxGuard<'g>) -> &'a mut [u8] = TxGuard::as_mut_slice;
    let _: fn(&TxGuard<'g>) -> usize = TxGuard::max_size;
    let _: fn(TxGuard<'g>, usize, u32) -> Result<()> = TxGuard::commit;
    let _: fn(TxGuard<'g>, usize, u32) -> Result<()> = TxGuard::commit_unflushed;

    let _: for<'a> fn(&'a RxGuard<'g>) -> &'a [u8] = RxGuard::data;
    let _: fn(RxGuard<'g>) -> Result<()> = RxGuard::commit;
    let _: fn(&RxGuard<'g>) -> (usize, u32) = |guard| (guard.actual_size, guard.type_id);

    let _: for<'a> fn(&'a RxBatchGuard<'g>, usize) -> Option<RxMsgView<'a>> = RxBatchGuard::get;
    let _: fn(&RxBatchGuard<'g>) -> usize = RxBatchGuard::len;
    let _: fn(&RxBatchGuard<'g>) -> bool = RxBatchGuard::is_empty;
    let _: for<'a> fn(&'a RxBatchGuard<'g>) -> BatchIter<'a> = RxBatchGuard::iter;
    let _: fn(RxBatchGuard<'g>) -> Result<()> = RxBatchGuard::commit;
    let _: fn(&RxBatchGuard<'g>) -> usize = |batch| batch.count;
    let _: fn(&RxMsgView<'g>) -> &'g [u8] = RxMsgView::data;
    let _: fn(&RxMsgView<'g>) -> usize = RxMsgView::actual_size;
    let _: fn(&RxMsgView<'g>) -> u32 = RxMsgView::type_id;

    let _: fn(&RpcTxGuard<'g>, &[u8]) = RpcTxGuard::write;
    let _: for<'a> fn(&'a mut RpcTxGuard<'g>) -> &'a mut [u8] = RpcTxGuard::as_mut_slice;
    let _: fn(RpcTxGuard<'g>, usize, u32) -> Result<u64> = RpcTxGuard::commit;
    let _: for<'a> fn(&'a RpcRxGuard<'g>) -> &'a [u8] = RpcRxGuard::data;
    let _: fn(RpcRxGuard<'g>) -> Result<()> = RpcRxGuard::commit;
    let _: fn(&RpcRxGuard<'g>) -> (usize, u32, u64) =
        |guard| (guard.actual_size, guard.type_id, guard.correlation_id);
    let _: fn(&'g RxBatchGuard<'g>) -> BatchIter<'g> = IntoIterator::into_iter;
    let _: fn(&mut BatchIter<'g>) -> Option<RxMsgView<'g>> = Iterator::next;
    let _: fn(&BatchIter<'g>) -> usize = ExactSizeIterator::len;
}

#[test]
fn a_reply_that_is_committed_tells_its_request() {
    let (callee, caller) = rpc_pair(4096);
    let id = caller.call(b"", 1).unwrap();
    callee.serve(0).unwrap().commit().unwrap();
    let guard = callee.acquire_reply(id, 0).unwrap();
    assert_eq!(guard.commit(0, 1), Ok(id)); // 0 in 0.5.1
}

#[test]
fn the_text_of_an_error_says_more_than_its_variant() {
    let error = Bus::connect("@nobody-listens-to-the-forerunner").unwrap_err();
    assert_eq!(error, TachyonError::NetworkError);
    let text = format!("{error:?}");
    assert!(text.starts_with("NetworkError: "), "{text}");
    assert!(text.contains("@nobody-listens-to-the-forerunner"), "{text}");
}

#[test]
fn what_can_never_fit_is_not_a_full_ring() {
    let (rx, tx) = pair(4096);
    let error = tx.acquire_tx(4096).unwrap_err();
    assert_eq!(error, TachyonError::InvalidSize);
    drop(rx);
    assert_eq!(tx.check(), Err(TachyonError::Closed));
    let (_callee, caller) = rpc_pair(4096);
    let error = caller.acquire_call(4096).unwrap_err();
    assert_eq!(error, TachyonError::InvalidSize);
}

#[test]
fn type_ids_are_a_route_and_a_message_type() {
    for (route, message, id) in [
        (0, 0, 0),
        (0, 42, 42),
        (1, 99, 0x1_0063),
        (0xFFFF, 0xFFFF, u32::MAX),
        (0x8000, 0, 0x8000_0000),
    ] {
        assert_eq!(make_type_id(route, message), id);
        assert_eq!((route_id(id), msg_type(id)), (route, message));
    }
}
