//! How a request asks a CQL database to carry it out.

use std::time::Duration;

use super::body::Object;
use crate::error::RequestError;
use crate::schema::Consistency;

/// Most rows that can be asked for at once.
const MAX_FETCH_SIZE: u64 = 10_000;

/// Longest time that can be asked for.
const MAX_TIMEOUT_MS: u64 = 86_400_000;

/// How a request asks to be carried out; what is absent is as the client's configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tuning {
    /// How many replicas have to agree.
    pub consistency: Option<Consistency>,
    /// How long one page or one write may take.
    pub timeout: Option<Duration>,
    /// Most rows that the database sends at once; of reads only.
    pub fetch_size: Option<u32>,
}

impl Tuning {
    /// Takes `consistency` and `timeout_ms` out of a body.
    ///
    /// # Errors
    /// A level that there is not, a time that is none.
    pub fn take(body: &mut Object<'_>) -> Result<Self, RequestError> {
        let consistency = body.take_string("consistency")?;
        let consistency = consistency.map(|name| {
            Consistency::parse(&name).ok_or_else(|| {
                let message = format!("`consistency` must be one of {}", Consistency::names());
                RequestError::invalid(body.path("consistency"), message)
            })
        });
        let timeout = body.take_count("timeout_ms")?.map(|millis| match millis {
            1..=MAX_TIMEOUT_MS => Ok(Duration::from_millis(millis)),
            _ => {
                let message = format!("`timeout_ms` must be a whole number from 1 to {MAX_TIMEOUT_MS}");
                Err(RequestError::invalid(body.path("timeout_ms"), message))
            }
        });
        Ok(Self { consistency: consistency.transpose()?, timeout: timeout.transpose()?, fetch_size: None })
    }

    /// The same of a read, which may also say `fetch_size`.
    ///
    /// # Errors
    /// As [`Self::take`]; no number of rows.
    pub fn take_of_read(body: &mut Object<'_>) -> Result<Self, RequestError> {
        let fetch_size = match body.take_count("fetch_size")? {
            None => None,
            Some(rows @ 1..=MAX_FETCH_SIZE) => u32::try_from(rows).ok(),
            Some(_) => {
                let message = format!("`fetch_size` must be a whole number from 1 to {MAX_FETCH_SIZE}");
                return Err(RequestError::invalid(body.path("fetch_size"), message));
            }
        };
        Ok(Self { fetch_size, ..Self::take(body)? })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
    use super::super::body::JsonText;
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_or_refused() {
        let take = |text: &str| {
            let mut body = JsonText::parse(text.as_bytes()).unwrap().expect_object("").unwrap();
            Tuning::take_of_read(&mut body)
        };
        assert_eq!(take("{}"), Ok(Tuning::default()));
        let all = take(r#"{"consistency":"Local_Quorum","timeout_ms":1500,"fetch_size":50}"#).unwrap();
        assert_eq!(all.fetch_size, Some(50));
        assert_eq!(
            (all.consistency, all.timeout),
            (Some(Consistency::LocalQuorum), Some(Duration::from_millis(1500)))
        );
        let unknown = take(r#"{"consistency":"most"}"#).unwrap_err();
        assert_eq!(unknown.field.as_deref(), Some("consistency"));
        assert!(
            unknown.message.contains("local_one, one, two, three, local_quorum, quorum, each_quorum, all")
        );
        for bad in [
            r#"{"consistency":3}"#,
            r#"{"timeout_ms":0}"#,
            r#"{"timeout_ms":86400001}"#,
            r#"{"timeout_ms":"x"}"#,
            r#"{"fetch_size":0}"#,
            r#"{"fetch_size":10001}"#,
            r#"{"fetch_size":1.5}"#,
        ] {
            assert!(take(bad).is_err(), "{bad}");
        }
    }
}
