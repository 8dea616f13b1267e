//! Reading the configuration again while the gateway serves: what can change, changes; what cannot, is named.

use std::sync::Arc;

use athena_application::Catalog;
use athena_application::catalog::{Overruled, Reconfigured};
use athena_cli::ServerOptions;
use athena_http::{Reloaded, Tls};
use tokio::sync::Mutex;

use crate::config::{Config, LoadOptions, LoggingConfig};
use crate::control::config_clients;
use crate::telemetry::LogLevel;

/// Reads the configuration again.
pub struct Reloader {
    options: ServerOptions,
    catalog: Arc<Catalog>,
    tls: Option<Tls>,
    level: LogLevel,
    /// The configuration in force; held from the reading of the file on, so that a later reading wins.
    current: Mutex<Config>,
}

impl Reloader {
    /// Reads what `options` name, for what runs under `config`.
    pub(crate) fn new(
        options: ServerOptions,
        config: Config,
        catalog: Arc<Catalog>,
        tls: Option<Tls>,
        level: LogLevel,
    ) -> Self {
        Self { options, catalog, tls, level, current: Mutex::new(config) }
    }

    /// Reads the configuration and obeys it as far as a running gateway can.
    ///
    /// # Errors
    /// What is wrong with it; then everything stays as it was.
    pub async fn reload(&self) -> Result<Reloaded, String> {
        if self.options.config.is_none()
            && (self.options.demo.is_some() || self.options.managed_postgres.is_some())
        {
            return Err("this gateway was started without a configuration file".to_owned());
        }
        let mut current = self.current.lock().await;
        let options = LoadOptions::from_process(self.options.config.clone(), self.options.port);
        let (mut config, warnings) =
            options.and_then(|options| Config::load(&options)).map_err(|e| format!("{e:#}"))?;
        let before = current.clone();
        self.check_clients(&config, &before)?;
        let renewed = match &self.tls {
            None => false,
            Some(tls) => {
                let tls = tls.clone();
                let outcome = tokio::task::spawn_blocking(move || tls.reload()).await;
                outcome.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?
            }
        };
        config.announce(&warnings);
        let mut applied = Vec::new();
        if renewed {
            applied.push("api.tls_cert");
        }
        if config.logging.level != before.logging.level {
            self.level.set(&config.logging);
            applied.push("logging.level");
        }
        let held = self.hold_essential(&mut config, &before);
        let clients = match config.clients != before.clients {
            true => self.catalog.reconfigure(config_clients(&config)).await,
            false => Reconfigured { overruled: self.catalog.overruled().await, ..Reconfigured::default() },
        };
        if !clients.applied.is_empty() {
            applied.push("postgres_clients");
        }
        let fixed = [
            ("api", config.server != before.server || config.cors != before.cors),
            ("gateway", config.gateway != before.gateway || held),
            ("limits", config.limits != before.limits),
            ("pool", config.pool != before.pool),
            ("logging", with_level(&config.logging, &before.logging.level) != before.logging),
            ("retention", config.retention != before.retention),
            ("redis", config.redis != before.redis),
            ("traces", config.traces != before.traces),
            ("ATHENA_KEY_12", config.admin_key != before.admin_key),
        ];
        let restart_needed: Vec<&'static str> =
            fixed.into_iter().filter_map(|(section, changed)| changed.then_some(section)).collect();
        tracing::info!(?applied, ?restart_needed, "configuration read again");
        for Overruled { client, reason } in &clients.overruled {
            let reason = reason.as_str();
            tracing::warn!(%client, reason, "what the configuration says of a client does not hold");
        }
        // What needs a restart stays compared with what runs.
        let logging = with_level(&before.logging, &config.logging.level);
        *current = Config { clients: config.clients, logging, ..before };
        Ok(Reloaded { applied, overruled: clients.overruled, restart_needed })
    }

    /// Leaves the clients of the control database as they are, as everything that was built over them does. Whether
    /// that holds something back.
    fn hold_essential(&self, config: &mut Config, before: &Config) -> bool {
        let mut held = false;
        for old in before.clients.iter().filter(|client| self.catalog.is_essential(client.name.key())) {
            match config.clients.iter_mut().find(|client| client.name == old.name) {
                Some(new) if new == old => continue,
                Some(new) => new.clone_from(old),
                None => config.clients.push(old.clone()),
            }
            held = true;
        }
        config.clients.sort_by(|one, other| one.name.key().cmp(other.name.key()));
        held
    }

    /// Refuses clients that could not be used, which a start puts up with: a file may be written at this moment.
    fn check_clients(&self, config: &Config, before: &Config) -> Result<(), String> {
        if config.clients.is_empty() && !before.clients.is_empty() {
            return Err("it names no client any more; to run without any, restart".to_owned());
        }
        for client in config.clients.iter().filter(|client| !before.clients.contains(client)) {
            let uri = client.target.as_ref().map_err(String::clone);
            let opened = uri.and_then(|uri| {
                let opened = self.catalog.connector().open(&client.name, uri.expose());
                opened.map_err(|failure| failure.to_string())
            });
            opened.map_err(|reason| format!("client {}: {reason}", client.name))?;
        }
        Ok(())
    }
}

fn with_level(logging: &LoggingConfig, level: &str) -> LoggingConfig {
    let mut logging = logging.clone();
    level.clone_into(&mut logging.level);
    logging
}
