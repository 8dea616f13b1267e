//! A call of a function in the database, as POST `/gateway/rpc` takes it.

use super::body::{Decoding, JsonText};
use super::identifier::Identifier;
use super::value::Value;
use crate::error::{RequestCode, RequestError};

/// Most arguments of a call: PostgreSQL's own bound.
const MAX_ARGUMENTS: usize = 100;

/// A function and its arguments by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRequest {
    /// Schema, when the caller named one.
    pub schema: Option<Identifier>,
    /// Name.
    pub function: Identifier,
    /// Arguments, in the caller's order.
    pub arguments: Vec<(Identifier, Value)>,
    /// Whether the database itself must refuse writes.
    pub read_only: bool,
}

impl CallRequest {
    /// Decodes a body.
    ///
    /// # Errors
    /// Every field that is missing, malformed or unknown, and names that are none.
    pub fn decode(body: JsonText<'_>, decoding: Decoding) -> Result<Self, RequestError> {
        let mut body = body.expect_object("")?;
        let name = body.take_string("function")?.ok_or_else(|| {
            let message = "`function` is required: `name` or `schema.name`";
            RequestError::field(RequestCode::MissingField, "function", message)
        })?;
        let named = |part: &str| {
            Identifier::parse(part.trim(), "function").map_err(|_| {
                let message = "`function` is no name: write `name` or `schema.name`, each a letter or _ followed by \
                               letters, digits or _, at most 63 bytes";
                RequestError::field(RequestCode::InvalidIdentifier, "function", message)
            })
        };
        let (schema, function) = match name.split_once('.') {
            Some((schema, function)) => (Some(named(schema)?), named(function)?),
            None => (None, named(&name)?),
        };
        let mut arguments: Vec<(Identifier, Value)> = Vec::new();
        if let Some(given) = body.take("args") {
            for (name, value) in given.expect_object("args")?.rest() {
                let path = format!("args.{name}");
                arguments.push((Identifier::parse(&name, &path)?, value.value(&path)?));
            }
        }
        if arguments.len() > MAX_ARGUMENTS {
            let message = format!("`args` has more than {MAX_ARGUMENTS} arguments");
            return Err(RequestError::invalid("args", message));
        }
        let read_only = body.take_bool("read_only")?.unwrap_or(false);
        body.finish(decoding)?;
        Ok(Self { schema, function, arguments, read_only })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
    use super::*;

    fn decode(body: &str) -> Result<CallRequest, RequestError> {
        CallRequest::decode(JsonText::parse(body.as_bytes())?, Decoding::default())
    }

    #[test]
    fn a_call_is_read_whole() {
        let call = decode(r#"{"function":"audit.top","args":{"n":1.50,"b":null,"c":[1]},"read_only":true}"#)
            .unwrap();
        assert_eq!(call.schema.as_ref().map(Identifier::as_str), Some("audit"));
        assert_eq!((call.function.as_str(), call.read_only), ("top", true));
        let values: Vec<&Value> = call.arguments.iter().map(|(_, value)| value).collect();
        assert_eq!(values, [&Value::Number("1.50".into()), &Value::Null, &Value::Json("[1]".into())]);
        let bare = decode(r#"{"function":"now"}"#).unwrap();
        assert_eq!((bare.schema, bare.arguments.len(), bare.read_only), (None, 0, false));
    }

    #[test]
    fn what_is_no_call_is_refused_by_its_field() {
        let check = |body: &str, code: RequestCode, field: &str| {
            let error = decode(body).unwrap_err();
            assert_eq!((error.code, error.field.as_deref()), (code, Some(field)), "{body}");
        };
        check("{}", RequestCode::MissingField, "function");
        for name in ["", "a b", "a.b.c", "a\"b", "f()", ".f", "f;"] {
            let body = format!(r#"{{"function":{}}}"#, serde_json::Value::from(name));
            check(&body, RequestCode::InvalidIdentifier, "function");
        }
        check(r#"{"function":1}"#, RequestCode::InvalidField, "function");
        check(r#"{"function":"f","args":[1]}"#, RequestCode::InvalidField, "args");
        check(r#"{"function":"f","args":{"a b":1}}"#, RequestCode::InvalidIdentifier, "args.a b");
        check(r#"{"function":"f","read_only":1}"#, RequestCode::InvalidField, "read_only");
        check(r#"{"function":"f","arguments":{}}"#, RequestCode::UnknownField, "arguments");
        // A name given twice would leave one of its values out.
        assert!(decode(r#"{"function":"f","args":{"a":1,"a":2}}"#).is_err());
    }
}
