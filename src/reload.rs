//! Reading the configuration again while the gateway serves: what can change, changes; what cannot, is named.

pub(crate) mod difference;

use std::sync::{Arc, OnceLock, Weak};

use athena_application::catalog::Overruled;
use athena_cli::ServerOptions;
use athena_http::{App, Reload, Reloaded, Tls};
use tokio::sync::Mutex;

use crate::compose::{Renewable, http_settings};
use crate::config::{Config, LoadOptions};
use crate::telemetry::LogLevel;

/// Reads the configuration again.
pub struct Reloader {
    me: Weak<Self>,
    options: ServerOptions,
    tls: Option<Tls>,
    level: LogLevel,
    app: OnceLock<App>,
    /// What runs, and by which configuration; held from the reading of the file on, so that a later reading wins.
    running: Mutex<Renewable>,
}

impl Reloader {
    /// Reads what `options` name, for what runs.
    pub(crate) fn new(
        options: ServerOptions,
        running: Renewable,
        tls: Option<Tls>,
        level: LogLevel,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| {
            let mut running = running;
            running.services.reload = Some(route(me.clone()));
            let (app, running) = (OnceLock::new(), Mutex::new(running));
            Self { me: me.clone(), options, tls, level, app, running }
        })
    }

    /// What the admin route calls.
    pub(crate) fn route(&self) -> Reload {
        route(self.me.clone())
    }

    /// Renews this application from now on.
    pub(crate) fn renews(&self, app: App) {
        // There is one to a server, so it is told once.
        drop(self.app.set(app));
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
        let mut running = self.running.lock().await;
        let options = LoadOptions::from_process(self.options.config.clone(), self.options.port);
        let (mut config, warnings) =
            options.and_then(|options| Config::load(&options)).map_err(|e| format!("{e:#}"))?;
        check_clients(&config, &running)?;
        let renewed = match &self.tls {
            None => false,
            Some(tls) => {
                let tls = tls.clone();
                let outcome = tokio::task::spawn_blocking(move || tls.reload()).await;
                outcome.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?
            }
        };
        config.announce(&warnings);
        let mut restart_needed = difference::hold(&mut config, &running.current);
        restart_needed.extend(hold_essential(&mut config, &running));
        let changed = difference::changed(&config, &running.current);
        if changed.contains(&"logging.level") {
            self.level.set(&config.logging);
        }
        let clients = running.follow(config).await;
        if !changed.is_empty()
            && let Some(app) = self.app.get()
        {
            app.renew(&http_settings(&running.current), &running.services);
        }
        let mut applied = changed;
        if renewed {
            applied.push("api.tls_cert");
        }
        if !clients.applied.is_empty() {
            applied.push("postgres_clients");
        }
        tracing::info!(?applied, ?restart_needed, "configuration read again");
        for Overruled { client, reason } in &clients.overruled {
            let reason = reason.as_str();
            tracing::warn!(%client, reason, "what the configuration says of a client does not hold");
        }
        Ok(Reloaded { applied, overruled: clients.overruled, restart_needed })
    }
}

/// Reads again, whoever has asked for it and left; not once the gateway has stopped.
fn route(reloader: Weak<Reloader>) -> Reload {
    Arc::new(move || {
        let reloader = reloader.upgrade();
        let reloading = tokio::spawn(async move {
            match reloader {
                Some(reloader) => reloader.reload().await,
                None => Err("the gateway is stopping".to_owned()),
            }
        });
        Box::pin(async move { reloading.await.unwrap_or_else(|error| Err(error.to_string())) })
    })
}

/// Leaves the clients of the control database as they are, as everything that was built over them does; those that it
/// held back.
fn hold_essential(config: &mut Config, running: &Renewable) -> Vec<String> {
    let mut held = Vec::new();
    let essential = |name: &str| running.catalog.is_essential(name);
    for old in running.current.clients.iter().filter(|client| essential(client.name.key())) {
        match config.clients.iter_mut().find(|client| client.name == old.name) {
            Some(new) if new == old => continue,
            Some(new) => new.clone_from(old),
            None => config.clients.push(old.clone()),
        }
        held.push(format!("postgres_clients.{}", old.name));
    }
    config.clients.sort_by(|one, other| one.name.key().cmp(other.name.key()));
    held
}

/// Refuses clients that could not be used, which a start puts up with: a file may be written at this moment.
fn check_clients(config: &Config, running: &Renewable) -> Result<(), String> {
    let before = &running.current.clients;
    if config.clients.is_empty() && !before.is_empty() {
        return Err("it names no client any more; to run without any, restart".to_owned());
    }
    for client in config.clients.iter().filter(|client| !before.contains(client)) {
        let uri = client.target.as_ref().map_err(String::clone);
        let opened = uri.and_then(|uri| {
            let opened = running.catalog.connector().open(&client.name, uri.expose());
            opened.map_err(|failure| failure.to_string())
        });
        opened.map_err(|reason| format!("client {}: {reason}", client.name))?;
    }
    Ok(())
}
