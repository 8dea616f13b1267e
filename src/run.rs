//! `athena_rs server`: read the configuration, open the listener, serve, drain.

use std::net::SocketAddr;

use anyhow::Context as _;
use athena_cli::ServerOptions;
use tokio::net::{TcpListener, TcpSocket};

use crate::config::{Config, Environment, LoadOptions, Warning};
use crate::demo::PrivateDatabase;
use crate::{compose, demo, telemetry};

/// Runs the server until it is told to stop.
///
/// # Errors
/// Anything that keeps it from starting, with what to do about it.
pub fn server(options: ServerOptions) -> anyhow::Result<()> {
    let (config, warnings) = configuration(&options)?;
    telemetry::start(&config.logging);
    config.announce(&warnings);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = config.server.http_workers {
        runtime.worker_threads(workers);
    }
    let runtime = runtime.enable_all().thread_name("athena").build().context("the runtime cannot start")?;
    runtime.block_on(serve(config, &options))
}

/// The demo needs no file and writes none.
fn configuration(options: &ServerOptions) -> anyhow::Result<(Config, Vec<Warning>)> {
    let private = options.demo.is_some() || options.managed_postgres.is_some();
    if private && options.config.is_none() {
        let environment = Environment::from_process();
        return Ok(Config::from_text("built-in defaults", demo::CONFIG, &environment, options.port)?);
    }
    Ok(Config::load(&LoadOptions::from_process(options.config.clone(), options.port)?)?)
}

async fn serve(mut config: Config, options: &ServerOptions) -> anyhow::Result<()> {
    // Before the database: a taken port is the commonest fault, and it should not cost a wait.
    let address = SocketAddr::new(config.server.host, config.server.port);
    let listener = listen(address, config.server.http_backlog)?;
    let address = listener.local_addr().context("the listener has no address")?;
    let private = match PrivateDatabase::start(options).await? {
        Some(private) => {
            config.clients.retain(|client| client.name != private.client.name);
            config.clients.push(private.client.clone());
            Some(private)
        }
        None => None,
    };
    if config.clients.is_empty() {
        tracing::warn!("no client is configured; add one under `postgres_clients`");
    }
    if options.pipelines.exists() {
        tracing::warn!(path = %options.pipelines.display(), "pipelines are not part of this version; the file is not read");
    }
    let composed = compose::compose(&config);
    let settings = compose::http_settings(&config);
    tracing::info!(%address, clients = config.clients.len(), version = settings.version, "athena is listening");
    if let Some(private) = &private {
        private.announce(address);
    }
    let app = athena_http::app(&settings, &composed.services);
    athena_http::serve(listener, app, &settings, stop_asked()).await;
    drop(composed);
    tracing::info!("athena has stopped");
    if let Some(private) = private {
        private.stop().await;
    }
    Ok(())
}

/// Opens the listener.
///
/// # Errors
/// When the address is taken or not allowed; the text names the port.
pub fn listen(address: SocketAddr, backlog: u32) -> anyhow::Result<TcpListener> {
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(backlog)
    };
    open()
        .with_context(|| format!("cannot listen on {address}: choose another port with --port or `api.port`"))
}

/// Resolves when the process is asked to stop: SIGTERM or Ctrl-C.
async fn stop_asked() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    drop(interrupt.await);
}
