// SPDX-License-Identifier: Apache-2.0
//! The RPC half of the raw C API, with the calls a user would write.

use std::ffi::CString;

use tachyon_sys::*;

use crate::bus::{check, fail, patient, payload_of, Payload, SIZE, SPIN};

pub struct RpcBus(*mut tachyon_rpc_bus_t);

impl RpcBus {
    pub fn listen(path: &str, capacity: usize) -> RpcBus {
        let path = CString::new(path).expect("a path without NUL");
        let mut rpc = std::ptr::null_mut();
        // SAFETY: `path` and `rpc` outlive the call.
        let error = unsafe { tachyon_rpc_listen(path.as_ptr(), capacity, capacity, &mut rpc) };
        check(error, "rpc_listen");
        RpcBus(rpc)
    }

    pub fn connect(path: &str) -> RpcBus {
        let path = CString::new(path).expect("a path without NUL");
        let mut rpc = std::ptr::null_mut();
        let options = patient();
        // SAFETY: all pointers outlive the call.
        let error = unsafe { tachyon_rpc_connect_with(path.as_ptr(), &options, &mut rpc) };
        check(error, "rpc_connect");
        RpcBus(rpc)
    }

    /// Send a request; returns its correlation id.
    #[inline(always)]
    pub fn call(&self, payload: &Payload) -> u64 {
        let mut call = 0;
        // SAFETY: the handle is live until drop; the payload has `SIZE` bytes.
        check(
            unsafe { tachyon_rpc_call(self.0, payload.as_ptr().cast(), SIZE, 1, &mut call) },
            "rpc_call",
        );
        call
    }

    /// The reply to one call.
    #[inline(always)]
    pub fn wait(&self, call: u64) -> Payload {
        let (mut size, mut msg_type) = (0, 0);
        // SAFETY: the handle is live until drop, the results are writable, and the
        // reply is ours until it is released.
        unsafe {
            let reply = tachyon_rpc_wait(self.0, call, &mut size, &mut msg_type, SPIN);
            if reply.is_null() {
                fail("rpc_wait");
            }
            let payload = payload_of(std::slice::from_raw_parts(reply.cast(), size));
            check(tachyon_rpc_commit_rx(self.0), "rpc_commit_rx");
            payload
        }
    }

    /// Take a request and send it back.
    #[inline(always)]
    pub fn serve_one(&self) {
        let (mut call, mut msg_type, mut size) = (0, 0, 0);
        // SAFETY: as in wait().
        unsafe {
            let request = tachyon_rpc_serve(self.0, &mut call, &mut msg_type, &mut size, SPIN);
            if request.is_null() {
                fail("rpc_serve");
            }
            let payload = payload_of(std::slice::from_raw_parts(request.cast(), size));
            check(tachyon_rpc_commit_serve(self.0), "rpc_commit_serve");
            check(
                tachyon_rpc_reply(self.0, call, payload.as_ptr().cast(), SIZE, msg_type),
                "rpc_reply",
            );
        }
    }
}

impl Drop for RpcBus {
    fn drop(&mut self) {
        // SAFETY: made by listen or connect, released once.
        unsafe { tachyon_rpc_destroy(self.0) };
    }
}
