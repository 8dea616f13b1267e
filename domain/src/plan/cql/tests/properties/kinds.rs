//! Types that a column may have, each with four values: `n` stands for the one that SQL puts in the `n`th place.

use super::*;

/// A type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Int,
    Text,
    Timestamp,
    /// Of several versions, which the database does not sort digit by digit.
    Uuid,
}

const WORDS: [&str; 4] = ["B", "a", "b", "é"];
const MOMENTS: [(&str, i64); 4] = [
    ("1969-12-31T23:59:59.999Z", -1),
    ("1970-01-01T00:00:00Z", 0),
    ("1970-01-01T00:00:00.001+00:00", 1),
    ("1970-01-02T00:00:00Z", 86_400_000),
];
const IDS: [&str; 4] = [
    "00000000-0000-4000-8000-000000000000",
    "10000000-0001-1000-8000-000000000000",
    "20000000-0000-4000-8000-000000000000",
    // Its time is an earlier one: the digits in the middle weigh more.
    "30000000-0000-1000-8000-000000000000",
];

/// The place of each of [`IDS`] in the database's order: those of version 1 by their time, then those of version 4.
const PLACES: [i64; 4] = [2, 1, 3, 0];

impl Kind {
    pub fn ty(self) -> CqlType {
        match self {
            Self::Int => CqlType::Int(32),
            Self::Text => CqlType::Text,
            Self::Timestamp => CqlType::Timestamp,
            Self::Uuid => CqlType::Uuid,
        }
    }

    /// The value that `number` stands for, as a request writes it.
    fn value(self, number: usize) -> Value {
        match self {
            Self::Int => Value::Number(number.to_string().into()),
            Self::Text => Value::text(WORDS[number]),
            Self::Timestamp => Value::text(MOMENTS[number].0),
            Self::Uuid => Value::text(IDS[number]),
        }
    }

    /// The number that a value of a plan stands for.
    pub fn number(self, value: &CqlValue) -> i64 {
        let at = match value {
            CqlValue::Int(number) => return *number,
            CqlValue::Text(text) => WORDS.iter().position(|word| *word == &**text),
            CqlValue::Timestamp(millis) => MOMENTS.iter().position(|(_, moment)| moment == millis),
            CqlValue::Uuid(bytes) => {
                let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                IDS.iter().position(|known| known.replace('-', "") == id)
            }
            _ => None,
        };
        i64::try_from(at.unwrap_or_else(|| panic!("{value:?}"))).unwrap()
    }

    /// Where the database sorts it.
    pub fn place(self, number: i64) -> i64 {
        match self {
            Self::Uuid => PLACES[usize::try_from(number).unwrap()],
            Self::Int | Self::Text | Self::Timestamp => number,
        }
    }
}

/// A condition with the values that its numbers stand for.
pub fn typed(kinds: &[Kind], condition: &Condition) -> Condition {
    let value = |column: &Identifier, value: &Value| match number(value) {
        Some(number) => kinds[place(column)].value(usize::try_from(number).unwrap()),
        None => value.clone(),
    };
    let all = |list: &[Condition]| list.iter().map(|one| typed(kinds, one)).collect();
    match condition {
        Condition::Compare { column, op, value: of } => {
            Condition::Compare { column: column.clone(), op: *op, value: value(column, of) }
        }
        Condition::In { column, values } => {
            let values = values.iter().map(|of| value(column, of)).collect();
            Condition::In { column: column.clone(), values }
        }
        Condition::Not(inner) => Condition::Not(Box::new(typed(kinds, inner))),
        Condition::And(list) => Condition::And(all(list)),
        Condition::Or(list) => Condition::Or(all(list)),
        Condition::Is { .. } | Condition::Contains { .. } => condition.clone(),
    }
}
