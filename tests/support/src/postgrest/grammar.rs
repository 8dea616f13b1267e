//! PostgREST's grammar of queries → SQL. What is not in it is an error with the place.

/// What is left of a text.
struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

type Parsed<T> = Result<T, String>;

impl<'t> Cursor<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn fault<T>(&self, expected: &str) -> Parsed<T> {
        Err(format!("expected {expected} at {:?} of {:?}", self.rest(), self.text))
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Parsed<()> {
        if self.eat(token) { Ok(()) } else { self.fault(token) }
    }

    fn end(&self) -> Parsed<()> {
        if self.rest().is_empty() { Ok(()) } else { self.fault("the end") }
    }

    fn name(&mut self) -> Parsed<&'t str> {
        let rest = self.rest();
        let length =
            rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | ' ' | '$'))).unwrap_or(rest.len());
        if length == 0 {
            return self.fault("a name");
        }
        self.at += length;
        Ok(&rest[..length])
    }

    /// A value inside of a tree or a list: in double quotes, or up to a comma or a parenthesis.
    fn value(&mut self) -> Parsed<String> {
        if !self.eat("\"") {
            let rest = self.rest();
            let length = rest.find([',', ')']).unwrap_or(rest.len());
            self.at += length;
            return Ok(rest[..length].to_owned());
        }
        let mut value = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, char)) = chars.next() {
            match char {
                '"' => {
                    self.at += at + 1;
                    return if self.rest().is_empty() || self.rest().starts_with([',', ')']) {
                        Ok(value)
                    } else {
                        self.fault("the end of a quoted value")
                    };
                }
                '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
                char => value.push(char),
            }
        }
        self.fault("a closing quote")
    }
}

/// A name in SQL.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in SQL, of no type yet.
pub(super) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// `and=(…)` → a condition.
pub(super) fn tree(text: &str) -> Parsed<String> {
    let mut cursor = Cursor::new(text);
    let sql = group(&mut cursor, " AND ")?;
    cursor.end()?;
    Ok(sql)
}

fn group(cursor: &mut Cursor<'_>, glue: &str) -> Parsed<String> {
    cursor.expect("(")?;
    let mut parts = vec![node(cursor)?];
    while cursor.eat(",") {
        parts.push(node(cursor)?);
    }
    cursor.expect(")")?;
    Ok(format!("({})", parts.join(glue)))
}

fn node(cursor: &mut Cursor<'_>) -> Parsed<String> {
    // A filter is tried first: a column may be called `and`.
    let start = cursor.at;
    if let Ok(filter) = filter(cursor) {
        return Ok(filter);
    }
    cursor.at = start;
    let not = if cursor.eat("not.") { "NOT " } else { "" };
    if cursor.eat("and") {
        return Ok(format!("({not}{})", group(cursor, " AND ")?));
    }
    if cursor.eat("or") {
        return Ok(format!("({not}{})", group(cursor, " OR ")?));
    }
    cursor.at = start;
    filter(cursor)
}

fn filter(cursor: &mut Cursor<'_>) -> Parsed<String> {
    let column = identifier(cursor.name()?);
    cursor.expect(".")?;
    // `not` is the operator's, unless it stands for itself.
    let not = if cursor.eat("not.") { "NOT " } else { "" };
    let operator = cursor.name()?;
    cursor.expect(".")?;
    let sql = match operator {
        "in" => {
            cursor.expect("(")?;
            let mut values = vec![cursor.value()?];
            while cursor.eat(",") {
                values.push(cursor.value()?);
            }
            cursor.expect(")")?;
            if values == [""] {
                format!("{column} = ANY('{{}}')")
            } else {
                let quoted =
                    |value: &String| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
                let array = format!("{{{}}}", values.iter().map(quoted).collect::<Vec<_>>().join(","));
                format!("{column} = ANY({})", literal(&array))
            }
        }
        "is" => match cursor.name()? {
            word @ ("null" | "true" | "false" | "unknown") => format!("{column} IS {word}"),
            _ => return cursor.fault("null, true, false or unknown"),
        },
        other => {
            let sign = match other {
                "eq" => "=",
                "neq" => "<>",
                "gt" => ">",
                "gte" => ">=",
                "lt" => "<",
                "lte" => "<=",
                "like" => "LIKE",
                "ilike" => "ILIKE",
                "cs" => "@>",
                "cd" => "<@",
                _ => return cursor.fault("an operator"),
            };
            let mut value = cursor.value()?;
            if matches!(other, "like" | "ilike") {
                value = value.replace('*', "%");
            }
            format!("{column} {sign} {}", literal(&value))
        }
    };
    Ok(format!("({not}{sql})"))
}

/// `select=…` → a select list.
pub(super) fn select(text: &str) -> Parsed<String> {
    let mut cursor = Cursor::new(text);
    let mut items = Vec::new();
    loop {
        if cursor.eat("*") {
            items.push("*".to_owned());
        } else {
            let first = cursor.name()?;
            let aliased = cursor.rest().starts_with(':') && !cursor.rest().starts_with("::");
            let (alias, column) = match aliased {
                true => {
                    cursor.expect(":")?;
                    (first, cursor.name()?)
                }
                false => (first, first),
            };
            let cast = if cursor.eat("::") { format!("::{}", cursor.name()?) } else { String::new() };
            items.push(format!("{}{cast} AS {}", identifier(column), identifier(alias)));
        }
        if !cursor.eat(",") {
            break;
        }
    }
    cursor.end()?;
    Ok(items.join(", "))
}

/// `order=…` → an ORDER BY list over the columns of `table`, whatever the answer calls them.
pub(super) fn order(text: &str, table: &str) -> Parsed<String> {
    let mut items = Vec::new();
    for term in text.split(',') {
        let mut cursor = Cursor::new(term);
        let mut item = format!("{table}.{}", identifier(cursor.name()?));
        for (word, sql) in [
            (".asc", " ASC"),
            (".desc", " DESC"),
            (".nullsfirst", " NULLS FIRST"),
            (".nullslast", " NULLS LAST"),
        ] {
            if cursor.eat(word) {
                item.push_str(sql);
            }
        }
        cursor.end()?;
        items.push(item);
    }
    Ok(items.join(", "))
}

/// `columns=…` and `on_conflict=…`.
pub(super) fn names(text: &str) -> Parsed<Vec<String>> {
    let mut cursor = Cursor::new(text);
    let mut names = vec![cursor.name()?.to_owned()];
    while cursor.eat(",") {
        names.push(cursor.name()?.to_owned());
    }
    cursor.end()?;
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_the_grammar_is_refused() {
        for good in [
            "(a.eq.1)",
            "(and.eq.\"x\",not.not.eq.1,or(a.is.null,not.and(b.gt.\"),\\\"\",c.in.(1,\"2,3\"))))",
        ] {
            assert!(tree(good).is_ok(), "{good}: {:?}", tree(good));
        }
        for bad in [
            "",
            "()",
            "a.eq.1",
            "(a.eq.1",
            "(a.xx.1)",
            "(a.eq.\"1\"x)",
            "(a.in.1)",
            "(a.is.maybe)",
            "(xor(a.eq.1))",
        ] {
            assert!(tree(bad).is_err(), "{bad}");
        }
        assert!(select("a,b:c::text,*").is_ok() && select("a,").is_err() && select("a::int4[]").is_err());
        assert!(
            order("a.asc.nullslast,b", "t").is_ok()
                && order("a.up", "t").is_err()
                && order("a.nullslast.asc", "t").is_err()
        );
    }
}
