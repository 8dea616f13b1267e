//! From what was observed to what is kept (contract 5.8, 19.3).

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use athena_application::ports::{
    AuthObservation, LogEntry, LoggedAuth, LoggedKey, LoggedOperation, Observation,
};
use athena_domain::ClientName;
use athena_domain::access::AuthReason;
use athena_domain::rows::escape_into;

use crate::record::{Reader, Record, kept};

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

/// Whether the log of authentications or a key's last use has something to note.
pub fn concerns_keys(observation: &Observation) -> bool {
    observation.auth.as_ref().is_some_and(|auth| auth.key.is_some() || has_row(auth.reason))
}

/// Whether the log of authentications gets a row: not when there was no store to ask (contract 5.8).
fn has_row(reason: AuthReason) -> bool {
    !matches!(reason, AuthReason::StoreNotConfigured | AuthReason::PolicyUnavailable)
}

/// Adds what is kept of a request to `record`. This runs for every request: nothing is allocated on the way.
pub fn encode(seen: &Observation, record: &mut Record) {
    let known = if seen.client_known { seen.client.as_ref() } else { None };
    let message = seen.message.as_deref().or(seen.code);
    let operation = seen.operation.as_ref().filter(|_| !seen.cached);
    record.flags(&[
        seen.cached,
        operation.is_some(),
        seen.auth.is_some(),
        seen.auth.as_ref().is_some_and(|auth| auth.key.is_some()),
    ]);
    record.long(micros(seen.began));
    record.long(seen.status.into());
    record.plain(&seen.request_id);
    record.optional(known.map(ClientName::key));
    record.optional(seen.client.as_ref().map(ClientName::as_str));
    record.plain(&seen.method);
    record.plain(&seen.path);
    record.optional(seen.query.as_deref());
    match seen.caller.ip {
        Some(ip) => record.made(|text| address(ip, text)),
        None => record.optional(None),
    }
    record.optional_plain(seen.caller.host.as_deref());
    match &seen.caller.host {
        Some(host) => record.made(|text| origin(seen.caller.scheme, host, text)),
        None => record.optional(None),
    }
    record.optional_plain(seen.caller.user_agent.as_deref());
    record.made(|text| text.extend_from_slice(seen.headers.as_bytes()));
    record.optional_plain(seen.audit.user.as_deref());
    record.optional_plain(seen.audit.company.as_deref());
    record.optional_plain(seen.audit.organization.as_deref());
    record.optional(message);
    match seen.status >= 400 || seen.broken {
        true => record.made(|text| failure(seen.code, message, text)),
        false => record.optional(None),
    }
    if let Some(operation) = operation {
        record.plain(operation.name);
        record.optional(operation.table.as_deref());
        record.long(i64::try_from(operation.duration.as_millis()).unwrap_or(i64::MAX));
    }
    if let Some(auth) = &seen.auth {
        encode_auth(auth, record);
    }
}

fn encode_auth(auth: &AuthObservation, record: &mut Record) {
    record.flags(&[auth.authenticated, auth.authorized, auth.mode.enforces(), has_row(auth.reason)]);
    record.optional(auth.presented_public_id.as_deref());
    record.plain(auth.reason.logged(auth.mode));
    record.made(|text| array(auth.required.as_deref().into_iter(), text));
    let granted = auth.key.as_ref().filter(|_| auth.authenticated).map(|key| key.rights.names());
    record.made(|text| array(granted.into_iter().flatten(), text));
    if let Some(key) = &auth.key {
        record.long(key.id);
        // As they are kept in the control database.
        record.plain(&key.external_id);
        record.plain(&key.public_id);
    }
}

/// By which address the caller knows this server (contract 19.4).
fn origin(scheme: &str, host: &str, text: &mut Vec<u8>) {
    for part in [scheme, "://", host] {
        text.extend_from_slice(part.as_bytes());
    }
}

/// Reads what [`encode`] has written.
pub fn decode<'a>(from: &mut Reader<'a>) -> Option<LogEntry<'a>> {
    let [cached, has_operation, has_auth, has_key] = from.flags()?;
    let mut entry = LogEntry {
        at: from.long()?,
        status: u16::try_from(from.long()?).ok()?,
        request_id: from.text()?,
        client: from.optional()?,
        client_sent: from.optional()?,
        method: from.text()?,
        path: from.text()?,
        query: from.optional()?,
        address: from.optional()?,
        host: from.optional()?,
        origin: from.optional()?,
        user_agent: from.optional()?,
        headers: from.text()?,
        user: from.optional()?,
        company: from.optional()?,
        organization: from.optional()?,
        message: from.optional()?,
        details: from.optional()?,
        cached,
        operation: None,
        auth: None,
    };
    if has_operation {
        entry.operation =
            Some(LoggedOperation { name: from.text()?, table: from.optional()?, duration_ms: from.long()? });
    }
    if has_auth {
        let [authenticated, authorized, enforced, logged] = from.flags()?;
        entry.auth = Some(LoggedAuth {
            authenticated,
            authorized,
            enforced,
            logged,
            presented_public_id: from.optional()?,
            reason: from.text()?,
            required: from.text()?,
            granted: from.text()?,
            key: match has_key {
                true => {
                    Some(LoggedKey { id: from.long()?, external_id: from.text()?, public_id: from.text()? })
                }
                false => None,
            },
        });
    }
    Some(entry)
}

/// Microseconds since 1970.
fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn address(ip: IpAddr, text: &mut Vec<u8>) {
    let IpAddr::V4(ip) = ip else { return text.extend_from_slice(ip.to_string().as_bytes()) };
    for (place, part) in ip.octets().into_iter().enumerate() {
        if place > 0 {
            text.push(b'.');
        }
        text.extend_from_slice(itoa::Buffer::new().format(part).as_bytes());
    }
}

/// A JSON array of texts.
fn array<'a>(names: impl Iterator<Item = &'a str>, text: &mut Vec<u8>) {
    text.push(b'[');
    for (place, name) in names.enumerate() {
        if place > 0 {
            text.push(b',');
        }
        quoted(name, text);
    }
    text.push(b']');
}

/// What failed, as a JSON object.
fn failure(code: Option<&str>, message: Option<&str>, text: &mut Vec<u8>) {
    text.push(b'{');
    if let Some(code) = code {
        text.extend_from_slice(b"\"error_code\":");
        quoted(code, text);
    }
    if let Some(message) = message {
        text.extend_from_slice(if code.is_some() { b",\"message\":" } else { b"\"message\":" });
        quoted(message, text);
    }
    text.push(b'}');
}

/// A text as JSON, as far as it is kept.
fn quoted(value: &str, text: &mut Vec<u8>) {
    text.push(b'"');
    escape_into(&kept(value), text);
    text.push(b'"');
}

#[cfg(test)]
mod tests;
