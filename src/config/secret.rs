//! Text that must not be printed.

use std::fmt;

/// What stands in the place of a secret.
const MASK: &str = "***";

/// A text that prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself. Must not reach a log, an error or an answer.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Schemes of connection targets.
const SCHEMES: [&str; 10] = [
    "postgres",
    "postgresql",
    "neon",
    "cql",
    "scylla",
    "cassandra",
    "supabase+https",
    "supabase+http",
    "postgrest+https",
    "postgrest+http",
];

/// Where a database is and how to enter it. Prints with its passwords as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionUri(Box<str>);

impl ConnectionUri {
    /// Reads `scheme://…`. The margin is dropped, the rest is kept as it stands.
    ///
    /// # Errors
    ///
    /// The reason, which holds nothing of `text`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.is_empty() {
            return Err("the connection URI is empty");
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(
                "not a connection URI; expected a form such as postgres://user:password@host:5432/database",
            );
        };
        if !SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(
                "the scheme of the connection URI is none of postgres, postgresql, neon, cql, supabase+https, postgrest+https",
            );
        }
        if rest.is_empty() {
            return Err("the connection URI ends after its scheme");
        }
        if rest.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("the connection URI holds a space or a control character; write it percent-encoded");
        }
        // What follows it is no part of the address, so it is part of a password: nobody would know where that ends.
        if rest.contains('#') {
            return Err("the connection URI holds a #; write it as %23");
        }
        Ok(Self(text.into()))
    }

    /// The scheme in lower case, such as `postgres`.
    pub fn scheme(&self) -> String {
        self.0.split_once("://").map_or_else(String::new, |(scheme, _)| scheme.to_ascii_lowercase())
    }

    /// The text itself, password included. Must not reach a log, an error or an answer.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ConnectionUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&redact(&self.0), f)
    }
}

impl fmt::Display for ConnectionUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(&self.0))
    }
}

/// `text` with the password of a URI, and the value of every parameter that is one by its name, as `***`.
///
/// Where it is doubtful what belongs to the password (it may hold `/`, `?` or `@` unencoded), more is hidden
/// rather than less.
pub fn redact(text: &str) -> String {
    mask_parameters(&mask_user_info(text))
}

/// Hides what lies between the first `:` after the scheme and the last `@` of the whole text.
fn mask_user_info(text: &str) -> String {
    let start = text.find("://").map_or(0, |at| at + "://".len());
    let (scheme, rest) = text.split_at(start);
    let Some((user_info, place)) = rest.rsplit_once('@') else { return text.to_owned() };
    let Some((user, _)) = user_info.split_once(':') else { return text.to_owned() };
    format!("{scheme}{user}:{MASK}@{place}")
}

/// Names of parameters whose values are secrets; a longer word that ends in one counts too (`sslpassword`).
const SECRET_PARAMETERS: [&str; 6] = ["password", "passwd", "pwd", "secret", "token", "apikey"];

/// Hides the values of `password=…` and the like, in queries and in keyword/value connection strings.
fn mask_parameters(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    let is_uri = text.contains("://");
    while let Some(equals) = rest.find('=') {
        let (head, tail) = rest.split_at(equals + 1);
        masked.push_str(head);
        rest = tail;
        let name = head[..equals].trim_end().to_ascii_lowercase().replace('_', "");
        if SECRET_PARAMETERS.iter().any(|secret| name.ends_with(secret)) {
            let value = rest.trim_start();
            // A quoted value may hold blanks and ampersands; nothing after it is worth the risk.
            let end = match value.starts_with(['\'', '"']) {
                true => value.len(),
                false => {
                    value.find(|c: char| (is_uri && c == '&') || c.is_whitespace()).unwrap_or(value.len())
                }
            };
            masked.push_str(MASK);
            rest = &value[end..];
        }
    }
    masked.push_str(rest);
    masked
}

#[cfg(test)]
mod tests;
