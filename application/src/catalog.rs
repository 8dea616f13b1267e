//! Keeps the registry as configuration and catalog want it, and the databases of its clients under watch.

mod pulse;
mod seeding;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use athena_domain::ClientName;
use athena_domain::catalog::{
    ClientRecord, ConfigClient, Desired, Overruling, Plan, Source, Standing, Step, Variables, reconcile,
    redact_uri, steps,
};
use futures_util::future::join_all;
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::Instant;

use crate::follow::follow;
use crate::ports::{ClientStore, Connector, Opened, PortError, SchemaReader, Versions};
use crate::registry::{Client, ClientInfo, ClientRegistry, ClientState};

/// Keeps the registry as configuration and catalog want it.
pub struct Catalog {
    registry: Arc<ClientRegistry>,
    connector: Arc<dyn Connector>,
    store: Option<Arc<dyn ClientStore>>,
    essential: Vec<String>,
    /// Held while changes are applied, so that an older reading never replaces a newer one.
    state: Mutex<State>,
    /// Told when something could not be written into the catalog.
    unseeded: Notify,
}

/// What the registry follows from.
#[derive(Default)]
struct State {
    /// The clients of the configuration.
    config: Vec<ConfigClient>,
    /// The catalog as it was last read.
    rows: Vec<ClientRecord>,
    /// What runs, by key.
    running: BTreeMap<String, Running>,
    /// Whether the catalog could not be told, last time, what the configuration says.
    is_unseeded: bool,
}

/// A client of whom the configuration says something new, and the catalog has the last word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overruled {
    /// The client, as it was written.
    pub client: String,
    /// Why.
    pub reason: Overruling,
}

/// What came of another configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconfigured {
    /// Clients for whom it holds, as they were written.
    pub applied: Vec<String>,
    /// Clients for whom it does not.
    pub overruled: Vec<Overruled>,
}

/// A database that is open, by which URI and how.
#[derive(Clone)]
struct Running {
    uri: String,
    manner: u64,
    opened: Opened,
}

impl Catalog {
    /// A catalog over a registry that it fills with the clients of the configuration. `essential` are the keys
    /// of the clients that the gateway itself needs.
    pub fn new(
        connector: Arc<dyn Connector>,
        store: Option<Arc<dyn ClientStore>>,
        config: Vec<ConfigClient>,
        essential: Vec<String>,
    ) -> Self {
        let mut state = State { config, ..State::default() };
        let catalog = Self {
            registry: Arc::default(),
            connector,
            store,
            essential,
            state: Mutex::default(),
            unseeded: Notify::new(),
        };
        let plan = catalog.plan(&state);
        catalog.apply(&mut state.running, &plan.clients);
        catalog.registry.set_unread(catalog.store.is_some());
        Self { state: Mutex::new(state), ..catalog }
    }

    /// The registry that it fills.
    pub fn registry(&self) -> &Arc<ClientRegistry> {
        &self.registry
    }

    /// The catalog's store.
    pub fn store(&self) -> Option<&Arc<dyn ClientStore>> {
        self.store.as_ref()
    }

    /// Opens databases.
    pub fn connector(&self) -> &dyn Connector {
        &*self.connector
    }

    /// Gives what the environment holds to those who look for a URI.
    fn with_variables<T>(&self, look: impl FnOnce(&Variables<'_>) -> T) -> T {
        look(&Variables {
            value: &|name| self.connector.variable(name),
            is_lent: &|name| self.connector.lends(name),
        })
    }

    /// What follows from configuration and catalog.
    fn plan(&self, state: &State) -> Plan {
        reconcile(&state.config, &state.rows, &self.essential)
    }

    /// The URI of a client that may be used, or why it has none; nothing when there is no such client.
    pub async fn uri_of(&self, name: &ClientName) -> Option<Result<String, String>> {
        let state = self.state.lock().await;
        let plan = self.plan(&state);
        let client = plan.clients.get(name.key()).filter(|client| client.standing == Standing::Served)?;
        Some(self.with_variables(|variables| client.uri(variables)))
    }

    /// Reads the schema anew of every client whose database is at this place. Where one does not answer, the log is told
    /// that it goes on with what was known.
    pub(crate) async fn read_anew(&self, place: &str, deadline: Instant) {
        let running: Vec<Arc<dyn SchemaReader>> = {
            let state = self.state.lock().await;
            let there = state.running.values().filter(|running| running.opened.place == place);
            there.map(|running| running.opened.schema.clone()).collect()
        };
        let read = join_all(running.iter().filter(|schema| schema.has_reading()).map(|schema| {
            schema.invalidate();
            schema.refresh(None, deadline)
        }));
        for error in read.await.into_iter().filter_map(Result::err) {
            tracing::warn!(%error, place, "a schema that has changed cannot be read; the old one is used until it can");
        }
    }

    /// Keys of the clients that the gateway itself needs.
    pub fn essential(&self) -> &[String] {
        &self.essential
    }

    /// Whether the gateway itself needs the client.
    pub fn is_essential(&self, key: &str) -> bool {
        self.essential.iter().any(|essential| essential == key)
    }

    /// Reads the catalog and does what follows; what ran before stays when it cannot be read.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn reload(&self) -> Result<(), PortError> {
        let Some(store) = &self.store else { return Ok(()) };
        let mut state = self.state.lock().await;
        state.rows = store.load().await?;
        let plan = self.plan(&state);
        for key in &plan.overruled {
            tracing::warn!(client = %key, "the catalog stops a client that the gateway needs; it is served all the same");
        }
        self.apply(&mut state.running, &plan.clients);
        self.registry.set_unread(false);
        // Last, as what stands in the catalog holds also where nothing may be written to it.
        self.seed(&mut state, &**store, &plan.seeds).await;
        Ok(())
    }

    /// Takes other clients of the configuration for those of before; what the catalog cannot be told yet, it is told
    /// with its next reading. Databases that the connector opens otherwise than before are opened anew; requests that are
    /// under way end on the connections they have.
    pub async fn reconfigure(&self, config: Vec<ConfigClient>) -> Reconfigured {
        let mut state = self.state.lock().await;
        let before = std::mem::replace(&mut state.config, config);
        let plan = self.plan(&state);
        self.apply(&mut state.running, &plan.clients);
        drop(state);
        if let Err(error) = self.reload().await {
            tracing::warn!(%error, "the clients of the configuration could not be compared with the catalog yet");
        }
        let state = self.state.lock().await;
        self.compare(&before, &state)
    }

    /// The clients of whom the configuration and the catalog do not say the same, whoever said it when.
    pub async fn overruled(&self) -> Vec<Overruled> {
        let state = self.state.lock().await;
        self.compare(&state.config, &state).overruled
    }

    /// What holds of the configuration where it differs from that of before, and what does not hold of it at all.
    fn compare(&self, before: &[ConfigClient], state: &State) -> Reconfigured {
        let plan = self.plan(state);
        let by_key = |clients: &[ConfigClient]| -> BTreeMap<String, ConfigClient> {
            clients.iter().map(|client| (client.key(), client.clone())).collect()
        };
        let (before, now) = (by_key(before), by_key(&state.config));
        // Clients that the file once named stay where they are in the catalog, however long ago that was.
        let left = plan.clients.iter().filter(|(_, client)| client.source != Source::Database);
        let keys: BTreeSet<&String> =
            before.keys().chain(now.keys()).chain(left.map(|(key, _)| key)).collect();
        let mut outcome = Reconfigured::default();
        for key in keys {
            let (was, is) = (before.get(key), now.get(key));
            let written = is.or(was).map(|client| &client.name);
            let Some(client) = written.or_else(|| plan.clients.get(key).map(|client| &client.name)) else {
                continue;
            };
            let client = client.trim().to_owned();
            match self.with_variables(|variables| plan.overruling(key, is, variables)) {
                Some(reason) => outcome.overruled.push(Overruled { client, reason }),
                None if was != is => outcome.applied.push(client),
                None => {}
            }
        }
        outcome
    }

    /// Reads the catalog now and whenever `versions` says that it has changed, for ever.
    pub async fn follow(self: Arc<Self>, versions: watch::Receiver<Versions>) {
        if self.store.is_none() {
            return;
        }
        tokio::select! {
            () = follow("client catalog", versions, |versions| versions.clients, || self.reload()) => {}
            () = self.keep_seeding() => {}
        }
    }

    /// Opens, keeps and lets go, then shows the outcome to callers at once.
    fn apply(&self, running: &mut BTreeMap<String, Running>, desired: &BTreeMap<String, Desired>) {
        let served = desired.iter().filter(|(_, client)| client.standing == Standing::Served);
        let resolved: BTreeMap<&String, Result<String, String>> =
            self.with_variables(|all| served.map(|(key, client)| (key, client.uri(all))).collect());
        let wanted: BTreeMap<String, String> = resolved
            .iter()
            .filter_map(|(key, uri)| Some(((*key).clone(), uri.as_ref().ok()?.clone())))
            .collect();
        let there = running.iter().map(|(key, running)| (key.clone(), running.uri.clone())).collect();
        let mut unusable: BTreeMap<String, String> = resolved
            .iter()
            .filter_map(|(key, uri)| Some(((*key).clone(), uri.as_ref().err()?.clone())))
            .collect();
        for step in steps(&there, &wanted) {
            match step {
                Step::Keep(key)
                    if running.get(&key).is_some_and(|it| it.manner == self.connector.manner(&it.uri)) => {}
                Step::Close(key) => drop(running.remove(&key)),
                Step::Keep(key) | Step::Open(key) => {
                    let before = running.remove(&key);
                    let (Some(client), Some(uri)) = (desired.get(&key), wanted.get(&key)) else { continue };
                    // Before it is opened: what changes meanwhile is noticed the next time.
                    let manner = self.connector.manner(uri);
                    match open(&*self.connector, &client.name, uri) {
                        Ok(opened) => {
                            // What an operator has said of a database holds for it however it is opened.
                            let same = before.filter(|before| before.uri == *uri);
                            if let Some(left) = same.and_then(|before| before.opened.circuit.is_forced()) {
                                opened.circuit.force_offline(left);
                            }
                            running.insert(key, Running { uri: uri.clone(), manner, opened });
                        }
                        Err(reason) => drop(unusable.insert(key, reason)),
                    }
                }
            }
        }
        let own: BTreeSet<String> =
            self.essential.iter().filter_map(|key| Some(running.get(key)?.opened.place.clone())).collect();
        let before = self.registry.snapshot();
        let clients = desired.iter().filter_map(|(key, client)| {
            let name = ClientName::parse(&client.name)?;
            let state = match client.standing {
                Standing::Frozen => ClientState::Frozen,
                Standing::Inactive => ClientState::Inactive,
                Standing::Served => match (running.get(key), unusable.get(key)) {
                    (Some(Running { opened: Opened { backend, schema, circuit, .. }, .. }), _) => {
                        ClientState::Ready {
                            backend: backend.clone(),
                            schema: schema.clone(),
                            circuit: circuit.clone(),
                        }
                    }
                    (None, reason) => {
                        let reason = reason.cloned().unwrap_or_default();
                        let known = before.get(&**key).is_some_and(|client| {
                            matches!(&client.state, ClientState::Misconfigured { reason: old } if *old == reason)
                        });
                        if !known {
                            tracing::error!(client = %name, %reason, "a client cannot be used");
                        }
                        ClientState::Misconfigured { reason }
                    }
                },
            };
            let leads_to_own = running.get(key).is_some_and(|running| own.contains(&running.opened.place));
            let is_control = leads_to_own || self.is_essential(key);
            Some(Arc::new(Client { name, state, info: info(client), is_control }))
        });
        self.registry.replace(clients);
    }
}

fn open(connector: &dyn Connector, name: &str, uri: &str) -> Result<Opened, String> {
    let name = ClientName::parse(name).ok_or("its name is blank, too long or has control characters")?;
    connector.open(&name, uri).map_err(|failure| failure.to_string())
}

fn info(client: &Desired) -> ClientInfo {
    let shown = |text: &Option<String>| text.as_deref().map(redact_uri);
    ClientInfo {
        source: client.source,
        description: client.description.clone(),
        pg_uri: shown(&client.target.pg_uri),
        pg_uri_env_var: client.target.pg_uri_env_var.clone(),
        config_uri_template: shown(&client.target.config_uri_template),
    }
}
