//! Bringing any PostgreSQL database to the schema of a control database (contract 17).

use std::sync::Arc;
use std::time::Duration;

use athena_domain::ClientName;
use athena_domain::RequestError;
use athena_domain::catalog::TargetTexts;
use athena_domain::error::RequestCode;
use athena_domain::query::JsonText;
use tokio::time::Instant;

use super::clients::{ClientError, ManageClients};
use crate::catalog::Catalog;
use crate::fields::{STRICT, client_name, new_client_name};
use crate::ports::{NewClient, ProvisionFailure, ProvisionStatus, Provisioner};

/// Name of a client that is registered without one.
const REGISTER_NAME: &str = "provisioned";

/// How long the clients of a database that was provisioned may take to say what is in it now.
const PATIENCE: Duration = Duration::from_secs(10);

/// Body of a provisioning.
pub struct ProvisionBody {
    target: Target,
    register: Option<ClientName>,
}

enum Target {
    Uri(String),
    Client(ClientName),
}

impl ProvisionBody {
    /// Reads the body.
    ///
    /// # Errors
    /// The first field that is unknown or malformed. A target that is missing has the code
    /// [`RequestCode::MissingField`], two of them [`RequestCode::InvalidField`] on `uri`.
    pub fn decode(body: JsonText<'_>) -> Result<Self, RequestError> {
        let mut body = body.expect_object("")?;
        let blank = |text: &std::borrow::Cow<'_, str>| !text.trim().is_empty();
        let uri = body.take_string("uri")?.filter(blank);
        let client = body.take_string("client_name")?.filter(blank);
        let register = body.take_bool("register")?.unwrap_or(false);
        let name = body.take_string("register_name")?.filter(blank);
        body.finish(STRICT)?;
        let target = match (uri, client) {
            (Some(uri), None) => Target::Uri(uri.trim().to_owned()),
            (None, Some(client)) => Target::Client(client_name(&client, "client_name")?),
            (Some(_), Some(_)) => {
                let message = "Provide either 'uri' or 'client_name', not both.";
                return Err(RequestError::invalid("uri", message));
            }
            (None, None) => {
                let message =
                    "Provide either 'uri' (direct Postgres URI) or 'client_name' (registered client).";
                return Err(RequestError::field(RequestCode::MissingField, "uri", message));
            }
        };
        let register = match (register, &target) {
            (false, _) => None,
            (true, Target::Uri(_)) => {
                Some(new_client_name(name.as_deref().unwrap_or(REGISTER_NAME), "register_name")?)
            }
            (true, Target::Client(_)) => {
                let message = "`register` goes with `uri`; the client is registered already";
                return Err(RequestError::invalid("register", message));
            }
        };
        Ok(Self { target, register })
    }
}

/// Why a database was not provisioned.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// No client of that name.
    #[error("No Postgres client named '{0}' is registered.")]
    UnknownClient(ClientName),
    /// The client has no URI, for this reason.
    #[error("{0}")]
    NoUri(String),
    /// The database, or its answer.
    #[error(transparent)]
    Failed(#[from] ProvisionFailure),
    /// It was provisioned, but not registered.
    #[error(transparent)]
    NotRegistered(#[from] ClientError),
}

/// What was provisioned.
#[derive(Debug)]
pub struct ProvisionedTarget {
    /// Statements run.
    pub statements: usize,
    /// Tables that are there now.
    pub tables: Vec<String>,
    /// The client, the name it was registered under, or `direct`.
    pub client: String,
    /// The name it was registered under.
    pub registered: Option<String>,
}

/// Brings databases to the schema of a control database.
pub struct Provision {
    provisioner: Arc<dyn Provisioner>,
    catalog: Arc<Catalog>,
    clients: Arc<ManageClients>,
}

impl Provision {
    /// Provisioning of clients of `catalog` and of databases outside of it.
    pub fn new(
        provisioner: Arc<dyn Provisioner>,
        catalog: Arc<Catalog>,
        clients: Arc<ManageClients>,
    ) -> Self {
        Self { provisioner, catalog, clients }
    }

    /// Provisions, all or nothing, and registers the database as a client when that is asked for.
    ///
    /// # Errors
    /// See [`ProvisionError`].
    pub async fn run(&self, body: &ProvisionBody) -> Result<ProvisionedTarget, ProvisionError> {
        let (uri, name) = match &body.target {
            Target::Uri(uri) => (uri.clone(), None),
            Target::Client(client) => (self.uri_of(client).await?, Some(client.to_string())),
        };
        // What could not be a client's is nothing to connect to either.
        let opened = ClientName::parse(REGISTER_NAME).map(|name| self.catalog.connector().open(&name, &uri));
        let opened =
            opened.transpose().map_err(|failure| ProvisionFailure::InvalidTarget(failure.to_string()))?;
        let done = self.provisioner.provision(&uri).await?;
        if let Some(opened) = opened {
            // No client that leads there may be served by what was known before: its tables are shielded from now on.
            self.catalog.read_anew(&opened.place, Instant::now() + PATIENCE).await;
        }
        let registered = match &body.register {
            None => None,
            Some(register) => {
                let client = NewClient {
                    name: register.to_string(),
                    description: Some("Registered while it was provisioned".to_owned()),
                    target: TargetTexts { pg_uri: Some(uri), ..TargetTexts::default() },
                    is_active: true,
                };
                self.clients.create(&client).await?;
                Some(register.to_string())
            }
        };
        Ok(ProvisionedTarget {
            statements: done.statements,
            tables: done.tables,
            client: name.or_else(|| registered.clone()).unwrap_or_else(|| "direct".to_owned()),
            registered,
        })
    }

    /// Which tables of a control database a client has.
    ///
    /// # Errors
    /// See [`ProvisionError`].
    pub async fn status(&self, client: &ClientName) -> Result<ProvisionStatus, ProvisionError> {
        let uri = self.uri_of(client).await?;
        Ok(self.provisioner.status(&uri).await?)
    }

    async fn uri_of(&self, client: &ClientName) -> Result<String, ProvisionError> {
        match self.catalog.uri_of(client).await {
            None => Err(ProvisionError::UnknownClient(client.clone())),
            Some(Err(reason)) => Err(ProvisionError::NoUri(reason)),
            Some(Ok(uri)) => Ok(uri),
        }
    }
}
