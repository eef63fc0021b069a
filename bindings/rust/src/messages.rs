// SPDX-License-Identifier: Apache-2.0
//! Iterating over what is received.

use std::iter::FusedIterator;

use crate::{Bus, RxGuard, TachyonError, SPIN_THRESHOLD};

/// The messages of a [`Bus`] as they come; made by [`Bus::iter`] or `for message in &bus`.
///
/// Waits for each message. Ends when the peer has closed and everything has been delivered.
/// Any other failure comes as the last item, such as [`TachyonError::PeerDead`]. A message
/// that is kept while the next one is asked for gives [`TachyonError::Busy`].
#[derive(Debug)]
pub struct Messages<'bus> {
    bus: &'bus Bus,
    ended: bool,
}

impl<'bus> Messages<'bus> {
    pub(crate) fn new(bus: &'bus Bus) -> Self {
        Self { bus, ended: false }
    }
}

impl<'bus> Iterator for Messages<'bus> {
    type Item = Result<RxGuard<'bus>, TachyonError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let message = self.bus.acquire_rx(SPIN_THRESHOLD);
        if let Err(error) = message {
            self.ended = error != TachyonError::Busy;
            if error == TachyonError::Closed {
                return None;
            }
        }
        Some(message)
    }
}

impl FusedIterator for Messages<'_> {}
