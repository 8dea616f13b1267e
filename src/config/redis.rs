//! Section `redis`: what several gateways share.

use athena_redis::RedisUrl;

use super::reader::Reader;

/// `redis.url`, `ATHENA_REDIS_URL`: nothing is shared without it.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<RedisUrl> {
    let text = reader.text("redis", "url")?;
    match RedisUrl::parse(&text) {
        Ok(url) => Some(url),
        Err(error) => {
            reader.problem("redis", "url", error.to_string());
            None
        }
    }
}
