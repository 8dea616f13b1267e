//! How a request may ask to be carried out: as the owner of a CQL database allows, and nowhere else.

use crate::error::{RequestCode, RequestError};
use crate::query::Tuning;
use crate::schema::Dialect;

/// Checks what a request asks for.
///
/// # Errors
/// More than the client's configuration allows; anything where the database is none of CQL.
pub(super) fn allowed(tuning: Tuning, dialect: Dialect) -> Result<(), RequestError> {
    let Dialect::Cql(rules) = dialect else {
        let told = [
            (
                "consistency",
                tuning.consistency.is_some(),
                "one server answers here, and no number of replicas has to agree",
                "leave `consistency` out",
            ),
            (
                "timeout_ms",
                tuning.timeout.is_some(),
                "the time of a statement is the same for every request of this client",
                "leave `timeout_ms` out, or let the client's connection URI say statement_timeout_secs",
            ),
            (
                "fetch_size",
                tuning.fetch_size.is_some(),
                "rows come one after the other here, and nobody waits for a page of them",
                "leave `fetch_size` out",
            ),
        ];
        return match told.iter().find(|(_, given, ..)| *given) {
            Some((field, _, reason, fix)) => {
                Err(RequestError::field(RequestCode::NotSupportedByBackend, *field, *reason).hint(*fix))
            }
            None => Ok(()),
        };
    };
    if let Some(asked) = tuning.consistency.filter(|asked| *asked > rules.max_consistency) {
        let message =
            format!("`consistency` is {asked}, and this client allows {} at most", rules.max_consistency);
        let fix = "ask for less, or let the client's connection URI say max_consistency";
        return Err(RequestError::invalid("consistency", message).hint(fix));
    }
    if let Some(asked) = tuning.timeout.filter(|asked| *asked > rules.max_timeout) {
        let most = rules.max_timeout.as_millis();
        let message = format!("`timeout_ms` is {}, and this client allows {most} at most", asked.as_millis());
        let fix = "ask for less, or let the client's connection URI say timeout_ms, which \
                   `limits.statement_timeout_secs` bounds";
        return Err(RequestError::invalid("timeout_ms", message).hint(fix));
    }
    if let Some(asked) = tuning.fetch_size.filter(|asked| *asked > rules.max_fetch_size) {
        let message =
            format!("`fetch_size` is {asked}, and this client allows {} at most", rules.max_fetch_size);
        let fix = "ask for less, or let the client's connection URI say page_size";
        return Err(RequestError::invalid("fetch_size", message).hint(fix));
    }
    Ok(())
}
