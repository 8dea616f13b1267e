//! The text grammar of `or` and `not`: `column.op.value`, lists, `and(…)`, `or(…)`, `not.`.
//!
//! ```text
//! list  = term *( "," term )
//! term  = [ "not." ] ( ("and" / "or") "(" list ")" / column "." [ "not." ] op "." value )
//! value = word / "quoted \" text" / "(" members ")" / "{" array "}"
//! ```

use super::condition::{Budget, Condition, Operator, build_leaf};
use super::identifier::Identifier;
use super::value::Value;
use crate::error::RequestError;

/// Reads the value of an `or` condition: expressions of which any may hold.
pub(crate) fn parse_or(text: &str, field: &str, budget: &mut Budget<'_>) -> Result<Condition, RequestError> {
    let mut reader = Reader { text, at: 0, field, budget };
    reader.space();
    let wrapped = reader.eat("(");
    let terms = reader.list(1, wrapped)?;
    if wrapped {
        reader.expect(")")?;
    }
    reader.end()?;
    Ok(Condition::Or(terms))
}

/// Reads the value of a `not` condition: one expression, negated. An `in` list or an array may stand
/// without its brackets, as the official client joins arrays with commas.
pub(crate) fn parse_not(text: &str, field: &str, budget: &mut Budget<'_>) -> Result<Condition, RequestError> {
    let mut reader = Reader { text, at: 0, field, budget };
    reader.space();
    let term = reader.term(1, Tail::WholeText)?;
    reader.end()?;
    Ok(Condition::Not(Box::new(term)))
}

/// Where an unquoted value ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// At a comma.
    Comma,
    /// At a comma or a closing parenthesis.
    Parenthesis,
    /// With the text.
    WholeText,
}

struct Reader<'t, 'b, 'l> {
    text: &'t str,
    at: usize,
    field: &'t str,
    budget: &'b mut Budget<'l>,
}

impl<'t> Reader<'t, '_, '_> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn fault(&self, what: &str) -> RequestError {
        let field = self.field;
        RequestError::invalid(
            field,
            format!(
                "`{field}` cannot be read at character {}: {what}",
                self.text[..self.at].chars().count() + 1
            ),
        )
        .hint("write column.operator.value, for example age.gt.18,name.eq.\"Ada, Countess\"")
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), RequestError> {
        self.space();
        if self.eat(token) { Ok(()) } else { Err(self.fault(&format!("`{token}` expected"))) }
    }

    fn end(&mut self) -> Result<(), RequestError> {
        self.space();
        if self.rest().is_empty() { Ok(()) } else { Err(self.fault("nothing more expected")) }
    }

    fn list(&mut self, depth: u64, inside: bool) -> Result<Vec<Condition>, RequestError> {
        let tail = if inside { Tail::Parenthesis } else { Tail::Comma };
        let mut terms = Vec::new();
        loop {
            self.space();
            terms.push(self.term(depth, tail)?);
            self.space();
            if !self.eat(",") {
                return Ok(terms);
            }
        }
    }

    fn term(&mut self, depth: u64, tail: Tail) -> Result<Condition, RequestError> {
        self.budget.depth(depth, self.field)?;
        if self.eat("not.") {
            return Ok(Condition::Not(Box::new(self.term(depth + 1, tail)?)));
        }
        for (word, any) in [("and(", false), ("or(", true)] {
            if self.eat(word) {
                let terms = self.list(depth + 1, true)?;
                self.expect(")")?;
                return Ok(if any { Condition::Or(terms) } else { Condition::And(terms) });
            }
        }
        let column = self.word("a column's name")?;
        let column = Identifier::parse(column, self.field)?;
        let mut negated = false;
        let operator = loop {
            let word = self.word("an operator")?;
            if word == "not" && !negated {
                negated = true;
                continue;
            }
            break Operator::parse(word, self.field)?;
        };
        let leaf = self.leaf(column, operator, tail)?;
        Ok(if negated { Condition::Not(Box::new(leaf)) } else { leaf })
    }

    /// The text up to the next dot, which is eaten.
    fn word(&mut self, what: &str) -> Result<&'t str, RequestError> {
        let rest = self.rest();
        let end = rest.find(['.', ',', '(', ')', '"']).filter(|at| rest.as_bytes()[*at] == b'.');
        let Some(end) = end else {
            return Err(self.fault(&format!("{what} followed by a dot expected")));
        };
        self.at += end + 1;
        Ok(rest[..end].trim())
    }

    fn leaf(
        &mut self,
        column: Identifier,
        operator: Operator,
        tail: Tail,
    ) -> Result<Condition, RequestError> {
        match operator {
            Operator::In => {
                let values = self.members(tail)?;
                self.budget.leaf(self.field)?;
                self.budget.list(values.len(), self.field)?;
                Ok(Condition::In { column, values })
            }
            Operator::Contains { .. } => {
                let bracketed = self.rest().starts_with(['{', '[', '"']);
                let value = if tail == Tail::WholeText && !bracketed {
                    // The official client's joined array.
                    let members = self.members(tail)?;
                    let texts: Vec<String> = members.into_iter().map(member_text).collect();
                    Value::Json(serde_json::Value::from(texts).to_string().into())
                } else {
                    self.value(tail)?.0
                };
                build_leaf(column, operator, value, self.field, self.budget)
            }
            Operator::Compare(_) | Operator::Is => {
                let (value, quoted) = self.value(tail)?;
                let value = match value {
                    Value::Text(word) if !quoted && &*word == "null" => Value::Null,
                    other => other,
                };
                build_leaf(column, operator, value, self.field, self.budget)
            }
        }
    }

    /// `(a,b,c)`, or `a,b,c` where the whole text is one expression.
    fn members(&mut self, tail: Tail) -> Result<Vec<Value>, RequestError> {
        let wrapped = self.eat("(");
        if !wrapped && tail != Tail::WholeText {
            return Err(self.fault("`in` takes its members in parentheses: (a,b,c)"));
        }
        let mut values = Vec::new();
        self.space();
        if wrapped && self.eat(")") {
            return Ok(values);
        }
        let inner = if wrapped { Tail::Parenthesis } else { Tail::Comma };
        loop {
            self.space();
            let (value, quoted) = self.value(inner)?;
            values.push(match value {
                Value::Text(word) if !quoted && &*word == "null" => Value::Null,
                other => other,
            });
            self.space();
            if self.eat(",") {
                continue;
            }
            if wrapped {
                self.expect(")")?;
            }
            return Ok(values);
        }
    }

    /// One value and whether it was quoted.
    fn value(&mut self, tail: Tail) -> Result<(Value, bool), RequestError> {
        if self.rest().starts_with('"') {
            return Ok((Value::Text(self.quoted()?.into()), true));
        }
        let rest = self.rest();
        let end = match tail {
            Tail::WholeText => rest.len(),
            Tail::Comma | Tail::Parenthesis if rest.starts_with(['{', '[']) => self.balanced()?,
            Tail::Comma => rest.find(',').unwrap_or(rest.len()),
            Tail::Parenthesis => rest.find([',', ')']).unwrap_or(rest.len()),
        };
        self.at += end;
        Ok((Value::text(rest[..end].trim_end()), false))
    }

    fn quoted(&mut self) -> Result<String, RequestError> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((place, char)) = chars.next() {
            match char {
                '"' => {
                    self.at += place + 1;
                    return Ok(text);
                }
                '\\' => match chars.next() {
                    Some((_, escaped)) => text.push(escaped),
                    None => break,
                },
                other => text.push(other),
            }
        }
        Err(self.fault("a closing double quote is missing"))
    }

    /// Length of a bracketed value such as `{a,"b}"}` or `[{"k":1}]`.
    fn balanced(&self) -> Result<usize, RequestError> {
        let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
        for (place, byte) in self.rest().bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'{' | b'[' if !quoted => depth += 1,
                b'}' | b']' if !quoted => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(place + 1);
                    }
                }
                _ => {}
            }
        }
        Err(self.fault("a closing bracket is missing"))
    }
}

fn member_text(member: Value) -> String {
    match member {
        Value::Text(text) | Value::Number(text) | Value::Json(text) => text.into(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null => "null".to_owned(),
    }
}

#[cfg(test)]
mod tests;
