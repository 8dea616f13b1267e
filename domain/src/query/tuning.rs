//! How a request asks a CQL database to carry it out.

use std::time::Duration;

use super::body::Object;
use crate::error::RequestError;
use crate::schema::Consistency;

/// Longest time that can be asked for.
const MAX_TIMEOUT_MS: u64 = 86_400_000;

/// How a request asks to be carried out; what is absent is as the client's configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tuning {
    /// How many replicas have to agree.
    pub consistency: Option<Consistency>,
    /// How long one page or one write may take.
    pub timeout: Option<Duration>,
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
        Ok(Self { consistency: consistency.transpose()?, timeout: timeout.transpose()? })
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
            Tuning::take(&mut body)
        };
        assert_eq!(take("{}"), Ok(Tuning::default()));
        let all = take(r#"{"consistency":"Local_Quorum","timeout_ms":1500}"#).unwrap();
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
        ] {
            assert!(take(bad).is_err(), "{bad}");
        }
    }
}
