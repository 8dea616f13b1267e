//! From a request to an answer, in the order of checks of contract 29.7: size and framing, client header, credential and
//! budget, client known, audit headers, body. Without a key that counts, nothing of the body is kept.

use std::sync::Arc;
use std::time::Instant;

use athena_application::context::Direct;
use athena_application::ports::AuthObservation;
use athena_application::{Caller, Context};
use athena_application::{Error, Gateway};
use athena_domain::ClientName;
use athena_domain::access::{AuthReason, Credential, Judgement, Presented};
use athena_domain::query::{JsonText, SqlRequest};
use athena_domain::rows::RowFormat;
use bytes::Bytes;
use poem::http::HeaderMap;
use poem::{Body, Request, Response};

use crate::body::{BodyReader, Keeping};
use crate::error::{self, Failure, Route, Scene, auth, failure};
use crate::headers::accept::negotiate;
use crate::headers::request_id::RequestId;
use crate::headers::{self, Audit, StripNulls};
use crate::held;
use crate::record::{Notes, Record};
use crate::security::gateway_key;
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

/// What the headers of a request have decided.
struct Entry {
    client: ClientName,
    caller: Caller,
    direct: Option<Direct>,
    big_numbers_as_text: bool,
    format: RowFormat,
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
    pub fn new(gateway: Arc<Gateway>, bodies: BodyReader, settings: &HttpSettings) -> Self {
        Self { bodies, gateway, audit: settings.require_audit_headers, shape: settings.response_shape }
    }

    /// The scene of a request that has just come.
    pub fn scene<'a>(&self, request: &'a Request, route: Route) -> Scene<'a> {
        Scene {
            route,
            request_id: request.extensions().get::<RequestId>().map_or("", RequestId::as_str),
            audit: Audit::read(request.headers()),
            client: None,
            table: None,
            db_name: None,
            record: Record { operation: route.operation(), ..Record::default() },
            notes: request.extensions().get::<Notes>().cloned(),
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
        // Headers are judged before the body takes memory. A refusal waits until the body is known to be one.
        let entry = match headers::client(headers) {
            Ok(Some(client)) => Some(self.enter(headers, client, scene, forms)),
            Ok(None) if scene.route == Route::Sql => None,
            Ok(None) => Some(Err(failure::missing_client(scene.route))),
            Err(failure) => Some(Err(failure)),
        };
        let keeping = if matches!(entry, Some(Err(_))) { Keeping::Nothing } else { Keeping::All };
        let began = Instant::now();
        let received = self.bodies.receive(headers, body, keeping).await?;
        let receiving = began.elapsed();
        let context = self.gateway.context(false);
        scene.record.trail = Some(context.trail.clone());
        let entry = match entry {
            Some(entry) => entry?,
            None => {
                let body = self.bodies.unpack(headers, received.clone()).await?;
                let client =
                    SqlRequest::db_name(&body).ok_or_else(|| failure::missing_client(scene.route))?;
                self.enter(headers, client, scene, forms)?
            }
        };
        let began = Instant::now();
        let body = self.bodies.unpack(headers, received).await?;
        scene.record.decode = receiving + began.elapsed();
        let Entry { client, caller, direct, big_numbers_as_text, format } = entry;
        let (control, bound) = (self.gateway.is_control(&client), caller.is_bound_to(&client));
        Ok(Admitted {
            client,
            strip: StripNulls::read(headers),
            format,
            context: Context { big_numbers_as_text, control, bound, caller, direct, ..context },
            body,
        })
    }

    /// What the headers of a request for `client` decide.
    fn enter(
        &self,
        headers: &HeaderMap,
        client: ClientName,
        scene: &mut Scene<'_>,
        forms: &[RowFormat],
    ) -> Result<Entry, Box<Failure>> {
        scene.client = Some(client.clone());
        scene.record.client = Some(client.clone());
        let known = self.gateway.check_client(&client);
        scene.record.client_known = !matches!(known, Err(Error::UnknownClient { .. }));
        let caller = self.judge(headers, &client, scene)?;
        known.map_err(|error| error::from_application(error, scene))?;
        let direct = match self.gateway.is_direct(&client) {
            true => {
                let (url, key) = headers::supabase(headers)?;
                let opened = self.gateway.open_direct(url, key);
                Some(opened.map_err(|reason| failure::refused_supabase(&reason))?)
            }
            false => None,
        };
        if matches!(scene.route, Route::Insert | Route::Delete) && self.audit == AuditHeaders::Strict {
            scene.audit.require()?;
        }
        headers::refuse_unsupported(headers)?;
        let big_numbers_as_text = headers::big_numbers_as_text(headers)?;
        scene.record.wants_timing = headers::wants_timing(headers)?;
        let format = negotiate(headers, forms)?;
        Ok(Entry { client, caller, direct, big_numbers_as_text, format })
    }

    /// Judges the credential and notes what came of it.
    fn judge(
        &self,
        headers: &HeaderMap,
        client: &ClientName,
        scene: &mut Scene<'_>,
    ) -> Result<Caller, Box<Failure>> {
        let began = Instant::now();
        let presented = gateway_key(headers)?;
        let judgement = self.gateway.authenticator.judge(presented, Some(client.key()));
        let refuses = judgement.refuses();
        if judgement.reason != AuthReason::StoreNotConfigured {
            scene.record.auth = Some(AuthObservation {
                key: judgement.key.clone(),
                presented_public_id: match presented {
                    Presented::Text(text) => Credential::parse(text).map(|c| c.public_id.into()),
                    Presented::Nothing => None,
                },
                authenticated: judgement.is_authenticated(),
                authorized: judgement.reason == AuthReason::Authenticated,
                mode: judgement.mode,
                reason: judgement.reason,
                required: None,
            });
        }
        scene.record.auth_time = began.elapsed();
        if !refuses {
            self.spend(&judgement, scene)?;
            return Ok(Caller::new(&judgement));
        }
        // As long as nothing is known of keys, a client that does not exist is still the caller's mistake (D5).
        if judgement.reason == AuthReason::PolicyUnavailable && !scene.record.client_known {
            return Ok(Caller::default());
        }
        Err(auth::refused(&judgement, client))
    }

    /// Takes the request out of its key's budget.
    fn spend(&self, judgement: &Judgement, scene: &mut Scene<'_>) -> Result<(), Box<Failure>> {
        let (Some(key), AuthReason::Authenticated) = (&judgement.key, judgement.reason) else {
            return Ok(());
        };
        match self.gateway.budgets.begin(key) {
            Ok(spending) => {
                scene.record.spending = spending.map(Arc::new);
                Ok(())
            }
            Err(refusal) => {
                if let Some(auth) = &mut scene.record.auth {
                    auth.reason = AuthReason::BudgetExceeded;
                    auth.authorized = false;
                }
                if judgement.mode.enforces() { Err(auth::over_budget(&refusal)) } else { Ok(()) }
            }
        }
    }

    /// The clients and rules behind the door.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }
}

/// The response to a finished request.
pub fn finish(outcome: Result<Response, Box<Failure>>, scene: &mut Scene<'_>) -> Response {
    if let Err(failure) = &outcome {
        scene.record.code = Some(failure.code);
        let said = failure.error.as_deref().unwrap_or(&failure.message);
        scene.record.message = (!failure.quotes).then(|| said.into());
    }
    let response = outcome.unwrap_or_else(|failure| error::respond(*failure, scene));
    match scene.record.trail.as_ref().and_then(|trail| trail.take_held()) {
        Some(held) => held::until_read(response, held),
        None => response,
    }
}
