// tachyon.schema 1, order_book.h 28f464cc07830a1f: written by python -m tachyon.schema

/// The description of the messages of order_book.h.
#[allow(dead_code)]
pub const TYPES: &str = "tachyon-types 1 little
message 1 OrderBookLook
 symbol char[8] @0
 = 8 align 1
enum OrderBookSide u32
 ORDER_BOOK_BID 1
 ORDER_BOOK_ASK 2
message 2 OrderBookAdd
 symbol char[8] @0
 price f64 @8
 quantity f64 @16
 side OrderBookSide @24
 = 32 align 8
message 3 OrderBookCancel
 order_id u64 @0
 = 8 align 8
struct OrderBookLevel
 price f64 @0
 quantity f64 @8
 = 16 align 8
message 4 OrderBookSnapshot
 symbol char[8] @0
 sequence u64 @8
 bids OrderBookLevel[5] @16
 asks OrderBookLevel[5] @96
 = 176 align 8
message 5 OrderBookOrder
 order_id u64 @0
 = 8 align 8
";

/// FNV-1a 64 of TYPES.
#[allow(dead_code)]
pub const FINGERPRINT: u64 = 0x3f55_d401_a5b1_6244;

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
pub const ORDER_BOOK_DONE: u32 = 6;

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
pub const ORDER_BOOK_ERROR: u32 = 65535;

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
pub const ORDER_BOOK_DEPTH: u32 = 5;

/// Message 1: 8 bytes.
#[repr(C)]
#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
#[derive(Clone, Copy)]
pub struct OrderBookLook {
    pub symbol: [u8; 8],
}

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
impl OrderBookLook {
    /// All bytes zero.
    pub const ZERO: Self = Self {
        symbol: [0; 8],
    };
}

#[rustfmt::skip]
::tachyon_ipc::plain!(OrderBookLook {
    symbol: [u8; 8],
});

#[rustfmt::skip]
impl ::tachyon_ipc::Message for OrderBookLook {
    const TYPE_ID: u32 = 1;
    const TYPES: &'static str = "tachyon-types 1 little
message 1 OrderBookLook
 symbol char[8] @0
 = 8 align 1
";
}

#[rustfmt::skip]
impl ::core::fmt::Debug for OrderBookLook {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_struct("OrderBookLook")
            .field("symbol", &{ self.symbol })
            .finish()
    }
}

// Each begins where the one before it ends, so there is no gap.
#[rustfmt::skip]
const _: () = {
    assert!(::core::mem::size_of::<OrderBookLook>() == 8);
    assert!(::core::mem::offset_of!(OrderBookLook, symbol) == 0);
    assert!(::core::mem::size_of::<[u8; 8]>() == 8);
};

/// Message 2: 32 bytes.
#[repr(C)]
#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
#[derive(Clone, Copy)]
pub struct OrderBookAdd {
    pub symbol: [u8; 8],
    pub price: f64,
    pub quantity: f64,
    pub side: OrderBookSide,
    #[doc(hidden)]
    pub _padding0: [u8; 4],
}

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
impl OrderBookAdd {
    /// All bytes zero.
    pub const ZERO: Self = Self {
        symbol: [0; 8],
        price: 0.0,
        quantity: 0.0,
        side: OrderBookSide(0),
        _padding0: [0; 4],
    };
}

#[rustfmt::skip]
::tachyon_ipc::plain!(OrderBookAdd {
    symbol: [u8; 8],
    price: f64,
    quantity: f64,
    side: OrderBookSide,
    _padding0: [u8; 4],
});

#[rustfmt::skip]
impl ::tachyon_ipc::Message for OrderBookAdd {
    const TYPE_ID: u32 = 2;
    const TYPES: &'static str = "tachyon-types 1 little
enum OrderBookSide u32
 ORDER_BOOK_BID 1
 ORDER_BOOK_ASK 2
message 2 OrderBookAdd
 symbol char[8] @0
 price f64 @8
 quantity f64 @16
 side OrderBookSide @24
 = 32 align 8
";
}

#[rustfmt::skip]
impl ::core::fmt::Debug for OrderBookAdd {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_struct("OrderBookAdd")
            .field("symbol", &{ self.symbol })
            .field("price", &{ self.price })
            .field("quantity", &{ self.quantity })
            .field("side", &{ self.side })
            .finish()
    }
}

// Each begins where the one before it ends, so there is no gap.
#[rustfmt::skip]
const _: () = {
    assert!(::core::mem::size_of::<OrderBookAdd>() == 32);
    assert!(::core::mem::offset_of!(OrderBookAdd, symbol) == 0);
    assert!(::core::mem::size_of::<[u8; 8]>() == 8);
    assert!(::core::mem::offset_of!(OrderBookAdd, price) == 8);
    assert!(::core::mem::size_of::<f64>() == 8);
    assert!(::core::mem::offset_of!(OrderBookAdd, quantity) == 16);
    assert!(::core::mem::size_of::<f64>() == 8);
    assert!(::core::mem::offset_of!(OrderBookAdd, side) == 24);
    assert!(::core::mem::size_of::<OrderBookSide>() == 4);
    assert!(::core::mem::offset_of!(OrderBookAdd, _padding0) == 28);
    assert!(::core::mem::size_of::<[u8; 4]>() == 4);
};

/// Message 3: 8 bytes.
#[repr(C)]
#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
#[derive(Clone, Copy)]
pub struct OrderBookCancel {
    pub order_id: u64,
}

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
impl OrderBookCancel {
    /// All bytes zero.
    pub const ZERO: Self = Self {
        order_id: 0,
    };
}

#[rustfmt::skip]
::tachyon_ipc::plain!(OrderBookCancel {
    order_id: u64,
});

#[rustfmt::skip]
impl ::tachyon_ipc::Message for OrderBookCancel {
    const TYPE_ID: u32 = 3;
    const TYPES: &'static str = "tachyon-types 1 little
message 3 OrderBookCancel
 order_id u64 @0
 = 8 align 8
";
}

#[rustfmt::skip]
impl ::core::fmt::Debug for OrderBookCancel {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_struct("OrderBookCancel")
            .field("order_id", &{ self.order_id })
            .finish()
    }
}

// Each begins where the one before it ends, so there is no gap.
#[rustfmt::skip]
const _: () = {
    assert!(::core::mem::size_of::<OrderBookCancel>() == 8);
    assert!(::core::mem::offset_of!(OrderBookCancel, order_id) == 0);
    assert!(::core::mem::size_of::<u64>() == 8);
};

/// Part of a message: 16 bytes.
#[repr(C)]
#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
#[derive(Clone, Copy)]
pub struct OrderBookLevel {
    pub price: f64,
    pub quantity: f64,
}

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
impl OrderBookLevel {
    /// All bytes zero.
    pub const ZERO: Self = Self {
        price: 0.0,
        quantity: 0.0,
    };
}

#[rustfmt::skip]
::tachyon_ipc::plain!(OrderBookLevel {
    price: f64,
    quantity: f64,
});

#[rustfmt::skip]
impl ::core::fmt::Debug for OrderBookLevel {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_struct("OrderBookLevel")
            .field("price", &{ self.price })
            .field("quantity", &{ self.quantity })
            .finish()
    }
}

// Each begins where the one before it ends, so there is no gap.
#[rustfmt::skip]
const _: () = {
    assert!(::core::mem::size_of::<OrderBookLevel>() == 16);
    assert!(::core::mem::offset_of!(OrderBookLevel, price) == 0);
    assert!(::core::mem::size_of::<f64>() == 8);
    assert!(::core::mem::offset_of!(OrderBookLevel, quantity) == 8);
    assert!(::core::mem::size_of::<f64>() == 8);
};

/// Message 4: 176 bytes.
#[repr(C)]
#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
#[derive(Clone, Copy)]
pub struct OrderBookSnapshot {
    pub symbol: [u8; 8],
    pub sequence: u64,
    pub bids: [OrderBookLevel; 5],
    pub asks: [OrderBookLevel; 5],
}

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
impl OrderBookSnapshot {
    /// All bytes zero.
    pub const ZERO: Self = Self {
        symbol: [0; 8],
        sequence: 0,
        bids: [OrderBookLevel::ZERO; 5],
        asks: [OrderBookLevel::ZERO; 5],
    };
}

#[rustfmt::skip]
::tachyon_ipc::plain!(OrderBookSnapshot {
    symbol: [u8; 8],
    sequence: u64,
    bids: [OrderBookLevel; 5],
    asks: [OrderBookLevel; 5],
});

#[rustfmt::skip]
impl ::tachyon_ipc::Message for OrderBookSnapshot {
    const TYPE_ID: u32 = 4;
    const TYPES: &'static str = "tachyon-types 1 little
struct OrderBookLevel
 price f64 @0
 quantity f64 @8
 = 16 align 8
message 4 OrderBookSnapshot
 symbol char[8] @0
 sequence u64 @8
 bids OrderBookLevel[5] @16
 asks OrderBookLevel[5] @96
 = 176 align 8
";
}

#[rustfmt::skip]
impl ::core::fmt::Debug for OrderBookSnapshot {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_struct("OrderBookSnapshot")
            .field("symbol", &{ self.symbol })
            .field("sequence", &{ self.sequence })
            .field("bids", &{ self.bids })
            .field("asks", &{ self.asks })
            .finish()
    }
}

// Each begins where the one before it ends, so there is no gap.
#[rustfmt::skip]
const _: () = {
    assert!(::core::mem::size_of::<OrderBookSnapshot>() == 176);
    assert!(::core::mem::offset_of!(OrderBookSnapshot, symbol) == 0);
    assert!(::core::mem::size_of::<[u8; 8]>() == 8);
    assert!(::core::mem::offset_of!(OrderBookSnapshot, sequence) == 8);
    assert!(::core::mem::size_of::<u64>() == 8);
    assert!(::core::mem::offset_of!(OrderBookSnapshot, bids) == 16);
    assert!(::core::mem::size_of::<[OrderBookLevel; 5]>() == 80);
    assert!(::core::mem::offset_of!(OrderBookSnapshot, asks) == 96);
    assert!(::core::mem::size_of::<[OrderBookLevel; 5]>() == 80);
};

/// Message 5: 8 bytes.
#[repr(C)]
#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
#[derive(Clone, Copy)]
pub struct OrderBookOrder {
    pub order_id: u64,
}

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
impl OrderBookOrder {
    /// All bytes zero.
    pub const ZERO: Self = Self {
        order_id: 0,
    };
}

#[rustfmt::skip]
::tachyon_ipc::plain!(OrderBookOrder {
    order_id: u64,
});

#[rustfmt::skip]
impl ::tachyon_ipc::Message for OrderBookOrder {
    const TYPE_ID: u32 = 5;
    const TYPES: &'static str = "tachyon-types 1 little
message 5 OrderBookOrder
 order_id u64 @0
 = 8 align 8
";
}

#[rustfmt::skip]
impl ::core::fmt::Debug for OrderBookOrder {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_struct("OrderBookOrder")
            .field("order_id", &{ self.order_id })
            .finish()
    }
}

// Each begins where the one before it ends, so there is no gap.
#[rustfmt::skip]
const _: () = {
    assert!(::core::mem::size_of::<OrderBookOrder>() == 8);
    assert!(::core::mem::offset_of!(OrderBookOrder, order_id) == 0);
    assert!(::core::mem::size_of::<u64>() == 8);
};

/// OrderBookSide; a peer may send any value.
#[repr(transparent)]
#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderBookSide(pub u32);

#[rustfmt::skip]
::tachyon_ipc::plain!(OrderBookSide {
    0: u32,
});

#[allow(dead_code, nonstandard_style)]
#[rustfmt::skip]
impl OrderBookSide {
    pub const ORDER_BOOK_BID: Self = Self(1);
    pub const ORDER_BOOK_ASK: Self = Self(2);

    /// The name of the value, None for one that the header does not have.
    pub const fn name(self) -> ::core::option::Option<&'static str> {
        match self.0 {
            1 => ::core::option::Option::Some("ORDER_BOOK_BID"),
            2 => ::core::option::Option::Some("ORDER_BOOK_ASK"),
            #[allow(unreachable_patterns)]
            _ => ::core::option::Option::None,
        }
    }
}

impl ::core::fmt::Debug for OrderBookSide {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        match self.name() {
            ::core::option::Option::Some(name) => f.write_str(name),
            ::core::option::Option::None => ::core::fmt::Debug::fmt(&self.0, f),
        }
    }
}
