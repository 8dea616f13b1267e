//! A value as the caller wrote it, with every digit.

/// One JSON value of a request. Numbers keep their text, arrays and objects their JSON.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A JSON number, digit for digit.
    Number(Box<str>),
    /// A string, unescaped.
    Text(Box<str>),
    /// An array or object as JSON text.
    Json(Box<str>),
}

impl Value {
    /// A string value.
    pub fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Json(text) if text.starts_with('[') => "an array",
            Self::Json(_) => "an object",
        }
    }
}
