// SPDX-License-Identifier: Apache-2.0
//! Time-outs, and what a call that has waited for nothing says.

use std::fmt::{self, Display};
use std::time::Duration;

use tachyon_sys::{
    tachyon_error_t_TACHYON_ERR_EMPTY as EMPTY, tachyon_error_t_TACHYON_ERR_FULL as FULL,
};

use crate::error::{fail, last, last_code};
use crate::TachyonError;

/// A time-out as the library takes it; what has no room in it (292 years) never ends.
#[inline]
pub(crate) fn nanoseconds(timeout: Duration) -> i64 {
    i64::try_from(timeout.as_nanos()).unwrap_or(-1)
}

/// What a sender waits for, in bytes.
pub(crate) struct Room(pub(crate) usize);

impl Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "room for {} bytes", self.0)
    }
}

/// Makes `attempt`, which takes a time-out in nanoseconds and answers None for an error
/// that the library reports. `what` is waited for.
#[inline]
pub(crate) fn wait<T>(
    timeout: Duration,
    what: &dyn Display,
    attempt: impl FnOnce(i64) -> Option<T>,
) -> Result<T, TachyonError> {
    attempt(nanoseconds(timeout)).ok_or_else(|| not_come(what, timeout))
}

/// The error that the library has just reported; a time-out says what has not come.
#[cold]
pub(crate) fn not_come(what: &dyn Display, timeout: Duration) -> TachyonError {
    match last() {
        TachyonError::Timeout => {
            let text = format!("no {what} within {timeout:?}");
            fail(TachyonError::Timeout, &text)
        }
        error => error,
    }
}

/// Looks once: None when there is nothing now.
#[inline]
pub(crate) fn try_now<T>(
    attempt: impl FnOnce(i64) -> Option<T>,
) -> Result<Option<T>, TachyonError> {
    match attempt(0) {
        None if matches!(last_code(), EMPTY | FULL) => Ok(None),
        None => Err(last()),
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_beyond_the_range_is_for_ever() {
        assert_eq!(nanoseconds(Duration::from_micros(1)), 1000);
        assert_eq!(nanoseconds(Duration::from_secs(1 << 40)), -1);
        assert_eq!(nanoseconds(Duration::MAX), -1);
    }
}
