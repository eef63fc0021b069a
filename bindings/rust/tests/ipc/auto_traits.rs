// SPDX-License-Identifier: Apache-2.0
//! What may go to other threads, or be shared between them: checked by the compiler.

use static_assertions::{assert_impl_all, assert_not_impl_any};
use std::fmt::Debug;
use std::panic::{RefUnwindSafe, UnwindSafe};
use tachyon_ipc::*;

assert_impl_all!(Bus: Send, Debug);
assert_not_impl_any!(Bus: Sync, Clone);
assert_impl_all!(Producer: Send, Debug);
assert_impl_all!(Consumer: Send, Debug);
assert_not_impl_any!(Producer: Sync, Clone);
assert_not_impl_any!(Consumer: Sync, Clone);
assert_impl_all!(Opening<Bus>: Send, Debug);
assert_impl_all!(Opening<RpcBus>: Send, Debug);
assert_not_impl_any!(Opening<Bus>: Sync, Clone);
assert_impl_all!(Closer: Send, Sync, Clone, Debug);
assert_impl_all!(Acceptor: Send, Sync, Clone, Debug, UnwindSafe, RefUnwindSafe);
assert_impl_all!(Events<'static>: Send, Sync, Debug);
assert_impl_all!(Event: Send, Sync, Clone, Eq, Debug);
assert_impl_all!(Position: Send, Sync, Copy, Eq, std::hash::Hash, Default, Debug);
assert_impl_all!(Interrupter: Send, Sync, Clone, Eq, Debug, UnwindSafe, RefUnwindSafe);
assert_impl_all!(RpcBus: Send, Sync, Debug);

assert_not_impl_any!(TxGuard<'static>: Send, Sync, Clone);
assert_not_impl_any!(TxBatchGuard<'static>: Send, Sync, Clone);
assert_not_impl_any!(TxBatchIter<'static>: Send, Sync, Clone);
assert_not_impl_any!(RxGuard<'static>: Send, Sync, Clone);
assert_not_impl_any!(RxBatchGuard<'static>: Send, Sync, Clone);
assert_not_impl_any!(RxMsgView<'static>: Send, Sync);
assert_not_impl_any!(HeldGuard<'static>: Send, Sync, Clone);
assert_not_impl_any!(RpcTxGuard<'static>: Send, Sync, Clone);
assert_not_impl_any!(RpcRxGuard<'static>: Send, Sync, Clone);

// A closure that uses one of these may go to catch_unwind().
assert_impl_all!(Bus: UnwindSafe, RefUnwindSafe);
assert_impl_all!(RpcBus: UnwindSafe, RefUnwindSafe);
assert_impl_all!(TxGuard<'static>: UnwindSafe, RefUnwindSafe);
assert_impl_all!(TxBatchGuard<'static>: UnwindSafe, RefUnwindSafe);
assert_impl_all!(RxGuard<'static>: UnwindSafe, RefUnwindSafe);
assert_impl_all!(RxBatchGuard<'static>: UnwindSafe, RefUnwindSafe);
assert_impl_all!(HeldGuard<'static>: UnwindSafe, RefUnwindSafe);
assert_impl_all!(Frame<'static>: Send, Sync, Copy, std::fmt::Debug);
assert_impl_all!(FrameRef<'static>: Send, Sync, Copy, std::fmt::Debug);
assert_impl_all!(RpcTxGuard<'static>: UnwindSafe, RefUnwindSafe);
assert_impl_all!(RpcRxGuard<'static>: UnwindSafe, RefUnwindSafe);

assert_impl_all!(TachyonError: std::error::Error, Clone, PartialEq, Eq, Send, Sync);
