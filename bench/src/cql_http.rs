//! The bare driver behind the gateway's HTTP server: what a service for this one table would be, written by hand.
//! No planning, no rights, no limits and no catalog; one prepared statement, and a struct for the row.

use std::str::FromStr;
use std::sync::Arc;

use anyhow::Result;
use bigdecimal::BigDecimal;
use poem::error::{BadRequest, InternalServerError};
use poem::http::header;
use poem::listener::TcpListener;
use poem::web::Data;
use poem::{EndpointExt, Response, Route, Server, handler, put};
use scylla::client::session::Session;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlDecimal;
use serde::Deserialize;
use serde_json::Number;

#[derive(Deserialize)]
struct Insert<T> {
    insert_body: T,
}

#[derive(Deserialize)]
struct Row {
    part: i64,
    id: i32,
    kind: String,
    amount: Number,
    note: String,
}

type Values = (i64, i32, String, CqlDecimal, String);

struct Target {
    session: Arc<Session>,
    insert: PreparedStatement,
}

/// Answers on `port` until it is killed.
pub async fn serve(session: Arc<Session>, insert: PreparedStatement, port: u16) -> Result<()> {
    let target = Arc::new(Target { session, insert });
    let routes = Route::new()
        .at("/ping", poem::get(ping))
        .at("/rows/1", put(one))
        .at("/rows/several", put(several))
        .at("/rows/spread", put(spread))
        .data(target);
    Server::new(TcpListener::bind(("127.0.0.1", port))).run(routes).await?;
    Ok(())
}

#[handler]
fn ping() {}

#[handler]
async fn one(Data(target): Data<&Arc<Target>>, body: Vec<u8>) -> poem::Result<Response> {
    let row: Insert<Row> = serde_json::from_slice(&body).map_err(BadRequest)?;
    let values = values(row.insert_body)?;
    target.session.execute_unpaged(&target.insert, values).await.map_err(InternalServerError)?;
    Ok(done(1))
}

#[handler]
async fn several(Data(target): Data<&Arc<Target>>, body: Vec<u8>) -> poem::Result<Response> {
    batch(target, &body, BatchType::Unlogged).await
}

#[handler]
async fn spread(Data(target): Data<&Arc<Target>>, body: Vec<u8>) -> poem::Result<Response> {
    batch(target, &body, BatchType::Logged).await
}

async fn batch(target: &Target, body: &[u8], kind: BatchType) -> poem::Result<Response> {
    let rows: Insert<Vec<Row>> = serde_json::from_slice(body).map_err(BadRequest)?;
    let values = rows.insert_body.into_iter().map(values).collect::<poem::Result<Vec<_>>>()?;
    let mut batch = Batch::new(kind);
    batch.set_consistency(target.insert.get_consistency().unwrap_or_default());
    values.iter().for_each(|_| batch.append_statement(target.insert.clone()));
    target.session.batch(&batch, &values).await.map_err(InternalServerError)?;
    Ok(done(values.len()))
}

fn values(row: Row) -> poem::Result<Values> {
    let amount = BigDecimal::from_str(row.amount.as_str()).map_err(BadRequest)?;
    let (digits, scale) = amount.into_bigint_and_exponent();
    let scale = i32::try_from(scale).map_err(BadRequest)?;
    let amount = CqlDecimal::from_signed_be_bytes_and_exponent(digits.to_signed_bytes_be(), scale);
    Ok((row.part, row.id, row.kind, amount, row.note))
}

fn done(rows: usize) -> Response {
    let body = format!(r#"{{"status":"success","data":{{"affected":{rows}}}}}"#);
    Response::builder().header(header::CONTENT_TYPE, "application/json").body(body)
}
