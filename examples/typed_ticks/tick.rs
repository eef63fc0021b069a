// tachyon.schema 1, tick.h 7c75ce240f0637cd: written by python -m tachyon.schema

/// The description of the messages of tick.h.
#[allow(dead_code)]
pub const TYPES: &str = "tachyon-types 1 little
enum Side u32
 BID 1
 ASK 2
message 1 Tick +
 symbol char[8] @0
 price f64 @8
 timestamp u64 @16
 quantity u32 @24
 side Side @28
 = 32 align 8
";

/// FNV-1a 64 of TYPES.
#[allow(dead_code)]
pub const FINGERPRINT: u64 = 0x4697_e9c8_1ab5_c768;

/// Message 1: 32 bytes.
#[repr(C)]
#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
#[derive(Clone, Copy)]
pub struct Tick {
    pub symbol: [u8; 8],
    pub price: f64,
    pub timestamp: u64,
    pub quantity: u32,
    pub side: Side,
}

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
impl Tick {
    /// All bytes zero.
    pub const ZERO: Self = Self {
        symbol: [0; 8],
        price: 0.0,
        timestamp: 0,
        quantity: 0,
        side: Side(0),
    };
}

#[rustfmt::skip]
::tachyon_ipc::plain!(Tick {
    symbol: [u8; 8],
    price: f64,
    timestamp: u64,
    quantity: u32,
    side: Side,
});

#[rustfmt::skip]
impl ::tachyon_ipc::Message for Tick {
    const TYPE_ID: u32 = 1;
    const TYPES: &'static str = "tachyon-types 1 little
enum Side u32
 BID 1
 ASK 2
message 1 Tick +
 symbol char[8] @0
 price f64 @8
 timestamp u64 @16
 quantity u32 @24
 side Side @28
 = 32 align 8
";
    const SMALLEST: usize = 32;
    const GROWTH: ::core::option::Option<&'static [usize]> = ::core::option::Option::Some(&[]);
}

#[rustfmt::skip]
impl ::core::fmt::Debug for Tick {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_struct("Tick")
            .field("symbol", &{ self.symbol })
            .field("price", &{ self.price })
            .field("timestamp", &{ self.timestamp })
            .field("quantity", &{ self.quantity })
            .field("side", &{ self.side })
            .finish()
    }
}

// Each begins where the one before it ends, so there is no gap.
#[rustfmt::skip]
const _: () = {
    assert!(::core::mem::size_of::<Tick>() == 32);
    assert!(::core::mem::offset_of!(Tick, symbol) == 0);
    assert!(::core::mem::size_of::<[u8; 8]>() == 8);
    assert!(::core::mem::offset_of!(Tick, price) == 8);
    assert!(::core::mem::size_of::<f64>() == 8);
    assert!(::core::mem::offset_of!(Tick, timestamp) == 16);
    assert!(::core::mem::size_of::<u64>() == 8);
    assert!(::core::mem::offset_of!(Tick, quantity) == 24);
    assert!(::core::mem::size_of::<u32>() == 4);
    assert!(::core::mem::offset_of!(Tick, side) == 28);
    assert!(::core::mem::size_of::<Side>() == 4);
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
