// tachyon.schema 1, market.h aa87ae516b05986d: written by python -m tachyon.schema

/// The description of the messages of market.h.
#[allow(dead_code)]
pub const TYPES: &str = "tachyon-types 1 little
message 1 MarketTick
 symbol char[8] @0
 price f64 @8
 quantity u32 @16
 timestamp u64 @20
 = 28 align 1
enum Side u32
 BID 1
 ASK 2
struct Order.spread
 bid f32 @0
 ask f32 @4
 = 8 align 4
message 2 Order +
 number u64 @0
 side Side @8
 hidden bool @12
 reserved u8 @13
 port u16be @14
 spread Order.spread[2] @16
 = 32 align 8
";

/// FNV-1a 64 of TYPES.
#[allow(dead_code)]
pub const FINGERPRINT: u64 = 0xe444_ae96_baa6_188e;

pub use ::tachyon_ipc::Bool;

pub use ::tachyon_ipc::U16Be;

/// Message 1: 28 bytes.
#[repr(C, packed(4))]
#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
#[derive(Clone, Copy)]
pub struct MarketTick {
    pub symbol: [u8; 8],
    pub price: f64,
    pub quantity: u32,
    pub timestamp: u64,
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
    };
}

#[rustfmt::skip]
::tachyon_ipc::plain!(MarketTick {
    symbol: [u8; 8],
    price: f64,
    quantity: u32,
    timestamp: u64,
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
 = 28 align 1
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
            .finish()
    }
}

// Each begins where the one before it ends, so there is no gap.
#[rustfmt::skip]
const _: () = {
    assert!(::core::mem::size_of::<MarketTick>() == 28);
    assert!(::core::mem::offset_of!(MarketTick, symbol) == 0);
    assert!(::core::mem::size_of::<[u8; 8]>() == 8);
    assert!(::core::mem::offset_of!(MarketTick, price) == 8);
    assert!(::core::mem::size_of::<f64>() == 8);
    assert!(::core::mem::offset_of!(MarketTick, quantity) == 16);
    assert!(::core::mem::size_of::<u32>() == 4);
    assert!(::core::mem::offset_of!(MarketTick, timestamp) == 20);
    assert!(::core::mem::size_of::<u64>() == 8);
};

/// Part of a message: 8 bytes.
#[repr(C)]
#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
#[derive(Clone, Copy)]
pub struct Order_spread {
    pub bid: f32,
    pub ask: f32,
}

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
impl Order_spread {
    /// All bytes zero.
    pub const ZERO: Self = Self {
        bid: 0.0,
        ask: 0.0,
    };
}

#[rustfmt::skip]
::tachyon_ipc::plain!(Order_spread {
    bid: f32,
    ask: f32,
});

#[rustfmt::skip]
impl ::core::fmt::Debug for Order_spread {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_struct("Order.spread")
            .field("bid", &{ self.bid })
            .field("ask", &{ self.ask })
            .finish()
    }
}

// Each begins where the one before it ends, so there is no gap.
#[rustfmt::skip]
const _: () = {
    assert!(::core::mem::size_of::<Order_spread>() == 8);
    assert!(::core::mem::offset_of!(Order_spread, bid) == 0);
    assert!(::core::mem::size_of::<f32>() == 4);
    assert!(::core::mem::offset_of!(Order_spread, ask) == 4);
    assert!(::core::mem::size_of::<f32>() == 4);
};

/// Message 2: 32 bytes.
#[repr(C)]
#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
#[derive(Clone, Copy)]
pub struct Order {
    pub number: u64,
    pub side: Side,
    pub hidden: Bool,
    pub reserved: u8,
    pub port: U16Be,
    pub spread: [Order_spread; 2],
}

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
impl Order {
    /// All bytes zero.
    pub const ZERO: Self = Self {
        number: 0,
        side: Side(0),
        hidden: Bool(0),
        reserved: 0,
        port: U16Be([0; 2]),
        spread: [Order_spread::ZERO; 2],
    };
}

#[rustfmt::skip]
::tachyon_ipc::plain!(Order {
    number: u64,
    side: Side,
    hidden: Bool,
    reserved: u8,
    port: U16Be,
    spread: [Order_spread; 2],
});

#[rustfmt::skip]
impl ::tachyon_ipc::Message for Order {
    const TYPE_ID: u32 = 2;
    const TYPES: &'static str = "tachyon-types 1 little
enum Side u32
 BID 1
 ASK 2
struct Order.spread
 bid f32 @0
 ask f32 @4
 = 8 align 4
message 2 Order +
 number u64 @0
 side Side @8
 hidden bool @12
 reserved u8 @13
 port u16be @14
 spread Order.spread[2] @16
 = 32 align 8
";
    const SMALLEST: usize = 32;
    const GROWTH: ::core::option::Option<&'static [usize]> = ::core::option::Option::Some(&[]);
}

#[rustfmt::skip]
impl ::core::fmt::Debug for Order {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_struct("Order")
            .field("number", &{ self.number })
            .field("side", &{ self.side })
            .field("hidden", &{ self.hidden })
            .field("reserved", &{ self.reserved })
            .field("port", &{ self.port })
            .field("spread", &{ self.spread })
            .finish()
    }
}

// Each begins where the one before it ends, so there is no gap.
#[rustfmt::skip]
const _: () = {
    assert!(::core::mem::size_of::<Order>() == 32);
    assert!(::core::mem::offset_of!(Order, number) == 0);
    assert!(::core::mem::size_of::<u64>() == 8);
    assert!(::core::mem::offset_of!(Order, side) == 8);
    assert!(::core::mem::size_of::<Side>() == 4);
    assert!(::core::mem::offset_of!(Order, hidden) == 12);
    assert!(::core::mem::size_of::<Bool>() == 1);
    assert!(::core::mem::offset_of!(Order, reserved) == 13);
    assert!(::core::mem::size_of::<u8>() == 1);
    assert!(::core::mem::offset_of!(Order, port) == 14);
    assert!(::core::mem::size_of::<U16Be>() == 2);
    assert!(::core::mem::offset_of!(Order, spread) == 16);
    assert!(::core::mem::size_of::<[Order_spread; 2]>() == 16);
};

/// Side; a peer may send any value.
#[repr(transparent)]
#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Side(pub u32);

#[rustfmt::skip]
::tachyon_ipc::plain!(Side {
    0: u32,
});

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
impl Side {
    pub const BID: Self = Self(1);
    pub const ASK: Self = Self(2);

    /// The name of the value, None for one that the header does not have.
    pub const fn name(self) -> ::core::option::Option<&'static str> {
        match self.0 {
            1 => ::core::option::Option::Some("BID"),
            2 => ::core::option::Option::Some("ASK"),
            #[allow(unreachable_patterns)]
            _ => ::core::option::Option::None,
        }
    }
}

impl ::core::fmt::Debug for Side {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        match self.name() {
            ::core::option::Option::Some(name) => f.write_str(name),
            ::core::option::Option::None => ::core::fmt::Debug::fmt(&self.0, f),
        }
    }
}
