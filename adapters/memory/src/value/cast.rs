//! Casts: by text, and between numbers by rounding.

use athena_application::ports::PortError;
use athena_domain::schema::{ColumnType, TypeKind};
use bigdecimal::{RoundingMode, ToPrimitive};

use super::Stored;
use crate::reject;

impl Stored {
    /// The value as one of type `to`.
    pub(crate) fn cast(&self, from: &ColumnType, to: &ColumnType) -> Result<Self, PortError> {
        match (self, &to.base().kind) {
            (Self::Null, _) => Ok(Self::Null),
            (Self::Bool(flag), TypeKind::Int(_)) => Ok(Self::Int(i64::from(*flag))),
            (Self::Numeric(number), TypeKind::Int(_)) => {
                let whole = number.with_scale_round(0, RoundingMode::HalfUp).to_i64();
                let whole = whole.ok_or_else(|| reject::bad_value(&self.text(), to))?;
                Self::parse(&whole.to_string(), to)
            }
            (Self::Float(number), TypeKind::Int(_)) => Self::parse(&number.round_ties_even().to_string(), to),
            (Self::Text(text), TypeKind::Text) => Ok(Self::Text(shown(text, from))),
            _ => Self::parse(&self.text(), to),
        }
    }

    /// The value as its type's text, for patterns.
    pub(crate) fn shown(&self, ty: &ColumnType) -> Box<str> {
        match self {
            Self::Text(text) => shown(text, ty),
            other => other.text().into(),
        }
    }
}

/// The database's own text of a moment has a space where JSON has a `T`, and a short zone.
fn shown(text: &str, ty: &ColumnType) -> Box<str> {
    match ty.base().kind {
        TypeKind::Timestamp => text.replace('T', " ").into(),
        TypeKind::TimestampTz => text.replace('T', " ").replace("+00:00", "+00").into(),
        _ => text.into(),
    }
}
