//! The two questions, read from the body the gateway's fetch takes.

use poem::error::BadRequest;
use serde::Deserialize;

pub const POINT: &str =
    "SELECT id, name, kind, amount, payload, created_at FROM events WHERE id = $1 LIMIT 1";
pub const PAGE: &str =
    "SELECT id, name, kind, amount, payload, created_at FROM events WHERE kind = $1 LIMIT $2";

#[derive(Deserialize)]
pub struct Question<T> {
    conditions: Vec<Condition<T>>,
    limit: i64,
}

#[derive(Deserialize)]
struct Condition<T> {
    eq_value: T,
}

impl<T> Question<T> {
    /// The value of the first condition, and the limit.
    ///
    /// # Errors
    /// 400 when there is no condition.
    pub fn only(self) -> poem::Result<(T, i64)> {
        let limit = self.limit;
        self.conditions
            .into_iter()
            .next()
            .map(|condition| (condition.eq_value, limit))
            .ok_or_else(|| BadRequest(std::io::Error::other("one condition is needed")))
    }
}
