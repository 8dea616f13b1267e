//! From what was observed to what is kept (contract 5.8, 19.3).

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use athena_application::ports::{
    AuthObservation, LogEntry, LoggedAuth, LoggedKey, LoggedOperation, Observation, Text,
};
use athena_domain::access::AuthReason;
use serde::{Serialize, Serializer};

/// Beginnings of the routes that are logged whatever came of the request.
const LOGGED: [&str; 8] =
    ["/gateway/", "/query/", "/data", "/rest/", "/rpc/", "/pipelines", "/management/", "/schema/"];

/// Longest text that is kept, in bytes. A failure may quote what the caller sent, whatever its size.
const MAX_TEXT_BYTES: usize = 2048;

/// Whether the request is one of the gateway's: probes, documents and admin routes are not.
pub fn is_logged(observation: &Observation) -> bool {
    observation.client.is_some()
        || observation.auth.is_some()
        || observation.operation.is_some()
        || LOGGED.iter().any(|prefix| observation.route.starts_with(prefix))
}

/// Whether the log of authentications or a key's last use has something to note.
pub fn concerns_keys(observation: &Observation) -> bool {
    observation.auth.as_ref().is_some_and(|auth| auth.key.is_some() || has_row(auth.reason))
}

/// Whether the log of authentications gets a row: not when there was no store to ask (contract 5.8).
fn has_row(reason: AuthReason) -> bool {
    !matches!(reason, AuthReason::StoreNotConfigured | AuthReason::PolicyUnavailable)
}

/// Writes what is kept of a request behind what `bytes` hold already.
pub fn encode(seen: &Observation, bytes: &mut Vec<u8>) {
    let written = postcard::to_extend(&entry(seen), std::mem::take(bytes));
    *bytes = written.expect("texts and numbers serialise, and a vector takes every byte");
}

/// Reads what [`encode`] has written.
pub fn decode(bytes: &[u8]) -> Option<LogEntry<'_>> {
    postcard::from_bytes(bytes).ok()
}

/// What is kept of a request, borrowed where that is possible: this runs for every request.
fn entry(seen: &Observation) -> LogEntry<'_> {
    fn own(text: Option<&str>) -> Option<Text<'_>> {
        text.map(clean)
    }
    let known = if seen.client_known { seen.client.as_ref() } else { None };
    let message = seen.message.as_deref().map(clean).or_else(|| seen.code.map(Text::from));
    let details = (seen.status >= 400 || seen.broken).then(|| failure(seen.code, message.as_deref()).into());
    let operation = seen.operation.as_ref().filter(|_| !seen.cached);
    LogEntry {
        at: micros(seen.began),
        request_id: clean(&seen.request_id),
        client: known.map(|client| client.key().into()),
        client_sent: seen.client.as_ref().map(|client| client.as_str().into()),
        method: Text::from(&*seen.method),
        path: clean(&seen.path),
        query: own(seen.query.as_deref()),
        status: seen.status,
        address: seen.caller.ip.map(|ip| ip.to_string().into()),
        host: own(seen.caller.host.as_deref()),
        origin: own(seen.caller.origin.as_deref()),
        user_agent: own(seen.caller.user_agent.as_deref()),
        headers: headers(&seen.headers).into(),
        user: own(seen.audit.user.as_deref()),
        company: own(seen.audit.company.as_deref()),
        organization: own(seen.audit.organization.as_deref()),
        cached: seen.cached,
        auth: seen.auth.as_ref().map(auth),
        operation: operation.map(|operation| LoggedOperation {
            name: operation.name.into(),
            table: own(operation.table.as_deref()),
            duration_ms: i64::try_from(operation.duration.as_millis()).unwrap_or(i64::MAX),
        }),
        message,
        details,
    }
}

/// Microseconds since 1970.
fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// The beginning of the text, without NUL characters, which a database cannot hold.
fn clean(text: &str) -> Text<'_> {
    kept(text).into()
}

fn kept(text: &str) -> Cow<'_, str> {
    let text = &text[..text.floor_char_boundary(MAX_TEXT_BYTES)];
    if text.as_bytes().contains(&0) { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

fn auth(auth: &AuthObservation) -> LoggedAuth<'_> {
    let granted = match &auth.key {
        Some(key) if auth.authenticated => array(key.rights.names()).into(),
        _ => "[]".into(),
    };
    LoggedAuth {
        presented_public_id: auth.presented_public_id.as_deref().map(clean),
        authenticated: auth.authenticated,
        authorized: auth.authorized,
        enforced: auth.mode.enforces(),
        reason: auth.reason.logged(auth.mode).into(),
        required: array(auth.required.iter().map(AsRef::as_ref)).into(),
        granted,
        logged: has_row(auth.reason),
        key: auth.key.as_deref().map(|key| LoggedKey {
            id: key.id,
            external_id: Text::from(&*key.external_id),
            public_id: Text::from(&*key.public_id),
        }),
    }
}

fn array<'a>(names: impl Iterator<Item = &'a str>) -> String {
    json(|text| text.collect_seq(names.map(Kept)))
}

fn object<'a>(members: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    json(|text| text.collect_map(members.map(|(name, value)| (name, Kept(value)))))
}

fn headers(headers: &[(&'static str, Box<str>)]) -> String {
    object(headers.iter().map(|(name, value)| (*name, &**value)))
}

fn failure(code: Option<&str>, message: Option<&str>) -> String {
    let members = [("error_code", code), ("message", message)];
    object(members.into_iter().filter_map(|(name, value)| Some((name, value?))))
}

/// Writes JSON straight from what was seen: this runs for every request, so no tree of values is built for it.
fn json(write: impl FnOnce(&mut serde_json::Serializer<&mut Vec<u8>>) -> serde_json::Result<()>) -> String {
    let mut text = Vec::with_capacity(128);
    write(&mut serde_json::Serializer::new(&mut text))
        .expect("strings serialise and a vector takes every byte");
    String::from_utf8(text).expect("JSON is UTF-8")
}

/// A text as JSON, as far as it is kept: see [`clean`].
struct Kept<'a>(&'a str);

impl Serialize for Kept<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&kept(self.0))
    }
}

#[cfg(test)]
mod tests;
