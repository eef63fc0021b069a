// SPDX-License-Identifier: Apache-2.0
//! What an adapter in Rust is; `../c/link.h` says the same of those in C, and the driver
//! loads both.

use std::ffi::{c_char, c_void, CStr, CString};
use std::fmt::Display;

#[repr(C)]
pub struct RawSetting {
    directory: *const c_char,
    shared: *mut c_void,
    lead: u32,
    mode: u32,
    size: u64,
    batch: u64,
    rpc: u32,
}

#[repr(C)]
pub struct RawLink {
    pub open: unsafe extern "C" fn(*const RawSetting),
    pub send: unsafe extern "C" fn(*const u8, usize),
    pub receive: unsafe extern "C" fn(*mut u8, usize),
    pub send_batch: Option<unsafe extern "C" fn(*const u8, usize, usize)>,
    pub receive_batch: Option<unsafe extern "C" fn(*mut u8, usize, usize) -> usize>,
    pub close: Option<unsafe extern "C" fn()>,
    pub reserve: Option<unsafe extern "C" fn(usize) -> *mut u8>,
    pub commit: Option<unsafe extern "C" fn(usize)>,
    pub acquire: Option<unsafe extern "C" fn(usize) -> *const u8>,
    pub release: Option<unsafe extern "C" fn()>,
    pub has_rpc: u32,
}

/// How a receive waits.
#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    /// Looks until there is something.
    Spin,
    /// As the library does when it is asked nothing.
    Adaptive,
    /// Sleeps at once.
    Sleep,
}

pub struct Setting {
    pub directory: String,
    /// This process measures; else it is the other one.
    pub lead: bool,
    pub mode: Mode,
    /// Of every message, in bytes.
    pub size: usize,
    /// Requests and replies: the lead's send is a call, its receive the reply to it; the
    /// other's receive takes a request, its send answers it.
    pub rpc: bool,
}

const RING_BYTES: usize = 4 << 20;

impl Setting {
    /// Of every ring, where one can say: room for some messages of any size.
    pub fn ring_bytes(&self) -> usize {
        RING_BYTES.max(4 * self.size)
    }

    /// # Safety
    /// The driver's own, whose directory is UTF-8.
    pub unsafe fn of(raw: &RawSetting) -> Setting {
        Setting {
            directory: CStr::from_ptr(raw.directory).to_string_lossy().into_owned(),
            lead: raw.lead != 0,
            mode: [Mode::Spin, Mode::Adaptive, Mode::Sleep][raw.mode as usize],
            size: raw.size as usize,
            rpc: raw.rpc != 0,
        }
    }

    /// A name that no other sample has.
    pub fn unique(&self) -> &str {
        self.directory.rsplit('/').next().unwrap_or_default()
    }
}

extern "C" {
    #[link_name = "cannot"]
    fn raw_cannot(why: *const c_char) -> !;
}

/// Say why there is no number, and end both processes: the row has that text.
pub fn cannot(why: impl Display) -> ! {
    let text = why.to_string().replace(['"', '\\', '\n', '\0'], " ");
    let text = CString::new(text).unwrap_or_default();
    // SAFETY: the driver has it, and the text ends with a 0.
    unsafe { raw_cannot(text.as_ptr()) }
}

pub trait Or<T> {
    fn or_cannot(self) -> T;
}

impl<T, E: Display> Or<T> for Result<T, E> {
    fn or_cannot(self) -> T {
        self.unwrap_or_else(|error| cannot(error))
    }
}

/// A connection of two processes in both directions; whatever fails, `cannot`.
pub trait Link: Sized {
    /// Whether the calls for batches are more than loops.
    const BATCHES: bool = false;
    /// Whether there are calls that work in place.
    const IN_PLACE: bool = false;
    /// Whether it knows what `rpc` of a setting asks for.
    const RPC: bool = false;

    /// Both processes at the same time.
    fn open(setting: &Setting) -> Self;
    /// To be seen at once.
    fn send(&mut self, payload: &[u8]);
    fn receive(&mut self, payload: &mut [u8]);
    /// Messages of `size` without gaps.
    fn send_batch(&mut self, items: &[u8], size: usize) {
        items.chunks(size).for_each(|item| self.send(item));
    }
    /// How many, of those there is room for.
    fn receive_batch(&mut self, items: &mut [u8], size: usize) -> usize {
        self.receive(&mut items[..size]);
        1
    }
    /// Room for one message; what is in it is sent by `commit`, to be seen at once.
    fn reserve(&mut self, _size: usize) -> *mut u8 {
        cannot("is not measured in place here")
    }
    fn commit(&mut self, _size: usize) {}
    /// The next message, until `release`.
    fn acquire(&mut self, _size: usize) -> *const u8 {
        cannot("is not measured in place here")
    }
    fn release(&mut self) {}
}

/// Make an adapter of a `Link`.
#[macro_export]
macro_rules! export {
    ($link:ty) => {
        static mut LINK: Option<$link> = None;

        #[inline(always)]
        fn opened() -> &'static mut $link {
            // SAFETY: the driver has one thread, and opens first.
            unsafe {
                (*::std::ptr::addr_of_mut!(LINK))
                    .as_mut()
                    .unwrap_unchecked()
            }
        }

        unsafe extern "C" fn open(setting: *const $crate::RawSetting) {
            let setting = $crate::Setting::of(&*setting);
            LINK = Some(<$link as $crate::Link>::open(&setting));
        }

        unsafe extern "C" fn send(payload: *const u8, size: usize) {
            $crate::Link::send(opened(), ::std::slice::from_raw_parts(payload, size));
        }

        unsafe extern "C" fn receive(payload: *mut u8, size: usize) {
            $crate::Link::receive(opened(), ::std::slice::from_raw_parts_mut(payload, size));
        }

        unsafe extern "C" fn send_batch(items: *const u8, size: usize, count: usize) {
            let items = ::std::slice::from_raw_parts(items, size * count);
            $crate::Link::send_batch(opened(), items, size);
        }

        unsafe extern "C" fn receive_batch(items: *mut u8, size: usize, most: usize) -> usize {
            let items = ::std::slice::from_raw_parts_mut(items, size * most);
            $crate::Link::receive_batch(opened(), items, size)
        }

        unsafe extern "C" fn close() {
            LINK = None;
        }

        unsafe extern "C" fn reserve(size: usize) -> *mut u8 {
            $crate::Link::reserve(opened(), size)
        }

        unsafe extern "C" fn commit(size: usize) {
            $crate::Link::commit(opened(), size);
        }

        unsafe extern "C" fn acquire(size: usize) -> *const u8 {
            $crate::Link::acquire(opened(), size)
        }

        unsafe extern "C" fn release() {
            $crate::Link::release(opened());
        }

        const BATCHES: bool = <$link as $crate::Link>::BATCHES;
        const IN_PLACE: bool = <$link as $crate::Link>::IN_PLACE;

        #[no_mangle]
        #[allow(non_upper_case_globals)]
        pub static tachyon_peer_link: $crate::RawLink = $crate::RawLink {
            open,
            send,
            receive,
            send_batch: if BATCHES { Some(send_batch) } else { None },
            receive_batch: if BATCHES { Some(receive_batch) } else { None },
            close: Some(close),
            reserve: if IN_PLACE { Some(reserve) } else { None },
            commit: if IN_PLACE { Some(commit) } else { None },
            acquire: if IN_PLACE { Some(acquire) } else { None },
            release: if IN_PLACE { Some(release) } else { None },
            has_rpc: <$link as $crate::Link>::RPC as u32,
        };
    };
}
