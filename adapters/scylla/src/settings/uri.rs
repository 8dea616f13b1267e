//! `cql://user:password@host:9042,host2/keyspace?option=value`.

mod encryption;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use athena_domain::breaker::BreakerOverrides;
use athena_domain::schema::Consistency;
use percent_encoding::percent_decode_str;
use scylla::statement::SerialConsistency;

use self::encryption::{Encryption, Mode};
use super::ScyllaSettings;

/// Options, as errors list them.
const OPTIONS: &str = "consistency, max_consistency, serial_consistency, datacenter, page_size, timeout_ms, allow_filtering, database_order, tls, sslmode, \
                       sslrootcert, sslcert, sslkey, max_concurrent, \
                       queue_length, queue_wait_ms, circuit_breaker_threshold, circuit_breaker_timeout_secs, \
                       circuit_breaker_check_interval_secs";

/// Port of the native protocol.
const PORT: u16 = 9042;

/// Longest keyspace name.
const KEYSPACE_LENGTH: usize = 48;

/// A connection URI that cannot be used. The text names the option and what it takes; of the URI it holds
/// no value and nothing that could be part of a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidUri(String);

fn unreadable() -> InvalidUri {
    InvalidUri(
        "the CQL URI cannot be read; write cql://user:password@host:9042,host2/keyspace, with special \
         characters of the password percent-encoded"
            .to_owned(),
    )
}

fn option(name: &str, expected: &str) -> InvalidUri {
    InvalidUri(format!("the option `{name}` of the CQL URI must be {expected}"))
}

/// Reads a URI.
pub(super) fn read(uri: &str) -> Result<ScyllaSettings, InvalidUri> {
    let (scheme, rest) = uri.split_once("://").ok_or_else(unreadable)?;
    if !matches!(scheme.to_ascii_lowercase().as_str(), "cql" | "scylla" | "cassandra") {
        return Err(unreadable());
    }
    let (target, query) = rest.split_once('?').unwrap_or((rest, ""));
    // A `?` or `/` in a password that is not encoded: nothing after it may be shown.
    if query.contains('@') {
        return Err(unreadable());
    }
    let (user_info, place) = match target.rsplit_once('@') {
        Some((user_info, place)) => (Some(user_info), place),
        None => (None, target),
    };
    let (hosts, keyspace) = place.split_once('/').ok_or_else(keyspace_missing)?;
    let keyspace = decoded(keyspace.trim_end_matches('/'))?;
    if keyspace.is_empty() {
        return Err(keyspace_missing());
    }
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if keyspace.len() > KEYSPACE_LENGTH || !keyspace.bytes().all(word) {
        return Err(InvalidUri(format!(
            "the keyspace of the CQL URI must be up to {KEYSPACE_LENGTH} letters, digits and underscores"
        )));
    }
    let credentials = match user_info {
        None => None,
        Some(user_info) => {
            let (user, password) = user_info.split_once(':').ok_or_else(|| {
                InvalidUri("the CQL URI names a user without a password; write user:password@".to_owned())
            })?;
            Some((decoded(user)?, decoded(password)?))
        }
    };
    let mut settings = ScyllaSettings {
        name: "cql".to_owned(),
        nodes: hosts.split(',').map(node).collect::<Result<_, _>>()?,
        credentials,
        keyspace,
        consistency: Consistency::LocalQuorum,
        max_consistency: None,
        serial: None,
        datacenter: None,
        page_size: 1000,
        allow_filtering: false,
        database_order: false,
        statement_timeout: Duration::from_secs(30),
        connect_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(300),
        schema_refresh: Duration::from_secs(60),
        in_use: Duration::from_secs(300),
        max_filtered_rows: 10_000,
        max_concurrent: None,
        queue_length: None,
        queue_wait: None,
        breaker: BreakerOverrides::default(),
        tls: None,
        timeout: None,
    };
    let mut encryption = Encryption::default();
    let mut taken = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded(name)?;
        take(&mut settings, &mut encryption, &name, &decoded(value)?)?;
        if taken.contains(&name) {
            return Err(InvalidUri(format!("the CQL URI has the option `{name}` twice")));
        }
        taken.push(name);
    }
    if settings.max_consistency.is_some_and(|most| most < settings.consistency) {
        return Err(option("max_consistency", "no less than `consistency`"));
    }
    settings.tls = encryption.settings()?;
    Ok(settings)
}

fn take(
    settings: &mut ScyllaSettings,
    encryption: &mut Encryption,
    name: &str,
    value: &str,
) -> Result<(), InvalidUri> {
    if let Some(taken) = settings.breaker.take(name, value) {
        return taken.map_err(|expected| option(name, expected));
    }
    match name {
        "consistency" => settings.consistency = level(name, value)?,
        "max_consistency" => settings.max_consistency = Some(level(name, value)?),
        "serial_consistency" => {
            settings.serial = Some(match value.to_ascii_lowercase().as_str() {
                "serial" => SerialConsistency::Serial,
                "local_serial" => SerialConsistency::LocalSerial,
                _ => return Err(option(name, "`serial` or `local_serial`")),
            });
        }
        "datacenter" if value.is_empty() => return Err(option(name, "a name")),
        "datacenter" => settings.datacenter = Some(value.to_owned()),
        "page_size" => settings.page_size = number(name, value, 1..=10_000)? as i32,
        "timeout_ms" => {
            settings.timeout = Some(Duration::from_millis(number(name, value, 1..=86_400_000)? as u64));
        }
        "allow_filtering" => settings.allow_filtering = truth(name, value)?,
        "database_order" => settings.database_order = truth(name, value)?,
        "tls" => encryption.mode(if truth(name, value)? { Mode::Full } else { Mode::Off })?,
        "sslmode" => encryption.mode(match value {
            "disable" => Mode::Off,
            "verify-ca" => Mode::Authority,
            "verify-full" => Mode::Full,
            "allow" | "prefer" | "require" => {
                return Err(InvalidUri(format!(
                    "`sslmode={value}` would encrypt for whoever answers; take verify-full, or verify-ca with \
                     `sslrootcert`"
                )));
            }
            _ => return Err(option(name, "`disable`, `verify-ca` or `verify-full`")),
        })?,
        "sslrootcert" => encryption.roots = Some(file(name, value)?),
        "sslcert" => encryption.certificate = Some(file(name, value)?),
        "sslkey" => encryption.key = Some(file(name, value)?),
        "max_concurrent" => settings.max_concurrent = Some(number(name, value, 1..=100_000)?),
        "queue_length" => settings.queue_length = Some(number(name, value, 0..=1_000_000)?),
        "queue_wait_ms" => {
            let wait = number(name, value, 0..=3_600_000)?;
            settings.queue_wait = Some(Duration::from_millis(wait as u64));
        }
        // What is no plain word may be part of a password.
        other if other.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') && other.len() < 40 => {
            return Err(InvalidUri(format!("the CQL URI has no option `{other}`; it takes {OPTIONS}")));
        }
        _ => return Err(InvalidUri(format!("the CQL URI has an unknown option; it takes {OPTIONS}"))),
    }
    Ok(())
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`, always with a port.
fn node(text: &str) -> Result<String, InvalidUri> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or_else(unreadable)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| unreadable())?;
            (format!("[{address}]"), port.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (text.to_owned(), None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(unreadable)?,
        None => PORT,
    };
    if host.is_empty() || host.contains(['/', '@', '%']) {
        return Err(unreadable());
    }
    Ok(format!("{host}:{port}"))
}

fn keyspace_missing() -> InvalidUri {
    InvalidUri("the CQL URI names no keyspace; write cql://host:9042/keyspace".to_owned())
}

fn decoded(text: &str) -> Result<String, InvalidUri> {
    percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| unreadable())
}

fn level(name: &str, value: &str) -> Result<Consistency, InvalidUri> {
    Consistency::parse(value).ok_or_else(|| option(name, &format!("one of {}", Consistency::names())))
}

fn number(name: &str, value: &str, range: RangeInclusive<usize>) -> Result<usize, InvalidUri> {
    value
        .parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| option(name, &format!("a whole number from {} to {}", range.start(), range.end())))
}

fn file(name: &str, value: &str) -> Result<PathBuf, InvalidUri> {
    if value.is_empty() { Err(option(name, "the path of a PEM file")) } else { Ok(value.into()) }
}

fn truth(name: &str, value: &str) -> Result<bool, InvalidUri> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(option(name, "`true` or `false`")),
    }
}
