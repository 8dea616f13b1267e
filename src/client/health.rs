//! Whether a client's database is taken to be away, and saying so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use athena_application::circuit::Circuit;

use super::AthenaClient;
use super::transport::{Embedded, Transport};

/// What stands between a client and its database.
enum Breaker<'a> {
    Own(&'a Circuit),
    OfClient(Arc<Circuit>),
}

impl std::ops::Deref for Breaker<'_> {
    type Target = Circuit;

    fn deref(&self) -> &Circuit {
        match self {
            Self::Own(circuit) => circuit,
            Self::OfClient(circuit) => circuit,
        }
    }
}

impl AthenaClient {
    /// Until when every request is refused at once, because too many in a row have failed or because
    /// [`AthenaClient::force_offline`] said so; none while requests get through.
    ///
    /// A client of a gateway elsewhere knows only what this program has said: what that gateway has found out comes as
    /// [`ErrorKind::Unavailable`](super::ErrorKind::Unavailable), with the time to wait.
    pub fn is_offline(&self) -> Option<Instant> {
        let left = self.breaker()?.is_offline()?;
        Some(Instant::now() + left)
    }

    /// Refuses every request of this client and its clones for so long, whatever the database says. Gives the end.
    pub fn force_offline(&self, how_long: Duration) -> Instant {
        // Longer than that nobody waits, and a moment beyond the clock's reach is none.
        let how_long = how_long.min(Duration::from_secs(10 * 365 * 86_400));
        let until = Instant::now() + how_long;
        if let Some(breaker) = self.breaker() {
            breaker.force_offline(how_long);
        }
        until
    }

    /// Forgets every failure, and what [`AthenaClient::force_offline`] said: requests get through at once.
    pub fn reset_health(&self) {
        if let Some(breaker) = self.breaker() {
            breaker.reset_health();
        }
    }

    fn breaker(&self) -> Option<Breaker<'_>> {
        match &self.transport {
            Transport::Embedded(embedded) => embedded.circuit().map(Breaker::OfClient),
            Transport::Remote(http) => Some(Breaker::Own(http.circuit())),
        }
    }
}

impl Embedded {
    /// The breaker of the only client.
    fn circuit(&self) -> Option<Arc<Circuit>> {
        let clients = self.composed.services.gateway.registry.snapshot();
        clients.get(self.client).and_then(|client| client.circuit().cloned())
    }
}
