//! What a batch comes to, gathered in one walk through its entries.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use athena_application::ports::{LogEntry, NOT_FOUND};

use super::Part;
use super::origins::Origins;

/// Everything that a batch adds to counts.
#[derive(Default)]
pub(super) struct Tally<'e> {
    /// Keys by number, and when their secret was verified last.
    pub keys: BTreeMap<i64, Option<i64>>,
    pub clients: BTreeMap<&'e str, OfClient>,
    /// By client, table and operation.
    pub tables: BTreeMap<(&'e str, &'e str, &'e str), OfTable>,
    /// Live connections by [`LogEntry::registry_key`].
    pub connections: BTreeMap<String, Hits<'e>>,
    /// Whether any entry has a row in the log of authentications.
    pub has_authentications: bool,
    /// Whether any entry has a row in the log of operations.
    pub has_operations: bool,
}

#[derive(Default)]
pub(super) struct OfClient {
    pub total: i64,
    pub good: i64,
    pub failed: i64,
    pub cached: i64,
    pub operations: i64,
    /// When the last request came.
    pub request: i64,
    pub operation: Option<i64>,
}

#[derive(Default)]
pub(super) struct OfTable {
    pub total: i64,
    pub failed: i64,
    pub last: i64,
}

/// What a key in the registry of live connections is made of: compared for every request, written once a batch.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Caller<'e> {
    client: &'e str,
    address: Option<&'e str>,
    origin: &'e str,
    identity: Option<&'e str>,
}

/// Requests of one caller.
pub(super) struct Hits<'e> {
    /// By which name the gateway was reached.
    pub origin: &'e str,
    pub count: i64,
    /// The one that came last; of several at once the one that ended last.
    pub last: &'e LogEntry<'e>,
    /// When the first one came.
    pub first: i64,
}

impl<'e> Hits<'e> {
    /// Adds requests that ended later.
    fn join(&mut self, later: &Hits<'e>) {
        self.count += later.count;
        self.first = self.first.min(later.first);
        if later.last.at >= self.last.at {
            (self.last, self.origin) = (later.last, later.origin);
        }
    }
}

impl<'e> Tally<'e> {
    /// What the entries come to, as far as this part of the log is concerned.
    pub(super) fn of(entries: &'e [LogEntry<'e>], part: Part, origins: &Mutex<Origins>) -> Self {
        let mut tally = Self::default();
        let mut callers = BTreeMap::new();
        let mut origins = origins.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            if part != Part::Requests {
                tally.note_key(entry);
            }
            if part != Part::Keys {
                tally.note_request(entry, &mut origins, &mut callers);
            }
        }
        for (caller, hits) in callers {
            let Some(key) = hits.last.registry_key(caller.origin) else { continue };
            // Two callers of one key are one connection: a statement takes no key twice.
            tally.connections.entry(key).and_modify(|known| known.join(&hits)).or_insert(hits);
        }
        tally
    }

    fn note_key(&mut self, entry: &LogEntry<'_>) {
        let Some(auth) = &entry.auth else { return };
        self.has_authentications |= auth.logged;
        let Some(key) = &auth.key else { return };
        let verified = self.keys.entry(key.id).or_default();
        if auth.authenticated {
            *verified = (*verified).max(Some(entry.at));
        }
    }

    fn note_request(
        &mut self,
        entry: &'e LogEntry<'e>,
        origins: &mut Origins,
        callers: &mut BTreeMap<Caller<'e>, Hits<'e>>,
    ) {
        self.has_operations |= entry.operation.is_some();
        // Any other caller may use the name, so it is known from every request.
        let origin = entry.origin.as_deref().map_or(NOT_FOUND, |origin| origins.kept(origin, entry.at));
        let Some(client) = entry.client.as_deref() else { return };
        let failed = i64::from(entry.failed());
        let of = self
            .clients
            .entry(client)
            .or_insert_with(|| OfClient { request: entry.at, ..OfClient::default() });
        of.total += 1;
        of.good += i64::from(entry.succeeded());
        of.failed += failed;
        of.cached += i64::from(entry.cached);
        of.request = of.request.max(entry.at);
        if let Some(operation) = &entry.operation {
            of.operations += 1;
            of.operation = of.operation.max(Some(entry.at));
            if let Some(table) = operation.table.as_deref().filter(|table| !table.is_empty()) {
                let of = self.tables.entry((client, table, &operation.name)).or_default();
                of.total += 1;
                of.failed += failed;
                of.last = of.last.max(entry.at);
            }
        }
        if entry.is_registered() {
            let address = entry.address.as_deref();
            let identity = entry.verified_key().map(|key| &*key.public_id);
            let caller = Caller { client, address, origin, identity };
            let one = Hits { origin, count: 1, last: entry, first: entry.at };
            callers.entry(caller).and_modify(|known| known.join(&one)).or_insert(one);
        }
    }
}
