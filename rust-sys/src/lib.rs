// SPDX-License-Identifier: Apache-2.0
#![doc = include_str!("../README.md")]
#![no_std]
#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals)]

#[cfg(feature = "bindgen")]
include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
#[cfg(not(feature = "bindgen"))]
include!("bindings.rs");

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
