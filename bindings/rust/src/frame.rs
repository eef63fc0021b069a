// SPDX-License-Identifier: Apache-2.0
//! Frames: messages that are arrays of numbers, and say of which kind and shape.

use std::ffi::CStr;
use std::fmt;
use std::mem::{align_of, size_of, size_of_val, MaybeUninit};
use std::time::Duration;

use tachyon_sys as sys;

use crate::error::fail;
use crate::{Bool, Bus, HeldGuard, Plain, RxGuard, RxMsgView, TachyonError};

const HEADER_BYTES: usize = sys::TACHYON_FRAME_HEADER_BYTES as usize;
const MAX_NDIM: usize = sys::TACHYON_FRAME_MAX_NDIM as usize;
const OK: sys::tachyon_frame_error_t = sys::tachyon_frame_error_t_TACHYON_FRAME_OK;

// ---- Items ----

/// What kind of number an item of a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ItemKind {
    /// An integer with a sign.
    Int,
    /// An integer without one.
    Uint,
    /// A floating-point number of IEEE 754.
    Float,
    /// The upper half of an `f32`.
    Bfloat,
    /// Two floating-point numbers, real and imaginary.
    Complex,
    /// A byte that is 0 for false.
    Bool,
}

impl ItemKind {
    /// Of a header that was checked.
    fn from_raw(code: u8) -> Self {
        match sys::tachyon_frame_code_t::from(code) {
            sys::tachyon_frame_code_t_TACHYON_FRAME_INT => Self::Int,
            sys::tachyon_frame_code_t_TACHYON_FRAME_UINT => Self::Uint,
            sys::tachyon_frame_code_t_TACHYON_FRAME_FLOAT => Self::Float,
            sys::tachyon_frame_code_t_TACHYON_FRAME_BFLOAT => Self::Bfloat,
            sys::tachyon_frame_code_t_TACHYON_FRAME_COMPLEX => Self::Complex,
            _ => Self::Bool,
        }
    }

    fn raw(self) -> sys::tachyon_frame_code_t {
        match self {
            Self::Int => sys::tachyon_frame_code_t_TACHYON_FRAME_INT,
            Self::Uint => sys::tachyon_frame_code_t_TACHYON_FRAME_UINT,
            Self::Float => sys::tachyon_frame_code_t_TACHYON_FRAME_FLOAT,
            Self::Bfloat => sys::tachyon_frame_code_t_TACHYON_FRAME_BFLOAT,
            Self::Complex => sys::tachyon_frame_code_t_TACHYON_FRAME_COMPLEX,
            Self::Bool => sys::tachyon_frame_code_t_TACHYON_FRAME_BOOL,
        }
    }
}

/// What the items of a frame are. As text it is the name that NumPy has for it: `float32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ItemType {
    /// Kind of number.
    pub kind: ItemKind,
    /// Bits of each: 8 to 128, a multiple of 8.
    pub bits: u8,
}

impl ItemType {
    fn of<T: FrameItem>() -> Self {
        Self {
            kind: T::KIND,
            bits: T::BITS,
        }
    }
}

impl fmt::Display for ItemType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.kind {
            ItemKind::Int => "int",
            ItemKind::Uint => "uint",
            ItemKind::Float => "float",
            ItemKind::Bfloat => "bfloat",
            ItemKind::Complex => "complex",
            ItemKind::Bool if self.bits == 8 => return f.write_str("bool"),
            ItemKind::Bool => "bool",
        };
        write!(f, "{name}{}", self.bits)
    }
}

/// A number that frames may have for items: the integers, `f32`, `f64`, [`Bool`], and as
/// complex numbers `[f32; 2]` and `[f64; 2]`.
///
/// For a type of your own, such as a 16-bit float:
///
/// ```
/// use tachyon_ipc::{plain, FrameItem, ItemKind};
/// #[derive(Clone, Copy)]
/// #[repr(transparent)]
/// struct Half(u16);
/// plain!(Half { 0: u16 });
/// impl FrameItem for Half {
///     const KIND: ItemKind = ItemKind::Float;
/// }
/// ```
pub trait FrameItem: Plain {
    /// Kind of number.
    const KIND: ItemKind;

    /// Bits of each, by its size.
    const BITS: u8 = {
        let bits = 8 * size_of::<Self>();
        assert!(8 <= bits && bits <= 128, "an item has 1 to 16 bytes");
        bits as u8
    };
}

macro_rules! items {
    ($($Kind:ident: $($Number:ty)*;)*) => {$($(
        impl FrameItem for $Number {
            const KIND: ItemKind = ItemKind::$Kind;
        }
    )*)*};
}
items! {
    Int: i8 i16 i32 i64 i128 isize;
    Uint: u8 u16 u32 u64 u128 usize;
    Float: f32 f64;
    Complex: [f32; 2] [f64; 2];
    Bool: Bool;
}

// ---- Sending ----

/// An array to be sent by [`Bus::send_frame`].
#[derive(Debug, Clone, Copy)]
#[must_use = "it is sent by send_frame()"]
pub struct Frame<'a> {
    shape: &'a [usize],
    items: &'a [u8],
    item: ItemType,
    flags: u32,
    tag: u32,
    type_id: u32,
}

impl<'a> Frame<'a> {
    /// The items of an array of this shape, the last index running fastest; of an empty
    /// shape one item.
    pub fn of<T: FrameItem>(shape: &'a [usize], items: &'a [T]) -> Self {
        // SAFETY: the bytes of plain values are initialised.
        let bytes =
            unsafe { std::slice::from_raw_parts(items.as_ptr().cast(), size_of_val(items)) };
        Self {
            shape,
            items: bytes,
            item: ItemType::of::<T>(),
            flags: 0,
            tag: 0,
            type_id: 0,
        }
    }

    /// The items lie with the first index running fastest, as in Fortran.
    pub fn column_major(mut self) -> Self {
        self.flags = sys::TACHYON_FRAME_COLUMN_MAJOR;
        self
    }

    /// A number for the receiver, such as that of a camera; 0 by default.
    pub fn tag(mut self, tag: u32) -> Self {
        self.tag = tag;
        self
    }

    /// The message's type, 0 by default.
    pub fn type_id(mut self, type_id: u32) -> Self {
        self.type_id = type_id;
        self
    }

    /// The header, and the bytes of the whole message.
    fn header(&self) -> Result<(sys::tachyon_frame_t, usize), TachyonError> {
        let mut shape = [0; MAX_NDIM];
        for (to, &extent) in shape.iter_mut().zip(self.shape) {
            *to = i64::try_from(extent).unwrap_or(i64::MAX);
        }
        let ndim = u32::try_from(self.shape.len()).unwrap_or(u32::MAX);
        let (mut header, mut size) = (MaybeUninit::uninit(), 0);
        // SAFETY: the header is filled in, in any case. As many extents are read as there
        // are, and no more than a header has.
        let (error, header) = unsafe {
            let error = sys::tachyon_frame_fill(
                header.as_mut_ptr(),
                self.item.kind.raw(),
                self.item.bits.into(),
                ndim,
                shape.as_ptr(),
                self.flags,
                self.tag,
                &mut size,
            );
            (error, header.assume_init())
        };
        if error != OK {
            let text = explain(error, &header, 0);
            return Err(fail(TachyonError::InvalidSize, &text));
        }
        let bytes = size - HEADER_BYTES as u64;
        if bytes != self.items.len() as u64 {
            let text = format!(
                "a frame of shape {:?} and items of {} has {bytes} bytes of items, not {}",
                self.shape,
                self.item,
                self.items.len()
            );
            return Err(fail(TachyonError::InvalidSize, &text));
        }
        Ok((header, HEADER_BYTES + self.items.len()))
    }
}

fn explain(
    error: sys::tachyon_frame_error_t,
    header: &sys::tachyon_frame_t,
    size: usize,
) -> String {
    let mut text = [0u8; 128];
    // SAFETY: there is room for that many, and a NUL among them afterwards.
    unsafe {
        sys::tachyon_frame_explain(
            error,
            header,
            size as u64,
            text.as_mut_ptr().cast(),
            text.len(),
        );
    }
    CStr::from_bytes_until_nul(&text).map_or_else(
        |_| String::new(),
        |text| text.to_string_lossy().into_owned(),
    )
}

/// Arrays with their shape; see the page `ARRAYS.md` of the documentation.
///
/// ```
/// # use std::time::Duration;
/// # use tachyon_ipc::{Bus, TachyonError};
/// # let path = format!("@frame-example-{}", std::process::id());
/// # let peer = path.clone();
/// # let listener = std::thread::spawn(move || Bus::listen(&peer, 1 << 16).unwrap());
/// # let producer = Bus::connect_timeout(&path, Duration::from_secs(5))?;
/// # let consumer = listener.join().unwrap();
/// use tachyon_ipc::Frame;
/// let pixels = vec![0.5f32; 12 * 16];
/// producer.send_frame(Frame::of(&[12, 16], &pixels).tag(3))?;
///
/// let message = consumer.acquire_rx(10_000)?;
/// let frame = message.frame()?;
/// assert_eq!((frame.shape(), frame.tag()), (&[12, 16][..], 3));
/// assert_eq!(frame.as_slice::<f32>()?, pixels);
/// # Ok::<(), TachyonError>(())
/// ```
impl Bus {
    /// Copies an array into the ring, with a header that says what it is, and shows it to
    /// the peer, without waiting.
    ///
    /// # Errors
    /// As [`send`](Self::send); `InvalidSize` also when it has another number of items than
    /// its shape says, or more than six dimensions.
    pub fn send_frame(&self, frame: Frame<'_>) -> Result<(), TachyonError> {
        self.send_frame_timeout(frame, Duration::ZERO)
    }

    /// [`send_frame`](Self::send_frame) that waits for room; a zero `timeout` does not,
    /// [`Duration::MAX`] waits for ever.
    ///
    /// # Errors
    /// As [`send_frame`](Self::send_frame), but `Timeout` instead of `BufferFull` (unless
    /// `timeout` is zero).
    pub fn send_frame_timeout(
        &self,
        frame: Frame<'_>,
        timeout: Duration,
    ) -> Result<(), TachyonError> {
        let (header, size) = frame.header()?;
        let mut guard = self.acquire_tx_timeout(size, timeout)?;
        let (head, items) = guard.as_mut().split_at_mut(HEADER_BYTES);
        // SAFETY: it has as many bytes, and no padding.
        head.copy_from_slice(unsafe {
            std::slice::from_raw_parts(std::ptr::from_ref(&header).cast(), HEADER_BYTES)
        });
        items.copy_from_slice(frame.items);
        guard.commit(size, frame.type_id)
    }
}

// ---- Receiving ----

/// A received frame, whose items are read in place. It is valid as long as the message.
///
/// The header was copied, and checked, before anything else: whatever a peer writes there
/// later, this remains as it is. What the items are is up to the peer, as in any message.
#[derive(Debug, Clone, Copy)]
pub struct FrameRef<'a> {
    items: &'a [u8],
    shape: [usize; MAX_NDIM],
    ndim: usize,
    item: ItemType,
    column_major: bool,
    tag: u32,
}

impl<'a> FrameRef<'a> {
    /// The frame that a message is.
    ///
    /// # Errors
    /// `UnexpectedMessage` when it is none; the text says why.
    pub fn read(message: &'a [u8]) -> Result<Self, TachyonError> {
        let mut header = MaybeUninit::uninit();
        // SAFETY: the message is readable for its size, and the header is filled in, in any
        // case.
        let (error, header) = unsafe {
            let (start, size) = (message.as_ptr().cast(), message.len() as u64);
            let error = sys::tachyon_frame_read(start, size, header.as_mut_ptr());
            (error, header.assume_init())
        };
        if error != OK {
            let text = explain(error, &header, message.len());
            return Err(fail(TachyonError::UnexpectedMessage, &text));
        }
        Ok(Self {
            items: &message[HEADER_BYTES..],
            // They are at least 0, and their product is the size of a message.
            shape: header.shape.map(|extent| extent as usize),
            ndim: header.ndim.into(),
            item: ItemType {
                kind: ItemKind::from_raw(header.code),
                bits: header.bits,
            },
            column_major: header.flags & sys::TACHYON_FRAME_COLUMN_MAJOR as u16 != 0,
            tag: header.tag,
        })
    }

    /// Number of items along each dimension; empty for a single item.
    #[inline]
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape[..self.ndim]
    }

    /// What the items are.
    #[inline]
    #[must_use]
    pub fn item_type(&self) -> ItemType {
        self.item
    }

    /// Whether the first index runs fastest, instead of the last.
    #[inline]
    #[must_use]
    pub fn is_column_major(&self) -> bool {
        self.column_major
    }

    /// The number that the sender gave it.
    #[inline]
    #[must_use]
    pub fn tag(&self) -> u32 {
        self.tag
    }

    /// All items, one behind the other without gaps.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.items
    }

    /// The items, in the order in which they lie.
    ///
    /// # Errors
    /// `UnexpectedMessage` when they are no `T`.
    pub fn as_slice<T: FrameItem>(&self) -> Result<&'a [T], TachyonError> {
        let (wanted, start) = (ItemType::of::<T>(), self.items.as_ptr());
        if self.item != wanted {
            let text = format!("a frame of items of {}, not of {wanted}", self.item);
            return Err(fail(TachyonError::UnexpectedMessage, &text));
        }
        // In the ring they lie at a multiple of 64.
        if start as usize % align_of::<T>() != 0 {
            let text = format!("the items of {wanted} are not aligned: copy the message");
            return Err(fail(TachyonError::UnexpectedMessage, &text));
        }
        // SAFETY: there are as many bytes, aligned, and any are a T. They are borrowed.
        Ok(unsafe { std::slice::from_raw_parts(start.cast(), self.items.len() / size_of::<T>()) })
    }
}

impl RxGuard<'_> {
    /// The frame that the message is.
    ///
    /// # Errors
    /// `UnexpectedMessage` when it is none.
    pub fn frame(&self) -> Result<FrameRef<'_>, TachyonError> {
        FrameRef::read(self.data())
    }
}

impl HeldGuard<'_> {
    /// The frame that the message is.
    ///
    /// # Errors
    /// `UnexpectedMessage` when it is none.
    pub fn frame(&self) -> Result<FrameRef<'_>, TachyonError> {
        FrameRef::read(self.data())
    }
}

impl<'batch> RxMsgView<'batch> {
    /// The frame that the message is.
    ///
    /// # Errors
    /// `UnexpectedMessage` when it is none.
    pub fn frame(&self) -> Result<FrameRef<'batch>, TachyonError> {
        FrameRef::read(self.data())
    }
}

/// Frames from and as arrays of the crate `ndarray`.
#[cfg(feature = "ndarray")]
mod arrays {
    use ndarray::{ArrayBase, ArrayViewD, Data, Dimension, IxDyn, ShapeBuilder};

    use super::{fail, Frame, FrameItem, FrameRef, TachyonError};

    impl<'a> Frame<'a> {
        /// An array of the crate `ndarray`, whose items lie without gaps; with the feature
        /// `ndarray`.
        ///
        /// # Errors
        /// `InvalidSize` when they lie in another order than that of the indices or its
        /// reverse: copy it before, by `to_owned()` or `as_standard_layout()`.
        pub fn of_array<T, S, D>(array: &'a ArrayBase<S, D>) -> Result<Self, TachyonError>
        where
            T: FrameItem,
            S: Data<Elem = T>,
            D: Dimension,
        {
            if let Some(items) = array.as_slice() {
                return Ok(Self::of(array.shape(), items));
            }
            match array.as_slice_memory_order() {
                Some(items) if array.t().is_standard_layout() => {
                    Ok(Self::of(array.shape(), items).column_major())
                }
                _ => Err(fail(
                    TachyonError::InvalidSize,
                    "the items of the array lie in no order that a frame can have: send a copy, \
                     as as_standard_layout() makes it",
                )),
            }
        }
    }

    impl<'a> FrameRef<'a> {
        /// The items as an array of the crate `ndarray`, in place; with the feature
        /// `ndarray`.
        ///
        /// # Errors
        /// `UnexpectedMessage` when they are no `T`.
        pub fn array<T: FrameItem>(&self) -> Result<ArrayViewD<'a, T>, TachyonError> {
            let shape = IxDyn(self.shape()).set_f(self.is_column_major());
            ArrayViewD::from_shape(shape, self.as_slice()?)
                .map_err(|error| fail(TachyonError::UnexpectedMessage, &error.to_string()))
        }
    }
}
