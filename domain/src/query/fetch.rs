//! POST `/gateway/fetch`.

use std::hash::{Hash, Hasher};

use super::body::{Decoding, JsonText, Object};
use super::columns::Selection;
use super::condition::{self, Condition};
use super::identifier::RelationName;
use super::page::{self, Window};
use super::sort::{self, SortKey};
use super::tuning::Tuning;
use crate::error::{RequestCode, RequestError};
use crate::limits::Limits;
use crate::shape::{Granularity, Grouping, Strategy};

/// How matching rows are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// By counting them.
    Exact,
    /// By the planner's estimate.
    Planned,
    /// Exactly when the estimate is small, else by the estimate.
    Estimated,
}

/// A read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    /// Table or view.
    pub relation: RelationName,
    /// Columns of the answer.
    pub columns: Selection,
    /// Filters, ANDed.
    pub conditions: Vec<Condition>,
    /// Paging.
    pub window: Window,
    /// Order.
    pub sort: Vec<SortKey>,
    /// Whether keys with null values are left out; a header may say otherwise.
    pub strip_nulls: Option<bool>,
    /// Grouping of the page.
    pub grouping: Option<Grouping>,
    /// Whether and how matching rows are counted.
    pub count: Option<Count>,
    /// Whether the answer has no rows.
    pub head: bool,
    /// How it is to be carried out.
    pub tuning: Tuning,
}

impl FetchRequest {
    /// Decodes a body.
    ///
    /// # Errors
    /// Every field that is missing, malformed or unknown; see [`RequestCode`].
    pub fn decode(body: JsonText<'_>, limits: &Limits, decoding: Decoding) -> Result<Self, RequestError> {
        let mut body = body.expect_object("")?;
        let request = Self {
            relation: take_relation(&mut body, decoding)?,
            columns: take_columns(&mut body)?,
            conditions: take_conditions(&mut body, limits, decoding)?,
            window: page::take(&mut body)?,
            sort: sort::take(&mut body, decoding)?,
            strip_nulls: body.take_bool("strip_nulls")?,
            grouping: take_grouping(&mut body)?,
            count: take_count(&mut body)?,
            head: body.take_bool("head")?.unwrap_or(false),
            tuning: Tuning::take_of_read(&mut body)?,
        };
        body.finish(decoding)?;
        if request.window.cursor.is_some() {
            if request.grouping.is_some() {
                let message =
                    "`group_by` cannot stand beside `cursor`: a group would end where the page does";
                return Err(RequestError::invalid("group_by", message));
            }
            if request.head {
                return Err(RequestError::invalid(
                    "head",
                    "`head` cannot stand beside `cursor`: there is no page",
                ));
            }
        }
        Ok(request)
    }

    /// Hashes what has to stay the same from page to page of one cursor: which rows, which columns, in which order.
    pub fn hash_pages<H: Hasher>(&self, state: &mut H) {
        (&self.relation, &self.columns, &self.conditions, &self.sort, self.window.limit).hash(state);
    }
}

/// `table_name`, else `view_name`, with `table_schema`; where both are given they have to mean the same.
fn take_relation(body: &mut Object<'_>, decoding: Decoding) -> Result<RelationName, RequestError> {
    let table = body.take_string("table_name")?;
    let view = body.take_string("view_name")?;
    let schema = body.take_string("table_schema")?;
    let schema = schema.as_deref().filter(|text| !text.is_empty());
    let blank = |text: &std::borrow::Cow<'_, str>| !text.trim().is_empty();
    match (table.filter(blank), view.filter(blank)) {
        (Some(table), None) => named(&table, schema, "table_name", decoding),
        (Some(table), Some(view)) => {
            let relation = named(&table, schema, "table_name", decoding)?;
            match named(&view, schema, "view_name", decoding)? == relation {
                true => Ok(relation),
                false => Err(RequestError::invalid(
                    "view_name",
                    "`table_name` and `view_name` are not the same; give one of them",
                )),
            }
        }
        (None, Some(view)) => named(&view, schema, "view_name", decoding),
        (None, None) => Err(table_required()),
    }
}

fn named(
    text: &str,
    schema: Option<&str>,
    field: &str,
    decoding: Decoding,
) -> Result<RelationName, RequestError> {
    if !decoding.schema_prefix && text.contains('.') {
        return Err(RequestError::field(
            RequestCode::InvalidTableName,
            field,
            format!("`{field}` must be a bare name here; give the schema in `table_schema`"),
        ));
    }
    RelationName::parse(text.trim(), schema, field)
}

/// The refusal that every route gives a body without a table (contract 6.10).
pub(super) fn table_required() -> RequestError {
    RequestError::field(RequestCode::MissingField, "table_name", "table_name is required")
}

/// `table_name` with `table_schema`, for the routes that write.
pub(super) fn take_table(body: &mut Object<'_>, decoding: Decoding) -> Result<RelationName, RequestError> {
    let table = body.take_string("table_name")?;
    let schema = body.take_string("table_schema")?;
    let schema = schema.as_deref().filter(|text| !text.is_empty());
    match table.filter(|text| !text.trim().is_empty()) {
        Some(table) => named(&table, schema, "table_name", decoding),
        None => Err(table_required()),
    }
}

pub(super) fn take_columns(body: &mut Object<'_>) -> Result<Selection, RequestError> {
    let columns = body.take("columns").map(|value| Selection::parse(value, &body.path("columns")));
    Ok(columns.transpose()?.unwrap_or_default())
}

pub(super) fn take_conditions(
    body: &mut Object<'_>,
    limits: &Limits,
    decoding: Decoding,
) -> Result<Vec<Condition>, RequestError> {
    let field = body.path("conditions");
    match body.take("conditions") {
        Some(list) => condition::parse_list(list, &field, limits, decoding),
        None => Ok(Vec::new()),
    }
}

/// `if` of the routes that change rows.
pub(super) fn take_only_if(
    body: &mut Object<'_>,
    limits: &Limits,
    decoding: Decoding,
) -> Result<Option<Vec<Condition>>, RequestError> {
    let field = body.path("if");
    body.take("if").map(|list| condition::parse_list(list, &field, limits, decoding)).transpose()
}

pub(super) fn take_count(body: &mut Object<'_>) -> Result<Option<Count>, RequestError> {
    let field = body.path("count");
    Ok(match body.take_string("count")?.as_deref() {
        None => None,
        Some("exact") => Some(Count::Exact),
        Some("planned") => Some(Count::Planned),
        Some("estimated") => Some(Count::Estimated),
        Some(_) => {
            return Err(RequestError::invalid(
                &field,
                format!("`{field}` must be exact, planned or estimated"),
            ));
        }
    })
}

pub(super) fn take_grouping(body: &mut Object<'_>) -> Result<Option<Grouping>, RequestError> {
    let group_by = body.take_string("group_by")?;
    let granularity = body.take_string("time_granularity")?;
    let column = body.take_string("aggregation_column")?;
    let strategy = body.take_string("aggregation_strategy")?;
    let dedup = body.take_bool("aggregation_dedup")?.unwrap_or(false);
    let refuse = |field: &str, fault: String| RequestError::invalid(field, fault);
    let granularity = granularity
        .map(|text| text.parse::<Granularity>().map_err(|e| refuse("time_granularity", e.to_string())))
        .transpose()?;
    let strategy = strategy
        .map(|text| text.parse::<Strategy>().map_err(|e| refuse("aggregation_strategy", e.to_string())))
        .transpose()?;
    let Some(group_by) = group_by else {
        if granularity.is_some() || column.is_some() || strategy.is_some() {
            return Err(refuse("group_by", "`group_by` is required beside the grouping fields".to_owned()));
        }
        return Ok(None);
    };
    Grouping::new(group_by.as_ref(), granularity, column.as_deref().map(Box::from), strategy, dedup)
        .map(Some)
        .map_err(|fault| {
            RequestError::field(
                RequestCode::PostProcessing,
                "aggregation_column",
                format!("Post-processing failure: {fault}"),
            )
        })
}
