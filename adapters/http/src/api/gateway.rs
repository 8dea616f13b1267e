//! Reading and writing rows.

use std::sync::Arc;

use athena_application::use_cases::{Delete, Fetch, Fetched, Insert, Update, Updated};
use athena_application::{Framing, Gateway};
use athena_domain::RequestError;
use athena_domain::query::{DeleteRequest, FetchRequest, InsertRequest, UpdateRequest};
use athena_domain::rows::{RowFormat, RowStyle};
use poem::{Body, Request, Response};
use poem_openapi::OpenApi;

use super::Tag;
use super::answer::{Answer, Described};
use super::docs::{
    DeleteAnswer, DeleteBody, FetchAnswer, FetchBody, InsertAnswer, InsertBody, UpdateAnswer, UpdateBody,
};
use super::run::{Door, finish};
use crate::body::RawJson;
use crate::envelope::rows::{self, Deed};
use crate::envelope::{Shape, carry, written};
use crate::error::{self, Failure, Route, Scene};

/// Reading and writing rows.
pub struct GatewayApi {
    door: Arc<Door>,
    fetch: Fetch,
    update: Update,
    insert: Insert,
    delete: Delete,
}

const JSON: &[RowFormat] = &[RowFormat::Json];
const ROWS: &[RowFormat] = &[RowFormat::Json, RowFormat::Ndjson, RowFormat::Csv];

/// Answers of a fetch.
pub struct Read;
impl Described for Read {
    type Body = FetchAnswer;
    const ARRAY: Option<&'static str> = Some(r#"[{"id":42,"name":"Ada"}]"#);
    const SUCCESS: &'static str =
        "The rows. A bare array when `X-Strip-Nulls` is there and nothing is grouped.";
    const STREAMS: &'static [RowFormat] = &[RowFormat::Ndjson, RowFormat::Csv];
    const FAILURES: &'static [u16] = &[400, 403, 406, 408, 413, 415, 500, 503, 504];
}

/// Answers of an update.
pub struct Changed;
impl Described for Changed {
    type Body = UpdateAnswer;
    const ARRAY: Option<&'static str> = Some(r#"[{"id":42,"name":"Ada Lovelace"}]"#);
    const SUCCESS: &'static str = "The changed rows; none when nothing matched. A bare array when \
                                   `X-Strip-Nulls` is there and nothing is grouped.";
    const FAILURES: &'static [u16] = &[400, 403, 406, 408, 409, 413, 415, 422, 500, 503, 504];
}

/// Answers of an insert.
pub struct Added;
impl Described for Added {
    type Body = InsertAnswer;
    const ARRAY: Option<&'static str> = Some(r#"[{"id":42,"name":"Ada","email":"ada@example.com"}]"#);
    const SUCCESS: &'static str = "The new row, or the new rows for an array. A bare array when \
                                   `X-Strip-Nulls` is there.";
    const FAILURES: &'static [u16] = &[400, 403, 406, 408, 409, 413, 415, 422, 500, 503, 504];
}

/// Answers of a delete.
pub struct Removed;
impl Described for Removed {
    type Body = DeleteAnswer;
    const ARRAY: Option<&'static str> = Some(r#"[{"id":42,"name":"Ada"}]"#);
    const SUCCESS: &'static str = "The removed row, or the removed rows where conditions were given. A bare \
                                   array when `X-Strip-Nulls` is there.";
    const FAILURES: &'static [u16] = &[400, 403, 406, 408, 409, 413, 415, 422, 500, 503, 504];
}

#[OpenApi(tag = "Tag::Gateway")]
impl GatewayApi {
    /// Read rows
    ///
    /// Reads rows of one table or view of the selected client: columns, filters, order, paging, and
    /// optionally a count and groups over the page.
    #[oai(path = "/gateway/fetch", method = "post", operation_id = "fetch")]
    async fn fetch(&self, request: &Request, body: RawJson<FetchBody>) -> Answer<Read> {
        self.read(request, body.body).await
    }

    /// Read rows (alias)
    ///
    /// The same as `/gateway/fetch`.
    #[oai(path = "/gateway/data", method = "post", operation_id = "fetch_data")]
    async fn data(&self, request: &Request, body: RawJson<FetchBody>) -> Answer<Read> {
        self.read(request, body.body).await
    }

    /// Change rows
    ///
    /// Changes the rows that match every condition and answers with them. A request without a condition is
    /// refused.
    #[oai(path = "/gateway/update", method = "post", operation_id = "update")]
    async fn update(&self, request: &Request, body: RawJson<UpdateBody>) -> Answer<Changed> {
        let mut scene = self.door.scene(request, Route::Update);
        let outcome = self.try_update(request, body.body, &mut scene).await;
        Answer::new(finish(outcome, &mut scene))
    }

    /// Add rows
    ///
    /// Adds one row, or several in one statement: all or none. With `on_conflict` or `update_body` a row that
    /// is already there is changed instead.
    #[oai(path = "/gateway/insert", method = "put", operation_id = "insert")]
    async fn insert(&self, request: &Request, body: RawJson<InsertBody>) -> Answer<Added> {
        let mut scene = self.door.scene(request, Route::Insert);
        let outcome = self.try_insert(request, body.body, &mut scene).await;
        Answer::new(finish(outcome, &mut scene))
    }

    /// Remove rows
    ///
    /// Removes the row with an id, or the rows that match every condition. A request with neither is refused.
    #[oai(path = "/gateway/delete", method = "delete", operation_id = "delete")]
    async fn delete(&self, request: &Request, body: RawJson<DeleteBody>) -> Answer<Removed> {
        let mut scene = self.door.scene(request, Route::Delete);
        let outcome = self.try_delete(request, body.body, &mut scene).await;
        Answer::new(finish(outcome, &mut scene))
    }
}

impl GatewayApi {
    /// Operations over `gateway`.
    pub(crate) fn new(gateway: &Arc<Gateway>, door: Arc<Door>) -> Self {
        Self {
            door,
            fetch: Fetch::new(gateway.clone()),
            update: Update::new(gateway.clone()),
            insert: Insert::new(gateway.clone()),
            delete: Delete::new(gateway.clone()),
        }
    }

    async fn read(&self, request: &Request, body: Body) -> Answer<Read> {
        let mut scene = self.door.scene(request, Route::Fetch);
        let outcome = self.try_fetch(request, body, &mut scene).await;
        Answer::new(finish(outcome, &mut scene))
    }

    async fn try_fetch(
        &self,
        request: &Request,
        body: Body,
        scene: &mut Scene<'_>,
    ) -> Result<Response, Box<Failure>> {
        let admitted = self.door.admit(request.headers(), body, scene, ROWS).await?;
        let gateway = self.door.gateway();
        let body = FetchRequest::decode(admitted.json(scene)?, &gateway.limits, gateway.decoding);
        let body = body.map_err(|error| refuse(error, scene))?;
        let format = admitted.format;
        let shape = Shape::choose(admitted.strip, body.grouping.is_some(), self.door.shape);
        let style = RowStyle { format, strip_nulls: admitted.strip.strips(body.strip_nulls) };
        scene.table = Some(body.relation.to_string());
        let mut framing = rows::framing(format, shape);
        if body.window.cursor.is_some() {
            // What closes a page is known with its last row.
            framing.close = Framing::BARE.close;
        }
        match self.fetch.run(&admitted.client, body, style, framing, admitted.context).await {
            Ok(Fetched::Grouped(groups)) => Ok(rows::grouped(&groups, shape, Deed::Fetched)),
            Ok(Fetched::Page(page)) => Ok(rows::page(page, shape)),
            Ok(Fetched::Rows { body, count, filtered }) => {
                let name = request.extensions().get().cloned();
                let mut response = carry(format, body, move |error| last_line(format, error, name));
                rows::count_beside(&mut response, format, shape, count);
                rows::filtered_beside(&mut response, filtered);
                Ok(response)
            }
            Err(error) => Err(error::from_application(error, scene)),
        }
    }

    async fn try_update(
        &self,
        request: &Request,
        body: Body,
        scene: &mut Scene<'_>,
    ) -> Result<Response, Box<Failure>> {
        let admitted = self.door.admit(request.headers(), body, scene, JSON).await?;
        let gateway = self.door.gateway();
        let body = UpdateRequest::decode(admitted.json(scene)?, &gateway.limits, gateway.decoding);
        let body = body.map_err(|error| refuse(error, scene))?;
        scene.table = Some(body.relation.to_string());
        let shape = Shape::choose(admitted.strip, body.grouping.is_some(), self.door.shape);
        let strip = admitted.strip.strips(body.strip_nulls);
        let deed = if body.dry_run { Deed::WouldUpdate } else { Deed::Updated };
        match self.update.run(&admitted.client, &body, strip, admitted.context).await {
            Ok(Updated::Grouped(groups)) => Ok(rows::grouped(&groups, shape, deed)),
            Ok(Updated::Rows(written)) => {
                let count = body.count.map(|_| written.affected);
                Ok(rows::updated(&written, shape, count, deed))
            }
            Err(error) => Err(error::from_application(error, scene)),
        }
    }

    async fn try_insert(
        &self,
        request: &Request,
        body: Body,
        scene: &mut Scene<'_>,
    ) -> Result<Response, Box<Failure>> {
        let admitted = self.door.admit(request.headers(), body, scene, JSON).await?;
        let gateway = self.door.gateway();
        let body = InsertRequest::decode(admitted.json(scene)?, &gateway.limits, gateway.decoding);
        let body = body.map_err(|error| refuse(error, scene))?;
        scene.table = Some(body.relation.to_string());
        let strip = admitted.strip.strips(body.strip_nulls);
        let outcome = self.insert.run(&admitted.client, &body, strip, admitted.context).await;
        let rows = outcome.map_err(|error| error::from_application(error, scene))?;
        Ok(written::inserted(&rows, &body, admitted.strip.is_present()))
    }

    async fn try_delete(
        &self,
        request: &Request,
        body: Body,
        scene: &mut Scene<'_>,
    ) -> Result<Response, Box<Failure>> {
        let admitted = self.door.admit(request.headers(), body, scene, JSON).await?;
        let gateway = self.door.gateway();
        let body = DeleteRequest::decode(admitted.json(scene)?, &gateway.limits, gateway.decoding);
        let body = body.map_err(|error| refuse(error, scene))?;
        scene.table = Some(body.relation.to_string());
        let strip = admitted.strip.strips(body.strip_nulls);
        let outcome = self.delete.run(&admitted.client, &body, strip, admitted.context).await;
        let rows = outcome.map_err(|error| error::from_application(error, scene))?;
        Ok(written::deleted(&rows, &body, &admitted.client, admitted.strip.is_present()))
    }
}

fn refuse(error: RequestError, scene: &Scene<'_>) -> Box<Failure> {
    error::from_application(error.into(), scene)
}

/// What stands at the end of an answer that broke off; only NDJSON has room for it.
fn last_line(
    format: RowFormat,
    error: athena_application::Error,
    name: Option<crate::headers::request_id::RequestId>,
) -> Option<String> {
    let scene = Scene {
        route: Route::Fetch,
        request_id: name.as_ref().map_or("", |name| name.as_str()),
        audit: Default::default(),
        client: None,
        table: None,
        db_name: None,
        record: Default::default(),
        notes: None,
    };
    let line = error::last_line(error, &scene);
    (format == RowFormat::Ndjson).then_some(line)
}
