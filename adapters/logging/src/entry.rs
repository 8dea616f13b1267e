//! From what was observed to what is kept (contract 5.8, 19.3).

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use athena_application::ports::{
    AuthObservation, LogEntry, LoggedAuth, LoggedKey, LoggedOperation, Observation,
};
use athena_domain::access::AuthReason;

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
    if text.as_bytes().contains(&0) { text.replace('\0', "\u{fffd}").into() } else { text }
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
    let mut text = String::from("[");
    for name in names {
        separate(&mut text);
        quote(&mut text, name);
    }
    text.push(']');
    text.into()
}

fn headers(headers: &[(&'static str, Box<str>)]) -> Box<str> {
    let mut text = String::with_capacity(128);
    text.push('{');
    for (name, value) in headers {
        member(&mut text, name, value);
    }
    text.push('}');
    text.into()
}

fn failure(code: Option<&str>, message: Option<&str>) -> Box<str> {
    let mut text = String::from("{");
    if let Some(code) = code {
        member(&mut text, "error_code", code);
    }
    if let Some(message) = message {
        member(&mut text, "message", message);
    }
    text.push('}');
    text.into()
}

fn member(text: &mut String, name: &str, value: &str) {
    separate(text);
    quote(text, name);
    text.push(':');
    quote(text, value);
}

fn separate(text: &mut String) {
    if !text.ends_with(['[', '{']) {
        text.push(',');
    }
}

/// Appends a JSON string. Its characters are those of ours that a database can hold: see [`clean`].
fn quote(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\0' => text.push('\u{fffd}'),
            control if control < ' ' => text.push_str(&format!("\\u{:04x}", u32::from(control))),
            plain => text.push(plain),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests;
