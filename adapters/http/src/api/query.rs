//! Running the caller's own SQL, and the database's own functions.

use std::sync::Arc;

use athena_application::use_cases::{Call, Query};
use athena_application::{Framing, Gateway};
use athena_domain::query::{CallRequest, DatabaseKind, RawRequest, SqlRequest};
use athena_domain::rows::RowFormat;
use poem::http::StatusCode;
use poem::{Body, Request, Response};
use poem_openapi::OpenApi;

use super::Tag;
use super::answer::{Answer, Described};
use super::docs::{CallAnswer, CallBody, QueryAnswer, QueryBody, SqlAnswer, SqlBody};
use super::run::{Door, finish};
use crate::body::RawJson;
use crate::envelope::{QUERY_OPEN, SQL_OPEN, call_answer, query_close, sql_answer, whole};
use crate::error::{self, Failure, Route, Scene};

/// Running the caller's own SQL, and the database's own functions.
pub struct QueryApi {
    door: Arc<Door>,
    query: Query,
    call: Call,
}

/// Answers of a query.
pub struct Queried;
impl Described for Queried {
    type Body = QueryAnswer;
    const SUCCESS: &'static str = "The rows of the statement, none for commands and scripts.";
    const FAILURES: &'static [u16] = &[400, 403, 406, 408, 409, 413, 415, 422, 500, 503, 504];
}

/// Answers of a statement.
pub struct Ran;
impl Described for Ran {
    type Body = SqlAnswer;
    const SUCCESS: &'static str =
        "The rows of the statement and the names of its columns, none for commands.";
    const FAILURES: &'static [u16] = Queried::FAILURES;
}

/// Answers of a call.
pub struct Called;
impl Described for Called {
    type Body = CallAnswer;
    const SUCCESS: &'static str =
        "What the function gave: a value, an object for a row, an array for a set, null for nothing.";
    const FAILURES: &'static [u16] = Queried::FAILURES;
}

#[OpenApi(tag = "Tag::Gateway")]
impl QueryApi {
    /// Run SQL
    ///
    /// Runs one statement, with `params` bound as `$1…`, or a script of several without parameters. A script
    /// is one transaction: all of it holds, or nothing.
    #[oai(path = "/gateway/query", method = "post", operation_id = "query")]
    async fn query(&self, request: &Request, body: RawJson<QueryBody>) -> Answer<Queried> {
        let mut scene = self.door.scene(request, Route::Query);
        let outcome = self.try_query(request, body.body, &mut scene).await;
        Answer::new(finish(outcome, &mut scene))
    }

    /// Run one SQL statement
    ///
    /// Runs one statement, with `params` bound as `$1…`. `driver` says which kind of database the statement is
    /// written for; a client of another kind refuses it. The client is named by the header, else by `db_name`.
    #[oai(path = "/query/sql", method = "post", operation_id = "query_sql")]
    async fn sql(&self, request: &Request, body: RawJson<SqlBody>) -> Answer<Ran> {
        let mut scene = self.door.scene(request, Route::Sql);
        let outcome = self.try_sql(request, body.body, &mut scene).await;
        Answer::new(finish(outcome, &mut scene))
    }

    /// Call a function
    ///
    /// Calls a function of the client's database with arguments by name. With `read_only` the database refuses every
    /// write. Databases of CQL have no functions to call.
    #[oai(path = "/gateway/rpc", method = "post", operation_id = "rpc")]
    async fn rpc(&self, request: &Request, body: RawJson<CallBody>) -> Answer<Called> {
        let mut scene = self.door.scene(request, Route::Call);
        let outcome = self.try_call(request, body.body, &mut scene).await;
        Answer::new(finish(outcome, &mut scene))
    }
}

impl QueryApi {
    /// The operation over `gateway`.
    pub(crate) fn new(gateway: &Arc<Gateway>, door: Arc<Door>) -> Self {
        Self { door, query: Query::new(gateway.clone()), call: Call::new(gateway.clone()) }
    }

    async fn try_query(
        &self,
        request: &Request,
        body: Body,
        scene: &mut Scene<'_>,
    ) -> Result<Response, Box<Failure>> {
        let admitted = self.door.admit(request.headers(), body, scene, &[RowFormat::Json]).await?;
        let body = RawRequest::decode(admitted.json(scene)?, self.door.gateway().decoding)
            .map_err(|error| error::from_application(error.into(), scene))?;
        let framing = Framing { open: QUERY_OPEN, close: query_close };
        let outcome = self.query.run(&admitted.client, &body, None, framing, admitted.context).await;
        let queried = outcome.map_err(|error| error::from_application(error, scene))?;
        Ok(whole(RowFormat::Json, queried.body))
    }

    async fn try_sql(
        &self,
        request: &Request,
        body: Body,
        scene: &mut Scene<'_>,
    ) -> Result<Response, Box<Failure>> {
        let admitted = self.door.admit(request.headers(), body, scene, &[RowFormat::Json]).await?;
        let body = SqlRequest::decode(admitted.json(scene)?, self.door.gateway().decoding)
            .map_err(|error| error::from_application(error.into(), scene))?;
        scene.db_name = Some(body.db_name.clone());
        let framing = Framing { open: SQL_OPEN, ..Framing::BARE };
        let (client, driver) = (&admitted.client, Some(body.driver));
        let outcome = self.query.run(client, &body.statement, driver, framing, admitted.context).await;
        let kind = body.driver.kind;
        let queried = outcome.map_err(|error| in_words_of(kind, error::from_application(error, scene)))?;
        Ok(sql_answer(queried, &body))
    }

    async fn try_call(
        &self,
        request: &Request,
        body: Body,
        scene: &mut Scene<'_>,
    ) -> Result<Response, Box<Failure>> {
        let admitted = self.door.admit(request.headers(), body, scene, &[RowFormat::Json]).await?;
        let body = CallRequest::decode(admitted.json(scene)?, self.door.gateway().decoding)
            .map_err(|error| error::from_application(error.into(), scene))?;
        let outcome = self.call.run(&admitted.client, &body, admitted.context).await;
        Ok(call_answer(&outcome.map_err(|error| error::from_application(error, scene))?))
    }
}

/// A failure of the database, under the titles that a kind of database has on `/query/sql` (contract 11).
fn in_words_of(kind: DatabaseKind, mut failure: Box<Failure>) -> Box<Failure> {
    let text = failure.error.take().unwrap_or_else(|| failure.message.clone());
    let (title, error) = match (kind, failure.code, failure.status) {
        (DatabaseKind::Cql, "connection_error", _) => (
            "Athena server is not reachable",
            format!("Connection error: {text}. Ensure ScyllaDB is running on the configured port."),
        ),
        (DatabaseKind::Cql, _, StatusCode::INTERNAL_SERVER_ERROR) => {
            ("Query execution failed", format!("Athena error: {text}"))
        }
        (DatabaseKind::Supabase, _, StatusCode::INTERNAL_SERVER_ERROR) => {
            ("Query execution failed", format!("Supabase error: {text}"))
        }
        _ => return failure.error(text),
    };
    failure.message = title.into();
    failure.error(error)
}
