//! A strict reader of JSON bodies that keeps every digit and forgets no field.
//!
//! `serde_json::Value` would round numbers, keep the last of two fields of one name and give a map
//! per object; a typed `Deserialize` could not name the nearest known field. This reader borrows the
//! body and hands out one level at a time.

mod walk;

use std::borrow::Cow;

use serde_json::value::RawValue;

use self::walk::Walk;
use super::identifier::MAX_IDENTIFIER_BYTES;
use super::value::Value;
use crate::error::{RequestCode, RequestError, excerpt};

/// How strictly bodies are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoding {
    /// Whether a field that no request of this kind has is refused (the default) or ignored.
    pub refuse_unknown_fields: bool,
    /// Whether `schema.table` may stand where a table is named (the default).
    pub schema_prefix: bool,
}

impl Default for Decoding {
    fn default() -> Self {
        Self { refuse_unknown_fields: true, schema_prefix: true }
    }
}

/// One valid JSON value, still text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonText<'a>(&'a str);

impl<'a> JsonText<'a> {
    /// Checks that `bytes` hold exactly one JSON value in UTF-8.
    ///
    /// # Errors
    /// [`RequestCode::InvalidJson`] with the place of the fault.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RequestError> {
        let text = std::str::from_utf8(bytes).map_err(|fault| {
            let place = fault.valid_up_to();
            RequestError::new(
                RequestCode::InvalidJson,
                format!("the body is not UTF-8: invalid byte at {place}"),
            )
        })?;
        let raw: &RawValue = serde_json::from_str(text).map_err(|fault| {
            RequestError::new(RequestCode::InvalidJson, format!("the body is not valid JSON: {fault}"))
        })?;
        Ok(Self(raw.get()))
    }

    /// The text itself.
    pub fn as_text(self) -> &'a str {
        self.0
    }

    /// What kind of value it is, for messages.
    pub fn kind(self) -> &'static str {
        match self.0.as_bytes().first() {
            Some(b'{') => "an object",
            Some(b'[') => "an array",
            Some(b'"') => "a string",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            _ => "a number",
        }
    }

    /// Whether the value is `null`.
    pub fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// Whether the value is an object.
    pub fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    /// Whether the value is an array.
    pub fn is_array(self) -> bool {
        self.0.starts_with('[')
    }

    /// The string, unescaped, when the value is one.
    pub fn string(self) -> Option<Cow<'a, str>> {
        if !self.0.starts_with('"') {
            return None;
        }
        let inner = &self.0[1..self.0.len() - 1];
        if !walk::has_escapes(inner.as_bytes()) {
            return Some(Cow::Borrowed(inner));
        }
        serde_json::from_str::<String>(self.0).ok().map(Cow::Owned)
    }

    /// The string at `field`.
    ///
    /// # Errors
    /// [`RequestCode::InvalidField`] when it is not a string (a lone surrogate included).
    pub fn expect_string(self, field: &str) -> Result<Cow<'a, str>, RequestError> {
        self.string().ok_or_else(|| {
            let message = match self.0.starts_with('"') {
                true => format!("`{field}` holds half of a surrogate pair, which is no character"),
                false => format!("`{field}` must be a string, not {}", self.kind()),
            };
            RequestError::invalid(field, message)
        })
    }

    /// The boolean at `field`; the words `"true"` and `"false"` are taken too.
    ///
    /// # Errors
    /// [`RequestCode::InvalidField`] otherwise.
    pub fn expect_bool(self, field: &str) -> Result<bool, RequestError> {
        match self.0 {
            "true" | "\"true\"" => Ok(true),
            "false" | "\"false\"" => Ok(false),
            _ => Err(RequestError::invalid(field, format!("`{field}` must be true or false"))),
        }
    }

    /// The non-negative integer at `field`; a string of digits is taken too.
    ///
    /// # Errors
    /// [`RequestCode::InvalidField`] otherwise, or beyond 2^63 - 1 (what SQL's LIMIT takes).
    pub fn expect_count(self, field: &str) -> Result<u64, RequestError> {
        let digits = self.string().unwrap_or(Cow::Borrowed(self.0));
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        match digits.parse::<i64>() {
            Ok(count) if plain => Ok(count.unsigned_abs()),
            _ => Err(RequestError::invalid(
                field,
                format!("`{field}` must be a whole number from 0 to {}", i64::MAX),
            )),
        }
    }

    /// The elements of the array at `field`.
    ///
    /// # Errors
    /// [`RequestCode::InvalidField`] when it is not an array.
    pub fn expect_array(self, field: &str) -> Result<Vec<JsonText<'a>>, RequestError> {
        let mut elements = Vec::new();
        self.each(field, |_, element| {
            elements.push(element);
            Ok(())
        })?;
        Ok(elements)
    }

    /// The elements of the array at `field`, of which there may be so many; no more are read.
    ///
    /// # Errors
    /// [`RequestCode::InvalidField`] when it is not an array, or has more.
    pub fn expect_array_of(self, most: usize, field: &str) -> Result<Vec<JsonText<'a>>, RequestError> {
        let mut elements = Vec::new();
        self.each(field, |index, element| {
            if index == most {
                return Err(too_many(field, most));
            }
            elements.push(element);
            Ok(())
        })?;
        Ok(elements)
    }

    /// Hands over the elements of the array at `field` one by one, each with its place, until one is refused.
    ///
    /// # Errors
    /// [`RequestCode::InvalidField`] when it is not an array; the refusal of an element.
    pub fn each(
        self,
        field: &str,
        mut take: impl FnMut(usize, JsonText<'a>) -> Result<(), RequestError>,
    ) -> Result<(), RequestError> {
        if !self.is_array() {
            return Err(RequestError::invalid(
                field,
                format!("`{field}` must be an array, not {}", self.kind()),
            ));
        }
        for (index, element) in Walk::inside(self.0).enumerate() {
            take(index, JsonText(element))?;
        }
        Ok(())
    }

    /// The fields of the object at `field` (empty for the body itself).
    ///
    /// # Errors
    /// [`RequestCode::InvalidField`] when it is not an object, [`RequestCode::InvalidJson`] when it
    /// names one field twice: taking either could drop a filter.
    pub fn expect_object(self, field: &str) -> Result<Object<'a>, RequestError> {
        Ok(Object { path: field.to_owned(), fields: self.expect_fields(field)?, known: Vec::new() })
    }

    /// The same with nothing around the fields, for objects that take any.
    ///
    /// # Errors
    /// As [`JsonText::expect_object`].
    pub fn expect_fields(self, field: &str) -> Result<Vec<Field<'a>>, RequestError> {
        if !self.is_object() {
            let what = if field.is_empty() { "the body".to_owned() } else { format!("`{field}`") };
            return Err(RequestError::invalid(
                field,
                format!("{what} must be a JSON object, not {}", self.kind()),
            ));
        }
        let mut walk = Walk::inside(self.0);
        let mut fields: Vec<Field<'a>> = Vec::with_capacity(8);
        while let (Some(name), Some(value)) = (walk.next(), walk.next()) {
            fields.push((name_of(name).map_err(|fault| unreadable(field, &fault))?, JsonText(value)));
        }
        if let Some(twice) = twice(&fields) {
            let name = join(field, &excerpt(twice));
            return Err(RequestError::field(
                RequestCode::InvalidJson,
                &name,
                format!("`{name}` is given twice; give it once"),
            ));
        }
        Ok(fields)
    }

    /// The elements of an array, one after the other; none where it is none.
    pub(super) fn elements(self) -> Option<Elements<'a>> {
        self.is_array().then(|| Elements(Walk::inside(self.0)))
    }

    /// The value with every digit.
    ///
    /// # Errors
    /// [`RequestCode::InvalidField`] for a string that is not text (a lone surrogate).
    pub fn value(self, field: &str) -> Result<Value, RequestError> {
        Ok(match self.0.as_bytes().first() {
            Some(b'"') => Value::Text(self.expect_string(field)?.into()),
            Some(b't') => Value::Bool(true),
            Some(b'f') => Value::Bool(false),
            Some(b'n') => Value::Null,
            Some(b'{' | b'[') => Value::Json(self.0.into()),
            _ => Value::Number(self.0.into()),
        })
    }
}

/// The way through an array.
pub(super) struct Elements<'a>(Walk<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = JsonText<'a>;

    fn next(&mut self) -> Option<JsonText<'a>> {
        self.0.next().map(JsonText)
    }
}

impl<'a> Elements<'a> {
    /// The way through the fields of the next element, whose end then need not be looked for; none where it is no object.
    pub fn next_fields(&self) -> Option<WrittenFields<'a>> {
        self.0.object().map(WrittenFields)
    }

    /// Goes on behind the element that has these fields, if there are no more of them.
    pub fn pass(&mut self, mut fields: WrittenFields<'a>) -> bool {
        let passed = fields.0.next().is_none();
        if passed {
            self.0.go_behind(&fields.0);
        }
        passed
    }
}

/// The way through the fields of an object. Each comes with its name as it is written between its quotes, escapes and
/// all; nothing is looked at but where they end.
pub(super) struct WrittenFields<'a>(Walk<'a>);

impl<'a> Iterator for WrittenFields<'a> {
    type Item = (&'a str, JsonText<'a>);

    fn next(&mut self) -> Option<(&'a str, JsonText<'a>)> {
        let (name, value) = (self.0.next()?, self.0.next()?);
        Some((name.get(1..name.len() - 1)?, JsonText(value)))
    }
}

fn unreadable(field: &str, fault: &serde_json::Error) -> RequestError {
    RequestError::field(RequestCode::InvalidJson, field, format!("`{field}` cannot be read: {fault}"))
}

/// `path.name`, or `name` at the top.
pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A field of an object.
pub type Field<'a> = (Cow<'a, str>, JsonText<'a>);

/// The name that is written like this, with its quotes.
fn name_of(text: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    match JsonText(text).string() {
        Some(name) => Ok(name),
        None => serde_json::from_str(text).map(Cow::Owned),
    }
}

/// Fields up to which each is held against every other one, which is done sooner than sorting them.
const FEW_FIELDS: usize = 12;

/// A name that more than one of the fields has.
fn twice<'f>(fields: &'f [Field<'_>]) -> Option<&'f str> {
    if fields.len() <= FEW_FIELDS {
        let earlier = |(at, (name, _)): (usize, &'f Field<'_>)| {
            fields[..at].iter().any(|(before, _)| before == name).then_some(name.as_ref())
        };
        return fields.iter().enumerate().find_map(earlier);
    }
    let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_ref()).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// The fields of a JSON object, taken one by one; what nobody took is refused by [`Object::finish`].
#[derive(Debug)]
pub struct Object<'a> {
    path: String,
    fields: Vec<Field<'a>>,
    known: Vec<&'static str>,
}

impl<'a> Object<'a> {
    /// Path of a field of this object.
    pub fn path(&self, name: &str) -> String {
        join(&self.path, name)
    }

    /// Takes a field out, `null` included.
    pub fn take_nullable(&mut self, name: &'static str) -> Option<JsonText<'a>> {
        self.known.push(name);
        let place = self.fields.iter().position(|(field, _)| field == name)?;
        Some(self.fields.swap_remove(place).1)
    }

    /// Takes a field out; `null` counts as absent.
    pub fn take(&mut self, name: &'static str) -> Option<JsonText<'a>> {
        self.take_nullable(name).filter(|value| !value.is_null())
    }

    /// Takes a string.
    ///
    /// # Errors
    /// When the field is there and is not a string.
    pub fn take_string(&mut self, name: &'static str) -> Result<Option<Cow<'a, str>>, RequestError> {
        self.take(name).map(|value| value.expect_string(&self.path(name))).transpose()
    }

    /// Takes a boolean.
    ///
    /// # Errors
    /// When the field is there and is not a boolean.
    pub fn take_bool(&mut self, name: &'static str) -> Result<Option<bool>, RequestError> {
        self.take(name).map(|value| value.expect_bool(&self.path(name))).transpose()
    }

    /// Takes a non-negative integer.
    ///
    /// # Errors
    /// When the field is there and is no such number.
    pub fn take_count(&mut self, name: &'static str) -> Result<Option<u64>, RequestError> {
        self.take(name).map(|value| value.expect_count(&self.path(name))).transpose()
    }

    /// Whether no field is left.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The fields that are left, in no particular order.
    pub fn rest(self) -> Vec<Field<'a>> {
        self.fields
    }

    /// Names of the fields that are left.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_ref())
    }

    /// Refuses what was not taken, naming the nearest field that would have been.
    ///
    /// # Errors
    /// [`RequestCode::UnknownField`].
    pub fn finish(self, decoding: Decoding) -> Result<(), RequestError> {
        if !decoding.refuse_unknown_fields {
            return Ok(());
        }
        let Some((name, _)) = self.fields.first() else { return Ok(()) };
        let field = join(&self.path, &excerpt(name));
        // A misspelt name is about as long as the right one; comparing takes the product of both lengths.
        let comparable = name.len() <= MAX_IDENTIFIER_BYTES;
        let nearest = self
            .known
            .iter()
            .filter(|_| comparable)
            .map(|known| (strsim::damerau_levenshtein(name, known), *known))
            .min()
            .filter(|(distance, known)| *distance <= 2.max(known.len() / 3));
        let message = match nearest {
            Some((_, known)) => format!("unknown field `{field}`; did you mean `{known}`?"),
            None => format!("unknown field `{field}`; known are: {}", self.known.join(", ")),
        };
        Err(RequestError::field(RequestCode::UnknownField, field, message))
    }
}

/// The refusal of a list that is longer than it may be.
pub(super) fn too_many(field: &str, most: usize) -> RequestError {
    RequestError::invalid(field, format!("`{field}` has more than {most} entries"))
}

#[cfg(test)]
mod tests;
