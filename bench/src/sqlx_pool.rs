//! What a careful developer writes without a gateway: a pool, a statement with binds, a struct.
//!
//! `jsonb` is passed on as raw JSON rather than parsed into a value tree: the cheaper of the two
//! usual ways, so that the measure is not easy to beat. sqlx gives a numeric the scale of its
//! base-10,000 digits, so `771729.19` comes out as `771729.1900`; it is left as it is.

use bigdecimal::BigDecimal;
use poem::error::InternalServerError;
use poem::handler;
use poem::web::{Data, Json};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::postgres::{PgPool, PgPoolOptions, PgRow};
use sqlx::{Row, types};
use time::OffsetDateTime;

use crate::question::{PAGE, POINT, Question};

#[derive(Serialize)]
pub struct Event {
    id: i64,
    name: String,
    kind: String,
    #[serde(with = "bigdecimal::serde::json_num")]
    amount: BigDecimal,
    payload: types::Json<Box<RawValue>>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

#[derive(Serialize)]
struct Rows {
    rows: Vec<Event>,
}

#[derive(Serialize)]
pub struct Answer {
    status: &'static str,
    message: String,
    data: Rows,
}

/// Opens the pool with the gateway's settings: no ping before a connection is handed out.
///
/// # Errors
/// When the database cannot be reached.
pub async fn connect(url: &str, size: u32) -> sqlx::Result<PgPool> {
    PgPoolOptions::new().max_connections(size).test_before_acquire(false).connect(url).await
}

fn event(row: &PgRow) -> sqlx::Result<Event> {
    Ok(Event {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        kind: row.try_get("kind")?,
        amount: row.try_get("amount")?,
        payload: row.try_get("payload")?,
        created_at: row.try_get("created_at")?,
    })
}

fn answer(rows: &[PgRow]) -> poem::Result<Json<Answer>> {
    let rows = rows.iter().map(event).collect::<sqlx::Result<Vec<_>>>().map_err(InternalServerError)?;
    let message = format!("Fetched {} rows", rows.len());
    Ok(Json(Answer { status: "success", message, data: Rows { rows } }))
}

#[handler]
pub async fn point(
    Data(pool): Data<&PgPool>,
    Json(question): Json<Question<i64>>,
) -> poem::Result<Json<Answer>> {
    let (id, _) = question.only()?;
    answer(&sqlx::query(POINT).bind(id).fetch_all(pool).await.map_err(InternalServerError)?)
}

#[handler]
pub async fn page(
    Data(pool): Data<&PgPool>,
    Json(question): Json<Question<String>>,
) -> poem::Result<Json<Answer>> {
    let (kind, limit) = question.only()?;
    answer(&sqlx::query(PAGE).bind(kind).bind(limit).fetch_all(pool).await.map_err(InternalServerError)?)
}
