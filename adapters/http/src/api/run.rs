//! From a request to an answer, in the order of checks of contract 29.7: size and framing, client header,
//! client known, audit headers, body.

use std::sync::Arc;

use athena_application::Gateway;
use athena_application::use_cases::Context;
use athena_domain::ClientName;
use athena_domain::query::JsonText;
use athena_domain::rows::RowFormat;
use bytes::Bytes;
use poem::http::HeaderMap;
use poem::{Body, Request, Response};

use crate::body::BodyReader;
use crate::error::{self, Failure, Route, Scene, failure};
use crate::headers::accept::negotiate;
use crate::headers::request_id::RequestId;
use crate::headers::{self, Audit, StripNulls};
use crate::settings::{AuditHeaders, HttpSettings, ResponseShape};

/// What every gateway operation does before its own work.
pub struct Door {
    gateway: Arc<Gateway>,
    bodies: BodyReader,
    audit: AuditHeaders,
    /// Shape of answers without `X-Strip-Nulls`.
    pub shape: ResponseShape,
}

/// A request that has passed the door; its body is still to be decoded.
pub struct Admitted {
    /// Client.
    pub client: ClientName,
    /// What the shape header says.
    pub strip: StripNulls,
    /// Form of the rows.
    pub format: RowFormat,
    /// Deadline and number form.
    pub context: Context,
    /// Body, unpacked.
    pub body: Bytes,
}

impl Admitted {
    /// The body as JSON text.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self, scene: &Scene<'_>) -> Result<JsonText<'_>, Box<Failure>> {
        JsonText::parse(&self.body).map_err(|error| error::from_application(error.into(), scene))
    }
}

impl Door {
    /// A door before `gateway`.
    pub fn new(gateway: Arc<Gateway>, settings: &HttpSettings) -> Self {
        Self {
            bodies: BodyReader::new(&gateway.limits, settings.client_request_timeout),
            gateway,
            audit: settings.require_audit_headers,
            shape: settings.response_shape,
        }
    }

    /// The scene of a request that has just come.
    pub fn scene<'a>(&self, request: &'a Request, route: Route) -> Scene<'a> {
        Scene {
            route,
            request_id: request.extensions().get::<RequestId>().map_or("", RequestId::as_str),
            audit: Audit::read(request.headers()),
            client: None,
            table: None,
        }
    }

    /// Runs the checks and receives the body.
    ///
    /// # Errors
    /// The first check that fails.
    pub async fn admit(
        &self,
        headers: &HeaderMap,
        body: Body,
        scene: &mut Scene<'_>,
        forms: &[RowFormat],
    ) -> Result<Admitted, Box<Failure>> {
        let received = self.bodies.receive(headers, body).await?;
        let context = self.gateway.context(false);
        let client =
            headers::client(headers).map_err(|failure| failure::in_words_of(failure, scene.route))?;
        scene.client = Some(client.clone());
        self.gateway.check_client(&client).map_err(|error| error::from_application(error, scene))?;
        if matches!(scene.route, Route::Insert | Route::Delete) && self.audit == AuditHeaders::Strict {
            scene.audit.require()?;
        }
        headers::refuse_unsupported(headers)?;
        let big_numbers_as_text = headers::big_numbers_as_text(headers)?;
        let format = negotiate(headers, forms)?;
        let body = self.bodies.unpack(headers, received).await?;
        Ok(Admitted {
            client,
            strip: StripNulls::read(headers),
            format,
            context: Context { big_numbers_as_text, ..context },
            body,
        })
    }

    /// The clients and rules behind the door.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }
}

/// The response to a finished request.
pub fn finish(outcome: Result<Response, Box<Failure>>, scene: &Scene<'_>) -> Response {
    outcome.unwrap_or_else(|failure| error::respond(*failure, scene))
}
