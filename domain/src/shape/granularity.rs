//! Points in time, and the day, hour or minute they fall into.

use std::str::FromStr;

use time::{Date, Month, OffsetDateTime, Time};

use super::decimal::Decimal;
use super::row_set::Cell;
use crate::error::excerpt;

#[cfg(test)]
mod tests;

/// Years a label can show in four digits.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;

/// How wide the groups of a time column are, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Granularity {
    /// Label `YYYY-MM-DD`.
    Day,
    /// Label `YYYY-MM-DD HH:00`.
    Hour,
    /// Label `YYYY-MM-DD HH:MM`.
    Minute,
}

/// A `time_granularity` that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Unknown time_granularity '{0}': expected day, hour or minute")]
pub struct UnknownGranularity(pub Box<str>);

/// Why a value is no point in time. The texts are shown to the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// A string of another form, `infinity`, or a year outside 1 to 9999.
    #[error("Failed to parse datetime string: '{0}'")]
    Unreadable(Box<str>),
    /// Seconds that lead outside the years 1 to 9999.
    #[error("Invalid unix timestamp: {0}")]
    OutOfRange(Box<str>),
    /// A number with too many digits or too large an exponent to work with.
    #[error("Numeric timestamp must be integer or float")]
    Unworkable,
    /// A boolean, an array or an object.
    #[error("Value must be a string (RFC3339/datetime) or number (unix timestamp)")]
    NotATimestamp,
}

impl FromStr for Granularity {
    type Err = UnknownGranularity;

    /// Reads `day`, `hour` or `minute` in any case.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [("day", Self::Day), ("hour", Self::Hour), ("minute", Self::Minute)]
            .into_iter()
            .find_map(|(known, granularity)| name.eq_ignore_ascii_case(known).then_some(granularity))
            .ok_or_else(|| UnknownGranularity(excerpt(name).into()))
    }
}

impl Granularity {
    /// The label of the group a value falls into; `null` for a null.
    ///
    /// Accepted are RFC 3339, PostgreSQL's and ISO 8601's date and time with
    /// or without an offset (`+00` too), a plain date, and Unix seconds with
    /// an optional fraction. Without an offset the time is UTC. Seconds may
    /// be 60, a leap second of the minute before.
    ///
    /// # Errors
    ///
    /// [`TimestampError`] when the value is nothing of these or lies outside
    /// the years 1 to 9999, in UTC.
    pub fn label(self, value: &Cell) -> Result<String, TimestampError> {
        match value {
            Cell::Null => Ok("null".to_owned()),
            Cell::Text(text) => parse_timestamp(text)
                .and_then(|seconds| self.render(seconds))
                .ok_or_else(|| TimestampError::Unreadable(excerpt(text).into())),
            Cell::Number(number) => {
                let decimal = Decimal::parse(number).ok_or(TimestampError::Unworkable)?;
                decimal
                    .floor()
                    .and_then(|seconds| self.render(seconds))
                    .ok_or_else(|| TimestampError::OutOfRange(excerpt(number).into()))
            }
            Cell::Bool(_) | Cell::Json(_) => Err(TimestampError::NotATimestamp),
        }
    }

    /// The label of a Unix time in seconds, none outside [`YEARS`].
    fn render(self, seconds: i64) -> Option<String> {
        let at = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
        if !YEARS.contains(&at.year()) {
            return None;
        }
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        Some(match self {
            Self::Day => format!("{year:04}-{month:02}-{day:02}"),
            Self::Hour => format!("{year:04}-{month:02}-{day:02} {:02}:00", at.hour()),
            Self::Minute => format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", at.hour(), at.minute()),
        })
    }
}

/// Reads a date, or a date and a time, as whole Unix seconds.
fn parse_timestamp(text: &str) -> Option<i64> {
    let mut rest = Reader(text.as_bytes());
    let year = i32::from(rest.digits::<4>()?);
    rest.expect(b'-')?;
    let month = Month::try_from(rest.two_digits()?).ok()?;
    rest.expect(b'-')?;
    let date = Date::from_calendar_date(year, month, rest.two_digits()?).ok()?;
    if !YEARS.contains(&year) {
        return None;
    }
    if rest.is_empty() {
        return Some(date.midnight().assume_utc().unix_timestamp());
    }
    rest.one_of(b"Tt ")?;
    let hour = rest.two_digits()?;
    rest.expect(b':')?;
    let minute = rest.two_digits()?;
    rest.expect(b':')?;
    // A leap second belongs to the minute it ends.
    let second = rest.two_digits().filter(|second| *second <= 60)?.min(59);
    let time = Time::from_hms(hour, minute, second).ok()?;
    if rest.expect(b'.').is_some() {
        rest.skip_digits()?;
    }
    let offset = rest.offset()?;
    rest.is_empty().then(|| date.with_time(time).assume_utc().unix_timestamp() - offset)
}

/// What is left of a timestamp; each reading takes its bytes away.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn one_of(&mut self, set: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        set.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    fn expect(&mut self, byte: u8) -> Option<u8> {
        self.one_of(&[byte])
    }

    fn digits<const LENGTH: usize>(&mut self) -> Option<u16> {
        let (digits, rest) = self.0.split_first_chunk::<LENGTH>()?;
        let value = digits.iter().try_fold(0_u16, |value, digit| {
            digit.is_ascii_digit().then(|| value * 10 + u16::from(digit - b'0'))
        })?;
        self.0 = rest;
        Some(value)
    }

    fn two_digits(&mut self) -> Option<u8> {
        self.digits::<2>().and_then(|value| u8::try_from(value).ok())
    }

    /// Takes one digit or more.
    fn skip_digits(&mut self) -> Option<()> {
        let length = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.0 = &self.0[length..];
        (length > 0).then_some(())
    }

    /// Reads nothing, `Z`, `±HH`, `±HHMM`, `±HH:MM` or `±HH:MM:SS` as seconds
    /// east of UTC. PostgreSQL prints seconds for local mean times before
    /// standard zones.
    fn offset(&mut self) -> Option<i64> {
        let Some(sign) = self.one_of(b"Zz+-") else {
            return Some(0);
        };
        if matches!(sign, b'Z' | b'z') {
            return Some(0);
        }
        let hours = i64::from(self.two_digits().filter(|hours| *hours < 24)?);
        let (mut minutes, mut seconds) = (0, 0);
        if self.expect(b':').is_some() {
            minutes = i64::from(self.two_digits().filter(|minutes| *minutes < 60)?);
            if self.expect(b':').is_some() {
                seconds = i64::from(self.two_digits().filter(|seconds| *seconds < 60)?);
            }
        } else if !self.is_empty() {
            minutes = i64::from(self.two_digits().filter(|minutes| *minutes < 60)?);
        }
        let east = hours * 3_600 + minutes * 60 + seconds;
        Some(if sign == b'-' { -east } else { east })
    }
}
