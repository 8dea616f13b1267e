//! Filters → one `and=(…)`. All of them stand there, so that a column may have any name: outside of it, `order` or
//! `limit` would be taken for a parameter of PostgREST's.

use std::borrow::Cow;

use athena_domain::plan::{Datum, Filter};
use athena_domain::query::{CompareOp, IsTest, JsonText};
use athena_domain::schema::Relation;

use super::{Inexpressible, Target, cannot};

/// A filter without constants inside.
enum Node<'a> {
    /// Whether it holds, for every row.
    Always(bool),
    Leaf(&'a str, String),
    All(Vec<Node<'a>>),
    Any(Vec<Node<'a>>),
    Not(Box<Node<'a>>),
}

/// Adds the filter to a target; nothing when every row matches.
pub(super) fn parameter(
    target: &mut Target,
    relation: &Relation,
    filter: &Filter,
) -> Result<(), Inexpressible> {
    let mut parts = Vec::new();
    match node(relation, filter)? {
        Node::Always(true) => return Ok(()),
        Node::Always(false) => {
            return cannot(
                "a condition that no row can meet has no form in PostgREST's grammar",
                "leave the request out: nothing matches",
            );
        }
        Node::All(all) => parts.extend(all),
        one => parts.push(one),
    }
    let mut text = String::from("(");
    list(&parts, &mut text);
    text.push(')');
    target.parameter("and", &text);
    Ok(())
}

fn list(nodes: &[Node<'_>], out: &mut String) {
    for (place, node) in nodes.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        print(node, false, out);
    }
}

fn print(node: &Node<'_>, negated: bool, out: &mut String) {
    let not = if negated { "not." } else { "" };
    match node {
        // Taken out while the tree was made.
        Node::Always(_) => {}
        Node::Not(inner) => print(inner, !negated, out),
        Node::Leaf(column, operation) => {
            out.push_str(column);
            out.push('.');
            out.push_str(not);
            out.push_str(operation);
        }
        Node::All(nodes) | Node::Any(nodes) => {
            out.push_str(not);
            out.push_str(if matches!(node, Node::All(_)) { "and(" } else { "or(" });
            list(nodes, out);
            out.push(')');
        }
    }
}

fn node<'a>(relation: &'a Relation, filter: &Filter) -> Result<Node<'a>, Inexpressible> {
    let name = |column: usize| &*relation.columns[column].name;
    Ok(match filter {
        Filter::And(list) => group(relation, list, true)?,
        Filter::Or(list) => group(relation, list, false)?,
        Filter::Not(inner) => match node(relation, inner)? {
            Node::Always(holds) => Node::Always(!holds),
            inner => Node::Not(Box::new(inner)),
        },
        Filter::Compare { column, op, value, .. } => {
            let Datum::Text(text) = &value.datum else {
                return cannot("a comparison with NULL matches no row", "use the operator `is`");
            };
            let pattern = matches!(op, CompareOp::Like | CompareOp::Ilike);
            if pattern && text.contains('*') {
                return cannot(
                    "PostgREST takes every * in a pattern for %",
                    "use _ for the character, or another operator",
                );
            }
            let operator = match op {
                CompareOp::Eq => "eq",
                CompareOp::Neq => "neq",
                CompareOp::Gt => "gt",
                CompareOp::Gte => "gte",
                CompareOp::Lt => "lt",
                CompareOp::Lte => "lte",
                CompareOp::Like => "like",
                CompareOp::Ilike => "ilike",
            };
            // Patterns are text as it stands, anything else is the JSON text of the request.
            let text = if pattern { Cow::Borrowed(&**text) } else { plain(text) };
            Node::Leaf(name(*column), format!("{operator}.{}", quoted(&text)))
        }
        Filter::Is { column, test } => {
            let leaf = |word| Node::Leaf(name(*column), format!("is.{word}"));
            match test {
                IsTest::Null => leaf("null"),
                IsTest::NotNull => Node::Not(Box::new(leaf("null"))),
                IsTest::True => leaf("true"),
                IsTest::False => leaf("false"),
                IsTest::Unknown => leaf("unknown"),
            }
        }
        Filter::In { column, members, or_null } => {
            let members: Vec<String> = members.iter().map(|member| quoted(&plain(member))).collect();
            let is_member = match &members[..] {
                // `in.("")` would be taken for a list without members.
                [only] => format!("eq.{only}"),
                members => format!("in.({})", members.join(",")),
            };
            let null = || Node::Leaf(name(*column), "is.null".to_owned());
            match (members.is_empty(), or_null) {
                (true, true) => null(),
                (_, false) => Node::Leaf(name(*column), is_member),
                (false, true) => Node::Any(vec![Node::Leaf(name(*column), is_member), null()]),
            }
        }
        Filter::Contains { column, by, value } => {
            let Datum::Text(json) = &value.datum else {
                return cannot("containment of NULL matches no row", "use the operator `is`");
            };
            let operator = if *by { "cd" } else { "cs" };
            Node::Leaf(name(*column), format!("{operator}.{}", quoted(&container(json)?)))
        }
    })
}

/// All or any of a list, without what holds always or never.
fn group<'a>(relation: &'a Relation, list: &[Filter], all: bool) -> Result<Node<'a>, Inexpressible> {
    let mut nodes = Vec::with_capacity(list.len());
    for filter in list {
        match node(relation, filter)? {
            Node::Always(holds) if holds == all => {}
            Node::Always(holds) => return Ok(Node::Always(holds)),
            Node::All(inner) if all => nodes.extend(inner),
            Node::Any(inner) if !all => nodes.extend(inner),
            node => nodes.push(node),
        }
    }
    Ok(match nodes.len() {
        0 => Node::Always(all),
        1 => nodes.pop().unwrap_or(Node::Always(all)),
        _ if all => Node::All(nodes),
        _ => Node::Any(nodes),
    })
}

/// A value in double quotes: inside of them only `"` and `\` mean anything.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for char in text.chars() {
        if matches!(char, '"' | '\\') {
            out.push('\\');
        }
        out.push(char);
    }
    out.push('"');
    out
}

/// The text that PostgreSQL reads: a JSON string without its quotes, anything else as it stands.
pub(super) fn plain(json: &str) -> Cow<'_, str> {
    let value = JsonText::parse(json.as_bytes()).ok();
    value.and_then(|value| value.string()).map_or(Cow::Borrowed(json), |text| Cow::Owned(text.into_owned()))
}

/// The value of `cs` and `cd`. Which notation it is in, PostgreSQL knows by the column's type; the other one it
/// refuses, except where both are the same text.
fn container(json: &str) -> Result<Cow<'_, str>, Inexpressible> {
    if !json.starts_with('[') {
        return Ok(plain(json));
    }
    let mut literal = String::with_capacity(json.len());
    let unread = |_| Inexpressible { reason: "the value is no JSON array", fix: "send a JSON array" };
    let array = JsonText::parse(json.as_bytes()).map_err(unread)?;
    if array.expect_array("").map_err(unread)?.is_empty() {
        return cannot(
            "an empty array is `{}` for an array column, which is an empty object for a jsonb column",
            "send the text \"{}\" for an array column, or the text \"[]\" for a jsonb column",
        );
    }
    match array_literal(array, &mut literal) {
        Some(()) => Ok(Cow::Owned(literal)),
        // Objects live in jsonb columns.
        None => Ok(Cow::Borrowed(json)),
    }
}

/// JSON array → PostgreSQL's `{"a",NULL}`; nothing where an object is inside.
fn array_literal(array: JsonText<'_>, out: &mut String) -> Option<()> {
    out.push('{');
    for (place, item) in array.expect_array("").ok()?.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        if item.is_object() {
            return None;
        } else if item.is_array() {
            array_literal(item, out)?;
        } else if item.is_null() {
            out.push_str("NULL");
        } else {
            out.push_str(&quoted(&plain(item.as_text())));
        }
    }
    out.push('}');
    Some(())
}
