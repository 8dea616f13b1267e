//! Reading the configuration again while the gateway serves: what can change, changes; what cannot, is named.

pub(crate) mod difference;

use std::sync::{Arc, Weak};

use athena_application::catalog::Overruled;
use athena_application::ports::Connector as _;
use athena_cli::ServerOptions;
use athena_http::{App, Reload, Reloaded, Tls};
use tokio::sync::Mutex;

use crate::compose::{Renewable, http_settings};
use crate::config::{ClientConfig, Config, LoadOptions};
use crate::databases::Databases;
use crate::demo::Addition;
use crate::telemetry::LogLevel;

/// Reads the configuration again.
pub struct Reloader {
    options: ServerOptions,
    /// What a private database adds to every reading.
    addition: Option<Addition>,
    tls: Option<Tls>,
    level: LogLevel,
    app: App,
    /// What runs, and by which configuration; held from the reading of the file on, so that a later reading wins.
    running: Mutex<Renewable>,
}

impl Reloader {
    /// Reads what `options` name, for what runs; the application that runs, of which it is a route.
    pub(crate) fn new(
        options: ServerOptions,
        addition: Option<Addition>,
        mut running: Renewable,
        tls: Option<Tls>,
        level: LogLevel,
    ) -> (Arc<Self>, App) {
        let reloader = Arc::new_cyclic(|me| {
            running.services.reload = Some(route(me.clone()));
            let app = athena_http::app(&http_settings(&running.current), &running.services);
            Self { options, addition, tls, level, app, running: Mutex::new(running) }
        });
        let app = reloader.app.clone();
        (reloader, app)
    }

    /// Reads the configuration and obeys it as far as a running gateway can.
    ///
    /// # Errors
    /// What is wrong with it; then everything stays as it was.
    pub async fn reload(&self) -> Result<Reloaded, String> {
        if self.addition.is_some() && self.options.config.is_none() {
            return Err("this gateway was started without a configuration file".to_owned());
        }
        let mut running = self.running.lock().await;
        // The file that was found at the start: another one that is found today is not this gateway's.
        let file = self.options.config.clone().or_else(|| running.current.file.path.clone());
        let port = self.options.port;
        // Whatever the file is, requests go on meanwhile.
        let reading = tokio::task::spawn_blocking(move || {
            LoadOptions::from_process(file, port).and_then(|options| Config::load(&options))
        });
        let read = reading.await.map_err(|error| error.to_string())?;
        let (mut config, warnings) = read.map_err(|error| format!("{error:#}"))?;
        if config.clients.is_empty() && self.addition.is_none() && !running.current.clients.is_empty() {
            return Err("it names no client any more; to run without any, restart".to_owned());
        }
        if let Some(addition) = &self.addition {
            addition.configure(&mut config);
        }
        let mut restart_needed = difference::hold(&mut config, &running.current);
        restart_needed.extend(hold_essential(&mut config, &running));
        check_clients(&config, &running.current)?;
        let renewed = match &self.tls {
            // Other files are for the next start.
            None => false,
            Some(_) if restart_needed.iter().any(|key| key == "api.tls_cert") => false,
            Some(tls) => {
                let tls = tls.clone();
                let outcome = tokio::task::spawn_blocking(move || tls.reload()).await;
                outcome.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?
            }
        };
        config.announce(&warnings);
        let changed = difference::changed(&config, &running.current);
        if changed.contains(&"logging.level") {
            self.level.set(&config.logging);
        }
        if !changed.is_empty() {
            running.follow(&config);
            // Before the clients, for which the control database may have to be waited for.
            self.app.renew(&http_settings(&config), &running.services);
        }
        let clients = running.reconfigure(config).await;
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
        let failed =
            |error| format!("a fault of the gateway, after which some of it may be in force: {error}");
        Box::pin(async move { reloading.await.unwrap_or_else(|error| Err(failed(error))) })
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
    // Nothing was built over one that there was not.
    let known = |client: &ClientConfig| running.current.clients.iter().any(|old| old.name == client.name);
    let new = config.clients.iter().filter(|client| essential(client.name.key()) && !known(client));
    held.extend(new.map(|client| format!("postgres_clients.{}", client.name)));
    config.clients.sort_by(|one, other| one.name.key().cmp(other.name.key()));
    held
}

/// Refuses clients that could not be used, which a start puts up with: a file may be written at this moment. Those that
/// could not be used before, and are the same, are put up with here, too.
fn check_clients(config: &Config, before: &Config) -> Result<(), String> {
    let (now, then) = (Databases::new(config), Databases::new(before));
    let open = |databases: &Databases, client: &ClientConfig| {
        let uri = client.target.as_ref().map_err(String::clone)?;
        let opened = databases.open(&client.name, uri.expose());
        opened.map(drop).map_err(|failure| failure.to_string())
    };
    for client in &config.clients {
        if let Err(reason) = open(&now, client)
            && !(before.clients.contains(client) && open(&then, client).is_err())
        {
            return Err(format!("client {}: {reason}", client.name));
        }
    }
    Ok(())
}
