// SPDX-License-Identifier: Apache-2.0
//! Types of messages, sound for any bytes.
//!
//! Needs nothing else of the crate: the tests of the generator compile what it writes
//! with this file alone.

use core::fmt;
use core::mem::{size_of, MaybeUninit};
use core::ptr;

/// A type of which any bytes are a value, and of which each byte is one of a field.
///
/// A peer chooses the bytes, so a message is nothing else. [`plain!`](crate::plain)
/// implements it for a struct, and checks that it may.
///
/// # Safety
/// Every pattern of bytes is a value of the type, and there is no padding.
pub unsafe trait Plain: Copy + 'static {}

macro_rules! numbers {
    ($($Number:ty)*) => {$(
        // SAFETY: all its bits are values.
        unsafe impl Plain for $Number {}
    )*};
}
numbers!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64);

// SAFETY: there is nothing between the items.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

/// Implements [`Plain`] for a struct, given with all its fields; with the feature
/// `bytemuck` also `bytemuck::Pod`. It does not compile unless each field is plain and
/// they fill the struct.
///
/// ```
/// #[derive(Clone, Copy)]
/// #[repr(C)]
/// struct Pair { name: [u8; 8], value: f64 }
/// tachyon_ipc::plain!(Pair { name: [u8; 8], value: f64 });
/// ```
///
/// A peer may send what is no `bool`; [`Bool`] takes any byte:
///
/// ```compile_fail,E0277
/// #[derive(Clone, Copy)]
/// struct Halted { yes: bool }
/// tachyon_ipc::plain!(Halted { yes: bool });
/// ```
///
/// Padding is no value, and may hold what the peer should not see:
///
/// ```compile_fail,E0080
/// #[derive(Clone, Copy)]
/// #[repr(C)]
/// struct Gap { flag: u8, value: f64 }
/// tachyon_ipc::plain!(Gap { flag: u8, value: f64 });
/// ```
///
/// A field is of the type that is said:
///
/// ```compile_fail,E0308
/// #[derive(Clone, Copy)]
/// #[repr(C)]
/// struct Halted { yes: bool }
/// tachyon_ipc::plain!(Halted { yes: u8 });
/// ```
///
/// A field that is left out is missed:
///
/// ```compile_fail,E0027
/// #[derive(Clone, Copy)]
/// struct Hidden { value: u64, yes: bool }
/// tachyon_ipc::plain!(Hidden { value: u64 });
/// ```
#[macro_export]
macro_rules! plain {
    ($Name:ident { $($field:tt: $Type:ty),+ $(,)? }) => {
        const _: () = {
            #[allow(dead_code)]
            fn each_field_is_plain_and_listed(value: $Name) {
                // By pointers, which nothing else coerces to: fields may be packed.
                fn plain<T: $crate::Plain>(_: *const T) {}
                $(plain::<$Type>(::core::ptr::addr_of!(value.$field));)+
                let $Name { $($field: _),+ } = value;
            }
            assert!(
                0 $(+ ::core::mem::size_of::<$Type>())+ == ::core::mem::size_of::<$Name>(),
                "there is padding: make it a field",
            );
        };
        // SAFETY: its fields are plain, which the function above checks of all of them, and
        // as long as the whole.
        unsafe impl $crate::Plain for $Name {}
        $crate::__pod!($Name);
    };
}

/// What `bytemuck` asks for is what [`Plain`] does.
#[cfg(feature = "bytemuck")]
#[doc(hidden)]
#[macro_export]
macro_rules! __pod {
    ($Name:ident) => {
        // SAFETY: it is plain.
        unsafe impl $crate::bytemuck::Zeroable for $Name {}
        // SAFETY: it is plain.
        unsafe impl $crate::bytemuck::Pod for $Name {}
    };
}

#[cfg(not(feature = "bytemuck"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __pod {
    ($Name:ident) => {};
}

/// A message type, as `python -m tachyon.schema --rust` writes it from a C header.
///
/// Nothing depends on its constants but what is taken for such a message, so that it is
/// safe to implement.
pub trait Message: Plain {
    /// Its `type_id`.
    const TYPE_ID: u32;

    /// The description of this message alone.
    const TYPES: &'static str;

    /// What identifies the description.
    const FINGERPRINT: u64 = fingerprint(Self::TYPES);

    /// Bytes of the smallest message that there may be: of the first version.
    const SMALLEST: usize = size_of::<Self>();

    /// None unless later versions may append fields. Else where each field ends that the
    /// first version did not have: in a message that ends before, it is zero.
    const GROWTH: Option<&'static [usize]> = None;
}

/// FNV-1a of 64 bits, as the library has it; 1 in the place of 0.
const fn fingerprint(types: &str) -> u64 {
    let bytes = types.as_bytes();
    let (mut hash, mut i) = (0xcbf2_9ce4_8422_2325_u64, 0);
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0100_0000_01b3);
        i += 1;
    }
    if hash == 0 {
        1
    } else {
        hash
    }
}

/// The bytes of a value.
#[inline]
pub(crate) fn bytes_of<T: Plain>(value: &T) -> &[u8] {
    // SAFETY: all its bytes are those of fields, so they are initialised.
    unsafe { core::slice::from_raw_parts(ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// A copy of a message of this version, an earlier or a later one; None if its size is not
/// that of any.
#[inline]
pub(crate) fn read<T: Message>(data: &[u8]) -> Option<T> {
    let size = size_of::<T>();
    if data.len() == size || (data.len() > size && T::GROWTH.is_some()) {
        // SAFETY: there are as many bytes, and any are a value.
        return Some(unsafe { data.as_ptr().cast::<T>().read_unaligned() });
    }
    read_older(data)
}

#[cold]
fn read_older<T: Message>(data: &[u8]) -> Option<T> {
    let ends = T::GROWTH?;
    if data.len() < T::SMALLEST || data.len() > size_of::<T>() {
        return None;
    }
    let whole = ends.iter().filter(|&&end| end <= data.len()).max();
    let whole = whole.copied().unwrap_or(T::SMALLEST);
    let mut message = MaybeUninit::<T>::zeroed();
    // SAFETY: whole is at most the size of either, and any bytes are a value.
    unsafe {
        ptr::copy_nonoverlapping(data.as_ptr(), message.as_mut_ptr().cast(), whole);
        Some(message.assume_init())
    }
}

/// A truth value as a peer has sent it: not 0 is true.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Bool(pub u8);
plain!(Bool { 0: u8 });

impl Bool {
    /// 1.
    pub const TRUE: Self = Self(1);
    /// 0.
    pub const FALSE: Self = Self(0);

    /// Whether it is true.
    #[inline]
    #[must_use]
    pub const fn get(self) -> bool {
        self.0 != 0
    }

    /// Whether it is 0 or 1, as C writes it.
    #[inline]
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.0 <= 1
    }
}

impl From<bool> for Bool {
    #[inline]
    fn from(value: bool) -> Self {
        Self(value as u8)
    }
}

impl fmt::Debug for Bool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.get(), f)
    }
}

macro_rules! big_endian {
    ($($Name:ident($Number:ty, $size:literal);)*) => {$(
        /// An integer in network order.
        #[repr(transparent)]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $Name(pub [u8; $size]);
        plain!($Name { 0: [u8; $size] });

        impl $Name {
            /// Puts a number in network order.
            #[inline]
            #[must_use]
            pub const fn new(value: $Number) -> Self {
                Self(value.to_be_bytes())
            }

            /// The number.
            #[inline]
            #[must_use]
            pub const fn get(self) -> $Number {
                <$Number>::from_be_bytes(self.0)
            }
        }

        impl fmt::Debug for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.get(), f)
            }
        }
    )*};
}
big_endian! {
    U16Be(u16, 2);
    U32Be(u32, 4);
    U64Be(u64, 8);
}
