//! Types as `system_schema` writes them: `map<text, frozen<list<int>>>`.

use std::collections::HashMap;
use std::sync::Arc;

use athena_domain::schema::CqlType;

use super::TypeRow;

/// Deepest type that is taken apart.
const MAX_DEPTH: usize = 32;

/// The user-defined types of a keyspace, by name.
pub(super) struct Types<'a> {
    known: HashMap<&'a str, &'a TypeRow>,
}

impl<'a> Types<'a> {
    pub(super) fn new(rows: &'a [TypeRow]) -> Self {
        Self { known: rows.iter().map(|row| (row.type_name.as_str(), row)).collect() }
    }

    /// A type; one that cannot be taken apart is the server's own.
    pub(super) fn parse(&self, text: &str) -> CqlType {
        self.ty(text, false, 0).unwrap_or_else(|| CqlType::Custom(text.into()))
    }

    fn ty(&self, text: &str, frozen: bool, depth: usize) -> Option<CqlType> {
        if depth > MAX_DEPTH {
            return None;
        }
        let text = text.trim();
        let inner = |text: &str| self.ty(text, frozen, depth + 1);
        let Some((name, rest)) = text.split_once('<') else { return self.plain(text, frozen, depth) };
        let parts = parts(rest.strip_suffix('>')?)?;
        Some(match (name.trim().to_ascii_lowercase().as_str(), &parts[..]) {
            ("frozen", [inside]) => self.ty(inside, true, depth + 1)?,
            ("list", [element]) => CqlType::List { frozen, element: Arc::new(inner(element)?) },
            ("set", [element]) => CqlType::Set { frozen, element: Arc::new(inner(element)?) },
            ("map", [key, value]) => {
                CqlType::Map { frozen, key: Arc::new(inner(key)?), value: Arc::new(inner(value)?) }
            }
            // What a tuple holds is frozen with it.
            ("tuple", parts) => {
                let parts: Option<Vec<CqlType>> =
                    parts.iter().map(|part| self.ty(part, true, depth + 1)).collect();
                CqlType::Tuple(parts?.into())
            }
            ("vector", [element, dimensions]) => CqlType::Vector {
                element: Arc::new(self.ty(element, true, depth + 1)?),
                dimensions: dimensions.trim().parse().ok()?,
            },
            _ => return None,
        })
    }

    fn plain(&self, text: &str, frozen: bool, depth: usize) -> Option<CqlType> {
        Some(match text {
            "ascii" => CqlType::Ascii,
            "text" | "varchar" => CqlType::Text,
            "boolean" => CqlType::Bool,
            "tinyint" => CqlType::Int(8),
            "smallint" => CqlType::Int(16),
            "int" => CqlType::Int(32),
            "bigint" => CqlType::Int(64),
            "varint" => CqlType::Varint,
            "decimal" => CqlType::Decimal,
            "float" => CqlType::Float(32),
            "double" => CqlType::Float(64),
            "uuid" => CqlType::Uuid,
            "timeuuid" => CqlType::TimeUuid,
            "timestamp" => CqlType::Timestamp,
            "date" => CqlType::Date,
            "time" => CqlType::Time,
            "duration" => CqlType::Duration,
            "inet" => CqlType::Inet,
            "blob" => CqlType::Blob,
            "counter" => CqlType::Counter,
            name => {
                // Names that need quotes stand in quotes.
                let name = match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
                    Some(quoted) => quoted.replace("\"\"", "\""),
                    None => name.to_owned(),
                };
                let row = self.known.get(name.as_str())?;
                let fields = row.field_names.iter().zip(&row.field_types);
                let fields: Option<Vec<_>> = fields
                    .map(|(name, ty)| Some((name.as_str().into(), self.ty(ty, frozen, depth + 1)?)))
                    .collect();
                CqlType::Udt { frozen, name: row.type_name.as_str().into(), fields: fields?.into() }
            }
        })
    }
}

/// Splits at the commas that stand in no brackets and no quotes.
fn parts(text: &str) -> Option<Vec<&str>> {
    let (mut found, mut start, mut depth, mut quoted) = (Vec::new(), 0, 0_usize, false);
    for (at, char) in text.char_indices() {
        match char {
            '"' | '\'' => quoted = !quoted,
            '<' | '(' if !quoted => depth += 1,
            '>' | ')' if !quoted => depth = depth.checked_sub(1)?,
            ',' if depth == 0 && !quoted => {
                found.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&text[start..]);
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, fields: &[(&str, &str)]) -> TypeRow {
        TypeRow {
            type_name: name.to_owned(),
            field_names: fields.iter().map(|(name, _)| (*name).to_owned()).collect(),
            field_types: fields.iter().map(|(_, ty)| (*ty).to_owned()).collect(),
        }
    }

    #[test]
    fn types_are_taken_apart() {
        let rows = [
            row("place", &[("name", "text"), ("tags", "set<text>")]),
            row("Odd, one", &[("p", "frozen<place>")]),
        ];
        let types = Types::new(&rows);
        let same = |text: &str| assert_eq!(types.parse(text).to_string(), text);
        for text in [
            "bigint",
            "list<int>",
            "frozen<list<int>>",
            "map<text, decimal>",
            "tuple<int, text>",
            "vector<float, 3>",
            "place",
            "frozen<place>",
        ] {
            same(text);
        }
        let element = Arc::new(CqlType::List { frozen: true, element: Arc::new(CqlType::Int(32)) });
        assert_eq!(types.parse("set<frozen<list<int>>>"), CqlType::Set { frozen: false, element });
        // All that is in a frozen value is frozen.
        let CqlType::Udt { frozen: true, fields, .. } = types.parse("frozen<place>") else {
            panic!("a type")
        };
        assert!(fields[1].1.is_whole());
        let CqlType::Udt { name, fields, .. } = types.parse("\"Odd, one\"") else { panic!("a type") };
        assert_eq!((&*name, fields.len()), ("Odd, one", 1));
        let CqlType::List { element, .. } = types.parse("list<frozen<\"Odd, one\">>") else {
            panic!("a list")
        };
        assert!(element.is_whole());
    }

    #[test]
    fn what_cannot_be_taken_apart_is_the_servers_own() {
        let rows = [row("self", &[("again", "frozen<self>")])];
        let types = Types::new(&rows);
        for text in ["org.apache.Some(Type)", "unknown", "list<", "map<int>", "vector<float, x>", "self"] {
            assert_eq!(types.parse(text), CqlType::Custom(text.into()), "{text}");
        }
    }
}
