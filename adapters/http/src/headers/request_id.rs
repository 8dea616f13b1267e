//! The name of one request: the caller's when it is well formed, else ours.

use athena_domain::access::Credential;
use poem::http::{HeaderMap, HeaderValue};

use super::REQUEST_ID;

/// Longest name a caller may give, in bytes.
const MAX_BYTES: usize = 128;

/// The name of one request, ready for a header.
#[derive(Debug, Clone)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Takes the caller's name when it is 1–128 of `A-Za-z0-9._-`, else makes one.
    pub fn read(headers: &HeaderMap) -> Self {
        let mut given = headers.get_all(REQUEST_ID).iter();
        match (given.next(), given.next()) {
            (Some(only), None) if is_well_formed(only.as_bytes()) => Self(only.clone()),
            _ => Self::make(),
        }
    }

    /// A new name.
    pub fn make() -> Self {
        let mut buffer = [0; uuid::fmt::Simple::LENGTH];
        let text = uuid::Uuid::new_v4().simple().encode_lower(&mut buffer);
        Self(HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("0")))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The name as a header's value.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

fn is_well_formed(text: &[u8]) -> bool {
    // One that holds a key would be kept wherever the request is told of.
    std::str::from_utf8(text).is_ok_and(|text| !Credential::stands_in(text))
        && (1..=MAX_BYTES).contains(&text.len())
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}
