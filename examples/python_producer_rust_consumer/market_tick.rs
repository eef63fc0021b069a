// tachyon.schema 1, market_tick.h 8734ad7852bd0ba0: written by python -m tachyon.schema

/// The description of the messages of market_tick.h.
#[allow(dead_code)]
pub const TYPES: &str = "tachyon-types 1 little
message 1 MarketTick
 symbol char[8] @0
 price f64 @8
 quantity u32 @16
 timestamp u64 @20
 padding u8[4] @28
 = 32 align 1
";

/// FNV-1a 64 of TYPES.
#[allow(dead_code)]
pub const FINGERPRINT: u64 = 0xdbad_d98b_ea05_920f;

/// Message 1: 32 bytes.
#[repr(C, packed(4))]
#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
#[derive(Clone, Copy)]
pub struct MarketTick {
    pub symbol: [u8; 8],
    pub price: f64,
    pub quantity: u32,
    pub timestamp: u64,
    pub padding: [u8; 4],
}

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
impl MarketTick {
    /// All bytes zero.
    pub const ZERO: Self = Self {
        symbol: [0; 8],
        price: 0.0,
        quantity: 0,
        timestamp: 0,
        padding: [0; 4],
    };
}

#[rustfmt::skip]
::tachyon_ipc::plain!(MarketTick {
    symbol: [u8; 8],
    price: f64,
    quantity: u32,
    timestamp: u64,
    padding: [u8; 4],
});

#[rustfmt::skip]
impl ::tachyon_ipc::Message for MarketTick {
    const TYPE_ID: u32 = 1;
    const TYPES: &'static str = "tachyon-types 1 little
message 1 MarketTick
 symbol char[8] @0
 price f64 @8
 quantity u32 @16
 timestamp u64 @20
 padding u8[4] @28
 = 32 align 1
";
}

#[rustfmt::skip]
impl ::core::fmt::Debug for MarketTick {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_struct("MarketTick")
            .field("symbol", &{ self.symbol })
            .field("price", &{ self.price })
            .field("quantity", &{ self.quantity })
            .field("timestamp", &{ self.timestamp })
            .field("padding", &{ self.padding })
            .finish()
    }
}

// Each begins where the one before it ends, so there is no gap.
#[rustfmt::skip]
const _: () = {
    assert!(::core::mem::size_of::<MarketTick>() == 32);
    assert!(::core::mem::offset_of!(MarketTick, symbol) == 0);
    assert!(::core::mem::size_of::<[u8; 8]>() == 8);
    assert!(::core::mem::offset_of!(MarketTick, price) == 8);
    assert!(::core::mem::size_of::<f64>() == 8);
    assert!(::core::mem::offset_of!(MarketTick, quantity) == 16);
    assert!(::core::mem::size_of::<u32>() == 4);
    assert!(::core::mem::offset_of!(MarketTick, timestamp) == 20);
    assert!(::core::mem::size_of::<u64>() == 8);
    assert!(::core::mem::offset_of!(MarketTick, padding) == 28);
    assert!(::core::mem::size_of::<[u8; 4]>() == 4);
};

/// MarketTickType; a peer may send any value.
#[repr(transparent)]
#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MarketTickType(pub u32);

#[rustfmt::skip]
::tachyon_ipc::plain!(MarketTickType {
    0: u32,
});

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
impl MarketTickType {
    pub const MARKET_TICK_SENTINEL: Self = Self(0);
    pub const MARKET_TICK_BID: Self = Self(1);
    pub const MARKET_TICK_ASK: Self = Self(2);

    /// The name of the value, None for one that the header does not have.
    pub const fn name(self) -> ::core::option::Option<&'static str> {
        match self.0 {
            0 => ::core::option::Option::Some("MARKET_TICK_SENTINEL"),
            1 => ::core::option::Option::Some("MARKET_TICK_BID"),
            2 => ::core::option::Option::Some("MARKET_TICK_ASK"),
            #[allow(unreachable_patterns)]
            _ => ::core::option::Option::None,
        }
    }
}

impl ::core::fmt::Debug for MarketTickType {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        match self.name() {
            ::core::option::Option::Some(name) => f.write_str(name),
            ::core::option::Option::None => ::core::fmt::Debug::fmt(&self.0, f),
        }
    }
}
