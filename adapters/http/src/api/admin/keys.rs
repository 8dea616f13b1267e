//! API keys, rights and policy.

mod failures;
mod records;

use std::collections::BTreeMap;
use std::sync::Arc;

use athena_application::use_cases::keys::{self, AdminError, Issued, ManageKeys};
use poem::Request;
use poem::http::StatusCode;
use poem_openapi::OpenApi;
use poem_openapi::param::Path;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Admin, Bodies, StoreAbsence, answered, client_name as client_named, json as read_json, refused};
use crate::api::Tag;
use crate::api::answer::{Answer, Described};
use crate::api::docs::{AdminAnswer, KeyBody, PolicyBody, RightBody, RotateBody};
use crate::body::RawJson;
use crate::error::Failure;
use failures::{absent, key_id, not_found, right_id, titled};
use records::{client_policy, effective, global_policy, key, right, told};

/// API keys, rights and policy.
pub struct KeysApi {
    manage: Result<Arc<ManageKeys>, StoreAbsence>,
    bodies: Bodies,
}

/// An answer that tells or changes something.
pub struct Told;
impl Described for Told {
    type Body = AdminAnswer;
    const SUCCESS: &'static str = "Done.";
    const FAILURES: &'static [u16] = &[400, 401, 404, 409, 500, 503];
}

/// An answer about something new.
pub struct Made;
impl Described for Made {
    type Body = AdminAnswer;
    const STATUS: u16 = 201;
    const SUCCESS: &'static str = "Made.";
    const FAILURES: &'static [u16] = &[400, 401, 409, 500, 503];
}

#[OpenApi(tag = "Tag::Keys")]
impl KeysApi {
    /// List API keys
    ///
    /// Every key that is not archived, newest first. Secrets are never shown.
    #[oai(path = "/admin/api-keys", method = "get", operation_id = "list_api_keys")]
    async fn list(&self, request: &Request, _admin: Admin) -> Answer<Told> {
        let outcome = async {
            let records = self.manage()?.list().await.map_err(self.failed("Failed to list API keys"))?;
            let records: Vec<_> = records.iter().map(key).collect();
            Ok((StatusCode::OK, "Listed API keys", named("api_keys", records)))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// Create an API key
    ///
    /// The credential stands in this answer and never again. `warnings` name tables and columns of the scope that none of
    /// the key's clients has.
    #[oai(path = "/admin/api-keys", method = "post", operation_id = "create_api_key")]
    async fn create(&self, request: &Request, _admin: Admin, body: RawJson<KeyBody>) -> Answer<Made> {
        let outcome = async {
            let bytes = self.bodies.read(request, body.body).await?;
            let body = keys::KeyBody::decode_new(read_json(&bytes)?).map_err(titled)?;
            let issued =
                self.manage()?.create(&body).await.map_err(self.failed("Failed to create API key"))?;
            Ok((StatusCode::CREATED, "Created API key", issued_data(&issued)))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// One API key
    #[oai(path = "/admin/api-keys/:id", method = "get", operation_id = "get_api_key")]
    async fn find(&self, request: &Request, _admin: Admin, id: Path<String>) -> Answer<Told> {
        let outcome = async {
            let id = key_id(&id)?;
            let record = self.manage()?.find(id).await.map_err(self.on_key(id, "Failed to load API key"))?;
            Ok((StatusCode::OK, "Loaded API key", named("record", key(&record))))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// Change an API key
    ///
    /// An absent field stays, `null` clears it, `rights` replaces the set. In force on every gateway within a second.
    #[oai(path = "/admin/api-keys/:id", method = "patch", operation_id = "update_api_key")]
    async fn update(
        &self,
        request: &Request,
        _admin: Admin,
        id: Path<String>,
        body: RawJson<KeyBody>,
    ) -> Answer<Told> {
        let outcome = async {
            let bytes = self.bodies.read(request, body.body).await?;
            let id = key_id(&id)?;
            let body = keys::KeyBody::decode(read_json(&bytes)?).map_err(titled)?;
            let (record, warnings) = self
                .manage()?
                .update(id, &body)
                .await
                .map_err(self.on_key(id, "Failed to update API key"))?;
            Ok((
                StatusCode::OK,
                "Updated API key",
                UpdatedData { record: key(&record), warnings: told(&warnings) },
            ))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// Archive an API key
    ///
    /// The key is kept for the record and never verifies again.
    #[oai(path = "/admin/api-keys/:id", method = "delete", operation_id = "delete_api_key")]
    async fn delete(&self, request: &Request, _admin: Admin, id: Path<String>) -> Answer<Told> {
        let outcome = async {
            let id = key_id(&id)?;
            self.manage()?.archive(id).await.map_err(self.on_key(id, "Failed to delete API key"))?;
            Ok((StatusCode::OK, "Deleted API key", json!({ "id": id })))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// Rotate an API key
    ///
    /// Gives the key a new secret, shown once; the old one works until `previous_valid_until`.
    #[oai(path = "/admin/api-keys/:id/rotate", method = "post", operation_id = "rotate_api_key")]
    async fn rotate(
        &self,
        request: &Request,
        _admin: Admin,
        id: Path<String>,
        body: RawJson<RotateBody>,
    ) -> Answer<Told> {
        let outcome = async {
            let bytes = self.bodies.read(request, body.body).await?;
            let id = key_id(&id)?;
            let overlap = keys::RotateBody::decode(read_json(&bytes)?).map_err(refused)?.overlap_secs;
            let issued = self
                .manage()?
                .rotate(id, overlap)
                .await
                .map_err(self.on_key(id, "Failed to rotate API key"))?;
            Ok((StatusCode::OK, "Rotated API key", issued_data(&issued)))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// What an API key can reach
    ///
    /// Clients, operations, tables, columns, rows, rights and budget, as they apply now.
    #[oai(path = "/admin/api-keys/:id/effective", method = "get", operation_id = "effective_api_key")]
    async fn effective(&self, request: &Request, _admin: Admin, id: Path<String>) -> Answer<Told> {
        let outcome = async {
            let id = key_id(&id)?;
            let reach =
                self.manage()?.effective(id).await.map_err(self.on_key(id, "Failed to load API key"))?;
            Ok((StatusCode::OK, "Loaded effective API key", effective(&reach)))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// List rights
    #[oai(path = "/admin/api-key-rights", method = "get", operation_id = "list_api_key_rights")]
    async fn list_rights(&self, request: &Request, _admin: Admin) -> Answer<Told> {
        let outcome = async {
            let records =
                self.manage()?.list_rights().await.map_err(self.failed("Failed to list API key rights"))?;
            let records: Vec<_> = records.iter().map(right).collect();
            Ok((StatusCode::OK, "Listed API key rights", json!({ "rights": records })))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// Create a right
    #[oai(path = "/admin/api-key-rights", method = "post", operation_id = "create_api_key_right")]
    async fn create_right(&self, request: &Request, _admin: Admin, body: RawJson<RightBody>) -> Answer<Made> {
        let outcome = async {
            let bytes = self.bodies.read(request, body.body).await?;
            let body = keys::RightBody::decode(read_json(&bytes)?).map_err(refused)?;
            let made = self.manage()?.create_right(&body).await;
            let record = made.map_err(self.on_right("", &body.name, "Failed to create API key right"))?;
            Ok((StatusCode::CREATED, "Created API key right", json!({ "right": right(&record) })))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// Rename a right
    #[oai(path = "/admin/api-key-rights/:id", method = "patch", operation_id = "update_api_key_right")]
    async fn update_right(
        &self,
        request: &Request,
        _admin: Admin,
        id: Path<String>,
        body: RawJson<RightBody>,
    ) -> Answer<Told> {
        let outcome = async {
            let bytes = self.bodies.read(request, body.body).await?;
            let id = right_id(&id)?;
            let body = keys::RightBody::decode(read_json(&bytes)?).map_err(refused)?;
            let updated = self.manage()?.update_right(id, &body).await;
            let record = updated.map_err(self.on_right(id, &body.name, "Failed to update API key right"))?;
            Ok((StatusCode::OK, "Updated API key right", json!({ "right": right(&record) })))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// Delete a right
    ///
    /// Every key loses it.
    #[oai(path = "/admin/api-key-rights/:id", method = "delete", operation_id = "delete_api_key_right")]
    async fn delete_right(&self, request: &Request, _admin: Admin, id: Path<String>) -> Answer<Told> {
        let outcome = async {
            let id = right_id(&id)?;
            let deleted = self.manage()?.delete_right(id).await;
            deleted.map_err(self.on_right(id, "", "Failed to delete API key right"))?;
            Ok((StatusCode::OK, "Deleted API key right", json!({ "id": id })))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// Whether keys are demanded
    ///
    /// The setting for everybody and the exceptions of single clients.
    #[oai(path = "/admin/api-key-config", method = "get", operation_id = "get_api_key_config")]
    async fn policy(&self, request: &Request, _admin: Admin) -> Answer<Told> {
        let outcome = async {
            let (global, clients) =
                self.manage()?.policy().await.map_err(self.failed("Failed to load API key config"))?;
            let clients: Vec<_> = clients.iter().map(client_policy).collect();
            let data = json!({ "global": global_policy(&global), "clients": clients });
            Ok((StatusCode::OK, "Loaded API key config", data))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// Demand keys or not
    #[oai(path = "/admin/api-key-config", method = "put", operation_id = "update_api_key_config")]
    async fn set_policy(&self, request: &Request, _admin: Admin, body: RawJson<PolicyBody>) -> Answer<Told> {
        let outcome = async {
            let bytes = self.bodies.read(request, body.body).await?;
            let mode = keys::PolicyBody::decode(read_json(&bytes)?).map_err(refused)?.mode;
            let set = self
                .manage()?
                .set_policy(mode)
                .await
                .map_err(self.failed("Failed to update API key config"))?;
            Ok((StatusCode::OK, "Updated API key config", json!({ "global": global_policy(&set) })))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// List exceptions of single clients
    #[oai(path = "/admin/api-key-clients", method = "get", operation_id = "list_api_key_clients")]
    async fn client_policies(&self, request: &Request, _admin: Admin) -> Answer<Told> {
        let outcome = async {
            let title = "Failed to list API key client config";
            let (_, clients) = self.manage()?.policy().await.map_err(self.failed(title))?;
            let clients: Vec<_> = clients.iter().map(client_policy).collect();
            Ok((StatusCode::OK, "Listed API key client config", json!({ "clients": clients })))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// Demand keys of one client or not
    #[oai(
        path = "/admin/api-key-clients/:client_name",
        method = "put",
        operation_id = "update_api_key_client"
    )]
    async fn set_client_policy(
        &self,
        request: &Request,
        _admin: Admin,
        client_name: Path<String>,
        body: RawJson<PolicyBody>,
    ) -> Answer<Told> {
        let outcome = async {
            let bytes = self.bodies.read(request, body.body).await?;
            let name = client_named(&client_name)?.to_string();
            let mode = keys::PolicyBody::decode(read_json(&bytes)?).map_err(refused)?.mode;
            let set = self.manage()?.set_client_policy(&name, mode).await;
            let set = set.map_err(self.failed("Failed to update API key client config"))?;
            Ok((StatusCode::OK, "Updated API key client config", json!({ "client": client_policy(&set) })))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// Remove the exception of one client
    #[oai(
        path = "/admin/api-key-clients/:client_name",
        method = "delete",
        operation_id = "delete_api_key_client"
    )]
    async fn delete_client_policy(
        &self,
        request: &Request,
        _admin: Admin,
        client_name: Path<String>,
    ) -> Answer<Told> {
        let outcome = async {
            let name = client_named(&client_name)?.to_string();
            let deleted = self.manage()?.delete_client_policy(&name).await;
            deleted.map_err(|error| match error {
                AdminError::NotFound => not_found(
                    "API key client config not found",
                    format!("No client config exists for '{name}'."),
                ),
                error => self.failed("Failed to delete API key client config")(error),
            })?;
            Ok((StatusCode::OK, "Deleted API key client config", json!({ "client_name": name })))
        };
        Answer::new(answered(outcome.await, request))
    }
}

impl KeysApi {
    /// The operations over a store, or why there is none.
    pub(crate) fn new(manage: Result<Arc<ManageKeys>, StoreAbsence>, bodies: Bodies) -> Self {
        Self { manage, bodies }
    }

    fn manage(&self) -> Result<&ManageKeys, Box<Failure>> {
        self.manage.as_deref().map_err(absent)
    }
}

/// Data of one field.
fn named<T>(name: &'static str, value: T) -> BTreeMap<&'static str, T> {
    BTreeMap::from([(name, value)])
}

#[derive(Serialize)]
struct IssuedData {
    api_key: String,
    previous_valid_until: Value,
    record: Box<RawValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Value>,
}

#[derive(Serialize)]
struct UpdatedData {
    record: Box<RawValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Value>,
}

fn issued_data(issued: &Issued) -> IssuedData {
    IssuedData {
        api_key: issued.credential.reveal().to_owned(),
        previous_valid_until: records::moment(issued.record.previous_valid_until),
        record: key(&issued.record),
        warnings: told(&issued.warnings),
    }
}
