// SPDX-License-Identifier: Apache-2.0
//! What can go wrong, and the text of what did.

use std::cell::RefCell;
use std::ffi::CStr;
use std::{fmt, io};

use tachyon_sys as sys;

/// The one table of the variants: each with the value that C gives it.
macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $raw:ident,)*) => {
        /// Why a call failed.
        ///
        /// A value is only the kind of failure, for `match`. The text with cause and
        /// value ("a message of 5000 bytes can never fit: ...") is kept by the thread
        /// that got the error, for its latest one. [`Display`](fmt::Display),
        /// [`Debug`](fmt::Debug) and [`raw_os_error`](Self::raw_os_error) give it while
        /// this thread's latest error is of the same kind, and else a line that is true
        /// of every error of that kind. So show an error, or keep its `to_string()` or
        /// the [`io::Error`] made from it, before the next call fails, and on the same
        /// thread.
        ///
        /// ```
        /// use tachyon_ipc::{Bus, TachyonError};
        ///
        /// let error = Bus::connect("@nobody-is-here").unwrap_err();
        /// assert_eq!(error, TachyonError::NetworkError);
        /// assert!(error.to_string().contains("@nobody-is-here"));
        /// ```
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum TachyonError {
            $($(#[$doc])* $name,)*
            /// The next message is of another type or size than what was asked for.
            UnexpectedMessage,
            /// An error of the library that this crate does not know.
            Unknown(u32),
        }

        impl TachyonError {
            pub(crate) fn from_raw(code: sys::tachyon_error_t) -> Self {
                match code {
                    $(sys::$raw => Self::$name,)*
                    code => Self::Unknown(code),
                }
            }

            fn raw(self) -> sys::tachyon_error_t {
                match self {
                    $(Self::$name => sys::$raw,)*
                    Self::UnexpectedMessage => sys::tachyon_error_t_TACHYON_ERR_INVALID_SZ,
                    Self::Unknown(code) => code,
                }
            }

            fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    Self::UnexpectedMessage => "UnexpectedMessage",
                    Self::Unknown(_) => "Unknown",
                }
            }

            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

errors! {
    /// A required pointer is NULL. Safe code does not come to it.
    NullPtr = tachyon_error_t_TACHYON_ERR_NULL_PTR,
    /// There is no memory.
    OutOfMemory = tachyon_error_t_TACHYON_ERR_MEM,
    /// The shared memory cannot be created.
    OpenFailed = tachyon_error_t_TACHYON_ERR_OPEN,
    /// The shared memory cannot be sized.
    TruncateFailed = tachyon_error_t_TACHYON_ERR_TRUNCATE,
    /// The socket's mode cannot be set.
    ChmodFailed = tachyon_error_t_TACHYON_ERR_CHMOD,
    /// Seals cannot be set, or the peer's are missing.
    SealFailed = tachyon_error_t_TACHYON_ERR_SEAL,
    /// The shared memory cannot be mapped.
    MapFailed = tachyon_error_t_TACHYON_ERR_MAP,
    /// A size, a path or another argument is out of range.
    InvalidSize = tachyon_error_t_TACHYON_ERR_INVALID_SZ,
    /// There is no room until the consumer releases a message.
    BufferFull = tachyon_error_t_TACHYON_ERR_FULL,
    /// There is no message now.
    BufferEmpty = tachyon_error_t_TACHYON_ERR_EMPTY,
    /// Nobody listens, or the socket failed.
    NetworkError = tachyon_error_t_TACHYON_ERR_NETWORK,
    /// Another system call failed.
    SystemError = tachyon_error_t_TACHYON_ERR_SYSTEM,
    /// A signal arrived while waiting.
    Interrupted = tachyon_error_t_TACHYON_ERR_INTERRUPTED,
    /// The peer speaks another protocol: another version, another schema, or RPC.
    AbiMismatch = tachyon_error_t_TACHYON_ERR_ABI_MISMATCH,
    /// The peer died without closing; all that it had flushed has been delivered.
    PeerDead = tachyon_error_t_TACHYON_ERR_PEER_DEAD,
    /// The end of the stream: the peer, or this end, has closed, and everything has been
    /// delivered.
    Closed = tachyon_error_t_TACHYON_ERR_CLOSED,
    /// The time-out passed.
    Timeout = tachyon_error_t_TACHYON_ERR_TIMEOUT,
    /// A guard of that direction is alive, the handle goes in the other direction, or
    /// another thread is using it.
    Busy = tachyon_error_t_TACHYON_ERR_BUSY,
    /// The peer wrote what no peer may write. The connection is of no use any more.
    Corrupt = tachyon_error_t_TACHYON_ERR_CORRUPT,
    /// The path is taken, by a listener or by a file.
    AddrInUse = tachyon_error_t_TACHYON_ERR_ADDR_IN_USE,
    /// Access was refused by mode or user id.
    Permission = tachyon_error_t_TACHYON_ERR_PERMISSION,
    /// The handle belongs to the parent process.
    Forked = tachyon_error_t_TACHYON_ERR_FORKED,
    /// The peer gave up in the middle, and said so; all that it had flushed has been
    /// delivered.
    Aborted = tachyon_error_t_TACHYON_ERR_ABORTED,
    /// What was to be read next is overwritten, or may be: this end was too slow, or asked
    /// for a position that is gone.
    Lagged = tachyon_error_t_TACHYON_ERR_LAGGED,
}

/// The text that an error value of this thread has no room for.
struct Latest {
    error: Option<TachyonError>,
    text: String, // empty: the kind says it all
    errno: i32,   // 0: no system call was behind it
}

thread_local! {
    static LATEST: RefCell<Latest> = const {
        RefCell::new(Latest { error: None, text: String::new(), errno: 0 })
    };
}

fn remember(error: TachyonError, text: &str, errno: i32) -> TachyonError {
    // While a thread ends there may be no place left for texts; the kind remains.
    let _ = LATEST.try_with(|latest| {
        let mut latest = latest.borrow_mut();
        latest.error = Some(error);
        latest.errno = errno;
        latest.text.clear();
        latest.text.push_str(text);
    });
    error
}

/// The error that the library has just reported with `code`.
#[cold]
pub(crate) fn reported(code: sys::tachyon_error_t) -> TachyonError {
    // SAFETY: all three only read this thread's own state, or constants.
    let (message, general, errno) = unsafe {
        (
            sys::tachyon_last_error_message(),
            sys::tachyon_strerror(code),
            sys::tachyon_last_errno(),
        )
    };
    let error = TachyonError::from_raw(code);
    if message == general {
        return remember(error, "", errno); // nothing to copy: some errors come often
    }
    // SAFETY: the text ends in a NUL and stays until this thread's next call.
    let message = unsafe { CStr::from_ptr(message) };
    remember(error, &message.to_string_lossy(), errno)
}

/// The error that the library has just reported by a NULL or 0.
#[cold]
pub(crate) fn last() -> TachyonError {
    reported(last_code())
}

pub(crate) fn last_code() -> sys::tachyon_error_t {
    // SAFETY: reads a value of this thread's own.
    unsafe { sys::tachyon_last_error() }
}

/// An error that this crate finds.
#[cold]
pub(crate) fn fail(error: TachyonError, text: &str) -> TachyonError {
    remember(error, text, 0)
}

#[inline]
pub(crate) fn check(code: sys::tachyon_error_t) -> Result<(), TachyonError> {
    if code == sys::tachyon_error_t_TACHYON_SUCCESS {
        Ok(())
    } else {
        Err(reported(code))
    }
}

impl TachyonError {
    /// What the thread remembers of its latest error, if that is of this kind.
    fn latest<T>(self, look: impl FnOnce(&Latest) -> T) -> Option<T> {
        LATEST
            .try_with(|latest| {
                let latest = latest.borrow();
                (latest.error == Some(self)).then(|| look(&latest))
            })
            .ok()
            .flatten()
    }

    /// The `errno` of the system call that failed, if it was one.
    ///
    /// As long as this thread's latest error is of this kind; see [`TachyonError`].
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.latest(|latest| latest.errno)
            .filter(|&errno| errno != 0)
    }
}

impl fmt::Display for TachyonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Cloned, since the formatter may run code that fails anew.
        let text = self.latest(|latest| latest.text.clone());
        match (text, self) {
            (Some(text), _) if !text.is_empty() => f.write_str(&text),
            (_, Self::UnexpectedMessage) => {
                f.write_str("the message is of another type or size than what was asked for")
            }
            (_, Self::Unknown(code)) => write!(f, "unknown error {code}"),
            // SAFETY: strerror answers any value with a constant text.
            (_, known) => f.write_str(unsafe {
                &CStr::from_ptr(sys::tachyon_strerror(known.raw())).to_string_lossy()
            }),
        }
    }
}

/// The variant's name, and the text behind it: what `unwrap()` and a `main` that returns
/// an error print.
impl fmt::Debug for TachyonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if let Self::Unknown(code) = self {
            write!(f, "({code})")?;
        }
        write!(f, ": {self}")
    }
}

impl std::error::Error for TachyonError {}

/// Takes the text along, so that it stays right whatever fails later.
impl From<TachyonError> for io::Error {
    fn from(error: TachyonError) -> Self {
        use io::ErrorKind as Kind;
        // SAFETY: answers any value.
        let kind = match unsafe { sys::tachyon_error_kind(error.raw()) } {
            _ if error == TachyonError::AddrInUse => Kind::AddrInUse,
            _ if error == TachyonError::UnexpectedMessage => Kind::InvalidData,
            sys::tachyon_error_kind_t_TACHYON_KIND_ARGUMENT => Kind::InvalidInput,
            sys::tachyon_error_kind_t_TACHYON_KIND_MEMORY => Kind::OutOfMemory,
            sys::tachyon_error_kind_t_TACHYON_KIND_PERMISSION => Kind::PermissionDenied,
            sys::tachyon_error_kind_t_TACHYON_KIND_WOULD_BLOCK => Kind::WouldBlock,
            sys::tachyon_error_kind_t_TACHYON_KIND_TIMEOUT => Kind::TimedOut,
            sys::tachyon_error_kind_t_TACHYON_KIND_INTERRUPTED => Kind::Interrupted,
            sys::tachyon_error_kind_t_TACHYON_KIND_CLOSED => Kind::UnexpectedEof,
            sys::tachyon_error_kind_t_TACHYON_KIND_PEER_DEAD => Kind::ConnectionReset,
            sys::tachyon_error_kind_t_TACHYON_KIND_ABORTED => Kind::ConnectionAborted,
            sys::tachyon_error_kind_t_TACHYON_KIND_CORRUPT => Kind::InvalidData,
            _ => match error.raw_os_error() {
                Some(errno) => io::Error::from_raw_os_error(errno).kind(),
                None => Kind::Other,
            },
        };
        io::Error::new(kind, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_the_library_has_a_variant_of_its_own() {
        for code in 1.. {
            // SAFETY: strerror answers any value with a constant text.
            let text = unsafe { CStr::from_ptr(sys::tachyon_strerror(code)) };
            let error = TachyonError::from_raw(code);
            assert_eq!(error.raw(), code);
            if text.to_str() == Ok("unknown error") {
                assert_eq!(error, TachyonError::Unknown(code));
                assert_eq!(code as usize, TachyonError::ALL.len() + 1);
                break;
            }
            assert_eq!(error, TachyonError::ALL[code as usize - 1]);
            assert_eq!(error.to_string(), text.to_str().unwrap());
        }
    }

    #[test]
    fn an_unknown_error_says_its_number() {
        let error = TachyonError::Unknown(99);
        assert_eq!(error.to_string(), "unknown error 99");
        assert_eq!(format!("{error:?}"), "Unknown(99): unknown error 99");
    }

    #[test]
    fn the_text_is_of_the_latest_error_and_of_no_other_kind() {
        let full = fail(TachyonError::BufferFull, "no room for 3 bytes");
        assert_eq!(full.to_string(), "no room for 3 bytes");
        assert_eq!(format!("{full:?}"), "BufferFull: no room for 3 bytes");
        assert_eq!(TachyonError::Busy.to_string(), general(TachyonError::Busy));
        fail(TachyonError::Busy, "a guard is alive");
        assert_eq!(full.to_string(), general(full));
    }

    #[test]
    fn each_kind_of_error_is_a_kind_of_io_error() {
        use io::ErrorKind as Kind;
        let kinds = TachyonError::ALL
            .iter()
            .map(|error| (error.name(), io::Error::from(*error).kind()));
        let named = [
            ("NullPtr", Kind::InvalidInput),
            ("OutOfMemory", Kind::OutOfMemory),
            ("ChmodFailed", Kind::PermissionDenied),
            ("SealFailed", Kind::PermissionDenied),
            ("InvalidSize", Kind::InvalidInput),
            ("BufferFull", Kind::WouldBlock),
            ("BufferEmpty", Kind::WouldBlock),
            ("Interrupted", Kind::Interrupted),
            ("PeerDead", Kind::ConnectionReset),
            ("Closed", Kind::UnexpectedEof),
            ("Timeout", Kind::TimedOut),
            ("Corrupt", Kind::InvalidData),
            ("AddrInUse", Kind::AddrInUse),
            ("Permission", Kind::PermissionDenied),
            ("Aborted", Kind::ConnectionAborted),
            ("Lagged", Kind::ConnectionAborted),
        ];
        let told: Vec<_> = kinds.filter(|&(_, kind)| kind != Kind::Other).collect();
        assert_eq!(told, named);
        let unexpected = io::Error::from(TachyonError::UnexpectedMessage);
        assert_eq!(unexpected.kind(), Kind::InvalidData);
        let unknown = io::Error::from(TachyonError::Unknown(99));
        assert_eq!(unknown.kind(), Kind::Other);
        let refused = remember(TachyonError::NetworkError, "", 111); // ECONNREFUSED
        assert_eq!(io::Error::from(refused).kind(), Kind::ConnectionRefused);
    }

    #[test]
    fn the_text_stays_in_its_thread() {
        let full = fail(TachyonError::BufferFull, "no room for 3 bytes");
        let elsewhere = std::thread::spawn(move || full.to_string()).join().unwrap();
        assert_eq!(elsewhere, general(full));
    }

    #[test]
    fn an_io_error_keeps_the_text() {
        let kept = io::Error::from(fail(TachyonError::Timeout, "nobody came"));
        fail(TachyonError::Timeout, "nobody came again");
        assert_eq!(kept.kind(), io::ErrorKind::TimedOut);
        assert_eq!(kept.to_string(), "nobody came");
    }

    fn general(error: TachyonError) -> String {
        // SAFETY: strerror answers any value with a constant text.
        unsafe { CStr::from_ptr(sys::tachyon_strerror(error.raw())) }
            .to_string_lossy()
            .into_owned()
    }
}
