//! Names of tables and columns as callers may write them.

use std::fmt;
use std::sync::Arc;

use crate::error::{RequestCode, RequestError};

/// Longest identifier PostgreSQL keeps, in bytes (`NAMEDATALEN - 1`).
/// A longer one would be cut and hit another name, so it is refused.
pub const MAX_IDENTIFIER_BYTES: usize = 63;

/// A name that is `[A-Za-z_][A-Za-z0-9_]*` and short enough to be kept whole. Copies share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identifier(Arc<str>);

impl Identifier {
    /// Reads an identifier found at `field`.
    ///
    /// # Errors
    /// [`RequestCode::InvalidIdentifier`] when it has another form or is too long.
    pub fn parse(text: &str, field: &str) -> Result<Self, RequestError> {
        if Self::is_valid(text) {
            return Ok(Self(text.into()));
        }
        let message = if text.len() > MAX_IDENTIFIER_BYTES {
            format!("invalid name in `{field}`: longer than {MAX_IDENTIFIER_BYTES} bytes")
        } else {
            format!(
                "invalid column name in `{field}`: a name is a letter or _ followed by letters, digits or _"
            )
        };
        Err(RequestError::field(RequestCode::InvalidIdentifier, field, message))
    }

    /// Whether `text` has the form of an identifier.
    pub fn is_valid(text: &str) -> bool {
        let mut bytes = text.bytes();
        text.len() <= MAX_IDENTIFIER_BYTES
            && bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A relation as a caller names it: `table` or `schema.table`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RelationName {
    /// Schema, when the caller named one.
    pub schema: Option<Identifier>,
    /// Table or view.
    pub name: Identifier,
}

impl RelationName {
    /// Reads `table` or `schema.table`; an unqualified name takes `table_schema` when that is given.
    ///
    /// # Errors
    /// [`RequestCode::InvalidTableName`] when a part is not an identifier, or when the name and
    /// `table_schema` name two different schemas.
    pub fn parse(text: &str, table_schema: Option<&str>, field: &str) -> Result<Self, RequestError> {
        let refuse = |message: String| RequestError::field(RequestCode::InvalidTableName, field, message);
        let part = |part: &str| {
            Identifier::parse(part, field).map_err(|_| {
                refuse(
                    "table name is invalid: write `table` or `schema.table`, each a letter or _ followed by \
                        letters, digits or _, at most 63 bytes"
                        .to_owned(),
                )
            })
        };
        let given = table_schema.map(part).transpose()?;
        let Some((schema, name)) = text.split_once('.') else {
            return Ok(Self { schema: given, name: part(text)? });
        };
        let schema = part(schema)?;
        match given {
            Some(given) if given != schema => {
                Err(refuse(format!("`{field}` names the schema {schema}, but `table_schema` names {given}")))
            }
            _ => Ok(Self { schema: Some(schema), name: part(name)? }),
        }
    }
}

impl fmt::Display for RelationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_pass() {
        for good in ["a", "_", "Users", "a1_", &"x".repeat(63)] {
            assert!(Identifier::is_valid(good), "{good}");
        }
        for bad in ["", "1a", "a b", "a;b", "a\"", "é", "x', (select version()) --", &"x".repeat(64)] {
            assert!(!Identifier::is_valid(bad), "{bad}");
        }
    }

    #[test]
    fn relations_are_bare_or_qualified_once() {
        let check = |text, schema: Option<&str>, expected: Option<&str>| {
            let read = RelationName::parse(text, schema, "table_name").ok().map(|r| r.to_string());
            assert_eq!(read.as_deref(), expected, "{text} {schema:?}");
        };
        check("users", None, Some("users"));
        check("audit.users", None, Some("audit.users"));
        check("users", Some("audit"), Some("audit.users"));
        check("audit.users", Some("audit"), Some("audit.users"));
        check("audit.users", Some("public"), None);
        check("a.b.c", None, None);
        check(".b", None, None);
        check("a.", None, None);
        check("", None, None);
        check("users; drop table x", None, None);
    }
}
