//! The floor: a few shared connections with requests in flight behind each other, and binary
//! rows written as JSON by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use bytes::Bytes;
use futures_util::{TryStreamExt, pin_mut};
use poem::error::InternalServerError;
use poem::http::header::CONTENT_TYPE;
use poem::web::{Data, Json};
use poem::{Response, handler};
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Client, NoTls, Row, Statement};

use crate::question::{PAGE, POINT, Question};
use crate::wire;

struct Pipe {
    client: Client,
    point_statement: Statement,
    page_statement: Statement,
}

/// The shared connections, taken in turn.
#[derive(Clone)]
pub struct Pipes {
    pipes: Arc<[Pipe]>,
    turn: Arc<AtomicUsize>,
}

impl Pipes {
    /// Opens `count` connections and prepares both statements on each.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses a statement.
    pub async fn connect(url: &str, count: usize) -> Result<Self> {
        let mut pipes = Vec::with_capacity(count);
        for _ in 0..count {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            tokio::spawn(connection);
            let point_statement = client.prepare(POINT).await?;
            let page_statement = client.prepare(PAGE).await?;
            pipes.push(Pipe { client, point_statement, page_statement });
        }
        Ok(Self { pipes: pipes.into(), turn: Arc::default() })
    }

    fn next(&self) -> &Pipe {
        &self.pipes[self.turn.fetch_add(1, Ordering::Relaxed) % self.pipes.len()]
    }
}

/// A cell as the database sent it.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

type Write = fn(&mut Vec<u8>, &[u8]);

/// Key with its punctuation, and how the cell is written.
const COLUMNS: [(&[u8], Write); 6] = [
    (b"{\"id\":", wire::int8),
    (b",\"name\":", wire::text),
    (b",\"kind\":", wire::text),
    (b",\"amount\":", wire::numeric),
    (b",\"payload\":", wire::jsonb),
    (b",\"created_at\":", wire::timestamptz),
];

fn write_row(out: &mut Vec<u8>, row: &Row) -> Result<(), tokio_postgres::Error> {
    for (index, (key, write)) in COLUMNS.iter().enumerate() {
        out.extend_from_slice(key);
        match row.try_get::<_, Option<Raw<'_>>>(index)? {
            Some(Raw(cell)) => write(out, cell),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
    Ok(())
}

async fn answer(
    client: &Client,
    statement: &Statement,
    binds: &[&(dyn ToSql + Sync)],
) -> poem::Result<Response> {
    let rows = client.query_raw(statement, binds.iter().copied()).await.map_err(InternalServerError)?;
    pin_mut!(rows);
    let mut list = Vec::with_capacity(1024);
    let mut count = 0_u64;
    while let Some(row) = rows.try_next().await.map_err(InternalServerError)? {
        if count > 0 {
            list.push(b',');
        }
        write_row(&mut list, &row).map_err(InternalServerError)?;
        count += 1;
    }
    let mut body = Vec::with_capacity(list.len() + 80);
    body.extend_from_slice(b"{\"status\":\"success\",\"message\":\"Fetched ");
    body.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
    body.extend_from_slice(b" rows\",\"data\":{\"rows\":[");
    body.extend_from_slice(&list);
    body.extend_from_slice(b"]}}");
    Ok(Response::builder().header(CONTENT_TYPE, "application/json").body(Bytes::from(body)))
}

#[handler]
pub async fn point(Data(pipes): Data<&Pipes>, Json(question): Json<Question<i64>>) -> poem::Result<Response> {
    let (id, _) = question.only()?;
    let pipe = pipes.next();
    answer(&pipe.client, &pipe.point_statement, &[&id]).await
}

#[handler]
pub async fn page(
    Data(pipes): Data<&Pipes>,
    Json(question): Json<Question<String>>,
) -> poem::Result<Response> {
    let (kind, limit) = question.only()?;
    let pipe = pipes.next();
    answer(&pipe.client, &pipe.page_statement, &[&kind, &limit]).await
}
