//! `athena_rs server`: read the configuration, open the listener, serve, drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use athena_application::{Authenticator, ClientRegistry};
use athena_cli::ServerOptions;
use athena_http::{App, CUT_OFF, Face, Listener, Tls};
use athena_logging::SPOOL_GRACE;
use tokio::net::{TcpListener, TcpSocket};

use crate::config::{Config, Environment, LoadOptions, Warning};
use crate::demo::PrivateDatabase;
use crate::reload::Reloader;
use crate::telemetry::LogLevel;
use crate::{compose, demo, telemetry};

/// Time for writing records to the control database when the gateway stops; what is left then goes to the spool.
const FLUSH: Duration = Duration::from_secs(4);

/// Time for what still blocks a thread when everything else has stopped, such as the look-up of a name.
const BLOCKED: Duration = Duration::from_secs(1);

/// What a stop takes at most beyond `api.drain_delay_secs` and `api.shutdown_timeout_secs`. Whoever kills the process
/// must wait for longer than all three.
pub const CLOSING: Duration =
    CUT_OFF.saturating_add(FLUSH).saturating_add(SPOOL_GRACE).saturating_add(BLOCKED);

/// Runs the server until it is told to stop.
///
/// # Errors
/// Anything that keeps it from starting, with what to do about it.
pub fn server(options: ServerOptions) -> anyhow::Result<()> {
    let (config, warnings) = configuration(&options)?;
    let level = telemetry::start(&config.logging);
    config.announce(&warnings);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = config.server.http_workers {
        runtime.worker_threads(workers);
    }
    let runtime = runtime.enable_all().thread_name("athena").build().context("the runtime cannot start")?;
    let served = runtime.block_on(serve(config, options, level));
    // Dropped, it would wait for blocked threads for ever.
    runtime.shutdown_timeout(BLOCKED);
    served
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

async fn serve(mut config: Config, options: ServerOptions, level: LogLevel) -> anyhow::Result<()> {
    let hangups = hangups();
    // Before the database: a taken port is the commonest fault, and it should not cost a wait.
    let address = SocketAddr::new(config.server.host, config.server.port);
    let listener = listen(address, config.server.http_backlog)?;
    let address = listener.local_addr().context("the listener has no address")?;
    let admin = match config.server.admin_port {
        Some(port) => {
            Some(listen(SocketAddr::new(config.server.admin_host, port), config.server.http_backlog)?)
        }
        None => None,
    };
    let tls = config.server.tls.clone().map(Tls::open).transpose().context("TLS cannot be served")?;
    let private = PrivateDatabase::start(&options).await?;
    if let Some(private) = &private {
        private.addition.configure(&mut config);
    }
    if config.clients.is_empty() {
        tracing::warn!("no client is configured; add one under `postgres_clients`");
    }
    if options.pipelines.exists() {
        tracing::warn!(path = %options.pipelines.display(), "pipelines are not part of this version; the file is not read");
    }
    let composed = compose::compose(&config);
    let addition = private.as_ref().map(|private| private.addition.clone());
    let (reloader, app) = Reloader::new(options, addition, composed.renewable(&config), tls.clone(), level);
    app.starting();
    let scheme = if tls.is_some() { "https" } else { "http" };
    tracing::info!(%address, scheme, clients = config.clients.len(), version = env!("CARGO_PKG_VERSION"), "athena is listening");
    let faces = match admin {
        None => vec![(Listener::new(listener).with_tls(tls), app.clone())],
        Some(admin) => {
            tracing::info!(
                address = admin.local_addr().ok().map(tracing::field::display),
                "admin routes, metrics and probes have a listener of their own"
            );
            vec![
                (Listener::new(listener).with_tls(tls.clone()), app.with_face(Face::Data)),
                (Listener::new(admin).with_tls(tls), app.with_face(Face::Admin)),
            ]
        }
    };
    let beside = [
        tokio::spawn(reload_when_asked(reloader.clone(), hangups)),
        tokio::spawn(ready_when_known(
            app,
            composed.control.authenticator.clone(),
            composed.control.catalog.registry().clone(),
            private.as_ref().map(|private| private.announcement(address, &config)),
        )),
    ];
    athena_http::serve_all(faces, stop_asked()).await;
    beside.iter().for_each(tokio::task::JoinHandle::abort);
    // Its route has led to it until here.
    drop(reloader);
    composed.stop(FLUSH).await;
    tracing::info!("athena has stopped");
    if let Some(private) = private {
        private.stop().await;
    }
    Ok(())
}

/// Says that requests are taken once keys, policy and clients are known: until then every request is refused anyway.
async fn ready_when_known(
    app: App,
    authenticator: Arc<Authenticator>,
    clients: Arc<ClientRegistry>,
    announcement: Option<String>,
) {
    authenticator.known().await;
    clients.read().await;
    app.ready();
    if let Some(announcement) = announcement {
        // A server whose starter has gone serves on.
        drop(crate::output::print(&format!("{announcement}\n")));
    }
}

/// SIGHUPs, from now on: before anybody listens for one, it ends the process.
#[cfg(unix)]
type Hangups = Option<tokio::signal::unix::Signal>;
#[cfg(not(unix))]
type Hangups = ();

fn hangups() -> Hangups {
    #[cfg(unix)]
    return tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok();
}

/// Reads the configuration again at every SIGHUP.
async fn reload_when_asked(reloader: Arc<Reloader>, hangups: Hangups) {
    #[cfg(unix)]
    {
        let Some(mut hangups) = hangups else { return };
        while hangups.recv().await.is_some() {
            let reloader = reloader.clone();
            // A fault of one reading must not be the last of all.
            let reloading = tokio::spawn(async move { reloader.reload().await });
            if let Err(error) = reloading.await.unwrap_or_else(|error| Err(error.to_string())) {
                tracing::error!(%error, "the configuration cannot be used; everything stays as it was");
            }
        }
    }
    #[cfg(not(unix))]
    drop((reloader, hangups));
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

/// Resolves when the process is asked to stop: SIGTERM or Ctrl-C. Asked a second time, the process ends at once.
async fn stop_asked() {
    asked().await;
    tokio::spawn(async {
        asked().await;
        tracing::warn!("asked to stop a second time; ending at once");
        std::process::exit(1);
    });
}

async fn asked() {
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
