//! What to return: `*`, names, `alias:name`, `name::type`.

use super::body::{self, JsonText};
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
    /// All, and these by name beside: they add nothing, and have to be there all the same.
    AllWith(Vec<SelectItem>),
    /// These, in this order.
    Items(Vec<SelectItem>),
}

impl Selection {
    /// Reads a string with commas or an array of strings.
    ///
    /// # Errors
    /// [`RequestCode::UnsupportedSelect`] for embedded relations and other select forms,
    /// [`RequestCode::InvalidField`] for entries that are not strings.
    pub fn parse(value: JsonText<'_>, field: &str) -> Result<Self, RequestError> {
        let mut list = SelectList::default();
        if value.is_array() {
            // As many entries as may be given are looked at, however many there are.
            for (index, entry) in value.expect_array_of(MAX_COLUMNS, field)?.into_iter().enumerate() {
                let path = format!("{field}[{index}]");
                list.read(&entry.expect_string(&path)?, &path, field)?;
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
            list.read(&text, field, field)?;
        }
        let SelectList { items, all, .. } = list;
        if all || items.is_empty() {
            let renamed = items.iter().any(|item| item.alias.is_some() || item.cast.is_some());
            if renamed {
                return Err(RequestError::field(
                    RequestCode::UnsupportedSelect,
                    field,
                    format!("`{field}` mixes * with an alias or a cast; name the columns instead"),
                ));
            }
            return Ok(if items.is_empty() { Self::All } else { Self::AllWith(items) });
        }
        Ok(Self::Items(items))
    }
}

/// What has been read of a list of columns.
#[derive(Debug, Default)]
struct SelectList {
    items: Vec<SelectItem>,
    /// Whether `*` stood among them.
    all: bool,
    /// Entries, those that name nothing included: what they cost does not depend on what they name.
    entries: usize,
}

impl SelectList {
    /// Reads entries with commas in between; those inside parentheses belong to an embedded relation, which stays one.
    fn read(&mut self, text: &str, path: &str, field: &str) -> Result<(), RequestError> {
        let (mut start, mut depth) = (0, 0_i32);
        for (place, byte) in text.bytes().enumerate() {
            match byte {
                b'(' => depth += 1,
                b')' => depth -= 1,
                b',' if depth == 0 => {
                    self.add(&text[start..place], path, field)?;
                    start = place + 1;
                }
                _ => {}
            }
        }
        if depth != 0 {
            return Err(unsupported(text.trim(), path));
        }
        self.add(&text[start..], path, field)
    }

    fn add(&mut self, entry: &str, path: &str, field: &str) -> Result<(), RequestError> {
        self.entries += 1;
        if self.entries > MAX_COLUMNS {
            return Err(body::too_many(field, MAX_COLUMNS));
        }
        match entry.trim() {
            "" => {}
            "*" => self.all = true,
            entry => self.items.push(parse_item(entry, path)?),
        }
        Ok(())
    }
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
            Selection::All | Selection::AllWith(_) => "*".to_owned(),
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
    fn no_more_than_may_be_named_is_read() {
        let check = |text: String, allowed: bool| {
            let fault = read(&text).err();
            assert_eq!(fault, (!allowed).then_some(RequestCode::InvalidField), "{} bytes", text.len());
        };
        for entry in ["a,", "*,", ",", "a:b::text, "] {
            let list = |entries: usize| format!("\"{}\"", entry.repeat(entries).trim_end_matches(' '));
            check(list(MAX_COLUMNS - 1).replace("b::text", "b"), true);
            check(list(MAX_COLUMNS), false);
            // What stands behind the last that is read cannot be a column, and is not looked at.
            check(format!("\"{}a b c\"", entry.repeat(MAX_COLUMNS)), false);
        }
        let array = |entry: &str, entries: usize| format!("[{}]", vec![entry; entries].join(","));
        check(array("\"a\"", MAX_COLUMNS), true);
        check(array("\"a\"", MAX_COLUMNS + 1), false);
        check(array("\"\"", MAX_COLUMNS + 1), false);
        check(array("\"*,*\"", MAX_COLUMNS / 2 + 1), false);
        check(array("7", MAX_COLUMNS + 1), false);
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
