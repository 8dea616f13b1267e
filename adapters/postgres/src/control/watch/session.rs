//! One connection of the watch, from its first reading until it breaks.

use std::time::Duration;

use athena_application::ports::{PortError, PortErrorKind, Versions};
use sqlx::postgres::{PgListener, PgNotification, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Row as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::WatchSettings;
use crate::control::ControlDatabase;
use crate::control::database::control_error;
use crate::failure::PORT;

/// What the triggers notify.
const CHANNEL: &str = "athena_control";

/// How long a notification of our own may take before the connection counts as deaf.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a deaf connection is tried again.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);

/// Whether notifications arrive. LISTEN succeeds behind a transaction pooler too, and then nothing is ever
/// heard; the only proof is a notification of our own, sent over another connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hearing {
    /// A notification was sent and has to come until then.
    Asked(Instant),
    /// They arrive.
    Proven,
    /// They do not; tried again then.
    Deaf(Instant),
    /// Nobody listens.
    Off,
}

/// A connection that listens, and over which the versions are read.
pub(super) struct Session<'a> {
    listener: PgListener,
    /// Another way to the same database, for the proof.
    pool: PgPool,
    settings: WatchSettings,
    changes: &'a watch::Sender<Versions>,
    hearing: Hearing,
    /// The payload of our own notification.
    probe: String,
    last_reading: Instant,
}

impl<'a> Session<'a> {
    /// Connects, listens and reads once.
    pub(super) async fn start(
        database: &ControlDatabase,
        settings: WatchSettings,
        changes: &'a watch::Sender<Versions>,
    ) -> Result<Self, PortError> {
        let own = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(settings.patience)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(database.options().clone());
        let connecting = async {
            let mut listener = PgListener::connect_with(&own).await?;
            // A lost connection ends the session: what is missed meanwhile has to be read.
            listener.eager_reconnect(false);
            if settings.listen {
                listener.listen(CHANNEL).await?;
            }
            // Nothing is prepared over this connection: behind a transaction pooler it would be lost.
            let probe =
                sqlx::raw_sql("SELECT 'probe:' || gen_random_uuid()").fetch_one(&mut listener).await?;
            let probe: String = probe.try_get(0)?;
            Ok::<_, sqlx::Error>((listener, probe))
        };
        let (listener, probe) = in_time(settings.patience * 2, connecting).await?;
        let mut session = Self {
            listener,
            pool: database.pool().clone(),
            settings,
            changes,
            hearing: Hearing::Off,
            probe,
            last_reading: Instant::now(),
        };
        session.read().await?;
        if settings.listen {
            session.ask();
        }
        Ok(session)
    }

    /// Follows the changes until the connection breaks, and tells how.
    pub(super) async fn follow(mut self) -> PortError {
        loop {
            if let Err(error) = self.step().await {
                return error;
            }
        }
    }

    /// Waits for the next thing to happen, and reads when it may be a change.
    async fn step(&mut self) -> Result<(), PortError> {
        let next_reading = self.last_reading
            + match self.hearing {
                Hearing::Proven => self.settings.net,
                Hearing::Asked(_) | Hearing::Deaf(_) | Hearing::Off => self.settings.poll,
            };
        let next_probe = match self.hearing {
            Hearing::Asked(until) | Hearing::Deaf(until) => Some(until),
            Hearing::Proven | Hearing::Off => None,
        };
        tokio::select! {
            heard = self.listener.try_recv(), if self.settings.listen => match heard {
                Ok(Some(notification)) => self.heard(&notification).await,
                Ok(None) => Err(PortError::new(PORT, PortErrorKind::Unavailable).caused_by("the connection was lost")),
                Err(error) => Err(control_error(error)),
            },
            () = sleep_until(next_reading) => self.read().await,
            () = sleep_until(next_probe.unwrap_or(next_reading)), if next_probe.is_some() => {
                self.probe_is_due();
                Ok(())
            }
        }
    }

    async fn heard(&mut self, notification: &PgNotification) -> Result<(), PortError> {
        if !self.note(notification) {
            return Ok(());
        }
        // The first of a burst is read at once, the rest together.
        sleep_until(self.last_reading + self.settings.debounce).await;
        while let Some(notification) = self.listener.next_buffered() {
            self.note(&notification);
        }
        self.read().await
    }

    /// Whether a notification may mean a change.
    fn note(&mut self, notification: &PgNotification) -> bool {
        let payload = notification.payload();
        if payload == self.probe {
            if let Hearing::Deaf(_) = self.hearing {
                tracing::info!("notifications of the control database arrive again");
            }
            self.hearing = Hearing::Proven;
        }
        !payload.starts_with("probe:")
    }

    fn probe_is_due(&mut self) {
        match self.hearing {
            Hearing::Asked(_) => {
                tracing::info!(
                    poll = ?self.settings.poll,
                    "no notifications arrive from the control database, as behind a transaction pooler; \
                     its versions are read instead"
                );
                self.hearing = Hearing::Deaf(Instant::now() + PROBE_INTERVAL);
            }
            Hearing::Deaf(_) => self.ask(),
            Hearing::Proven | Hearing::Off => {}
        }
    }

    /// Sends the notification that proves that others will be heard.
    fn ask(&mut self) {
        self.hearing = Hearing::Asked(Instant::now() + PROBE_TIMEOUT);
        let (pool, probe) = (self.pool.clone(), self.probe.clone());
        // Not awaited: a busy pool must not hold up the watch.
        tokio::spawn(async move {
            // The text is a uuid that the database itself made.
            let notify = AssertSqlSafe(format!("NOTIFY {CHANNEL}, '{probe}'"));
            let sent = sqlx::raw_sql(notify).execute(&pool).await;
            if let Err(error) = sent {
                tracing::debug!(%error, "the probe of the control database's notifications was not sent");
            }
        });
    }

    /// Reads the versions over the listening connection, which tests it as well.
    async fn read(&mut self) -> Result<(), PortError> {
        let reading = async {
            let row = sqlx::raw_sql(
                "SELECT coalesce(max(version) FILTER (WHERE area = 'keys'), 0), \
                        coalesce(max(version) FILTER (WHERE area = 'clients'), 0) \
                 FROM public.athena_control_version",
            )
            .fetch_one(&mut self.listener)
            .await?;
            Ok((row.try_get::<i64, _>(0)?, row.try_get::<i64, _>(1)?))
        };
        let (keys, clients) = in_time(self.settings.patience, reading).await?;
        self.last_reading = Instant::now();
        let found =
            Versions { keys: keys.cast_unsigned(), clients: clients.cast_unsigned(), reachable: true };
        self.changes.send_if_modified(|known| std::mem::replace(known, found) != found);
        Ok(())
    }
}

async fn in_time<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, PortError> {
    match timeout(patience, work).await {
        Ok(done) => done.map_err(control_error),
        Err(_) => Err(PortError::new(PORT, PortErrorKind::Unavailable).caused_by("no answer in time")),
    }
}
