//! The options in a connection URI's query: ours are taken out before the driver sees the rest.

use std::ops::RangeInclusive;
use std::time::Duration;

use athena_domain::breaker::BreakerOverrides;

use super::{Own, Pooler, libpq, neon};

/// Options of the gateway, as errors list them.
const OURS: &str = "pooler, max_connections, min_connections, statement_timeout_secs, acquire_timeout_secs, \
                    max_concurrent, queue_length, queue_wait_ms, circuit_breaker_threshold, \
                    circuit_breaker_timeout_secs, circuit_breaker_check_interval_secs";

/// Options that PostgreSQL's own programs know, as errors list them.
const THEIRS: &str = "sslmode, sslrootcert, sslcert, sslkey, application_name, options, connect_timeout, \
                      host, hostaddr, port, dbname, user, password";

const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// A connection URI that cannot be used. The text names the option and what it takes; of the URI it holds
/// no value and nothing that could be part of a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidUri(String);

impl InvalidUri {
    pub(super) fn unreadable() -> Self {
        Self(
            "the PostgreSQL URI cannot be read; write postgres://user:password@host:5432/database, with \
             special characters of the password percent-encoded"
                .to_owned(),
        )
    }

    pub(crate) fn option(name: &str, expected: &str) -> Self {
        Self(format!("the option `{name}` of the PostgreSQL URI must be {expected}"))
    }
}

/// A URI taken apart.
#[derive(Default)]
pub(super) struct Read {
    /// The URI that the driver reads.
    pub driver: String,
    /// Session parameters (`options`), for where the driver may not send them.
    pub parameters: Vec<(String, String)>,
    pub own: Own,
    pub pooler: Pooler,
    pub max_concurrent: Option<usize>,
    pub queue_length: Option<usize>,
    pub queue_wait: Option<Duration>,
    pub breaker: BreakerOverrides,
}

/// Takes a URI apart.
pub(super) fn read(uri: &str) -> Result<Read, InvalidUri> {
    let uri = &*neon::translate(uri)?;
    // The parser below would take any scheme.
    let scheme = uri.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if !matches!(scheme.as_deref(), Some("postgres" | "postgresql")) {
        return Err(InvalidUri::unreadable());
    }
    let (head, query) = uri.split_once('?').unwrap_or((uri, ""));
    // A `?` in a password that is not encoded: nothing after it may be shown.
    if !head.contains('@') && query.contains('@') {
        return Err(InvalidUri::unreadable());
    }
    let (query, _fragment) = query.split_once('#').unwrap_or((query, ""));
    let mut read = Read::default();
    let mut kept: Vec<&str> = Vec::new();
    let mut session: Vec<&str> = Vec::new();
    let (mut ssl_mode, mut root) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(name), Some(value)) = (decoded(name), decoded(value)) else {
            return Err(InvalidUri::unreadable());
        };
        if let Some(taken) = read.breaker.take(&name, &value) {
            taken.map_err(|expected| InvalidUri::option(&name, expected))?;
            continue;
        }
        match name.as_str() {
            "pooler" => {
                read.pooler = match value.as_str() {
                    "session" => Pooler::Session,
                    "transaction" => Pooler::Transaction,
                    _ => return Err(InvalidUri::option("pooler", "`transaction` or `session`")),
                }
            }
            "max_connections" => read.own.max_connections = Some(number(&name, &value, 1..=10_000)?),
            "min_connections" => read.own.min_connections = Some(number(&name, &value, 0..=10_000)?),
            "statement_timeout_secs" => {
                read.own.statement_timeout = Some(seconds(&name, &value, 1..=86_400)?);
            }
            "acquire_timeout_secs" => read.own.acquire_timeout = Some(seconds(&name, &value, 1..=3600)?),
            "connect_timeout" => read.own.connect_timeout = Some(seconds(&name, &value, 1..=3600)?),
            "max_concurrent" => read.max_concurrent = Some(number(&name, &value, 1..=100_000)?),
            "queue_length" => read.queue_length = Some(number(&name, &value, 0..=1_000_000)?),
            "queue_wait_ms" => {
                let wait = number(&name, &value, 0..=3_600_000)?;
                read.queue_wait = Some(Duration::from_millis(wait as u64));
            }
            "sslmode" | "ssl-mode" => {
                let known = SSL_MODES.into_iter().find(|mode| *mode == value);
                ssl_mode = Some(known.ok_or_else(|| InvalidUri::option("sslmode", &one_of(&SSL_MODES)))?);
            }
            // `system` stands for the authorities that the gateway brings along.
            "sslrootcert" | "ssl-root-cert" | "ssl-ca" => root = Some((value != "system").then_some(pair)),
            "options" => {
                let parameters = libpq::parameters(&value).ok_or_else(|| {
                    InvalidUri::option("options", "switches such as `-c name=value`, with %20 for a blank")
                })?;
                read.parameters.extend(parameters);
                session.push(pair);
            }
            "port" => {
                number(&name, &value, 1..=65_535)?;
                kept.push(pair);
            }
            "hostaddr" => {
                if value.parse::<std::net::IpAddr>().is_err() {
                    return Err(InvalidUri::option("hostaddr", "an IP address"));
                }
                kept.push(pair);
            }
            // What the gateway does in any case.
            "channel_binding" if value == "prefer" || value == "disable" => {}
            "channel_binding" => {
                return Err(InvalidUri::option("channel_binding", "`prefer`, `disable` or absent"));
            }
            "sslcert" | "ssl-cert" | "sslkey" | "ssl-key" | "application_name" | "host" | "dbname"
            | "user" | "password" => kept.push(pair),
            other => match other.strip_prefix("options[").and_then(|rest| rest.strip_suffix(']')) {
                Some(parameter) if libpq::is_name(parameter) => {
                    read.parameters.push((parameter.to_owned(), value));
                    session.push(pair);
                }
                _ => return Err(unknown(other)),
            },
        }
    }
    check_connections(&read.own)?;
    if read.pooler == Pooler::Session {
        kept.append(&mut session);
    }
    let ssl_mode = verified(ssl_mode, root.is_some())?;
    let ssl_mode = ssl_mode.map(|mode| format!("sslmode={mode}"));
    kept.extend(root.flatten());
    kept.extend(ssl_mode.as_deref());
    read.driver = format!("{head}?{}", kept.join("&"));
    Ok(read)
}

fn check_connections(own: &Own) -> Result<(), InvalidUri> {
    match (own.min_connections, own.max_connections) {
        (Some(min), Some(max)) if min > max => {
            Err(InvalidUri::option("min_connections", "at most `max_connections`"))
        }
        _ => Ok(()),
    }
}

/// A root certificate is there to be checked against. With `require`, as with PostgreSQL's own programs, it
/// means `verify-ca`; where encryption itself is left open it would only seem to protect.
fn verified(mode: Option<&'static str>, root: bool) -> Result<Option<&'static str>, InvalidUri> {
    match mode {
        Some("require") if root => Ok(Some("verify-ca")),
        Some("verify-ca" | "verify-full") => Ok(mode),
        _ if root => {
            Err(InvalidUri::option("sslmode", "`verify-full` (or `verify-ca`) where `sslrootcert` is given"))
        }
        _ => Ok(mode),
    }
}

fn unknown(name: &str) -> InvalidUri {
    // Only what looks like an option is shown.
    let plain = name.len() <= 40 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '-');
    let named = if plain { format!("option `{name}`") } else { "option".to_owned() };
    let hint =
        if name == "pgbouncer" { "; for PgBouncer in transaction mode write pooler=transaction" } else { "" };
    InvalidUri(format!(
        "the PostgreSQL URI has an unknown {named}{hint}; the gateway's options are {OURS}; PostgreSQL's are {THEIRS}"
    ))
}

fn number(name: &str, value: &str, range: RangeInclusive<usize>) -> Result<usize, InvalidUri> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|number| digits && range.contains(number));
    number.ok_or_else(|| {
        InvalidUri::option(name, &format!("a whole number from {} to {}", range.start(), range.end()))
    })
}

fn seconds(name: &str, value: &str, range: RangeInclusive<usize>) -> Result<Duration, InvalidUri> {
    number(name, value, range).map(|seconds| Duration::from_secs(seconds as u64))
}

fn one_of(values: &[&str]) -> String {
    format!("one of {}", values.join(", "))
}

/// Percent-decoding, with `+` for a blank as the driver has it.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        match (first, tail) {
            (b'%', [high, low, ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
                bytes.push(digit(*high)? << 4 | digit(*low)?);
                rest = &tail[2..];
                continue;
            }
            (b'%', _) => return None,
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(byte),
        }
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}
