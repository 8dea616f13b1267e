//! Moments as the control database may hold them: `infinity` and years that no type of ours reaches are what somebody
//! wrote by hand, and must stop nothing.

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgRow, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::types::time::{Date, OffsetDateTime, Time};
use sqlx::{Decode, Postgres, Row as _, Type, TypeInfo as _};

/// Microseconds from 1970 to 2000, from which the database counts.
const TO_2000: i128 = 946_684_800_000_000;

/// A moment; where no type of ours has it, the end of the year 9999 or, for `-infinity`, the beginning of the year 1:
/// the database and every form of a moment have both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(pub OffsetDateTime);

impl Moment {
    fn of_micros(since_2000: i64) -> Self {
        let micros = i128::from(since_2000) + TO_2000;
        let nearest = if since_2000 < 0 {
            OffsetDateTime::new_utc(Date::from_ordinal_date(1, 1).expect("a day"), Time::MIDNIGHT)
        } else {
            // As precise as the database.
            let last = Time::from_hms_micro(23, 59, 59, 999_999).expect("a time of day");
            OffsetDateTime::new_utc(Date::MAX, last)
        };
        Self(OffsetDateTime::from_unix_timestamp_nanos(micros * 1000).unwrap_or(nearest))
    }
}

impl Type<Postgres> for Moment {
    fn type_info() -> PgTypeInfo {
        OffsetDateTime::type_info()
    }

    fn compatible(ty: &PgTypeInfo) -> bool {
        ty.name() == Self::type_info().name()
    }
}

impl<'r> Decode<'r, Postgres> for Moment {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Binary => Ok(Self::of_micros(i64::from_be_bytes(value.as_bytes()?.try_into()?))),
            PgValueFormat::Text => OffsetDateTime::decode(value).map(Self),
        }
    }
}

/// The moment in a column.
///
/// # Errors
/// When there is none.
pub(super) fn moment(row: &PgRow, column: &str) -> Result<OffsetDateTime, sqlx::Error> {
    Ok(row.try_get::<Moment, _>(column)?.0)
}

/// The moment in a column that may be empty.
///
/// # Errors
/// When the column holds something else.
pub(super) fn moment_if_any(row: &PgRow, column: &str) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    Ok(row.try_get::<Option<Moment>, _>(column)?.map(|moment| moment.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_microseconds_is_a_moment() {
        let year = |micros| Moment::of_micros(micros).0.year();
        assert_eq!(Moment::of_micros(0).0, OffsetDateTime::from_unix_timestamp(946_684_800).expect("2000"));
        assert_eq!((year(i64::MAX), year(i64::MIN), year(-1)), (9999, 1, 1999));
        // The first microsecond of the year 10000.
        assert_eq!((year(252_455_616_000_000_000 - 1), year(252_455_616_000_000_000)), (9999, 9999));
    }
}
