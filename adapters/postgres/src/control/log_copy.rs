//! Log entries as rows of `COPY … (FORMAT binary)`: PostgreSQL takes them with less work than any text.

use std::collections::HashSet;
use std::hash::BuildHasher;

use athena_application::ports::{BatchId, LogEntry, NOT_FOUND, REDACTED, Text};

/// Statement for the rows of [`request`].
pub(super) const REQUESTS: &str = "COPY gateway_request_log (created_at, request_id, client, method, path, \
    query_string, status_code, ipv4, user_agent, headers, user_id, company_id, organization_id, api_key_id, \
    presented_api_key_public_id, presented_api_key_hash, presented_api_key_salt, api_key_authenticated, \
    api_key_authorized, api_key_enforced, api_key_auth_reason, host, cached, \"time\") \
    FROM STDIN (FORMAT binary)";

/// Statement for the rows of [`operation`].
pub(super) const OPERATIONS: &str = "COPY gateway_operation_log (created_at, request_id, operation, table_name, \
    client, method, path, status_code, duration_ms, details, \"time\", error, message, cache_key) \
    FROM STDIN (FORMAT binary)";

/// Statement for the rows of [`authentication`].
pub(super) const AUTHENTICATIONS: &str = "COPY api_key_auth_log (api_key_auth_log_id, created_at, request_id, \
    api_key_id, api_key_public_id, client_name, method, path, required_rights, granted_rights, authenticated, \
    authorized, enforced, failure_reason, remote_addr, user_agent, \"time\") FROM STDIN (FORMAT binary)";

/// Microseconds between 1970 and PostgreSQL's year 2000.
const EPOCH: i64 = 946_684_800_000_000;

/// A row of [`REQUESTS`].
pub(super) fn request(rows: &mut Rows, entry: &LogEntry<'_>) {
    let auth = entry.auth.as_ref();
    let presented = auth.is_some_and(|auth| auth.key.is_some() || auth.presented_public_id.is_some());
    let secret = presented.then_some(REDACTED);
    rows.begin(24);
    rows.time(entry.at);
    rows.text(&entry.request_id);
    rows.optional(entry.client.as_deref());
    rows.text(&entry.method);
    rows.text(&entry.path);
    rows.or_not_found(&entry.query);
    rows.int4(i32::from(entry.status));
    rows.or_not_found(&entry.address);
    rows.or_not_found(&entry.user_agent);
    rows.json(&entry.headers);
    rows.or_not_found(&entry.user);
    rows.or_not_found(&entry.company);
    rows.or_not_found(&entry.organization);
    rows.optional(entry.verified_key().map(|key| &*key.external_id));
    rows.optional(auth.and_then(|auth| auth.presented_public_id.as_deref()));
    rows.optional(secret);
    rows.optional(secret);
    rows.bool(auth.is_some_and(|auth| auth.authenticated));
    rows.bool(auth.is_some_and(|auth| auth.authorized));
    rows.bool(auth.is_some_and(|auth| auth.enforced));
    rows.optional(auth.map(|auth| &*auth.reason));
    rows.or_not_found(&entry.host);
    rows.bool(entry.cached);
    rows.seconds(entry.at);
}

/// A row of [`OPERATIONS`], where there was an operation.
pub(super) fn operation(rows: &mut Rows, entry: &LogEntry<'_>) {
    let Some(operation) = &entry.operation else { return };
    rows.begin(14);
    rows.time(entry.at);
    rows.text(&entry.request_id);
    rows.text(&operation.name);
    rows.optional(operation.table.as_deref());
    rows.optional(entry.client.as_deref());
    rows.text(&entry.method);
    rows.text(&entry.path);
    rows.int4(i32::from(entry.status));
    rows.int8(operation.duration_ms);
    match &entry.details {
        Some(details) => rows.json(details),
        None => rows.null(),
    }
    rows.seconds(entry.at);
    rows.bool(entry.failed());
    rows.optional(entry.message.as_deref());
    rows.null();
}

/// A row of [`AUTHENTICATIONS`], where the credential could be judged: of the entry that has this number in the
/// batch, counted from 1. A key that is not in `known` is named by its public id only.
pub(super) fn authentication(
    rows: &mut Rows,
    entry: &LogEntry<'_>,
    batch: BatchId,
    number: u128,
    known: &HashSet<i64, impl BuildHasher>,
) {
    let Some(auth) = entry.auth.as_ref().filter(|auth| auth.logged) else { return };
    rows.begin(17);
    // Neighbours in the index too: a random id each would touch a page of it each.
    rows.uuid(row_id(batch.0, number));
    rows.time(entry.at);
    rows.text(&entry.request_id);
    match auth.key.as_ref().filter(|key| known.contains(&key.id)) {
        Some(key) => rows.int8(key.id),
        None => rows.null(),
    }
    let public = auth.key.as_ref().map(|key| &key.public_id).or(auth.presented_public_id.as_ref());
    rows.optional(public.map(|id| &**id));
    rows.optional(entry.client_sent.as_deref());
    rows.text(&entry.method);
    rows.text(&entry.path);
    rows.json(&auth.required);
    rows.json(&auth.granted);
    rows.bool(auth.authenticated);
    rows.bool(auth.authorized);
    rows.bool(auth.enforced);
    rows.text(&auth.reason);
    rows.or_not_found(&entry.address);
    rows.or_not_found(&entry.user_agent);
    rows.time(entry.at);
}

/// Ids of one batch differ in their last bits, ids of different batches in the others.
fn row_id(batch: u128, number: u128) -> u128 {
    // The low bits of a batch's name tell its parts apart; they move up and make room for the number.
    (batch << 32) | (number & 0xffff_ffff)
}

/// Rows in the making; they leave in pieces, so that the memory they are made in stays warm.
pub(super) struct Rows(Vec<u8>);

impl Rows {
    /// Size of a piece, in bytes.
    const PIECE: usize = 32 * 1024;

    /// The beginning of a copy.
    pub(super) fn new() -> Self {
        let mut bytes = Vec::with_capacity(Self::PIECE + 4096);
        bytes.extend_from_slice(b"PGCOPY\n\xff\r\n\0");
        bytes.extend_from_slice(&[0; 8]);
        Self(bytes)
    }

    /// What is to be sent, once it is enough.
    pub(super) fn piece(&self) -> Option<&[u8]> {
        (self.0.len() >= Self::PIECE).then_some(&*self.0)
    }

    /// Forgets what was sent.
    pub(super) fn sent(&mut self) {
        self.0.clear();
    }

    /// The last piece.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&(-1_i16).to_be_bytes());
        self.0
    }

    fn begin(&mut self, columns: i16) {
        self.0.extend_from_slice(&columns.to_be_bytes());
    }

    fn null(&mut self) {
        self.0.extend_from_slice(&(-1_i32).to_be_bytes());
    }

    fn value(&mut self, bytes: &[u8]) {
        // No text of an entry comes near 2 GiB.
        self.0.extend_from_slice(&i32::try_from(bytes.len()).unwrap_or(i32::MAX).to_be_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.value(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.null(),
        }
    }

    fn or_not_found(&mut self, text: &Option<Text<'_>>) {
        self.text(text.as_deref().unwrap_or(NOT_FOUND));
    }

    fn json(&mut self, text: &str) {
        self.0.extend_from_slice(&i32::try_from(text.len() + 1).unwrap_or(i32::MAX).to_be_bytes());
        self.0.push(1);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn bool(&mut self, value: bool) {
        self.value(&[u8::from(value)]);
    }

    fn int4(&mut self, value: i32) {
        self.value(&value.to_be_bytes());
    }

    fn int8(&mut self, value: i64) {
        self.value(&value.to_be_bytes());
    }

    fn uuid(&mut self, value: u128) {
        self.value(&value.to_be_bytes());
    }

    fn time(&mut self, micros: i64) {
        self.int8(micros.saturating_sub(EPOCH));
    }

    /// Microseconds as seconds of the type `numeric`: digits to the base 10,000.
    fn seconds(&mut self, micros: i64) {
        let micros = micros.max(0).unsigned_abs();
        let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
        let digits = [
            seconds / 100_000_000,
            seconds / 10_000 % 10_000,
            seconds % 10_000,
            rest / 100,
            rest % 100 * 100,
        ];
        self.0.extend_from_slice(&18_i32.to_be_bytes());
        // Five digits, the first worth 10,000², positive, six decimals.
        for part in [5_i16, 2, 0, 6] {
            self.0.extend_from_slice(&part.to_be_bytes());
        }
        for digit in digits {
            self.0.extend_from_slice(&i16::try_from(digit).unwrap_or(9_999).to_be_bytes());
        }
    }
}
