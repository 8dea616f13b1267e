//! The HTTP face: poem and poem-openapi live here and nowhere else. No SQL and no rule of the gateway does.

mod api;
mod app;
mod body;
mod envelope;
mod error;
mod headers;
mod middleware;
mod security;
mod server;
mod settings;
mod spec;

use std::future::Future;
use std::sync::Arc;

use athena_application::Gateway;

pub use app::App;
pub use security::AdminKey;
pub use settings::{AuditHeaders, Cors, DOCS_URL, HttpSettings, ResponseShape};
pub use spec::specification;

/// The application over `gateway`: every route, with its log, CORS and compression around it.
pub fn app(settings: &HttpSettings, gateway: &Arc<Gateway>) -> App {
    App::new(settings, gateway)
}

/// Serves `app` on `listener` until `shutdown` is done and the running requests are, or their time is up.
pub async fn serve(
    listener: tokio::net::TcpListener,
    app: App,
    settings: &HttpSettings,
    shutdown: impl Future<Output = ()>,
) {
    let delay = settings.drain_delay;
    let draining = app.clone();
    let stop_accepting = async move {
        shutdown.await;
        draining.drain();
        tokio::time::sleep(delay).await;
    };
    server::run(listener, app, settings, stop_accepting).await;
}
