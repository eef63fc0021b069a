// SPDX-License-Identifier: Apache-2.0
//! The messages, as bindgen reads them from order_book.h, and their bytes.

use std::mem::size_of;

#[allow(
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    dead_code
)]
mod generated {
    #[cfg(feature = "bindgen")]
    include!(concat!(env!("OUT_DIR"), "/order_book.rs"));
    #[cfg(not(feature = "bindgen"))]
    include!("order_book.rs");
}

pub use generated::{
    OrderBookAdd, OrderBookLevel, OrderBookOrder, OrderBookSnapshot, OrderBookSnapshotRequest,
};

pub const SNAPSHOT: u32 = generated::OrderBookMessage_ORDER_BOOK_SNAPSHOT;
pub const ADD: u32 = generated::OrderBookMessage_ORDER_BOOK_ADD;
pub const CANCEL: u32 = generated::OrderBookMessage_ORDER_BOOK_CANCEL;
pub const ERROR: u32 = generated::OrderBookMessage_ORDER_BOOK_ERROR;
pub const BID: u32 = generated::OrderBookSide_ORDER_BOOK_BID;
pub const ASK: u32 = generated::OrderBookSide_ORDER_BOOK_ASK;
pub const DEPTH: usize = generated::ORDER_BOOK_DEPTH as usize;

/// A message of the header.
///
/// # Safety
/// Every pattern of bits is a value of it, and it has no gaps: what is read or written is
/// all of its bytes.
pub unsafe trait Message: Copy {
    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() != size_of::<Self>() {
            return Err(format!(
                "the request has {} bytes instead of {}",
                bytes.len(),
                size_of::<Self>()
            ));
        }
        // SAFETY: there are as many bytes, any of them are a value, and no alignment is
        // assumed.
        Ok(unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() })
    }

    fn as_bytes(&self) -> &[u8] {
        // SAFETY: all of its bytes are initialised, since there are no gaps.
        unsafe { std::slice::from_raw_parts((self as *const Self).cast(), size_of::<Self>()) }
    }
}

// SAFETY: numbers and arrays of numbers; the test below adds up their sizes.
unsafe impl Message for OrderBookSnapshot {}
// SAFETY: the same.
unsafe impl Message for OrderBookSnapshotRequest {}
// SAFETY: the same.
unsafe impl Message for OrderBookAdd {}
// SAFETY: the same.
unsafe impl Message for OrderBookOrder {}

/// The symbol without the zeros that fill it up; None for one that is not allowed.
pub fn symbol_text(symbol: &[u8; 8]) -> Option<&str> {
    let length = symbol.iter().position(|&byte| byte == 0).unwrap_or(8);
    let (text, filling) = symbol.split_at(length);
    let good = !text.is_empty()
        && text.iter().all(u8::is_ascii_graphic)
        && filling.iter().all(|&byte| byte == 0);
    good.then(|| std::str::from_utf8(text).expect("ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn layouts_are_the_documented_ones_without_gaps() {
        assert_eq!(size_of::<OrderBookSnapshot>(), 176);
        assert_eq!(offset_of!(OrderBookSnapshot, symbol), 0);
        assert_eq!(offset_of!(OrderBookSnapshot, sequence), 8);
        assert_eq!(offset_of!(OrderBookSnapshot, bids), 16);
        assert_eq!(offset_of!(OrderBookSnapshot, asks), 96);
        assert_eq!(size_of::<OrderBookLevel>(), 8 + 8);
        assert_eq!(96 + DEPTH * size_of::<OrderBookLevel>(), 176);

        assert_eq!(size_of::<OrderBookAdd>(), 8 + 8 + 8 + 4 + 4);
        assert_eq!(offset_of!(OrderBookAdd, price), 8);
        assert_eq!(offset_of!(OrderBookAdd, quantity), 16);
        assert_eq!(offset_of!(OrderBookAdd, side), 24);
        assert_eq!(size_of::<OrderBookOrder>(), 8);
        assert_eq!(size_of::<OrderBookSnapshotRequest>(), 8);
    }

    /// To rewrite the file: `cmake --build build --target bindings`
    #[cfg(feature = "bindgen")]
    #[test]
    fn committed_bindings_are_up_to_date() {
        let generated = include_str!(concat!(env!("OUT_DIR"), "/order_book.rs"));
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/order_book.rs");
        if std::env::var_os("TACHYON_UPDATE").is_some() {
            std::fs::write(path, generated).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap();
        assert!(
            generated == committed,
            "src/order_book.rs is out of date; bindgen now writes:\n{generated}"
        );
    }

    #[test]
    fn bytes_and_values_are_the_same() {
        let order = OrderBookOrder {
            order_id: 0x0102_0304_0506_0708,
        };
        assert_eq!(order.as_bytes(), [8, 7, 6, 5, 4, 3, 2, 1]);
        let back = OrderBookOrder::from_bytes(order.as_bytes()).unwrap();
        assert_eq!(back.order_id, order.order_id);
        assert_eq!(
            OrderBookOrder::from_bytes(&[0; 7]).unwrap_err(),
            "the request has 7 bytes instead of 8"
        );
    }

    #[test]
    fn a_symbol_is_one_to_eight_visible_characters() {
        assert_eq!(symbol_text(b"IBM\0\0\0\0\0"), Some("IBM"));
        assert_eq!(symbol_text(b"ABCDEFGH"), Some("ABCDEFGH"));
        for bad in [b"\0\0\0\0\0\0\0\0", b"A\0B\0\0\0\0\0", b"A B\0\0\0\0\0"] {
            assert_eq!(symbol_text(bad), None);
        }
    }
}
