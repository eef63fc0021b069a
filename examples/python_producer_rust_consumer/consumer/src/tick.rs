// SPDX-License-Identifier: Apache-2.0
//! The message, as the generator reads it from market_tick.h.

#[path = "../../market_tick.rs"]
mod generated;

pub use generated::{MarketTick, TYPES};

use generated::MarketTickType;

pub const SENTINEL: u32 = MarketTickType::MARKET_TICK_SENTINEL.0;
pub const BID: u32 = MarketTickType::MARKET_TICK_BID.0;
pub const ASK: u32 = MarketTickType::MARKET_TICK_ASK.0;

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

    #[test]
    fn a_term_wraps_instead_of_overflowing() {
        let tick = MarketTick {
            price: f64::from_bits(u64::MAX),
            quantity: 5,
            ..MarketTick::ZERO
        };
        assert_eq!(tick.term(BID), 5);
    }

    #[test]
    fn a_symbol_may_fill_its_field() {
        assert_eq!(symbol_text(b"IBM\0\0\0\0\0"), "IBM");
        assert_eq!(symbol_text(b"ABCDEFGH"), "ABCDEFGH");
    }
}
