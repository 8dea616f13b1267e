//! The HTTP face: poem and poem-openapi live here and nowhere else. No SQL and no rule of the gateway does.

mod api;
mod app;
mod body;
mod client_address;
mod envelope;
mod error;
mod headers;
mod held;
mod hosts;
mod in_process;
mod middleware;
mod record;
mod security;
mod server;
mod services;
mod settings;
mod sighting;
mod spec;
mod tls;

use std::future::Future;

pub use api::StoreAbsence;
pub use app::{App, Face};
pub use client_address::{AddressBlock, ClientAddress};
pub use headers::request_id::RequestId;
pub use headers::trace_parent::TraceParent;
pub use hosts::AllowedHost;
pub use in_process::{Call, InvalidCall, Reply};
pub use security::AdminKey;
pub use server::{CUT_OFF, Listener};
pub use services::{Reload, Reloaded, Services};
pub use settings::{AuditHeaders, Cors, DOCS_URL, HttpSettings, ResponseShape};
pub use spec::specification;
pub use tls::{Tls, TlsError, TlsFiles};

/// The application over `services`: every route, with its log, CORS and compression around it.
pub fn app(settings: &HttpSettings, services: &Services) -> App {
    App::new(settings, services)
}

/// Serves `app` on `listener`, in clear, until `shutdown` is done and the running requests are, or their time
/// is up.
pub async fn serve(listener: tokio::net::TcpListener, app: App, shutdown: impl Future<Output = ()>) {
    serve_all(vec![(Listener::new(listener), app)], shutdown).await;
}

/// Serves every face on its listener. Once `shutdown` is done `/readyz` says 503 on all of them at once; after
/// `drain_delay` none accepts any more, and all wait for their running requests together.
pub async fn serve_all(faces: Vec<(Listener, App)>, shutdown: impl Future<Output = ()>) {
    let apps: Vec<App> = faces.iter().map(|(_, app)| app.clone()).collect();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let stopping = async {
        shutdown.await;
        apps.iter().for_each(App::drain);
        let delays = apps.iter().map(|app| app.connections().drain_delay);
        tokio::time::sleep(delays.max().unwrap_or_default()).await;
        stop.send_replace(true);
    };
    let serving = faces.into_iter().map(|(listener, app)| {
        let mut stopped = stopped.clone();
        let stopped = async move { drop(stopped.wait_for(|stop| *stop).await) };
        server::run(listener, app, stopped)
    });
    futures_util::future::join(stopping, futures_util::future::join_all(serving)).await;
}
