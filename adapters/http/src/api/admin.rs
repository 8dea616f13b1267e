//! Operating the gateway: what every route behind the static admin key shares.

pub mod clients;
pub mod keys;
pub mod provision;
pub mod reload;
pub mod statistics;

use std::sync::Arc;

use athena_application::ports::{PortError, PortErrorKind};
use athena_domain::query::JsonText;
use athena_domain::{ClientName, RequestError};
use bytes::Bytes;
use poem::http::StatusCode;
use poem::{Body, Request, RequestBody, Response};
use poem_openapi::registry::Registry;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::documented::key_scheme;
use crate::app::Face;
use crate::body::{BodyReader, Keeping};
use crate::error::failure::Text;
use crate::error::{self, Failure, Route, Scene, json_response, port_failure};
use crate::headers::request_id::RequestId;
use crate::security::AdminKey;

/// Name of the admin key in the specification.
const SCHEME: &str = "AdminKey";

/// Proof that a request may operate the gateway; as a parameter of an operation it guards and documents it. It presented
/// the static admin key or, where `INSIDE` is enough, came in by the listener that is for operators alone.
pub struct Guard<const INSIDE: bool>(());

/// The static admin key was presented.
pub type Admin = Guard<false>;

/// The static admin key was presented, or the listener is for operators alone.
pub type Operator = Guard<true>;

impl<'a, const INSIDE: bool> ApiExtractor<'a> for Guard<INSIDE> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let scheme = key_scheme(
            "The static admin key, the server's variable `ATHENA_KEY_12`. Also taken as \
             `Authorization: Bearer`, `apikey`, `x-api-key` or `?api_key=`.",
        );
        registry.create_security_scheme(SCHEME, scheme);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        match Self::judge(request) {
            Ok(()) => Ok(Self(())),
            Err(failure) => Err(poem::Error::from_response(failed(*failure, request))),
        }
    }
}

impl<const INSIDE: bool> Guard<INSIDE> {
    fn judge(request: &Request) -> Result<(), Box<Failure>> {
        if INSIDE && request.extensions().get::<Face>() == Some(&Face::Admin) {
            return Ok(());
        }
        // Without the key in the request's extensions nothing is open.
        let shut = AdminKey::default();
        request.extensions().get::<AdminKey>().unwrap_or(&shut).check(request)
    }
}

/// Whether an operator asks, where everybody may and an operator is told more.
pub fn is_operator(request: &Request) -> bool {
    Operator::judge(request).is_ok()
}

/// A finished admin operation: status, title and data.
pub type Outcome<T = &'static str, D = Value> = Result<(StatusCode, T, D), Box<Failure>>;

#[derive(Serialize)]
struct Success<T, D> {
    data: D,
    message: T,
    status: &'static str,
}

/// Reads bodies of admin routes.
#[derive(Debug, Clone)]
pub struct Bodies(Arc<BodyReader>);

impl Bodies {
    /// Bodies within the bounds of `reader`.
    pub fn new(reader: BodyReader) -> Self {
        Self(Arc::new(reader))
    }

    /// The body's bytes, unpacked; an empty one becomes `{}`.
    ///
    /// # Errors
    /// Size, framing, encoding.
    pub async fn read(&self, request: &Request, body: Body) -> Result<Bytes, Box<Failure>> {
        let received = self.0.receive(request.headers(), body, Keeping::All).await?;
        self.0.unpack(request.headers(), received).await
    }
}

/// The bytes as JSON text.
///
/// # Errors
/// When they are none.
pub fn json(bytes: &[u8]) -> Result<JsonText<'_>, Box<Failure>> {
    JsonText::parse(bytes).map_err(refused)
}

/// The failure for a field of a body.
pub fn refused(error: RequestError) -> Box<Failure> {
    error::from_request(error, Route::Admin)
}

/// The failure for a field of a body, under a title of its own where it has one.
pub fn retitled(error: RequestError, title: Option<&'static str>) -> Box<Failure> {
    let mut failure = refused(error);
    if let Some(title) = title {
        failure.error = Some(std::mem::replace(&mut failure.message, title.into()));
    }
    failure
}

/// The name of a client in a path.
///
/// # Errors
/// When it cannot be one.
pub fn client_name(name: &str) -> Result<ClientName, Box<Failure>> {
    ClientName::parse(name).ok_or_else(|| {
        Failure::new(StatusCode::BAD_REQUEST, "invalid_field", "validation", "Invalid client name")
            .error("The client name must not be empty.")
            .detail("field", "client_name")
    })
}

/// Why there is nothing to administer.
#[derive(Debug, Clone)]
pub enum StoreAbsence {
    /// No client is named for it.
    NotConfigured,
    /// The client that is named cannot be used.
    NotConnected(String),
}

/// The failure of a store under the title of what was tried: `away` when it does not answer; anything else is ours.
pub fn store_failure(
    error: PortError,
    title: &'static str,
    away: impl FnOnce() -> Box<Failure>,
) -> Box<Failure> {
    match error.kind {
        PortErrorKind::Unavailable
        | PortErrorKind::Lost
        | PortErrorKind::TimedOut
        | PortErrorKind::TooManyConnections => {
            tracing::warn!(%error, "the control database does not answer");
            away()
        }
        PortErrorKind::Rejected(_)
        | PortErrorKind::Conflict
        | PortErrorKind::Exhausted
        | PortErrorKind::QueueFull
        | PortErrorKind::SlowReaders
        | PortErrorKind::CircuitOpen { .. }
        | PortErrorKind::Unreadable
        | PortErrorKind::Throttled { .. }
        | PortErrorKind::Internal => port_failure(error, title),
    }
}

/// The failure of an operation on the catalog or its statistics, under the title of what was tried.
pub fn catalog_failure(error: PortError, title: &'static str) -> Box<Failure> {
    store_failure(error, title, || catalog_unavailable("The control database does not answer."))
}

/// The failure where catalog and statistics have no store.
pub fn catalog_absent(absence: &StoreAbsence) -> Box<Failure> {
    catalog_unavailable(match absence {
        StoreAbsence::NotConfigured => "No athena_logging client is configured.".to_owned(),
        StoreAbsence::NotConnected(name) => format!("Logging client '{name}' is not connected."),
    })
}

/// The failure where the catalog cannot be asked or told, for the reason in `error`.
pub fn catalog_unavailable(error: impl Into<Text>) -> Box<Failure> {
    let (code, category) = ("client_catalog_unavailable", "database_connection");
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, code, category, "Client catalog unavailable")
        .error(error)
        .retry_after(5)
}

/// Writes an outcome as the envelope of contract 2.1.
pub fn answered<T: Serialize, D: Serialize>(outcome: Outcome<T, D>, request: &Request) -> Response {
    match outcome {
        Ok((status, message, data)) => json_response(status, &Success { data, message, status: "success" }),
        Err(failure) => failed(*failure, request),
    }
}

fn failed(failure: Failure, request: &Request) -> Response {
    let scene = Scene {
        route: Route::Admin,
        request_id: request.extensions().get::<RequestId>().map_or("", RequestId::as_str),
        audit: Default::default(),
        client: None,
        table: None,
        db_name: None,
        record: Default::default(),
        notes: None,
    };
    error::respond(failure, &scene)
}

/// A moment as text (RFC 3339).
pub fn moment(moment: Option<OffsetDateTime>) -> Value {
    moment.and_then(|moment| moment.format(&Rfc3339).ok()).map_or(Value::Null, Value::String)
}
