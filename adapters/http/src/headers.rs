//! Every header the gateway reads, its name and its parser, once.

pub mod accept;
pub mod describe;
pub mod quality;
pub mod request_id;
pub mod trace_parent;

use athena_domain::ClientName;
use athena_domain::access::Credential;
use poem::http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{Failure, failure};

/// The logical database.
pub const CLIENT: HeaderName = HeaderName::from_static("x-athena-client");
/// Whether nulls are dropped; its presence alone asks for the array shape.
pub const STRIP_NULLS: HeaderName = HeaderName::from_static("x-strip-nulls");
/// How numbers beyond 2^53 are written.
pub const BIG_NUMBERS: HeaderName = HeaderName::from_static("x-athena-big-numbers");
/// The caller's or our name of one request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Acting user, for audit.
pub const USER_ID: HeaderName = HeaderName::from_static("x-user-id");
/// Acting company, for audit.
pub const COMPANY_ID: HeaderName = HeaderName::from_static("x-company-id");
/// Acting organization, for audit.
pub const ORGANIZATION_ID: HeaderName = HeaderName::from_static("x-organization-id");
/// Id of an inserted row, where the body is a bare array.
pub const RESOURCE_ID: HeaderName = HeaderName::from_static("x-athena-resource-id");
/// Number of matching rows, where the body has no room for it.
pub const COUNT: HeaderName = HeaderName::from_static("x-athena-count");
/// The cursor to the next page, where the body has no room for it.
pub const NEXT_CURSOR: HeaderName = HeaderName::from_static("x-athena-next-cursor");
/// Whether a write that depends on what is there was carried out, where the body has no room for it.
pub const APPLIED: HeaderName = HeaderName::from_static("x-athena-applied");
/// Whether the database looked at rows that are not in the answer.
pub const FILTERED: HeaderName = HeaderName::from_static("x-athena-filtered");
/// A direct database target, which this server does not take.
const JDBC_URL: HeaderName = HeaderName::from_static("x-jdbc-url");
/// Headers with an agreed meaning that this server does not have yet (contract 29).
const NOT_BUILT: [HeaderName; 1] = [HeaderName::from_static("idempotency-key")];
/// Whether the answer tells where the time went.
pub const TIMING: HeaderName = HeaderName::from_static("x-athena-timing");
/// The project that a request for `custom_supabase` is for.
pub const SUPABASE_URL: HeaderName = HeaderName::from_static("x-supabase-url");
/// The caller's key of that project. Must not reach a log.
const SUPABASE_KEY: HeaderName = HeaderName::from_static("x-supabase-key");
/// Where the time went.
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Trimmed text of a header; `None` when it is absent, blank or not UTF-8.
pub fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(text_of)
}

/// The same of a header's value.
pub fn text_of(value: &HeaderValue) -> Option<&str> {
    std::str::from_utf8(value.as_bytes()).ok().map(str::trim).filter(|text| !text.is_empty())
}

/// The client that the header names; a blank header names none.
///
/// # Errors
/// When the header is unreadable, or given twice with different names.
pub fn client(headers: &HeaderMap) -> Result<Option<ClientName>, Box<Failure>> {
    let mut found: Option<ClientName> = None;
    for value in headers.get_all(&CLIENT) {
        if value.as_bytes().trim_ascii().is_empty() {
            continue;
        }
        let text = std::str::from_utf8(value.as_bytes()).ok();
        if text.is_some_and(Credential::stands_in) {
            let message = "X-Athena-Client holds an API key; the key goes into X-Athena-Key";
            return Err(failure::invalid_header("X-Athena-Client", message));
        }
        let name = text.and_then(ClientName::parse).ok_or_else(|| {
            failure::invalid_header("X-Athena-Client", "X-Athena-Client is not a client name")
        })?;
        match &found {
            Some(first) if *first != name => {
                return Err(failure::invalid_header(
                    "X-Athena-Client",
                    "X-Athena-Client is given twice with different values",
                ));
            }
            _ => found = Some(name),
        }
    }
    Ok(found)
}

/// Address and key of the project that a request names itself.
///
/// # Errors
/// When one of them is absent or given twice.
pub fn supabase(headers: &HeaderMap) -> Result<(&str, &str), Box<Failure>> {
    let [url, key] = [&SUPABASE_URL, &SUPABASE_KEY].map(|name| {
        let mut values = headers.get_all(name).iter();
        if values.next().is_some() && values.next().is_some() {
            return Err(failure::invalid_header(
                "x-supabase-url",
                "x-supabase-url and x-supabase-key go once each",
            ));
        }
        text(headers, name).ok_or_else(failure::missing_supabase)
    });
    Ok((url?, key?))
}

/// Refuses headers whose meaning this server would silently drop.
///
/// # Errors
/// When one of them is there.
pub fn refuse_unsupported(headers: &HeaderMap) -> Result<(), Box<Failure>> {
    match NOT_BUILT.iter().chain(&[JDBC_URL]).find(|name| headers.contains_key(*name)) {
        Some(name) => Err(failure::unsupported_header(name)),
        None => Ok(()),
    }
}

/// Whether the array shape is asked for, and whether nulls are dropped (contract 6.7, 6.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StripNulls {
    /// The header is absent: the body decides on nulls, the settings on the shape.
    Absent,
    /// Array shape.
    Present {
        /// Whether nulls are dropped.
        strip: bool,
    },
}

impl StripNulls {
    /// Reads the header.
    pub fn read(headers: &HeaderMap) -> Self {
        match headers.get(&STRIP_NULLS) {
            None => Self::Absent,
            Some(value) => {
                Self::Present { strip: value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"true") }
            }
        }
    }

    /// Whether the array shape is asked for.
    pub fn is_present(self) -> bool {
        self != Self::Absent
    }

    /// Whether nulls are dropped; the header wins over the body.
    pub fn strips(self, body: Option<bool>) -> bool {
        match self {
            Self::Absent => body.unwrap_or(false),
            Self::Present { strip } => strip,
        }
    }
}

/// Whether big numbers are to be strings.
///
/// # Errors
/// For any value but `string`.
pub fn big_numbers_as_text(headers: &HeaderMap) -> Result<bool, Box<Failure>> {
    match headers.get(&BIG_NUMBERS) {
        None => Ok(false),
        Some(value) if value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"string") => Ok(true),
        Some(_) => Err(failure::invalid_header(
            "X-Athena-Big-Numbers",
            "X-Athena-Big-Numbers takes one value: string",
        )),
    }
}

/// Whether the answer is to tell where the time went.
///
/// # Errors
/// For any value but `true` and `false`.
pub fn wants_timing(headers: &HeaderMap) -> Result<bool, Box<Failure>> {
    let Some(value) = headers.get(&TIMING) else { return Ok(false) };
    match value.as_bytes().trim_ascii() {
        word if word.eq_ignore_ascii_case(b"true") => Ok(true),
        word if word.eq_ignore_ascii_case(b"false") => Ok(false),
        _ => Err(failure::invalid_header("X-Athena-Timing", "X-Athena-Timing takes true or false")),
    }
}

/// Who acts, as the caller says it; never used for a decision.
#[derive(Debug, Clone, Copy, Default)]
pub struct Audit<'a> {
    /// User.
    pub user: Option<&'a str>,
    /// Company.
    pub company: Option<&'a str>,
    /// Organization.
    pub organization: Option<&'a str>,
}

impl<'a> Audit<'a> {
    /// Reads the headers.
    pub fn read(headers: &'a HeaderMap) -> Self {
        Self {
            user: text(headers, &USER_ID),
            company: text(headers, &COMPANY_ID),
            organization: text(headers, &ORGANIZATION_ID),
        }
    }

    /// Checks that company and organization are named.
    ///
    /// # Errors
    /// Naming the first one that is not.
    pub fn require(self) -> Result<(), Box<Failure>> {
        if self.company.is_none() {
            return Err(failure::missing_header("X-Company-Id"));
        }
        if self.organization.is_none() {
            return Err(failure::missing_header("X-Organization-Id"));
        }
        Ok(())
    }
}
