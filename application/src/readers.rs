//! Readers who take their answer slowly: each holds a connection of its client for as long, so that they may hold a
//! share of them and no more.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places that slow readers of one client may hold.
#[derive(Debug)]
pub struct SlowReaders {
    free: Arc<Semaphore>,
}

/// A place of a slow reader, until it is dropped.
pub type SlowPlace = OwnedSemaphorePermit;

impl SlowReaders {
    /// Places for so many at once.
    pub fn at_most(places: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))) }
    }

    /// All but a quarter of `places`, and all but one of a few; of a single one that one.
    pub fn share_of(places: usize) -> usize {
        places.saturating_sub(places.div_ceil(4)).max(1)
    }

    /// Whether every place is taken.
    pub fn is_full(&self) -> bool {
        self.free.available_permits() == 0
    }

    /// Takes a place, if there is one.
    pub fn enter(&self) -> Option<SlowPlace> {
        self.free.clone().try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_is_left_to_the_others() {
        let shares = [1, 2, 3, 4, 5, 8, 50, 60].map(SlowReaders::share_of);
        assert_eq!(shares, [1, 1, 2, 3, 3, 6, 37, 45]);
    }
}
