//! Where a collector is, and what it is told besides the spans.

use std::collections::HashMap;
use std::fmt;

use percent_encoding::percent_decode_str;
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};

/// Below a collector's address: where it takes spans (OTLP over HTTP).
const PATH: &str = "/v1/traces";

/// Where a collector takes spans, and as whom. Printed without the user.
#[derive(Clone, PartialEq, Eq)]
pub struct OtlpEndpoint {
    /// Holds no user: it is logged by whoever sends to it.
    url: Box<str>,
    user: Option<User>,
}

/// Name and password that stood in the address.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub name: Box<str>,
    pub password: Box<str>,
}

/// A text that names no collector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it must be the address of a collector that takes OTLP over HTTP, such as http://otel-collector:4318"
)]
pub struct InvalidEndpoint;

impl OtlpEndpoint {
    /// Reads the address of a collector, with or without the path for spans and a user before the host.
    ///
    /// # Errors
    /// [`InvalidEndpoint`].
    pub fn parse(text: &str) -> Result<Self, InvalidEndpoint> {
        let mut url = Url::parse(text).map_err(|_| InvalidEndpoint)?;
        let plain = url.query().is_none() && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !plain {
            return Err(InvalidEndpoint);
        }
        let decoded = |part: &str| match percent_decode_str(part).decode_utf8() {
            Ok(text) => Ok(Box::from(text)),
            Err(_) => Err(InvalidEndpoint),
        };
        let user = User { name: decoded(url.username())?, password: decoded(url.password().unwrap_or(""))? };
        let user = (*user.name != *"" || *user.password != *"").then_some(user);
        url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| InvalidEndpoint)?;
        let base = url.as_str().trim_end_matches('/');
        Ok(Self { url: format!("{}{PATH}", base.strip_suffix(PATH).unwrap_or(base)).into(), user })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }
}

impl fmt::Debug for OtlpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// Headers that a collector wants, such as a token. Printed as `***`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct OtlpHeaders(HashMap<String, String>);

/// A text that is no list of headers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it must be a list such as x-token=abc,x-tenant=main, with values percent-encoded")]
pub struct InvalidHeaders;

impl OtlpHeaders {
    /// Reads `name=value,name=value`; values are percent-decoded.
    ///
    /// # Errors
    /// [`InvalidHeaders`].
    pub fn parse(text: &str) -> Result<Self, InvalidHeaders> {
        let header = |pair: &str| {
            let (name, value) = pair.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?.into_owned();
            let name = HeaderName::try_from(name.trim()).ok()?;
            HeaderValue::try_from(value.as_str()).ok()?;
            Some((name.to_string(), value))
        };
        let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        pairs.map(header).collect::<Option<_>>().map(Self).ok_or(InvalidHeaders)
    }

    pub(crate) fn to_map(&self) -> HashMap<String, String> {
        self.0.clone()
    }
}

impl fmt::Debug for OtlpHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_get_their_path_once() {
        for (text, expected) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("https://user:secret@collector/otlp/", "https://collector/otlp/v1/traces"),
            ("http://collector:4318/v1/traces", "http://collector:4318/v1/traces"),
        ] {
            let endpoint = OtlpEndpoint::parse(text).expect(text);
            assert_eq!(endpoint.url(), expected);
            assert_eq!(format!("{endpoint:?}"), expected);
        }
        for bad in ["", "collector:4318", "grpc://collector", "http://", "http://collector?x=1"] {
            assert!(OtlpEndpoint::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn users_are_decoded() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let endpoint = OtlpEndpoint::parse(text).expect(text);
            assert_eq!(endpoint.user().map(|user| (&*user.name, &*user.password)), expected, "{text}");
        };
        check("http://collector", None);
        check("http://@collector", None);
        check("http://user@collector", Some(("user", "")));
        check("http://:p%40ss%3a@collector", Some(("", "p@ss:")));
        check("http://us%20er:pass@collector", Some(("us er", "pass")));
        assert!(OtlpEndpoint::parse("http://user:%ff@collector").is_err());
    }

    #[test]
    fn headers_are_read_strictly() {
        let headers = OtlpHeaders::parse("X-Token=a%20secret%3D, x-tenant=main,").expect("headers");
        let mut pairs: Vec<_> = headers.to_map().into_iter().collect();
        pairs.sort_unstable();
        assert_eq!(pairs, [("x-tenant".into(), "main".into()), ("x-token".into(), "a secret=".into())]);
        assert_eq!(format!("{headers:?}"), "***");
        for bad in ["x-token", "=a", "x y=a", "x=%0a"] {
            assert!(OtlpHeaders::parse(bad).is_err(), "{bad}");
        }
    }
}
