//! From what was observed to what is kept (contract 5.8, 19.3).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use athena_application::ports::{
    AuthObservation, LogEntry, LoggedAuth, LoggedKey, LoggedOperation, Observation,
};
use athena_domain::access::AuthReason;
use serde::{Serialize, Serializer};

/// Beginnings of the routes that are logged whatever came of the request.
const LOGGED: [&str; 8] =
    ["/gateway/", "/query/", "/data", "/rest/", "/rpc/", "/pipelines", "/management/", "/schema/"];

/// Whether the request is one of the gateway's: probes, documents and admin routes are not.
pub fn is_logged(observation: &Observation) -> bool {
    observation.client.is_some()
        || observation.auth.is_some()
        || observation.operation.is_some()
        || LOGGED.iter().any(|prefix| observation.route.starts_with(prefix))
}

/// What is kept of a request.
pub fn entry(observation: Arc<Observation>) -> LogEntry {
    // Whoever is the last to hold it moves its texts.
    let seen = Arc::unwrap_or_clone(observation);
    let known = if seen.client_known { seen.client.as_ref() } else { None };
    let message = seen.message.map(clean).or_else(|| seen.code.map(Box::from));
    let details = (seen.status >= 400).then(|| failure(seen.code, message.as_deref()));
    LogEntry {
        at: micros(seen.began),
        request_id: clean(seen.request_id),
        client: known.map(|client| client.key().into()),
        client_sent: seen.client.as_ref().map(|client| client.as_str().into()),
        method: seen.method,
        path: clean(seen.path),
        query: seen.query.map(clean),
        status: seen.status,
        address: seen.caller.ip.map(|ip| ip.to_string().into()),
        host: seen.caller.host.map(clean),
        origin: seen.caller.origin.map(clean),
        user_agent: seen.caller.user_agent.map(clean),
        headers: headers(&seen.headers),
        user: seen.audit.user.map(clean),
        company: seen.audit.company.map(clean),
        organization: seen.audit.organization.map(clean),
        cached: seen.cached,
        auth: seen.auth.map(auth),
        operation: seen.operation.filter(|_| !seen.cached).map(|operation| LoggedOperation {
            name: operation.name.into(),
            table: operation.table.map(clean),
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

/// The text without NUL characters, which a database cannot hold.
fn clean(text: Box<str>) -> Box<str> {
    match without_nul(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(cleaned) => cleaned.into(),
    }
}

fn without_nul(text: &str) -> Cow<'_, str> {
    if text.as_bytes().contains(&0) { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

fn auth(auth: AuthObservation) -> LoggedAuth {
    let granted = match &auth.key {
        Some(key) if auth.authenticated => array(key.rights.names()),
        _ => "[]".into(),
    };
    LoggedAuth {
        presented_public_id: auth.presented_public_id.map(clean),
        authenticated: auth.authenticated,
        authorized: auth.authorized,
        enforced: auth.enforced,
        reason: auth.reason.text(auth.enforced).into(),
        required: array(auth.required.iter().map(AsRef::as_ref)),
        granted,
        logged: !matches!(auth.reason, AuthReason::StoreNotConfigured | AuthReason::PolicyUnavailable),
        key: auth.key.map(|key| LoggedKey {
            id: key.id,
            external_id: key.external_id.clone(),
            public_id: key.public_id.clone(),
        }),
    }
}

fn array<'a>(names: impl Iterator<Item = &'a str>) -> Box<str> {
    json(|text| text.collect_seq(names.map(Kept)))
}

fn object<'a>(members: impl Iterator<Item = (&'a str, &'a str)>) -> Box<str> {
    json(|text| text.collect_map(members.map(|(name, value)| (name, Kept(value)))))
}

fn headers(headers: &[(&'static str, Box<str>)]) -> Box<str> {
    object(headers.iter().map(|(name, value)| (*name, &**value)))
}

fn failure(code: Option<&str>, message: Option<&str>) -> Box<str> {
    let members = [("error_code", code), ("message", message)];
    object(members.into_iter().filter_map(|(name, value)| Some((name, value?))))
}

/// Writes JSON straight from what was seen: this runs for every request, so no tree of values is built for it.
fn json(write: impl FnOnce(&mut serde_json::Serializer<&mut Vec<u8>>) -> serde_json::Result<()>) -> Box<str> {
    let mut text = Vec::with_capacity(128);
    write(&mut serde_json::Serializer::new(&mut text))
        .expect("strings serialise and a vector takes every byte");
    String::from_utf8(text).expect("JSON is UTF-8").into()
}

/// A text as JSON, without the characters that a database cannot hold: see [`clean`].
struct Kept<'a>(&'a str);

impl Serialize for Kept<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&without_nul(self.0))
    }
}

#[cfg(test)]
mod tests;
