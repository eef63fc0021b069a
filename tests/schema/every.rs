// tachyon.schema 1, every.h f87bb6f5715b7a35: written by python -m tachyon.schema

/// The description of the messages of every.h.
#[allow(dead_code)]
pub const TYPES: &str = "tachyon-types 1 little
enum Side u32
 BID 1
 ASK 2
struct Tick.spread
 bid f32 @0
 ask f32 @4
 = 8 align 4
message 1 Tick +
 symbol char[8] @0
 price f64 @8
 side Side @16
 halted bool @20
 reserved u8[3] @21
 venue u32[2] @24
 spread Tick.spread[2] @32
 late u64 @48
 port u16 @56
 flags bool[6] @58
 = 64 align 8
struct part
 a char @0
 b f64 @8
 = 16 align 8
message 2 Cancel
 order u32 @0
 len u8 @4
 net u16be @6
 parts part[2][3] @8
 sides Side[3] @104
 type i32 @116
 = 120 align 8
";

/// FNV-1a 64 of TYPES.
#[allow(dead_code)]
pub const FINGERPRINT: u64 = 0x0fed_4c1a_ccdb_a15c;

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
pub const LEVELS: u32 = 10;

pub use ::tachyon_ipc::Bool;

pub use ::tachyon_ipc::U16Be;

/// Part of a message: 8 bytes.
#[repr(C)]
#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
#[derive(Clone, Copy)]
pub struct Tick_spread {
    pub bid: f32,
    pub ask: f32,
}

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
impl Tick_spread {
    /// All bytes zero.
    pub const ZERO: Self = Self {
        bid: 0.0,
        ask: 0.0,
    };
}

#[rustfmt::skip]
::tachyon_ipc::plain!(Tick_spread {
    bid: f32,
    ask: f32,
});

#[rustfmt::skip]
impl ::core::fmt::Debug for Tick_spread {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_struct("Tick.spread")
            .field("bid", &{ self.bid })
            .field("ask", &{ self.ask })
            .finish()
    }
}

// Each begins where the one before it ends, so there is no gap.
#[rustfmt::skip]
const _: () = {
    assert!(::core::mem::size_of::<Tick_spread>() == 8);
    assert!(::core::mem::offset_of!(Tick_spread, bid) == 0);
    assert!(::core::mem::size_of::<f32>() == 4);
    assert!(::core::mem::offset_of!(Tick_spread, ask) == 4);
    assert!(::core::mem::size_of::<f32>() == 4);
};

/// Message 1: 64 bytes.
#[repr(C)]
#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
#[derive(Clone, Copy)]
pub struct Tick {
    pub symbol: [u8; 8],
    pub price: f64,
    pub side: Side,
    pub halted: Bool,
    pub reserved: [u8; 3],
    pub venue: [u32; 2],
    pub spread: [Tick_spread; 2],
    pub late: u64,
    pub port: u16,
    pub flags: [Bool; 6],
}

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
impl Tick {
    /// All bytes zero.
    pub const ZERO: Self = Self {
        symbol: [0; 8],
        price: 0.0,
        side: Side(0),
        halted: Bool(0),
        reserved: [0; 3],
        venue: [0; 2],
        spread: [Tick_spread::ZERO; 2],
        late: 0,
        port: 0,
        flags: [Bool(0); 6],
    };
}

#[rustfmt::skip]
::tachyon_ipc::plain!(Tick {
    symbol: [u8; 8],
    price: f64,
    side: Side,
    halted: Bool,
    reserved: [u8; 3],
    venue: [u32; 2],
    spread: [Tick_spread; 2],
    late: u64,
    port: u16,
    flags: [Bool; 6],
});

#[rustfmt::skip]
impl ::tachyon_ipc::Message for Tick {
    const TYPE_ID: u32 = 1;
    const TYPES: &'static str = "tachyon-types 1 little
enum Side u32
 BID 1
 ASK 2
struct Tick.spread
 bid f32 @0
 ask f32 @4
 = 8 align 4
message 1 Tick +
 symbol char[8] @0
 price f64 @8
 side Side @16
 halted bool @20
 reserved u8[3] @21
 venue u32[2] @24
 spread Tick.spread[2] @32
 late u64 @48
 port u16 @56
 flags bool[6] @58
 = 64 align 8
";
    const SMALLEST: usize = 48;
    const GROWTH: ::core::option::Option<&'static [usize]> = ::core::option::Option::Some(&[56, 58, 64]);
}

#[rustfmt::skip]
impl ::core::fmt::Debug for Tick {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_struct("Tick")
            .field("symbol", &{ self.symbol })
            .field("price", &{ self.price })
            .field("side", &{ self.side })
            .field("halted", &{ self.halted })
            .field("reserved", &{ self.reserved })
            .field("venue", &{ self.venue })
            .field("spread", &{ self.spread })
            .field("late", &{ self.late })
            .field("port", &{ self.port })
            .field("flags", &{ self.flags })
            .finish()
    }
}

// Each begins where the one before it ends, so there is no gap.
#[rustfmt::skip]
const _: () = {
    assert!(::core::mem::size_of::<Tick>() == 64);
    assert!(::core::mem::offset_of!(Tick, symbol) == 0);
    assert!(::core::mem::size_of::<[u8; 8]>() == 8);
    assert!(::core::mem::offset_of!(Tick, price) == 8);
    assert!(::core::mem::size_of::<f64>() == 8);
    assert!(::core::mem::offset_of!(Tick, side) == 16);
    assert!(::core::mem::size_of::<Side>() == 4);
    assert!(::core::mem::offset_of!(Tick, halted) == 20);
    assert!(::core::mem::size_of::<Bool>() == 1);
    assert!(::core::mem::offset_of!(Tick, reserved) == 21);
    assert!(::core::mem::size_of::<[u8; 3]>() == 3);
    assert!(::core::mem::offset_of!(Tick, venue) == 24);
    assert!(::core::mem::size_of::<[u32; 2]>() == 8);
    assert!(::core::mem::offset_of!(Tick, spread) == 32);
    assert!(::core::mem::size_of::<[Tick_spread; 2]>() == 16);
    assert!(::core::mem::offset_of!(Tick, late) == 48);
    assert!(::core::mem::size_of::<u64>() == 8);
    assert!(::core::mem::offset_of!(Tick, port) == 56);
    assert!(::core::mem::size_of::<u16>() == 2);
    assert!(::core::mem::offset_of!(Tick, flags) == 58);
    assert!(::core::mem::size_of::<[Bool; 6]>() == 6);
};

/// Part of a message: 16 bytes.
#[repr(C)]
#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
#[derive(Clone, Copy)]
pub struct part {
    pub a: u8,
    #[doc(hidden)]
    pub _padding0: [u8; 7],
    pub b: f64,
}

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
impl part {
    /// All bytes zero.
    pub const ZERO: Self = Self {
        a: 0,
        _padding0: [0; 7],
        b: 0.0,
    };
}

#[rustfmt::skip]
::tachyon_ipc::plain!(part {
    a: u8,
    _padding0: [u8; 7],
    b: f64,
});

#[rustfmt::skip]
impl ::core::fmt::Debug for part {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_struct("part")
            .field("a", &{ self.a })
            .field("b", &{ self.b })
            .finish()
    }
}

// Each begins where the one before it ends, so there is no gap.
#[rustfmt::skip]
const _: () = {
    assert!(::core::mem::size_of::<part>() == 16);
    assert!(::core::mem::offset_of!(part, a) == 0);
    assert!(::core::mem::size_of::<u8>() == 1);
    assert!(::core::mem::offset_of!(part, _padding0) == 1);
    assert!(::core::mem::size_of::<[u8; 7]>() == 7);
    assert!(::core::mem::offset_of!(part, b) == 8);
    assert!(::core::mem::size_of::<f64>() == 8);
};

/// Message 2: 120 bytes.
#[repr(C)]
#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
#[derive(Clone, Copy)]
pub struct Cancel {
    pub order: u32,
    pub len: u8,
    #[doc(hidden)]
    pub _padding0: [u8; 1],
    pub net: U16Be,
    pub parts: [[part; 3]; 2],
    pub sides: [Side; 3],
    pub r#type: i32,
}

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
impl Cancel {
    /// All bytes zero.
    pub const ZERO: Self = Self {
        order: 0,
        len: 0,
        _padding0: [0; 1],
        net: U16Be([0; 2]),
        parts: [[part::ZERO; 3]; 2],
        sides: [Side(0); 3],
        r#type: 0,
    };
}

#[rustfmt::skip]
::tachyon_ipc::plain!(Cancel {
    order: u32,
    len: u8,
    _padding0: [u8; 1],
    net: U16Be,
    parts: [[part; 3]; 2],
    sides: [Side; 3],
    r#type: i32,
});

#[rustfmt::skip]
impl ::tachyon_ipc::Message for Cancel {
    const TYPE_ID: u32 = 2;
    const TYPES: &'static str = "tachyon-types 1 little
struct part
 a char @0
 b f64 @8
 = 16 align 8
enum Side u32
 BID 1
 ASK 2
message 2 Cancel
 order u32 @0
 len u8 @4
 net u16be @6
 parts part[2][3] @8
 sides Side[3] @104
 type i32 @116
 = 120 align 8
";
}

#[rustfmt::skip]
impl ::core::fmt::Debug for Cancel {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_struct("Cancel")
            .field("order", &{ self.order })
            .field("len", &{ self.len })
            .field("net", &{ self.net })
            .field("parts", &{ self.parts })
            .field("sides", &{ self.sides })
            .field("type", &{ self.r#type })
            .finish()
    }
}

// Each begins where the one before it ends, so there is no gap.
#[rustfmt::skip]
const _: () = {
    assert!(::core::mem::size_of::<Cancel>() == 120);
    assert!(::core::mem::offset_of!(Cancel, order) == 0);
    assert!(::core::mem::size_of::<u32>() == 4);
    assert!(::core::mem::offset_of!(Cancel, len) == 4);
    assert!(::core::mem::size_of::<u8>() == 1);
    assert!(::core::mem::offset_of!(Cancel, _padding0) == 5);
    assert!(::core::mem::size_of::<[u8; 1]>() == 1);
    assert!(::core::mem::offset_of!(Cancel, net) == 6);
    assert!(::core::mem::size_of::<U16Be>() == 2);
    assert!(::core::mem::offset_of!(Cancel, parts) == 8);
    assert!(::core::mem::size_of::<[[part; 3]; 2]>() == 96);
    assert!(::core::mem::offset_of!(Cancel, sides) == 104);
    assert!(::core::mem::size_of::<[Side; 3]>() == 12);
    assert!(::core::mem::offset_of!(Cancel, r#type) == 116);
    assert!(::core::mem::size_of::<i32>() == 4);
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
