//! Bringing databases to the schema of a control database.

use std::sync::Arc;

use athena_application::ports::ProvisionFailure;
use athena_application::use_cases::clients::ClientError;
use athena_application::use_cases::provision::{self, Provision, ProvisionError};
use athena_domain::error::RequestCode;
use athena_domain::{ClientName, RequestError};
use poem::Request;
use poem::http::StatusCode;
use poem_openapi::OpenApi;
use poem_openapi::param::Query;
use serde_json::json;

use super::{Admin, Bodies, answered, catalog_unavailable, json as read_json, retitled};
use crate::api::Tag;
use crate::api::answer::{Answer, Described};
use crate::api::docs::{AdminAnswer, ProvisionBody};
use crate::body::RawJson;
use crate::error::Failure;

/// Bringing databases to the schema of a control database.
pub struct ProvisionApi {
    provision: Option<Arc<Provision>>,
    bodies: Bodies,
}

/// What was provisioned, or is.
pub struct Told;
impl Described for Told {
    type Body = AdminAnswer;
    const SUCCESS: &'static str = "Done.";
    const FAILURES: &'static [u16] = &[400, 401, 409, 500, 503];
}

#[OpenApi(tag = "Tag::Clients")]
impl ProvisionApi {
    /// Provision a database
    ///
    /// Brings a PostgreSQL database to the schema of a control database in one transaction; safe to repeat. Give
    /// `uri` or `client_name`.
    #[oai(path = "/admin/provision", method = "post", operation_id = "provision")]
    async fn provision(
        &self,
        request: &Request,
        _admin: Admin,
        body: RawJson<ProvisionBody>,
    ) -> Answer<Told> {
        let outcome = async {
            let bytes = self.bodies.read(request, body.body).await?;
            let body = provision::ProvisionBody::decode(read_json(&bytes)?).map_err(titled)?;
            let done = self.provisioning()?.run(&body).await.map_err(failed)?;
            let message = format!("Provisioned {} statements", done.statements);
            let data = json!({
                "statements_executed": done.statements, "client": done.client, "registered": done.registered,
                "tables": done.tables,
            });
            Ok((StatusCode::OK, message, data))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// Provisioning status
    ///
    /// Which tables of a control database a client has and lacks.
    #[oai(path = "/admin/provision/status", method = "get", operation_id = "provision_status")]
    async fn status(
        &self,
        request: &Request,
        _admin: Admin,
        client_name: Query<Option<String>>,
    ) -> Answer<Told> {
        let outcome = async {
            let name = client_name.0.as_deref().and_then(ClientName::parse).ok_or_else(|| {
                Failure::new(StatusCode::BAD_REQUEST, "missing_field", "validation", "Missing target")
                    .error("Provide 'client_name' (registered client).")
                    .detail("field", "client_name")
            })?;
            let status =
                self.provisioning()?.status(&name).await.map_err(|error| not_connected(error, &name))?;
            let data = json!({
                "client_name": name.as_str(), "provisioned": status.is_complete(),
                "present_tables": status.present, "missing_tables": status.missing,
            });
            Ok((StatusCode::OK, format!("Provisioning status for '{name}'"), data))
        };
        Answer::new(answered(outcome.await, request))
    }
}

impl ProvisionApi {
    /// The operations, or their absence.
    pub(crate) fn new(provision: Option<Arc<Provision>>, bodies: Bodies) -> Self {
        Self { provision, bodies }
    }

    fn provisioning(&self) -> Result<&Provision, Box<Failure>> {
        self.provision.as_deref().ok_or_else(|| {
            let (code, category) = ("client_unavailable", "database_connection");
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, code, category, "Client unavailable")
                .retry_after(30)
        })
    }
}

/// The titles of the two ways to miss the target.
fn titled(error: RequestError) -> Box<Failure> {
    let title = match (error.code, error.field.as_deref()) {
        (RequestCode::MissingField, Some("uri")) => Some("Missing target"),
        (RequestCode::InvalidField, Some("uri")) => Some("Ambiguous target"),
        _ => None,
    };
    retitled(error, title)
}

fn failed(error: ProvisionError) -> Box<Failure> {
    let bad = |title: &'static str, error: String| {
        Failure::new(StatusCode::BAD_REQUEST, "invalid_field", "validation", title).error(error)
    };
    match error {
        ProvisionError::UnknownClient(_) => {
            bad("Unknown client", error.to_string()).detail("field", "client_name")
        }
        ProvisionError::NoUri(reason) => bad("Client URI unavailable", reason).detail("field", "client_name"),
        ProvisionError::Failed(failure @ ProvisionFailure::InvalidTarget(_)) => {
            bad("Provisioning failed", failure.to_string()).detail("field", "uri")
        }
        ProvisionError::Failed(failure) => {
            tracing::warn!(error = %failure, "a database could not be provisioned");
            let (status, code) = (StatusCode::INTERNAL_SERVER_ERROR, "provisioning_failed");
            Failure::new(status, code, "database_connection", "Provisioning failed")
                .error(failure.to_string())
        }
        ProvisionError::NotRegistered(ClientError::Duplicate) => Failure::new(
            StatusCode::CONFLICT,
            "unique_violation",
            "validation",
            "Athena client already exists",
        )
        .error("The database is provisioned, but a client of that name already exists.")
        .detail("field", "register_name"),
        ProvisionError::NotRegistered(cause) => {
            tracing::warn!(error = %cause, "a provisioned database could not be registered");
            catalog_unavailable("The database is provisioned, but it could not be registered as a client.")
        }
    }
}

fn not_connected(error: ProvisionError, name: &ClientName) -> Box<Failure> {
    let (code, category) = ("client_unavailable", "database_connection");
    let away = Failure::new(StatusCode::SERVICE_UNAVAILABLE, code, category, "Client unavailable")
        .error(format!("Postgres client '{name}' is not connected."))
        .retry_after(5);
    match error {
        ProvisionError::Failed(_) => away,
        ProvisionError::NoUri(reason) => away.detail("reason", reason),
        other => failed(other),
    }
}
