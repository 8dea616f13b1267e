//! The control plane, composed: keys, policy and clients from the control database, brought up in the background.

mod schema;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use athena_application::budgets::Budgets;
use athena_application::ports::{ClientStore, Entropy, PortError, PortErrorKind};
use athena_application::use_cases::clients::ManageClients;
use athena_application::use_cases::keys::ManageKeys;
use athena_application::{Authenticator, Catalog, ClientRegistry};
use athena_domain::access::{Keys, Mode};
use athena_domain::catalog::{ConfigClient, TargetTexts};
use athena_http::StoreAbsence;
use athena_postgres::control::{
    ControlDatabase, ControlWatch, PostgresClientStore, PostgresKeyStore, WatchSettings,
};
use athena_redis::RedisLedger;
use tokio::task::JoinHandle;

use self::schema::ControlSchema;
use crate::config::{ClientConfig, Config, RedisUrl};
use crate::databases::Databases;
use crate::instance::Instance;

/// How long keys and clients come before all else.
const READ_FIRST: Duration = Duration::from_secs(1);

/// Keys, policy and clients of a running gateway. Dropped, it stops following changes.
pub struct ControlPlane {
    /// Judges credentials.
    pub authenticator: Arc<Authenticator>,
    /// What is left of every key's budget.
    pub budgets: Arc<Budgets>,
    /// Administers keys, or why nobody does.
    pub keys: Result<Arc<ManageKeys>, StoreAbsence>,
    /// Keeps the clients.
    pub catalog: Arc<Catalog>,
    /// Opens their databases.
    pub databases: Arc<Databases>,
    /// Administers them.
    pub clients: Arc<ManageClients>,
    /// Why the catalog has no store, where it has none.
    pub catalog_absence: StoreAbsence,
    /// The database of catalog, logs and statistics.
    pub logging: Option<ControlDatabase>,
    /// Whether the keys are meant to be in another database.
    pub keys_elsewhere: bool,
    /// That database, where it can be used.
    pub auth: Option<ControlDatabase>,
    /// The schemas of both.
    schemas: Vec<ControlSchema>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A control database, or why there is none.
enum Store {
    NotConfigured,
    Unusable(StoreAbsence),
    Database(String, Box<ControlDatabase>),
}

impl Store {
    fn of(name: Option<&String>, config: &Config) -> Self {
        let Some(name) = name else { return Self::NotConfigured };
        match database_of(name, config) {
            Ok(database) => Self::Database(name.clone(), Box::new(database)),
            Err(reason) => {
                tracing::error!(client = %name, %reason, "the control database cannot be used");
                Self::Unusable(StoreAbsence::NotConnected(name.clone()))
            }
        }
    }

    fn database(&self) -> Option<&ControlDatabase> {
        match self {
            Self::Database(_, database) => Some(database),
            Self::NotConfigured | Self::Unusable(_) => None,
        }
    }
}

impl ControlPlane {
    /// Starts what the configuration asks for, as this gateway; nothing is waited for. Needs a running runtime.
    pub fn start(config: &Config, instance: &Instance) -> Self {
        let gateway = &config.gateway;
        let key = |name: &Option<String>| name.as_ref().map(|name| name.trim().to_lowercase());
        let logging = Store::of(gateway.logging_client.as_ref(), config);
        let shared = key(&gateway.auth_client) == key(&gateway.logging_client);
        let own = if shared { None } else { Some(Store::of(gateway.auth_client.as_ref(), config)) };
        let budgets = Arc::new(Budgets::default());
        let databases = Arc::new(Databases::new(config));
        let catalog = Arc::new(catalog(config, databases.clone(), &logging));
        let registry = catalog.registry().clone();
        let (authenticator, keys) = keys(own.as_ref().unwrap_or(&logging), budgets.clone(), registry);
        if let Store::Unusable(_) = logging {
            // What an administrator has stopped cannot be read, so nobody is served.
            catalog.registry().set_unread(true);
            tracing::error!("no client is served until the database of gateway.logging_client can be used");
        }
        let mut tasks = vec![tokio::spawn(watch_over(catalog.clone(), authenticator.clone()))];
        tasks.extend(config.redis.as_ref().and_then(|url| share(url, instance, budgets.clone())));
        let mut schemas = Vec::new();
        let mut follow_in_background = |database: &ControlDatabase, authenticator, catalog| {
            let schema = ControlSchema::new(database.clone(), gateway.auto_migrate);
            schemas.push(schema.clone());
            tasks.push(tokio::spawn(follow(schema, authenticator, catalog)));
        };
        if let Some(database) = logging.database() {
            follow_in_background(database, shared.then(|| authenticator.clone()), Some(catalog.clone()));
        }
        let auth = own.as_ref().and_then(Store::database).cloned();
        if let Some(database) = &auth {
            follow_in_background(database, Some(authenticator.clone()), None);
        }
        Self {
            authenticator,
            budgets,
            keys,
            clients: Arc::new(ManageClients::new(catalog.clone())),
            catalog,
            databases,
            catalog_absence: match &logging {
                Store::Unusable(absence) => absence.clone(),
                Store::NotConfigured | Store::Database(..) => StoreAbsence::NotConfigured,
            },
            logging: logging.database().cloned(),
            keys_elsewhere: !shared,
            auth,
            schemas,
            tasks,
        }
    }

    /// Whether the control databases have the schema of this program; nothing as long as nobody knows, or there is none.
    pub fn schema_watch(&self) -> impl Fn() -> Option<bool> + Send + Sync + 'static {
        let schemas = self.schemas.clone();
        move || {
            let known = schemas.iter().filter_map(ControlSchema::is_current);
            known.reduce(|all, one| all && one)
        }
    }
}

/// Shares the budgets of keys with the gateways that use the same Redis.
fn share(url: &RedisUrl, instance: &Instance, budgets: Arc<Budgets>) -> Option<JoinHandle<()>> {
    match RedisLedger::open(url, &instance.to_string()) {
        Ok(ledger) => Some(tokio::spawn(async move { budgets.share(&ledger).await })),
        Err(error) => {
            tracing::error!(%error, "budgets are not shared with other gateways");
            None
        }
    }
}

/// Who judges keys, and who administers them.
fn keys(
    store: &Store,
    budgets: Arc<Budgets>,
    registry: Arc<ClientRegistry>,
) -> (Arc<Authenticator>, Result<Arc<ManageKeys>, StoreAbsence>) {
    let (name, database) = match store {
        Store::NotConfigured => {
            tracing::warn!(
                "API keys are not checked: name the control database in gateway.logging_client to check them, or let \
                 only trusted networks reach the listener"
            );
            return (Arc::default(), Err(StoreAbsence::NotConfigured));
        }
        Store::Unusable(absence) => {
            tracing::error!("every request is refused until the database of gateway.auth_client can be used");
            return (Arc::new(Authenticator::unavailable()), Err(absence.clone()));
        }
        Store::Database(name, database) => (name, database),
    };
    let store = Arc::new(PostgresKeyStore::new(ControlDatabase::clone(database)));
    let authenticator = Arc::new(
        Authenticator::over(store.clone()).telling(move |keys| budgets.follow(keys)).telling(banner()),
    );
    let keys = ManageKeys {
        client: name.clone(),
        keys: store.clone(),
        rights: store.clone(),
        policy: store,
        entropy: Arc::new(SystemEntropy),
        authenticator: authenticator.clone(),
        registry,
    };
    (authenticator, Ok(Arc::new(keys)))
}

/// Says whether keys are demanded: at start, and whenever that changes.
fn banner() -> impl Fn(&Arc<Keys>) + Send + Sync {
    let said = Mutex::new(None);
    move |keys| {
        let mode = keys.policy.mode(None);
        let before = said.lock().unwrap_or_else(PoisonError::into_inner).replace(mode);
        if before == Some(mode) {
            return;
        }
        match mode {
            Mode::Off => tracing::warn!(
                "API keys are not demanded (mode `off`): whoever reaches the listener may read and change what the \
                 clients' roles may; PUT /admin/api-key-config with {{\"mode\": \"enforce\"}} demands them"
            ),
            Mode::Warn => tracing::warn!(
                "API keys are not demanded (mode `warn`): requests without a good key are answered and counted"
            ),
            Mode::Enforce => tracing::info!("API keys are demanded"),
        }
    }
}

/// The clients of a configuration, as the catalog takes them.
pub fn config_clients(config: &Config) -> Vec<ConfigClient> {
    let client = |client: &ClientConfig| ConfigClient {
        name: client.name.to_string(),
        target: TargetTexts {
            config_uri_template: Some(client.template.expose().to_owned()),
            ..TargetTexts::default()
        },
        resolved: client.target.as_ref().map(|uri| uri.expose().to_owned()).map_err(String::clone),
    };
    config.clients.iter().map(client).collect()
}

fn catalog(config: &Config, databases: Arc<Databases>, logging: &Store) -> Catalog {
    let roles = [&config.gateway.logging_client, &config.gateway.auth_client];
    let essential = roles.into_iter().flatten().map(|name| name.trim().to_lowercase()).collect();
    let store = logging
        .database()
        .map(|database| -> Arc<dyn ClientStore> { Arc::new(PostgresClientStore::new(database.clone())) });
    Catalog::new(databases, store, config_clients(config), essential)
}

/// Asks the databases of all clients whether they answer, once keys and clients are read or that takes long. Nobody is
/// served before, and it comes late where a thousand connections are opened beside.
async fn watch_over(catalog: Arc<Catalog>, authenticator: Arc<Authenticator>) {
    let registry = catalog.registry().clone();
    // Without a store nothing will be read.
    let clients = async {
        if catalog.store().is_some() {
            registry.read().await;
        }
    };
    let read = async { tokio::join!(authenticator.known(), clients) };
    // Whichever it is.
    drop(tokio::time::timeout(READ_FIRST, read).await);
    catalog.watch_over().await;
}

/// Brings a control database to the current schema, as far as that goes, and follows its changes for ever.
async fn follow(
    schema: ControlSchema,
    authenticator: Option<Arc<Authenticator>>,
    catalog: Option<Arc<Catalog>>,
) {
    let is_current = schema.settle().await;
    let watch = ControlWatch::start(schema.database().clone(), WatchSettings::default());
    let catching_up = async {
        if !is_current {
            schema.catch_up().await;
        }
    };
    let following = async {
        if !is_current {
            schema::readable(watch.versions()).await;
        }
        let keys = async {
            if let Some(authenticator) = authenticator {
                authenticator.follow(watch.versions()).await;
            }
        };
        let clients = async {
            if let Some(catalog) = catalog {
                catalog.follow(watch.versions()).await;
            }
        };
        tokio::join!(keys, clients);
    };
    tokio::join!(catching_up, following);
}

/// The database behind a client of the configuration.
pub(crate) fn database_of(name: &str, config: &Config) -> Result<ControlDatabase, String> {
    let key = name.trim().to_lowercase();
    let client = config.clients.iter().find(|client| client.name.key() == key);
    let client = client.ok_or("there is no such client in `postgres_clients`")?;
    let uri = client.target.as_ref().map_err(String::clone)?;
    ControlDatabase::open(uri.expose()).map_err(|error| error.to_string())
}

/// The operating system's random numbers.
struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), PortError> {
        getrandom::fill(bytes)
            .map_err(|error| PortError::new("entropy", PortErrorKind::Internal).caused_by(error))
    }
}
