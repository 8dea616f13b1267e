//! The budgets of keys, shared by gateways: token buckets in Redis, filled and emptied by a script.

use std::time::Duration;

use athena_application::ports::{BudgetLedger, BudgetStanding, BudgetUse, PortError, PortErrorKind};
use deadpool_redis::redis::{RedisError, RedisResult, Script, cmd, pipe};
use deadpool_redis::{Manager, Pool, Runtime};

use crate::url::{InvalidRedisUrl, RedisUrl};

const PORT: &str = "redis budgets";

/// How long an exchange may take, from the wait for a connection to the last answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// After this many seconds without news of it a gateway runs nothing.
const STALE_SECONDS: u64 = 5;

/// Keys that are told of in one round trip.
const AT_ONCE: usize = 500;

/// Budgets in Redis.
pub struct RedisLedger {
    pool: Pool,
    script: Script,
    gateway: Box<str>,
}

impl RedisLedger {
    /// The ledger of one gateway, whose name no other gateway has. Connects when it is asked first.
    ///
    /// # Errors
    /// [`InvalidRedisUrl`].
    pub fn open(url: &RedisUrl, gateway: &str) -> Result<Self, InvalidRedisUrl> {
        // Over TLS the library takes the process's provider; whoever came first has chosen the same.
        drop(tokio_rustls::rustls::crypto::ring::default_provider().install_default());
        let unusable = |error: RedisError| InvalidRedisUrl::because(&error);
        let manager = Manager::new(url.connection()?).map_err(unusable)?;
        // Exchanges follow each other.
        let pool = Pool::builder(manager).max_size(1).runtime(Runtime::Tokio1);
        Ok(Self {
            pool: pool.build().map_err(|error| InvalidRedisUrl::new(error.to_string()))?,
            script: Script::new(include_str!("ledger.lua")),
            gateway: gateway.into(),
        })
    }

    async fn ping(&self) -> Result<(), PortError> {
        let mut connection = self.pool.get().await.map_err(unavailable)?;
        cmd("PING").exec_async(&mut connection).await.map_err(unavailable)
    }

    async fn ask(&self, uses: &[BudgetUse]) -> Result<Vec<Answer>, PortError> {
        let mut connection = self.pool.get().await.map_err(unavailable)?;
        let mut asked = pipe();
        // What is wrong with one key is told for that key.
        asked.ignore_errors();
        asked.load_script(&self.script).ignore();
        for used in uses {
            // Braces keep both on one node.
            let key = format!("athena:budget:{{{}}}", used.key);
            let mut call = self.script.key(key.as_str());
            call.key(format!("{key}:running")).arg(&*self.gateway).arg(used.running).arg(STALE_SECONDS);
            for (size, cost) in used.budget.buckets().into_iter().zip(used.cost.parts()) {
                let (capacity, per_second) = size.map_or((0.0, 0.0), |size| (size.capacity, size.per_second));
                call.arg(capacity).arg(per_second).arg(cost);
            }
            asked.invoke_script(&call);
        }
        let answers: Vec<RedisResult<(String, String, String, u64)>> =
            asked.query_async(&mut connection).await.map_err(unavailable)?;
        let standing = |answer: RedisResult<(String, String, String, u64)>| {
            let (requests, rows, bytes, running_elsewhere) = answer.map_err(unavailable)?;
            let levels = [requests, rows, bytes].map(|level| level.parse().ok());
            Ok(BudgetStanding { levels, running_elsewhere })
        };
        Ok(answers.into_iter().map(standing).collect())
    }
}

/// How one key stands.
type Answer = Result<BudgetStanding, PortError>;

fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PortError {
    PortError::new(PORT, PortErrorKind::Unavailable).caused_by(error)
}

#[async_trait::async_trait]
impl BudgetLedger for RedisLedger {
    async fn exchange(&self, uses: &[BudgetUse]) -> Result<Vec<Answer>, PortError> {
        let asked = async {
            if uses.is_empty() {
                self.ping().await?;
            }
            let mut standings = Vec::with_capacity(uses.len());
            for some in uses.chunks(AT_ONCE) {
                standings.extend(self.ask(some).await?);
            }
            // A Redis that serves no key, such as a replica, which takes no writes, is as good as none.
            if standings.iter().all(Result::is_err)
                && let Some(Err(error)) = standings.pop()
            {
                return Err(error);
            }
            Ok(standings)
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|late| Err(unavailable(late)))
    }
}
