//! What to return: `*`, names, `alias:name`, `name::type`.

use super::body::JsonText;
use super::identifier::Identifier;
use crate::error::{RequestCode, RequestError, excerpt};

/// Most columns one request may name; PostgreSQL's own bound on a select list.
pub const MAX_COLUMNS: usize = 1_600;

/// One named column of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SelectItem {
    /// Column as the caller spells it.
    pub column: Identifier,
    /// Key in the answer, when it is another name.
    pub alias: Option<Box<str>>,
    /// Type to cast to, such as `text` or `int4[]`; looked up by the planner.
    pub cast: Option<Box<str>>,
}

/// The columns of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub enum Selection {
    /// Every column.
    #[default]
    All,
    /// These, in this order; `all` when `*` stood among them, after which the named ones that carry an
    /// alias or a cast are added.
    Items(Vec<SelectItem>),
}

impl Selection {
    /// Reads a string with commas or an array of strings.
    ///
    /// # Errors
    /// [`RequestCode::UnsupportedSelect`] for embedded relations and other select forms,
    /// [`RequestCode::InvalidField`] for entries that are not strings.
    pub fn parse(value: JsonText<'_>, field: &str) -> Result<Self, RequestError> {
        let mut items = Vec::new();
        let mut all = false;
        let mut add = |token: &str, field: &str| -> Result<(), RequestError> {
            match token.trim() {
                "" => Ok(()),
                "*" => {
                    all = true;
                    Ok(())
                }
                token => {
                    items.push(parse_item(token, field)?);
                    Ok(())
                }
            }
        };
        if value.is_array() {
            for (index, entry) in value.expect_array(field)?.into_iter().enumerate() {
                let path = format!("{field}[{index}]");
                let text = entry.expect_string(&path)?;
                for token in split(&text, &path)? {
                    add(token, &path)?;
                }
            }
        } else {
            let text = value.string().ok_or_else(|| {
                RequestError::invalid(
                    field,
                    format!(
                        "`{field}` must be a string with commas or an array of strings, not {}",
                        value.kind()
                    ),
                )
            })?;
            for token in split(&text, field)? {
                add(token, field)?;
            }
        }
        if items.len() > MAX_COLUMNS {
            return Err(RequestError::invalid(
                field,
                format!("`{field}` names more than {MAX_COLUMNS} columns"),
            ));
        }
        if all || items.is_empty() {
            let renamed = items.iter().any(|item| item.alias.is_some() || item.cast.is_some());
            if renamed {
                return Err(RequestError::field(
                    RequestCode::UnsupportedSelect,
                    field,
                    format!("`{field}` mixes * with an alias or a cast; name the columns instead"),
                ));
            }
            return Ok(Self::All);
        }
        Ok(Self::Items(items))
    }
}

/// Splits at commas outside parentheses, so that an embedded relation stays one token.
fn split<'t>(text: &'t str, field: &str) -> Result<Vec<&'t str>, RequestError> {
    let (mut tokens, mut start, mut depth) = (Vec::new(), 0, 0_i32);
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b',' if depth == 0 => {
                tokens.push(&text[start..place]);
                start = place + 1;
            }
            _ => {}
        }
    }
    if depth != 0 {
        return Err(unsupported(text.trim(), field));
    }
    tokens.push(&text[start..]);
    Ok(tokens)
}

fn unsupported(token: &str, field: &str) -> RequestError {
    RequestError::field(
        RequestCode::UnsupportedSelect,
        field,
        format!(
            "`{}` in `{field}` is not supported: use column, alias:column, column::type or *",
            excerpt(token)
        ),
    )
    .hint("read the rows of another table with a request of its own, or through a view of the database")
}

fn parse_item(token: &str, field: &str) -> Result<SelectItem, RequestError> {
    if token.contains(['(', ')', '!']) {
        return Err(unsupported(token, field));
    }
    let (token, cast) = match token.split_once("::") {
        Some((name, cast)) => (name.trim_end(), Some(cast.trim())),
        None => (token, None),
    };
    let (alias, column) = match token.split_once(':') {
        Some((alias, column)) => (Some(alias.trim()), column.trim()),
        None => (None, token),
    };
    let cast = match cast {
        Some(cast) if is_type_name(cast) => Some(cast.to_ascii_lowercase().into()),
        Some(_) => return Err(unsupported(token, field)),
        None => None,
    };
    let alias = match alias {
        Some(alias) => Some(Identifier::parse(alias, field)?.as_str().into()),
        None => None,
    };
    Ok(SelectItem { column: Identifier::parse(column, field)?, alias, cast })
}

fn is_type_name(text: &str) -> bool {
    let base = text.strip_suffix("[]").unwrap_or(text);
    base.split(' ').all(Identifier::is_valid)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
    use super::*;

    fn read(text: &str) -> Result<String, RequestCode> {
        let value = JsonText::parse(text.as_bytes()).unwrap();
        Ok(match Selection::parse(value, "columns").map_err(|e| e.code)? {
            Selection::All => "*".to_owned(),
            Selection::Items(items) => items
                .iter()
                .map(|item| {
                    let alias = item.alias.as_deref().map(|a| format!("{a}=")).unwrap_or_default();
                    let cast = item.cast.as_deref().map(|c| format!("/{c}")).unwrap_or_default();
                    format!("{alias}{}{cast}", item.column)
                })
                .collect::<Vec<_>>()
                .join(" "),
        })
    }

    #[test]
    fn select_lists() {
        let check = |text: &str, expected: &str| assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        check(r#""*""#, "*");
        check(r#""""#, "*");
        check(r#"[]"#, "*");
        check(r#""id, name""#, "id name");
        check(r#""id,\n  name\n""#, "id name");
        check(
            r#"["id","a:name","n::text","b:n::double precision","t::int4[]"]"#,
            "id a=name n/text b=n/double precision t/int4[]",
        );
        check(r#""id,*""#, "*");
    }

    #[test]
    fn other_forms_are_refused() {
        for (text, code) in [
            (r#""from:sender_id(name)""#, RequestCode::UnsupportedSelect),
            (r#""instruments!inner(id,name)""#, RequestCode::UnsupportedSelect),
            (r#""a(b""#, RequestCode::UnsupportedSelect),
            (r#""x', (select version()) --""#, RequestCode::InvalidIdentifier),
            (r#""x' --""#, RequestCode::InvalidIdentifier),
            (r#""a::text; drop""#, RequestCode::UnsupportedSelect),
            (r#"[1]"#, RequestCode::InvalidField),
            (r#"5"#, RequestCode::InvalidField),
        ] {
            assert_eq!(read(text), Err(code), "{text}");
        }
    }
}
