//! A value as the caller wrote it, with every digit.

use smol_str::SmolStr;

/// One JSON value of a request. Numbers keep their text, arrays and objects their JSON. There may be millions: short
/// texts stand in the value itself, and copies share longer ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A JSON number, digit for digit.
    Number(SmolStr),
    /// A string, unescaped.
    Text(SmolStr),
    /// An array or object as JSON text.
    Json(SmolStr),
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
