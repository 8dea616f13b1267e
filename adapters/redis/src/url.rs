//! Where a Redis is.

use std::fmt;

use deadpool_redis::redis::{ConnectionInfo, IntoConnectionInfo, RedisError};

/// `redis://` or `rediss://` (over TLS) with user, password, host, port and number of the database. Printed as
/// `***`: it may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(Box<str>);

/// A text that is none; what is wrong with it, without the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it must look like redis://host:6379, redis://user:password@host:6379/0 or rediss://host:6379: {0}")]
pub struct InvalidRedisUrl(String);

impl InvalidRedisUrl {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    /// What the library says in full may quote the text.
    pub(crate) fn because(error: &RedisError) -> Self {
        Self(error.category().to_owned())
    }
}

impl RedisUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`InvalidRedisUrl`].
    pub fn parse(text: &str) -> Result<Self, InvalidRedisUrl> {
        let known = text.split_once("://").is_some_and(|(scheme, _)| matches!(scheme, "redis" | "rediss"));
        if !known {
            return Err(InvalidRedisUrl::new("the scheme is another"));
        }
        let url = Self(text.into());
        url.connection().map(|_| url)
    }

    pub(crate) fn connection(&self) -> Result<ConnectionInfo, InvalidRedisUrl> {
        self.0.as_ref().into_connection_info().map_err(|error| InvalidRedisUrl::because(&error))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked_and_kept_to_themselves() {
        for good in ["redis://redis:6379", "redis://:pass@[::1]:6379/3", "rediss://user:pass@redis.example"] {
            let url = RedisUrl::parse(good).expect(good);
            assert_eq!(format!("{url:?}"), "***");
        }
        for bad in
            ["", "redis", "http://secret@redis", "redis://", "redis://host:secret", "redis://host/secret"]
        {
            let error = RedisUrl::parse(bad).expect_err(bad).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
