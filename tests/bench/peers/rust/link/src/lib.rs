// SPDX-License-Identifier: Apache-2.0
//! What an adapter in Rust is; `../c/link.h` says the same of those in C, and the driver
//! loads both.

use std::ffi::{c_char, c_void, CStr, CString};
use std::fmt::Display;
use std::time::{Duration, Instant};

#[repr(C)]
pub struct RawSetting {
    directory: *const c_char,
    shared: *mut c_void,
    lead: u32,
    mode: u32,
    size: u64,
    batch: u64,
    rpc: u32,
    in_place: u32,
}

#[repr(C)]
pub struct RawLink {
    pub open: unsafe extern "C" fn(*const RawSetting),
    pub send: unsafe extern "C" fn(*const u8, usize),
    pub receive: unsafe extern "C" fn(*mut u8, usize),
    pub send_batch: Option<unsafe extern "C" fn(*const u8, usize, usize)>,
    pub receive_batch: Option<unsafe extern "C" fn(*mut u8, usize, usize) -> usize>,
    pub close: Option<unsafe extern "C" fn()>,
    pub send_in_place: Option<unsafe extern "C" fn(usize, Write)>,
    pub receive_in_place: Option<unsafe extern "C" fn(usize, Read)>,
    pub has_rpc: u32,
}

/// The driver's, which writes a whole message where it lies.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Write(unsafe extern "C" fn(*mut u8, usize));

impl Write {
    pub fn fill(self, room: &mut [u8]) {
        // SAFETY: it writes no more than there is room for.
        unsafe { self.0(room.as_mut_ptr(), room.len()) }
    }
}

/// The driver's, which reads a message where it lies; what it read the last time counts.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Read(unsafe extern "C" fn(*const u8, usize));

impl Read {
    pub fn look(self, message: &[u8]) {
        // SAFETY: it reads no more than there is.
        unsafe { self.0(message.as_ptr(), message.len()) }
    }
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
    /// What counts are the calls in place.
    pub in_place: bool,
}

const RING_BYTES: usize = 4 << 20;
/// Looks for a message before who waits for it sleeps.
const LOOKS: u32 = 10_000;
/// How long the other may take to be there.
const LIMIT: Duration = Duration::from_secs(5);

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
            in_place: raw.in_place != 0,
        }
    }

    /// How often to look before sleeping, where the library asks.
    pub fn looks(&self) -> u32 {
        match self.mode {
            Mode::Sleep => 0,
            _ => LOOKS,
        }
    }

    /// A path that both processes have.
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.directory)
    }

    /// Of the two directions: this process's own, and the one that comes to it.
    pub fn directions(&self) -> (&'static str, &'static str) {
        match self.lead {
            true => ("forth", "back"),
            false => ("back", "forth"),
        }
    }

    /// A way out and one in, where the reader of each listens and the writer connects.
    pub fn both_ways<T>(&self, listen: impl Fn(&str) -> T, connect: impl Fn(&str) -> T) -> (T, T) {
        let (out, incoming) = self.directions();
        let (out, incoming) = (self.path(out), self.path(incoming));
        if self.lead {
            let out = connect(&out);
            (out, listen(&incoming))
        } else {
            let incoming = listen(&incoming);
            (connect(&out), incoming)
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

/// What comes of it once the other process is there.
pub fn until_there<T, E: Display>(mut attempt: impl FnMut() -> Result<T, E>) -> T {
    let start = Instant::now();
    loop {
        match attempt() {
            Err(_) if start.elapsed() < LIMIT => std::hint::spin_loop(),
            result => return result.or_cannot(),
        }
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
    /// Has a message written where it is read, to be seen at once.
    fn send_in_place(&mut self, _size: usize, _write: Write) {}
    /// Has the next one read where it lies.
    fn receive_in_place(&mut self, _size: usize, _read: Read) {}
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

        unsafe extern "C" fn send_in_place(size: usize, write: $crate::Write) {
            $crate::Link::send_in_place(opened(), size, write);
        }

        unsafe extern "C" fn receive_in_place(size: usize, read: $crate::Read) {
            $crate::Link::receive_in_place(opened(), size, read);
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
            send_in_place: if IN_PLACE { Some(send_in_place) } else { None },
            receive_in_place: if IN_PLACE {
                Some(receive_in_place)
            } else {
                None
            },
            has_rpc: <$link as $crate::Link>::RPC as u32,
        };
    };
}
