// SPDX-License-Identifier: Apache-2.0
//! What the library hands out.

use std::ffi::c_void;
use std::ptr::NonNull;

/// A message that the library has handed out.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) payload: NonNull<u8>,
    pub(crate) size: usize,
    pub(crate) type_id: u32,
}

impl Received {
    #[inline]
    pub(crate) fn new(payload: *const c_void, size: usize, type_id: u32) -> Option<Self> {
        NonNull::new(payload.cast_mut().cast()).map(|payload| Self {
            payload,
            size,
            type_id,
        })
    }
}
