//! Calls of functions.

use std::sync::Arc;

use athena_application::ports::{Done, PortError, PortErrorKind, Reason, Rejection, RowStream};
use athena_domain::plan::CallPlan;
use athena_domain::query::JsonText;
use athena_domain::rows::{CellRef, ColumnHead, Flow};
use reqwest::Response;
use tokio::time::{Instant, timeout_at};

use super::SupabaseBackend;
use crate::PORT;
use crate::failure::{Fault, broken, late};
use crate::render::Call;

impl SupabaseBackend {
    /// Calls a function and hands on its values. A call that must not write and broke is sent again.
    pub(super) async fn call(
        &self,
        function: &CallPlan,
        call: &Call,
        sink: &mut dyn RowStream,
        until: Instant,
    ) -> Result<Done, PortError> {
        let mut tries = 0;
        let said = loop {
            tries += 1;
            let outcome = match self.upstream.send(call, until).await {
                Ok(response) => whole(response, function, until).await,
                Err(fault) => Err(fault),
            };
            match outcome {
                Ok(said) => break said,
                Err(fault) if function.read_only => self.upstream.pause(fault, tries, until).await?,
                Err(fault) => return Err(fault.error),
            }
        };
        hand_on(&said, sink).ok_or_else(|| {
            PortError::new(PORT, PortErrorKind::Unreadable)
                .caused_by("the upstream's answer to a call is not JSON")
        })
    }
}

/// The answer's whole body, as far as it may go.
async fn whole(mut response: Response, function: &CallPlan, until: Instant) -> Result<Vec<u8>, Fault> {
    let writes = !function.read_only;
    let mut said = Vec::new();
    loop {
        match timeout_at(until, response.chunk()).await {
            Ok(Ok(Some(piece))) => said.extend_from_slice(&piece),
            Ok(Ok(None)) => return Ok(said),
            Ok(Err(error)) => return Err(broken(error, writes)),
            Err(_) => return Err(Fault::lasting(late(writes))),
        }
        if said.len() as u64 > function.max_bytes {
            return Err(Fault::lasting(too_large(function)));
        }
    }
}

fn too_large(function: &CallPlan) -> PortError {
    let what = match function.read_only {
        true => "the function's result is too large",
        false => "the function was called, but its result is too large: nothing of it was undone",
    };
    let mut rejection = Rejection::new(Reason::LimitExceeded, what);
    rejection.hint = Some("give the function an argument by which it returns less".to_owned());
    rejection.limit = Some(("max_response_bytes", function.max_bytes));
    PortError::rejected(PORT, rejection)
}

/// Hands the values on; nothing when the body is no JSON. An array is taken for a set: as JSON both are the same.
fn hand_on(said: &[u8], sink: &mut dyn RowStream) -> Option<Done> {
    let head = |label: &str| ColumnHead { label: Arc::from(label), hidden: false };
    sink.columns(&[head("value"), head("several")]);
    let mut done = Done { statements: 1, ..Done::default() };
    let mut row = |value: CellRef<'_>, several: bool| {
        sink.cell(value);
        sink.cell(CellRef::Bool(several));
        done.rows += 1;
        sink.end_row()
    };
    // A function without a result is answered without a body.
    if said.iter().all(u8::is_ascii_whitespace) {
        row(CellRef::Null, false);
        return Some(done);
    }
    let value = JsonText::parse(said).ok()?;
    if !value.is_array() {
        row(CellRef::Json(value.as_text()), false);
        return Some(done);
    }
    for value in value.expect_array("").ok()? {
        if row(CellRef::Json(value.as_text()), true) == Flow::Stop {
            break;
        }
    }
    // An empty set has no row that could say so.
    Some(done)
}
