//! What a client's URI says: `supabase+https://project.supabase.co?key_env=NAME`, `postgrest+https://host/path`.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use athena_domain::breaker::BreakerOverrides;
use percent_encoding::percent_decode_str;
use reqwest::Url;

/// Where a Supabase project serves PostgREST.
pub(crate) const REST: &str = "/rest/v1";

/// Rows that Supabase gives at most, unless a project is configured otherwise.
const USUAL_MAX_ROWS: u64 = 1000;

const OPTIONS: &str = "key_env, schema, max_rows, statement_timeout_secs, connect_timeout_secs, sslrootcert, \
                       max_concurrent, queue_length, queue_wait_ms, circuit_breaker_threshold, \
                       circuit_breaker_timeout_secs, circuit_breaker_check_interval_secs";

/// Time after which a connection that nobody uses is closed, unless the configuration says otherwise.
const USUAL_IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// A URI that names no PostgREST. The text holds no value of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// The URI cannot be used.
    #[error("{0}")]
    Uri(String),
    /// All is well with it but that the variable of its key is not set.
    #[error("environment variable {0} is not set")]
    Unset(String),
}

fn invalid<T>(reason: impl Into<String>) -> Result<T, InvalidTarget> {
    Err(InvalidTarget::Uri(reason.into()))
}

/// Settings of one client. `None` where the URI leaves a value to the configuration.
#[derive(Clone, PartialEq, Eq)]
pub struct SupabaseSettings {
    /// Address below which the tables are, without a slash at its end.
    pub(crate) base: String,
    /// Whether the key goes into `apikey` too.
    pub(crate) is_supabase: bool,
    /// The key; never printed.
    pub(crate) key: Option<Box<str>>,
    /// Schema of tables that are named without one.
    pub schema: Box<str>,
    /// Rows that the upstream gives at most: a read that comes to it may be cut.
    pub max_rows: u64,
    /// Time the upstream may spend on one statement.
    pub statement_timeout: Duration,
    /// Longest wait for a new connection.
    pub connect_timeout: Duration,
    /// Time after which a connection that nobody uses is closed.
    pub idle_timeout: Duration,
    /// `sslrootcert`: file with the certificate authorities that are trusted instead of the system's.
    pub root_certificates: Option<Box<str>>,
    /// When the upstream is taken to be away. Not enforced in this crate.
    pub breaker: BreakerOverrides,
    /// `max_concurrent`: requests that may run at once. Not enforced in this crate.
    pub max_concurrent: Option<usize>,
    /// `queue_length`: requests that may wait for their turn. Not enforced in this crate.
    pub queue_length: Option<usize>,
    /// `queue_wait_ms`: longest wait for a turn. Not enforced in this crate.
    pub queue_wait: Option<Duration>,
}

impl SupabaseSettings {
    /// Reads a URI; `variable` looks an environment variable up. `statement_timeout` is the configured limit, which the
    /// URI can only shorten.
    ///
    /// # Errors
    /// [`InvalidTarget`].
    pub fn from_uri(
        uri: &str,
        statement_timeout: Duration,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, InvalidTarget> {
        let unreadable = || {
            InvalidTarget::Uri(
                "the URI cannot be read; write supabase+https://project.supabase.co?key_env=NAME or \
                 postgrest+https://host/path"
                    .to_owned(),
            )
        };
        let (kind, address) = uri.split_once('+').ok_or_else(unreadable)?;
        let is_supabase = match kind.to_ascii_lowercase().as_str() {
            "supabase" => true,
            "postgrest" => false,
            _ => return Err(unreadable()),
        };
        let url = Url::parse(address).map_err(|_| unreadable())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(unreadable());
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return invalid(
                "the URI holds a user, a password or a #; give the key in a variable, and its name as key_env",
            );
        }
        let path = url.path().trim_end_matches('/');
        let path = match (is_supabase, path) {
            (true, "" | REST) => REST,
            (true, _) => return invalid("the URI of a Supabase project ends after its host"),
            (false, path) => path,
        };
        let mut settings = Self {
            base: format!("{}{path}", url.origin().ascii_serialization()),
            is_supabase,
            key: None,
            schema: "public".into(),
            max_rows: USUAL_MAX_ROWS,
            statement_timeout,
            connect_timeout: Duration::from_secs(5),
            idle_timeout: USUAL_IDLE_TIMEOUT,
            root_certificates: None,
            breaker: BreakerOverrides::default(),
            max_concurrent: None,
            queue_length: None,
            queue_wait: None,
        };
        settings.read(url.query().unwrap_or_default(), variable)?;
        if is_supabase && settings.key.is_none() {
            return invalid(
                "the URI of a Supabase project needs key_env: the name of the variable that holds its key",
            );
        }
        Ok(settings)
    }

    fn read(&mut self, query: &str, variable: impl Fn(&str) -> Option<String>) -> Result<(), InvalidTarget> {
        let mut unset = None;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Ok(value) = percent_decode_str(value).decode_utf8() else {
                return invalid(format!("an option of the URI is not text; known are {OPTIONS}"));
            };
            if let Some(taken) = self.breaker.take(name, &value) {
                let wanted =
                    |what| InvalidTarget::Uri(format!("the option `{name}` of the URI must be {what}"));
                taken.map_err(wanted)?;
                continue;
            }
            match name {
                "sslrootcert" => {
                    if value.trim().is_empty() {
                        return invalid("the option `sslrootcert` of the URI must be the path of a file");
                    }
                    if !self.base.starts_with("https:") {
                        return invalid("the option `sslrootcert` of the URI needs https");
                    }
                    self.root_certificates = Some(value.as_ref().into());
                }
                "key_env" => {
                    let key = variable(&value).filter(|key| !key.trim().is_empty());
                    match key {
                        Some(key) => self.key = Some(key.trim().into()),
                        None => unset = Some(value.into_owned()),
                    }
                }
                "schema" => {
                    if !athena_domain::query::Identifier::is_valid(&value) {
                        return invalid("the option `schema` of the URI must be the name of a schema");
                    }
                    self.schema = value.as_ref().into();
                }
                "max_rows" => self.max_rows = number(name, &value, 1..=1_000_000_000)?,
                "statement_timeout_secs" => {
                    let own = Duration::from_secs(number(name, &value, 1..=86_400)?);
                    self.statement_timeout = self.statement_timeout.min(own);
                }
                "connect_timeout_secs" => {
                    self.connect_timeout = Duration::from_secs(number(name, &value, 1..=3600)?);
                }
                "max_concurrent" => self.max_concurrent = Some(size(name, &value, 1..=100_000)?),
                "queue_length" => self.queue_length = Some(size(name, &value, 0..=1_000_000)?),
                "queue_wait_ms" => {
                    self.queue_wait = Some(Duration::from_millis(number(name, &value, 0..=3_600_000)?));
                }
                _ => return invalid(format!("the URI has an unknown option; known are {OPTIONS}")),
            }
        }
        // Last, as it may be the only thing that is missing.
        unset.map_or(Ok(()), |name| Err(InvalidTarget::Unset(name)))
    }

    /// A project that a request itself names, with the caller's own key.
    pub(crate) fn of_caller(origin: &str, key: &str, statement_timeout: Duration) -> Self {
        Self {
            base: format!("{origin}{REST}"),
            is_supabase: true,
            key: Some(key.into()),
            schema: "public".into(),
            max_rows: USUAL_MAX_ROWS,
            statement_timeout,
            connect_timeout: Duration::from_secs(5),
            idle_timeout: USUAL_IDLE_TIMEOUT,
            root_certificates: None,
            breaker: BreakerOverrides::default(),
            max_concurrent: None,
            queue_length: None,
            queue_wait: None,
        }
    }

    /// Where it is, so that two ways to one place are known for what they are.
    pub fn place(&self) -> String {
        format!("postgrest {}", self.base)
    }
}

impl fmt::Debug for SupabaseSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupabaseSettings")
            .field("base", &self.base)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

fn number(name: &str, value: &str, range: RangeInclusive<u64>) -> Result<u64, InvalidTarget> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|number| digits && range.contains(number));
    number.ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        InvalidTarget::Uri(format!(
            "the option `{name}` of the URI must be a whole number from {least} to {most}"
        ))
    })
}

fn size(name: &str, value: &str, range: RangeInclusive<u64>) -> Result<usize, InvalidTarget> {
    number(name, value, range).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
    use super::*;

    fn read(uri: &str) -> Result<SupabaseSettings, String> {
        let variable = |name: &str| match name {
            "KEY" => Some(" secret-key ".to_owned()),
            "EMPTY" => Some(" ".to_owned()),
            _ => None,
        };
        let read = SupabaseSettings::from_uri(uri, Duration::from_secs(30), variable);
        read.map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_of_both_kinds() {
        for (uri, base) in [
            ("supabase+https://p.supabase.co?key_env=KEY", "https://p.supabase.co/rest/v1"),
            ("SUPABASE+https://p.supabase.co/rest/v1/?key_env=KEY", "https://p.supabase.co/rest/v1"),
            ("supabase+http://127.0.0.1:54321?key_env=KEY", "http://127.0.0.1:54321/rest/v1"),
            ("postgrest+https://host/api/", "https://host/api"),
            ("postgrest+http://host:3000", "http://host:3000"),
            ("postgrest+http://[::1]:3000/a/b", "http://[::1]:3000/a/b"),
        ] {
            let settings = read(uri).unwrap();
            assert_eq!(settings.base, base, "{uri}");
            assert!(!format!("{settings:?}").contains("secret-key"));
        }
        assert_eq!(read("postgrest+https://h?key_env=KEY").unwrap().key.as_deref(), Some("secret-key"));
    }

    #[test]
    fn breakers_and_certificates_are_options() {
        let uri = "postgrest+https://h?sslrootcert=%2Fetc%2Froot.pem&circuit_breaker_threshold=3\
                   &circuit_breaker_timeout_secs=7&circuit_breaker_check_interval_secs=2";
        let settings = read(uri).unwrap();
        assert_eq!(settings.root_certificates.as_deref(), Some("/etc/root.pem"));
        let breaker = settings.breaker;
        assert_eq!((breaker.threshold, breaker.timeout), (Some(3), Some(Duration::from_secs(7))));
        assert_eq!(breaker.check_interval, Some(Duration::from_secs(2)));
        for bad in ["circuit_breaker_threshold=0", "circuit_breaker_timeout_secs=x", "sslrootcert="] {
            assert!(read(&format!("postgrest+https://h?{bad}")).is_err(), "{bad}");
        }
        assert!(read("postgrest+http://h?sslrootcert=/root.pem").is_err(), "nothing would be checked");
    }

    #[test]
    fn a_key_that_is_not_there_yet_is_told_from_a_uri_that_is_wrong() {
        let unset =
            |uri: &str| read(uri).is_err_and(|error| error == "environment variable UNSET is not set");
        assert!(unset("supabase+https://p.supabase.co?key_env=UNSET&max_rows=5"));
        assert!(!unset("supabase+https://p.supabase.co?key_env=UNSET&max_rows=x"));
    }

    #[test]
    fn options_are_read_strictly() {
        let uri = "postgrest+https://h?schema=api&max_rows=5&statement_timeout_secs=60&queue_wait_ms=7";
        let settings = read(uri).unwrap();
        assert_eq!((&*settings.schema, settings.max_rows), ("api", 5));
        assert_eq!(settings.statement_timeout, Duration::from_secs(30), "the configured limit holds");
        assert_eq!(settings.queue_wait, Some(Duration::from_millis(7)));
        for bad in [
            "supabase+https://p.supabase.co",
            "supabase+https://p.supabase.co?key_env=UNSET",
            "supabase+https://p.supabase.co?key_env=EMPTY",
            "supabase+https://p.supabase.co/other?key_env=KEY",
            "supabase+https://user:hunter2@p.supabase.co?key_env=KEY",
            "supabase+ftp://p.supabase.co?key_env=KEY",
            "postgrest+https://h?key=hunter2",
            "postgrest+https://h?max_rows=0",
            "postgrest+https://h?max_rows=x",
            "postgrest+https://h?schema=a.b",
            "postgrest+https://h#hunter2",
            "postgrest://h",
            "https://h",
        ] {
            let error = read(bad).unwrap_err();
            assert!(!error.contains("hunter2"), "{bad}: {error}");
        }
    }
}
