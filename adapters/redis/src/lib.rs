//! What several gateways share in Redis.

mod ledger;
mod url;

pub use ledger::RedisLedger;
pub use url::{InvalidRedisUrl, RedisUrl};
