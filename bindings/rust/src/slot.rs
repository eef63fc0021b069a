// SPDX-License-Identifier: Apache-2.0
//! One guard at a time.

use std::cell::Cell;

use crate::error::fail;
use crate::TachyonError;

/// Whether a guard of one direction is alive.
#[derive(Default)]
pub(crate) struct Slot(Cell<bool>);

impl Slot {
    #[inline]
    pub(crate) fn must_be_free(&self, guard: &str) -> Result<(), TachyonError> {
        if self.0.get() {
            return Err(Self::taken(guard));
        }
        Ok(())
    }

    #[cold]
    fn taken(guard: &str) -> TachyonError {
        let text = format!("a {guard} of this handle is alive: commit or drop it first");
        fail(TachyonError::Busy, &text)
    }

    #[inline]
    pub(crate) fn take(&self) {
        self.0.set(true);
    }

    #[inline]
    pub(crate) fn free(&self) {
        self.0.set(false);
    }
}
