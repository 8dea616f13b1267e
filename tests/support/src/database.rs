//! A database of a test's own.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::proxy::TcpProxy;
use crate::server::Server;

/// An empty or prepared database that goes away with this value.
pub struct TestDatabase {
    server: &'static Server,
    name: String,
}

impl TestDatabase {
    /// Makes an empty database.
    pub async fn fresh() -> Self {
        Self::with("").await
    }

    /// Makes a database in which `sql` (any number of statements) has run.
    ///
    /// The first database with a given text becomes the template of the next,
    /// so that migrations run once per process.
    pub async fn with(sql: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let server = Server::shared().await;
        let name = format!("test_{}_{count}", process::id());
        server.create(&name, sql).await;
        Self { server, name }
    }

    /// Where to connect, as a superuser.
    #[must_use]
    pub fn uri(&self) -> String {
        self.server.uri(&self.name)
    }

    /// The database's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Puts a proxy in front of the database, through which faults can be made;
    /// connect to its [`TcpProxy::uri`].
    pub async fn proxied(&self) -> TcpProxy {
        TcpProxy::in_front_of(&self.uri()).await
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        self.server.discard(std::mem::take(&mut self.name));
    }
}
