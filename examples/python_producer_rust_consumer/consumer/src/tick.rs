// SPDX-License-Identifier: Apache-2.0
//! The message, as bindgen reads it from market_tick.h.

#[allow(
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    dead_code
)]
mod generated {
    #[cfg(feature = "bindgen")]
    include!(concat!(env!("OUT_DIR"), "/market_tick.rs"));
    #[cfg(not(feature = "bindgen"))]
    include!("market_tick.rs");
}

pub use generated::MarketTick;

pub const SENTINEL: u32 = generated::MarketTickType_MARKET_TICK_SENTINEL;
pub const BID: u32 = generated::MarketTickType_MARKET_TICK_BID;
pub const ASK: u32 = generated::MarketTickType_MARKET_TICK_ASK;

impl MarketTick {
    /// What this tick adds to the sentinel's sum.
    pub fn term(&self, type_id: u32) -> u64 {
        let (price, quantity) = (self.price, self.quantity);
        price
            .to_bits()
            .wrapping_add(u64::from(quantity))
            .wrapping_add(u64::from(type_id))
    }
}

/// The symbol without the zeros that fill it up.
pub fn symbol_text(symbol: &[u8; 8]) -> String {
    String::from_utf8_lossy(symbol)
        .trim_end_matches('\0')
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{offset_of, size_of};

    #[test]
    fn layout_is_the_documented_one() {
        assert_eq!(size_of::<MarketTick>(), 32);
        assert_eq!(offset_of!(MarketTick, symbol), 0);
        assert_eq!(offset_of!(MarketTick, price), 8);
        assert_eq!(offset_of!(MarketTick, quantity), 16);
        assert_eq!(offset_of!(MarketTick, timestamp), 20);
        assert_eq!(offset_of!(MarketTick, padding), 28);
        assert_eq!((SENTINEL, BID, ASK), (0, 1, 2));
    }

    /// To rewrite the file: `cmake --build build --target bindings`
    #[cfg(feature = "bindgen")]
    #[test]
    fn committed_bindings_are_up_to_date() {
        let generated = include_str!(concat!(env!("OUT_DIR"), "/market_tick.rs"));
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/market_tick.rs");
        if std::env::var_os("TACHYON_UPDATE").is_some() {
            std::fs::write(path, generated).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap();
        assert!(
            generated == committed,
            "src/market_tick.rs is out of date; bindgen now writes:\n{generated}"
        );
    }

    #[test]
    fn a_term_wraps_instead_of_overflowing() {
        let tick = MarketTick {
            symbol: *b"A\0\0\0\0\0\0\0",
            price: f64::from_bits(u64::MAX),
            quantity: 5,
            timestamp: 0,
            padding: [0; 4],
        };
        assert_eq!(tick.term(BID), 5);
    }

    #[test]
    fn a_symbol_may_fill_its_field() {
        assert_eq!(symbol_text(b"IBM\0\0\0\0\0"), "IBM");
        assert_eq!(symbol_text(b"ABCDEFGH"), "ABCDEFGH");
    }
}
