//! Where a key may stand in a request, and the static admin key.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use athena_application::ports::REDACTED;
use athena_domain::access::{Credential, Presented, choose, same_secret};
use percent_encoding::percent_decode_str;
use poem::Request;
use poem::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::error::{Failure, failure};

/// Headers that may hold a key, in the order in which they are believed (contract 5.1).
static KEY_HEADERS: [HeaderName; 4] = [
    header::AUTHORIZATION,
    HeaderName::from_static("apikey"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-athena-key"),
];

/// Parameter of the query string that may hold the admin key: pages build download links with it.
const KEY_PARAMETER: &str = "api_key";

/// A header that may hold a key, and one of its values.
type Given<'a> = (&'static HeaderName, &'a HeaderValue);

/// What a request gives in the headers that may hold a key: values of one header stand together.
fn given(headers: &HeaderMap) -> Vec<Given<'_>> {
    KEY_HEADERS.iter().flat_map(|name| headers.get_all(name).iter().map(move |value| (name, value))).collect()
}

/// The keys in there, in order.
fn keys<'a>(given: &[Given<'a>]) -> impl Iterator<Item = &'a str> {
    given.iter().filter_map(|(name, value)| {
        let text = value.to_str().ok()?;
        if **name == header::AUTHORIZATION { bearer_token(text) } else { Some(text) }
    })
}

/// What follows `Bearer`; any other scheme is meant for somebody else.
fn bearer_token(text: &str) -> Option<&str> {
    let (scheme, token) = text.trim().split_once([' ', '\t'])?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// The gateway key that a request presents.
///
/// # Errors
/// When one header is given several times with different values, or two of them hold different API keys: which one is
/// meant would be anybody's guess. A token in another form is meant for somebody else.
pub fn gateway_key(headers: &HeaderMap) -> Result<Presented<'_>, Box<Failure>> {
    let given = given(headers);
    let differ = |pair: &&[Given<'_>]| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1;
    if let Some([(name, _), _]) = given.windows(2).find(differ) {
        return Err(failure::ambiguous_key(name));
    }
    // A single one, as there mostly is, differs from none.
    if given.len() > 1 {
        let mut valid = keys(&given).map(str::trim).filter(|text| Credential::parse(text).is_some());
        if let Some(first) = valid.next()
            && valid.any(|key| key != first)
        {
            return Err(failure::different_keys());
        }
    }
    Ok(choose(keys(&given)).map_or(Presented::Nothing, Presented::Text))
}

/// The static admin key (contract 5.7): the one secret of the admin routes.
#[derive(Clone, Default)]
pub struct AdminKey(Option<Arc<str>>);

impl AdminKey {
    /// The secret; without one every admin route answers 503.
    pub fn new(secret: Option<&str>) -> Self {
        Self(secret.filter(|secret| !secret.is_empty()).map(Arc::from))
    }

    /// Checks that one of the presented keys is the secret.
    ///
    /// # Errors
    /// 503 when there is no secret, 401 when none fits.
    pub fn check(&self, request: &Request) -> Result<(), Box<Failure>> {
        self.check_parts(request.headers(), request.uri().query())
    }

    fn check_parts(&self, headers: &HeaderMap, query: Option<&str>) -> Result<(), Box<Failure>> {
        let Some(secret) = &self.0 else {
            return Err(Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "admin_key_not_configured",
                "authorization",
                "ATHENA_KEY_12 is not configured",
            )
            .hint(
                "Set the environment variable ATHENA_KEY_12 and restart, or set it in `.env` and send SIGHUP; admin routes stay \
                 shut without it.",
            )
            .retry_after(60));
        };
        let parameter = query.and_then(key_parameter);
        let given = given(headers);
        let candidates = keys(&given).chain(parameter.as_deref());
        // Every candidate is compared, so that the time does not tell which one fitted.
        let fits = candidates.fold(false, |fits, key| same_secret(key, secret) | fits);
        if fits {
            return Ok(());
        }
        Err(Failure::new(
            StatusCode::UNAUTHORIZED,
            "invalid_admin_key",
            "authorization",
            "Invalid or missing API key. Use X-Athena-Key.",
        )
        .hint("This route asks for the static admin key (ATHENA_KEY_12), not for an API key that begins with ath_."))
    }
}

impl fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "***" } else { "not set" })
    }
}

/// The value of `api_key` in a query string, decoded.
fn key_parameter(query: &str) -> Option<Cow<'_, str>> {
    let (_, value) =
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == KEY_PARAMETER)?;
    Some(percent_decoded(value))
}

fn percent_decoded(text: &str) -> Cow<'_, str> {
    let spaced = if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) };
    match spaced {
        Cow::Borrowed(text) => percent_decode_str(text).decode_utf8_lossy(),
        Cow::Owned(text) => percent_decode_str(&text).decode_utf8_lossy().into_owned().into(),
    }
}

/// The text as it may be kept: somebody may have put a gateway key where it does not belong, percent-encoded or not.
pub fn without_key(text: &str) -> &str {
    let encoded = || text.as_bytes().contains(&b'%') && Credential::stands_in(&percent_decoded(text));
    if Credential::stands_in(text) || encoded() { REDACTED } else { text }
}

/// A query string as it may be kept: values of parameters that may be secret are replaced, and gateway keys wherever
/// somebody has put them.
pub fn redacted_query(query: &str) -> String {
    let holds_key = |text| Credential::may_be_in(&percent_decoded(text));
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) if !holds_key(name) && (is_secret_name(name) || holds_key(value)) => {
            format!("{name}=[REDACTED]")
        }
        _ if holds_key(pair) => "[REDACTED]".to_owned(),
        _ => pair.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// Whether a field of this name holds something secret (contract 19.3).
pub fn is_secret_name(name: &str) -> bool {
    const PARTS: [&str; 10] = [
        "authorization",
        "apikey",
        "athenakey",
        "cookie",
        "token",
        "secret",
        "password",
        "passwd",
        "jwt",
        "supabasekey",
    ];
    let name: String = percent_decoded(name)
        .chars()
        .filter(|c| !matches!(c, '-' | '_'))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    PARTS.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| (HeaderName::from_static(name), poem::http::HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn a_gateway_key_is_not_kept_however_it_is_written() {
        for text in ["/rpc/ath_0123.abc", "/rpc/ath%5F0123.abc", "/%61th_0123.abc", "/a%2Fath_01"] {
            assert_eq!(without_key(text), REDACTED, "{text}");
        }
        for text in ["/rpc/math_1", "/rpc/path%5Flength", "100%", "%zz_"] {
            assert_eq!(without_key(text), text);
        }
    }

    #[test]
    fn a_gateway_key_is_found_wherever_it_stands() {
        let check = |list: &[(&'static str, &'static str)], expected: Option<&str>| {
            let headers = headers(list);
            let found = match gateway_key(&headers) {
                Ok(Presented::Text(text)) => Some(text),
                Ok(Presented::Nothing) => None,
                Err(_) => Some("ambiguous"),
            };
            assert_eq!(found, expected, "{list:?}");
        };
        check(&[], None);
        check(&[("authorization", "bEARER  ath_a.b ")], Some("ath_a.b"));
        check(&[("authorization", "Basic ath_a.b")], None);
        check(&[("authorization", "ath_a.b")], None);
        check(&[("apikey", "ath_a.b"), ("authorization", "Bearer eyJ.a.b")], Some("ath_a.b"));
        check(&[("x-api-key", " "), ("x-athena-key", "ath_c.d")], Some("ath_c.d"));
        check(&[("apikey", "ath_a.b"), ("x-api-key", "ath_a.b")], Some("ath_a.b"));
        // Two keys in two places (contract 29.7); what has not their form is none.
        check(&[("apikey", "ath_a.b"), ("x-athena-key", "ath_c.d")], Some("ambiguous"));
        check(&[("authorization", "Bearer ath_a.b"), ("x-api-key", "ath_a.c")], Some("ambiguous"));
        check(&[("authorization", "Bearer ath_a.b"), ("apikey", " ath_a.b ")], Some("ath_a.b"));
        check(&[("apikey", "other"), ("x-athena-key", "ath_c.d")], Some("ath_c.d"));
        let mut twice = headers(&[("apikey", "ath_a.b")]);
        twice.append("apikey", poem::http::HeaderValue::from_static("ath_c.d"));
        assert!(gateway_key(&twice).is_err());
    }

    #[test]
    fn the_admin_key_opens_from_five_places() {
        let key = AdminKey::new(Some("s3 cret+"));
        for name in ["apikey", "x-api-key", "x-athena-key"] {
            assert!(key.check_parts(&headers(&[(name, "s3 cret+")]), None).is_ok(), "{name}");
        }
        assert!(key.check_parts(&headers(&[("authorization", "Bearer s3 cret+")]), None).is_ok());
        assert!(key.check_parts(&headers(&[]), Some("a=b&api_key=s3%20cret%2B")).is_ok());
        let status = |key: &AdminKey, list: &[_], query| {
            key.check_parts(&headers(list), query).expect_err("refused").status.as_u16()
        };
        assert_eq!(status(&key, &[], None), 401);
        assert_eq!(status(&key, &[("apikey", "S3 cret+")], Some("api_key=&x=%zz%")), 401);
        assert_eq!(status(&AdminKey::new(None), &[("apikey", "")], None), 503);
        assert_eq!(status(&AdminKey::new(Some("")), &[("apikey", "")], None), 503);
        assert!(!format!("{key:?}").contains("cret"));
    }

    #[test]
    fn secrets_in_query_strings_are_replaced() {
        assert_eq!(
            redacted_query("a=1&api_key=x&Api%2DKey=y&flag"),
            "a=1&api_key=[REDACTED]&Api%2DKey=[REDACTED]&flag"
        );
        assert_eq!(
            redacted_query("key=ath_1.2&k=%61th_1.2&ath_1.2&ath_1.2=&path=a"),
            "key=[REDACTED]&k=[REDACTED]&[REDACTED]&[REDACTED]&path=a"
        );
        for name in ["x-supabase-key", "Set-Cookie", "Api-Key", "refresh_token"] {
            assert!(is_secret_name(name), "{name}");
        }
        assert!(!is_secret_name("key") && !is_secret_name("limit"));
    }
}
