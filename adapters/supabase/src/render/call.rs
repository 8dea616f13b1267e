//! Calls of functions: GET for those that must not write, POST for the others.

use athena_domain::plan::CallPlan;
use athena_domain::query::Value;
use athena_domain::rows::escape_into;

use super::{Call, Inexpressible, Method, Target, cannot};

/// What a query means something else by than an argument.
const PARAMETERS: &[&str] = &["select", "columns", "order", "limit", "offset", "and", "or", "on_conflict"];

/// Words that make PostgREST take an argument's value for a filter of the result.
const OPERATORS: &[&str] = &[
    "not",
    "eq",
    "neq",
    "gt",
    "gte",
    "lt",
    "lte",
    "like",
    "ilike",
    "match",
    "imatch",
    "in",
    "is",
    "isdistinct",
    "cs",
    "cd",
    "ov",
    "sl",
    "sr",
    "nxr",
    "nxl",
    "adj",
    "fts",
    "plfts",
    "phfts",
    "wfts",
];

pub(super) fn call(plan: &CallPlan) -> Result<Call, Inexpressible> {
    let mut target = Target(format!("rpc/{}", plan.function));
    let (method, body) = if plan.read_only {
        for (name, value) in &plan.arguments {
            target.parameter(name, argument(name, value)?);
        }
        (Method::Get, None)
    } else {
        (Method::Post, Some(object(&plan.arguments)))
    };
    Ok(Call {
        method,
        schema: plan.schema.clone(),
        target: target.finish()?,
        prefer: Vec::new(),
        body,
        strict: false,
    })
}

/// The text of an argument in a query.
fn argument<'v>(name: &str, value: &'v Value) -> Result<&'v str, Inexpressible> {
    const FIX: &str = "leave `read_only` out: then arguments travel as JSON";
    if PARAMETERS.contains(&name) {
        return cannot(
            "in a read-only call PostgREST takes an argument of this name for something else",
            FIX,
        );
    }
    match value {
        Value::Null => cannot("in a read-only call PostgREST has no word for null", FIX),
        Value::Json(json) if json.starts_with('[') => cannot(
            "in a read-only call PostgREST cannot tell a JSON array from an array of the database",
            FIX,
        ),
        Value::Bool(true) => Ok("true"),
        Value::Bool(false) => Ok("false"),
        Value::Number(text) | Value::Json(text) => Ok(text),
        Value::Text(text) => {
            let word = text.split(['.', '(']).next().unwrap_or_default();
            if word.len() < text.len() && OPERATORS.contains(&word) {
                return cannot("in a read-only call PostgREST takes a text that begins so for a filter", FIX);
            }
            Ok(text)
        }
    }
}

/// The arguments as a JSON object.
fn object(arguments: &[(Box<str>, Value)]) -> Vec<u8> {
    let mut body = vec![b'{'];
    for (place, (name, value)) in arguments.iter().enumerate() {
        body.extend_from_slice(if place > 0 { b",\"" } else { b"\"" });
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(b"\":");
        match value {
            Value::Null => body.extend_from_slice(b"null"),
            Value::Bool(flag) => body.extend_from_slice(if *flag { b"true" } else { b"false" }),
            Value::Number(text) | Value::Json(text) => body.extend_from_slice(text.as_bytes()),
            Value::Text(text) => {
                body.push(b'"');
                escape_into(text, &mut body);
                body.push(b'"');
            }
        }
    }
    body.push(b'}');
    body
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
    use super::*;

    fn plan(arguments: &[(&str, Value)], read_only: bool) -> CallPlan {
        let arguments = arguments.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
        CallPlan { schema: "api".into(), function: "f".into(), arguments, read_only, max_bytes: 1 }
    }

    #[test]
    fn arguments_travel_in_the_query_or_as_json() {
        let arguments =
            [("a", Value::text("x&y=1 é")), ("b", Value::Number("1.50".into())), ("c", Value::Bool(true))];
        let get = call(&plan(&arguments, true)).unwrap();
        assert_eq!((get.method, &*get.target), (Method::Get, "rpc/f?a=x%26y%3D1%20%C3%A9&b=1.50&c=true"));
        let post = call(&plan(&[("a", Value::text("\"\n")), ("b", Value::Null)], false)).unwrap();
        assert_eq!((post.method, &*post.target, &*post.schema), (Method::Post, "rpc/f", "api"));
        assert_eq!(String::from_utf8(post.body.unwrap()).unwrap(), r#"{"a":"\"\n","b":null}"#);
        assert_eq!(call(&plan(&[], false)).unwrap().body.unwrap(), b"{}");
    }

    #[test]
    fn what_a_query_would_take_for_something_else_is_refused() {
        for (name, value) in [
            ("limit", Value::Number("1".into())),
            ("a", Value::Null),
            ("a", Value::Json("[1]".into())),
            ("a", Value::text("eq.5")),
            ("a", Value::text("not.in.(1)")),
            ("a", Value::text("like(any).{a}")),
        ] {
            let arguments = [(name, value)];
            assert!(call(&plan(&arguments, true)).is_err(), "{arguments:?}");
            assert!(call(&plan(&arguments, false)).is_ok(), "{arguments:?}");
        }
        for text in ["eq", "john.doe", "1.5", "", "."] {
            assert!(call(&plan(&[("a", Value::text(text))], true)).is_ok(), "{text}");
        }
    }
}
