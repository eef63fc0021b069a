// SPDX-License-Identifier: Apache-2.0
//! Waiting that a signal does not end.

use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use tachyon_sys::{
    tachyon_error_t_TACHYON_ERR_EMPTY as EMPTY, tachyon_error_t_TACHYON_ERR_FULL as FULL,
    tachyon_error_t_TACHYON_ERR_INTERRUPTED as INTERRUPTED,
};

use crate::error::{fail, last, last_code, reported};
use crate::TachyonError;

/// What the library calls for ever.
pub(crate) const FOR_EVER: i64 = -1;

/// A time-out as the library takes it; what has no room in it (292 years) never ends.
pub(crate) fn nanoseconds(timeout: Duration) -> i64 {
    i64::try_from(timeout.as_nanos()).unwrap_or(FOR_EVER)
}

/// The time that is left of a time-out; never 0, which would mean something else.
pub(crate) struct Remaining {
    timeout: Duration,
    since: Instant,
}

impl Remaining {
    pub(crate) fn of(timeout: Duration) -> Self {
        Self {
            timeout,
            since: Instant::now(),
        }
    }

    pub(crate) fn nanoseconds(&self) -> i64 {
        if nanoseconds(self.timeout) == FOR_EVER {
            return FOR_EVER;
        }
        nanoseconds(self.timeout.saturating_sub(self.since.elapsed())).max(1)
    }
}

/// What a sender waits for, in bytes.
pub(crate) struct Room(pub(crate) usize);

impl Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "room for {} bytes", self.0)
    }
}

/// Repeats `attempt`, which takes a time-out in nanoseconds and answers None for an error
/// that the library reports, while only signals end it. `what` is waited for.
#[inline]
pub(crate) fn wait<T>(
    timeout: Duration,
    what: &dyn Display,
    mut attempt: impl FnMut(i64) -> Option<T>,
) -> Result<T, TachyonError> {
    if nanoseconds(timeout) == FOR_EVER {
        return again_after_signals(|| attempt(FOR_EVER));
    }
    // What is there at once needs no clock.
    match attempt(0) {
        Some(value) => Ok(value),
        None if timeout.is_zero() || !matches!(last_code(), EMPTY | FULL) => Err(last()),
        None => {
            let remaining = Remaining::of(timeout);
            again_after_signals(|| attempt(remaining.nanoseconds()))
                .map_err(|error| complete(error, what, timeout))
        }
    }
}

/// A time-out says what has not come: the library does not know for how long all its calls
/// have waited.
#[cold]
pub(crate) fn complete(error: TachyonError, what: &dyn Display, timeout: Duration) -> TachyonError {
    match error {
        TachyonError::Timeout => fail(error, &format!("no {what} within {timeout:?}")),
        error => error,
    }
}

#[inline]
fn again_after_signals<T>(mut attempt: impl FnMut() -> Option<T>) -> Result<T, TachyonError> {
    loop {
        if let Some(value) = attempt() {
            return Ok(value);
        }
        let code = last_code();
        if code != INTERRUPTED {
            return Err(reported(code));
        }
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
        assert_eq!(nanoseconds(Duration::from_secs(1 << 40)), FOR_EVER);
        assert_eq!(nanoseconds(Duration::MAX), FOR_EVER);
        assert_eq!(Remaining::of(Duration::MAX).nanoseconds(), FOR_EVER);
    }

    #[test]
    fn a_time_out_that_has_passed_is_not_a_single_look() {
        assert_eq!(Remaining::of(Duration::ZERO).nanoseconds(), 1);
    }
}
