// SPDX-License-Identifier: Apache-2.0
#![doc = include_str!("../README.md")]
#![no_std]
#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals)]

#[cfg(feature = "bindgen")]
include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
#[cfg(not(feature = "bindgen"))]
include!("bindings.rs");

// tachyon_frame.h, and below what is inline there: frame.c compiles it.
#[cfg(feature = "bindgen")]
include!(concat!(env!("OUT_DIR"), "/frame.rs"));
#[cfg(not(feature = "bindgen"))]
include!("frame.rs");

extern "C" {
    /// The inline function of the same name: copy the header of a message in the ring, and
    /// look whether it is a frame. `frame` is set in any case.
    #[link_name = "tachyon_sys_frame_read"]
    pub fn tachyon_frame_read(
        message: *const core::ffi::c_void,
        size: u64,
        frame: *mut tachyon_frame_t,
    ) -> tachyon_frame_error_t;

    /// The inline function of the same name: fill in a header. `shape` has `ndim` numbers,
    /// `frame` and `size` are set in any case.
    #[link_name = "tachyon_sys_frame_fill"]
    pub fn tachyon_frame_fill(
        frame: *mut tachyon_frame_t,
        code: core::ffi::c_uint,
        bits: core::ffi::c_uint,
        ndim: core::ffi::c_uint,
        shape: *const i64,
        flags: core::ffi::c_uint,
        tag: u32,
        size: *mut u64,
    ) -> tachyon_frame_error_t;

    /// The inline function of the same name: what is the matter with a header, in English;
    /// `into` has room for `room` bytes, of which 128 are enough.
    #[link_name = "tachyon_sys_frame_explain"]
    pub fn tachyon_frame_explain(
        error: tachyon_frame_error_t,
        frame: *const tachyon_frame_t,
        size: u64,
        into: *mut core::ffi::c_char,
        room: usize,
    );
}

// Macros with arguments are all that bindgen leaves out.

/// The macro of the same name: a route and a message type in one `type_id`.
pub const fn TACHYON_TYPE_ID(route: u16, msg_type: u16) -> u32 {
    (route as u32) << 16 | msg_type as u32
}

/// The macro of the same name: the route in a `type_id`.
pub const fn TACHYON_ROUTE_ID(type_id: u32) -> u16 {
    (type_id >> 16) as u16
}

/// The macro of the same name: the message type in a `type_id`.
pub const fn TACHYON_MSG_TYPE(type_id: u32) -> u16 {
    type_id as u16
}
