//! The client catalog.

use std::sync::Arc;

use athena_application::ports::Reason;
use athena_application::use_cases::clients::{self, Administered, ClientError, ManageClients};
use athena_application::{Circuit, ClientInfo, ClientState, Gateway};
use athena_domain::ClientName;
use athena_domain::catalog::{ClientRecord, redact_uri};
use poem::Request;
use poem::http::StatusCode;
use poem_openapi::OpenApi;
use poem_openapi::param::Path;
use serde_json::{Value, json};

use super::{
    Admin, Bodies, Outcome, StoreAbsence, answered, catalog_absent, catalog_failure, client_name as named,
    json as read_json, moment, refused, retitled,
};
use crate::api::Tag;
use crate::api::answer::{Answer, Described};
use crate::api::docs::{AdminAnswer, ClientBody, ClientNames, FreezeBody, OfflineBody};
use crate::api::ops::breaker;
use crate::body::RawJson;
use crate::error::{Failure, json_response};

/// The client catalog.
pub struct ClientsApi {
    manage: Option<Arc<ManageClients>>,
    gateway: Arc<Gateway>,
    absence: StoreAbsence,
    bodies: Bodies,
}

/// What stands over an answer about a circuit breaker.
const HEALTH_CHANGED: &str = "Updated Athena client health";

/// An answer that tells or changes something.
pub struct ClientTold;
impl Described for ClientTold {
    type Body = AdminAnswer;
    const SUCCESS: &'static str = "Done.";
    const FAILURES: &'static [u16] = &[400, 401, 404, 409, 500, 503];
}

/// An answer about a new client.
pub struct ClientMade;
impl Described for ClientMade {
    type Body = AdminAnswer;
    const STATUS: u16 = 201;
    const SUCCESS: &'static str =
        "Made. A `warning` says when its database did not answer; the gateway keeps trying.";
    const FAILURES: &'static [u16] = &[400, 401, 409, 500, 503];
}

/// Names of clients.
pub struct Names;
impl Described for Names {
    type Body = ClientNames;
    const SUCCESS: &'static str = "Clients that may be used and whose database answered.";
    const FAILURES: &'static [u16] = &[401, 503];
}

#[OpenApi(tag = "Tag::Clients")]
impl ClientsApi {
    /// List clients
    ///
    /// `clients` are the rows of the catalog, `runtime` the clients as they run; a `warning` there says why a client
    /// cannot be used. URIs come without their passwords.
    #[oai(path = "/admin/clients", method = "get", operation_id = "list_clients")]
    async fn list(&self, request: &Request, _admin: Admin) -> Answer<ClientTold> {
        let outcome = async {
            let runtime: Vec<Value> = self.runtime();
            match self.manage()?.list().await {
                Ok(rows) => {
                    let rows: Vec<Value> = rows.iter().map(row).collect();
                    Ok((
                        StatusCode::OK,
                        "Listed Athena clients",
                        json!({ "clients": rows, "runtime": runtime }),
                    ))
                }
                // One that is named and cannot be used is no reason to take what the file says for all there is.
                Err(ClientError::NoStore) if matches!(self.absence, StoreAbsence::NotConfigured) => {
                    let data = json!({ "clients": runtime, "runtime": runtime });
                    Ok((StatusCode::OK, "Listed runtime Athena clients", data))
                }
                Err(error) => Err(self.failed(error, "", "Failed to list Athena clients")),
            }
        };
        Answer::new(answered(outcome.await, request))
    }

    /// Add a client
    ///
    /// Give `pg_uri`, or `pg_uri_env_var` so that no password is stored. In force on every gateway within a second.
    #[oai(path = "/admin/clients", method = "post", operation_id = "create_client")]
    async fn create(
        &self,
        request: &Request,
        _admin: Admin,
        body: RawJson<ClientBody>,
    ) -> Answer<ClientMade> {
        let outcome = async {
            let bytes = self.bodies.read(request, body.body).await?;
            let client = clients::ClientBody::decode_new(read_json(&bytes)?).map_err(titled)?;
            let created = self.manage()?.create(&client).await;
            let created =
                created.map_err(|e| self.failed(e, &client.name, "Failed to create Athena client"))?;
            Ok((StatusCode::CREATED, "Created Athena client", administered(&created)))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// Change a client
    ///
    /// A new URI swaps the connections; requests that are under way end on the old ones.
    #[oai(path = "/admin/clients/:client_name", method = "patch", operation_id = "update_client")]
    async fn update(
        &self,
        request: &Request,
        _admin: Admin,
        client_name: Path<String>,
        body: RawJson<ClientBody>,
    ) -> Answer<ClientTold> {
        let outcome = async {
            let bytes = self.bodies.read(request, body.body).await?;
            let name = named(&client_name)?;
            let body = clients::ClientBody::decode_change(read_json(&bytes)?, name.key()).map_err(refused)?;
            let updated = self.manage()?.update(name.key(), &body).await;
            let updated =
                updated.map_err(|e| self.failed(e, name.as_str(), "Failed to update Athena client"))?;
            Ok((StatusCode::OK, "Updated Athena client", administered(&updated)))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// Stop a client for a while, or let it go on
    #[oai(path = "/admin/clients/:client_name/freeze", method = "put", operation_id = "freeze_client")]
    async fn freeze(
        &self,
        request: &Request,
        _admin: Admin,
        client_name: Path<String>,
        body: RawJson<FreezeBody>,
    ) -> Answer<ClientTold> {
        let outcome = async {
            let bytes = self.bodies.read(request, body.body).await?;
            let name = named(&client_name)?;
            let is_frozen = clients::FreezeBody::decode(read_json(&bytes)?).map_err(refused)?.is_frozen;
            let updated = self.manage()?.freeze(name.key(), is_frozen).await;
            let updated =
                updated.map_err(|e| self.failed(e, name.as_str(), "Failed to freeze Athena client"))?;
            Ok((StatusCode::OK, "Updated Athena client freeze state", administered(&updated)))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// Take a client's database off for a while
    ///
    /// Its requests are refused with `circuit_open` for so long, whatever the database says, by this gateway alone; those
    /// under way go on. `…/reset-health` ends it.
    #[oai(
        path = "/admin/clients/:client_name/offline",
        method = "post",
        operation_id = "force_client_offline"
    )]
    async fn offline(
        &self,
        request: &Request,
        _admin: Admin,
        client_name: Path<String>,
        body: RawJson<OfflineBody>,
    ) -> Answer<ClientTold> {
        let outcome = async {
            let bytes = self.bodies.read(request, body.body).await?;
            let body = clients::OfflineBody::decode(read_json(&bytes)?).map_err(refused)?;
            self.at_circuit(&client_name, |circuit| circuit.force_offline(body.how_long))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// Forget a database's failures
    ///
    /// The circuit breaker closes: this gateway's requests reach the database at once. Of `custom_supabase` it is the
    /// breaker of every host that requests have named.
    #[oai(
        path = "/admin/clients/:client_name/reset-health",
        method = "post",
        operation_id = "reset_client_health"
    )]
    async fn reset_health(
        &self,
        request: &Request,
        _admin: Admin,
        client_name: Path<String>,
    ) -> Answer<ClientTold> {
        let outcome = named(&client_name).ok().and_then(|name| self.reset_hosts(&name));
        let outcome = outcome.unwrap_or_else(|| self.at_circuit(&client_name, Circuit::reset_health));
        Answer::new(answered(outcome, request))
    }

    /// Delete a client
    ///
    /// The row stays for the record; a client of the configuration does not come back at the next start.
    #[oai(path = "/admin/clients/:client_name", method = "delete", operation_id = "delete_client")]
    async fn delete(
        &self,
        request: &Request,
        _admin: Admin,
        client_name: Path<String>,
    ) -> Answer<ClientTold> {
        let outcome = async {
            let name = named(&client_name)?;
            let deleted = self.manage()?.delete(name.key()).await;
            let deleted =
                deleted.map_err(|e| self.failed(e, name.as_str(), "Failed to delete Athena client"))?;
            Ok((StatusCode::OK, "Deleted Athena client", administered(&deleted)))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// Names of connected clients
    #[oai(path = "/clients", method = "get", operation_id = "client_names")]
    async fn names(&self, _admin: Admin) -> Answer<Names> {
        Answer::new(self.connected())
    }

    /// Names of connected clients (alias)
    #[oai(path = "/schema/clients", method = "get", operation_id = "schema_clients")]
    async fn schema_clients(&self, _admin: Admin) -> Answer<Names> {
        Answer::new(self.connected())
    }
}

impl ClientsApi {
    /// The operations over a catalog, and over the hosts that requests name; `absence` says why there is no store where
    /// there is none.
    pub(crate) fn new(
        manage: Option<Arc<ManageClients>>,
        gateway: Arc<Gateway>,
        absence: StoreAbsence,
        bodies: Bodies,
    ) -> Self {
        Self { manage, gateway, absence, bodies }
    }

    fn manage(&self) -> Result<&ManageClients, Box<Failure>> {
        self.manage.as_deref().ok_or_else(|| self.absent())
    }

    /// Does something to the circuit breaker of a client, and tells how it is then.
    fn at_circuit(&self, name: &str, act: impl FnOnce(&Circuit)) -> Outcome {
        let name = named(name)?;
        let title = "Failed to change Athena client health";
        let circuit = self.manage()?.circuit(&name).map_err(|e| self.failed(e, name.as_str(), title))?;
        act(&circuit);
        let data = json!({ "client_name": name.as_str(), "circuit_breaker": breaker(&circuit) });
        Ok((StatusCode::OK, HEALTH_CHANGED, data))
    }

    /// Forgets the failures of every host that requests have named, where `client` stands for those.
    fn reset_hosts(&self, client: &ClientName) -> Option<Outcome> {
        let direct = self.gateway.direct.as_ref().filter(|_| self.gateway.is_direct(client))?;
        let told = direct.circuits().into_iter().map(|(host, circuit)| {
            circuit.reset_health();
            json!({ "host": host, "circuit_breaker": breaker(&circuit) })
        });
        let data = json!({ "client_name": client.key(), "hosts": told.collect::<Vec<_>>() });
        Some(Ok((StatusCode::OK, HEALTH_CHANGED, data)))
    }

    fn connected(&self) -> poem::Response {
        let names = self.manage.as_ref().map(|manage| manage.connected()).unwrap_or_default();
        json_response(StatusCode::OK, &json!({ "clients": names }))
    }

    fn runtime(&self) -> Vec<Value> {
        let clients = self.manage.as_ref().map(|manage| manage.runtime()).unwrap_or_default();
        let runtime = clients.iter().map(|client| {
            let ClientInfo { source, description, pg_uri, pg_uri_env_var, config_uri_template } = &client.info;
            let mut told = json!({
                "client_name": client.name.as_str(), "source": source.as_str(), "description": description,
                "pg_uri": pg_uri, "pg_uri_env_var": pg_uri_env_var, "config_uri_template": config_uri_template,
                "is_active": !matches!(client.state, ClientState::Inactive),
                "is_frozen": matches!(client.state, ClientState::Frozen),
                "pool_connected": client.is_connected(),
                "circuit_breaker": client.circuit().map(|circuit| breaker(circuit)),
            });
            if let Some(trouble) = client.trouble() {
                told["warning"] = trouble.into();
            }
            told
        });
        runtime.collect()
    }

    fn absent(&self) -> Box<Failure> {
        catalog_absent(&self.absence).hint("Name the control database's client in gateway.logging_client.")
    }

    fn failed(&self, error: ClientError, name: &str, title: &'static str) -> Box<Failure> {
        match error {
            ClientError::NoStore => self.absent(),
            ClientError::NotFound => {
                Failure::new(StatusCode::NOT_FOUND, "not_found", "validation", "Athena client not found")
                    .error(format!("No client exists for '{name}'."))
            }
            ClientError::NotServed => Failure::new(
                StatusCode::CONFLICT,
                "client_not_served",
                "validation",
                "Athena client is not served",
            )
            .error(format!("The client '{name}' is stopped, or its target cannot be used.")),
            ClientError::Duplicate => Failure::new(
                StatusCode::CONFLICT,
                "unique_violation",
                "validation",
                "Athena client already exists",
            )
            .error(format!("A client named '{name}' already exists.")),
            ClientError::Essential => Failure::new(
                StatusCode::CONFLICT,
                "client_in_use",
                "validation",
                "Athena client is needed",
            )
            .error(format!(
                "The gateway itself needs the client '{name}': it can be neither stopped, moved nor deleted."
            ))
            .hint("Change gateway.logging_client or gateway.auth_client and restart first."),
            ClientError::Target(reason) => Failure::new(
                StatusCode::BAD_REQUEST,
                "invalid_field",
                "validation",
                "Invalid connection details",
            )
            .error(reason)
            .detail("field", "pg_uri"),
            ClientError::Port(error) if error.reason() == Some(Reason::Check) => Failure::new(
                StatusCode::BAD_REQUEST,
                "missing_field",
                "validation",
                "Missing connection details",
            )
            .error("Provide either pg_uri or pg_uri_env_var for database-backed clients.")
            .detail("field", "pg_uri"),
            ClientError::Port(error) => catalog_failure(error, title),
        }
    }
}

/// The titles that missing fields of a new client have of their own.
fn titled(error: athena_domain::RequestError) -> Box<Failure> {
    use athena_domain::error::RequestCode::MissingField;
    let title = match (error.code, error.field.as_deref()) {
        (MissingField, Some("client_name")) => Some("Missing client name"),
        (MissingField, Some("pg_uri")) => Some("Missing connection details"),
        _ => None,
    };
    retitled(error, title)
}

fn administered(administered: &Administered) -> Value {
    let mut client = row(&administered.record);
    client["pool_connected"] = administered.connected.into();
    match &administered.warning {
        Some(warning) => json!({ "client": client, "warning": warning }),
        None => json!({ "client": client }),
    }
}

/// A row of the catalog, without passwords.
fn row(record: &ClientRecord) -> Value {
    let shown = |text: &Option<String>| text.as_deref().map(redact_uri);
    let metadata: Value = serde_json::from_str(&record.metadata).unwrap_or_default();
    json!({
        "id": record.id, "client_name": record.name, "description": record.description,
        "pg_uri": shown(&record.target.pg_uri), "pg_uri_env_var": record.target.pg_uri_env_var,
        "config_uri_template": shown(&record.target.config_uri_template), "source": record.source.as_str(),
        "is_active": record.is_active, "is_frozen": record.is_frozen, "metadata": metadata,
        "last_synced_from_config_at": moment(record.last_synced_from_config_at),
        "last_seen_at": moment(record.last_seen_at), "created_at": moment(Some(record.created_at)),
        "updated_at": moment(Some(record.updated_at)), "deleted_at": moment(record.deleted_at),
    })
}
