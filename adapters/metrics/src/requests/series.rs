//! The series that one kind of request counts in, found once: a label costs a look-up each, and this runs for every
//! request.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus::{Histogram, IntCounter};

/// What decides which series a request of a client counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub route: &'static str,
    pub method: &'static str,
    pub status: u16,
    pub operation: Option<&'static str>,
}

/// Series of one kind of request of one client.
pub(super) struct Series {
    pub total: IntCounter,
    pub seconds: Histogram,
    pub bytes: IntCounter,
    pub operation: Option<OfOperation>,
}

/// Series of what was done to a database.
pub(super) struct OfOperation {
    pub seconds: Histogram,
    pub rows: IntCounter,
    pub waited: Histogram,
}

/// The series that have been found, by client. There are as many as there are numbers to count in anyway.
#[derive(Default)]
pub(super) struct Found(RwLock<HashMap<Box<str>, Kinds, foldhash::fast::RandomState>>);

/// The kinds of requests of one client: a handful, so that they are searched one by one.
type Kinds = Vec<(Kind, Arc<Series>)>;

impl Found {
    /// The series of this kind of request; `find` is asked the first time.
    pub fn get(&self, client: &str, kind: Kind, find: impl FnOnce() -> Series) -> Arc<Series> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let of_client = known.get(client).and_then(|kinds| kinds.iter().find(|(known, _)| *known == kind));
        if let Some((_, series)) = of_client {
            return series.clone();
        }
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let series = Arc::new(find());
        // Two that have found it at once count in the same series.
        known.entry(client.into()).or_default().push((kind, series.clone()));
        series
    }

    /// Forgets the clients that are not known; `remove` takes their series away. Nobody finds one meanwhile, for it
    /// would be counted in and never shown.
    pub fn forget<T>(&self, is_known: &dyn Fn(&str) -> bool, remove: impl FnOnce() -> T) -> T {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|client, _| is_known(client));
        remove()
    }
}
