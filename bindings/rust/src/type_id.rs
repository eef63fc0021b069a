// SPDX-License-Identifier: Apache-2.0
//! The convention of what a `type_id` holds.

use tachyon_sys::{TACHYON_MSG_TYPE, TACHYON_ROUTE_ID, TACHYON_TYPE_ID};

/// Puts a route (upper half) and a message type (lower half) into one `type_id`.
///
/// ```
/// use tachyon_ipc::{make_type_id, msg_type, route_id};
/// let id = make_type_id(1, 42);
/// assert_eq!((id, route_id(id), msg_type(id)), (0x0001_002A, 1, 42));
/// ```
#[inline]
#[must_use]
pub const fn make_type_id(route: u16, msg_type: u16) -> u32 {
    TACHYON_TYPE_ID(route, msg_type)
}

/// The route in a `type_id`.
#[inline]
#[must_use]
pub const fn route_id(type_id: u32) -> u16 {
    TACHYON_ROUTE_ID(type_id)
}

/// The message type in a `type_id`.
#[inline]
#[must_use]
pub const fn msg_type(type_id: u32) -> u16 {
    TACHYON_MSG_TYPE(type_id)
}
