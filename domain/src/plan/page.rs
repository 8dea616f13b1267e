//! Planning one page of a read that goes on where the page before ended.
//!
//! In SQL the place where a page ends is the values of its last row in the order, which ends with columns that no two rows
//! share. So it stays a place whatever is inserted or deleted meanwhile: what stood behind it and is still there comes
//! once, and what came does not come again. CQL databases keep such a place by themselves, their paging state.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cql::{self, CqlPage};
use super::{Bind, CqlPlan, Datum, Operation, Order, Output, Plan, Planner, SelectPlan};
use crate::error::{RequestCode, RequestError};
use crate::limits::DEFAULT_LIMIT;
use crate::query::FetchRequest;
use crate::schema::{ColumnType, Relation, TypeKind};

/// What a row has in one column of its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyValue {
    /// Name of the column.
    pub column: Box<str>,
    /// The value as the database's own text; nothing for null.
    pub value: Option<Box<str>>,
}

/// Where a page begins that is not the first one.
#[derive(Debug, Clone, Copy)]
pub enum PageStart<'a> {
    /// Behind a row, by its values in the order.
    Keys(&'a [KeyValue]),
    /// Where the database itself said that it stopped.
    State(&'a [u8]),
}

impl Planner<'_> {
    /// Plans the page behind `start`, or the first one, and the count of all matching rows when it is asked for. In SQL
    /// the read asks for one row more than the page holds, which tells whether there is a further one; behind the
    /// columns of the answer stand hidden ones with the values of the order, as text. In CQL the database itself says
    /// where it stopped.
    ///
    /// # Errors
    /// As [`Planner::fetch`]; a relation whose rows cannot be told apart; a place in another order than that of the
    /// request.
    pub fn page(
        &self,
        request: &FetchRequest,
        start: Option<PageStart<'_>>,
    ) -> Result<(Plan, Option<Plan>), RequestError> {
        let mut select = self.select(request)?;
        let relation = select.relation.clone();
        let size = request.window.limit.unwrap_or(DEFAULT_LIMIT.min(self.limits.max_rows));
        if size > self.limits.max_rows {
            let what = format!("`page_size` is {size}");
            return Err(RequestError::limit("max_rows", self.limits.max_rows, "page_size", what));
        }
        if self.speaks_cql() {
            return self.page_by_state(request, select, size, start);
        }
        // An order that only seems to tell rows apart would skip some at the end of a page.
        self.needs_catalog(
            true,
            "cursor",
            "through PostgREST nobody knows which columns no two rows share, so that no cursor could tell rows apart",
            "page with current_page, page_size and a sort_by over columns that no two rows share",
        )?;
        let identity = relation.identity().ok_or_else(|| no_identity(&relation))?;
        let mut order: Vec<Order> = Vec::with_capacity(select.order.len() + identity.len());
        let last = identity.iter().map(|&column| Order { column, descending: false, nulls: None });
        for key in select.order.drain(..).chain(last) {
            if !order.iter().any(|known| known.column == key.column) {
                order.push(key);
            }
        }
        select.after = match start {
            None => None,
            Some(PageStart::Keys(place)) => Some(place_in(&relation, &order, place)?),
            Some(PageStart::State(_)) => return Err(of_another_kind()),
        };
        let text = ColumnType::new("text", TypeKind::Text);
        select.outputs.extend(order.iter().map(|key| Output {
            column: key.column,
            cast: Some(text.clone()),
            label: Arc::from(""),
            hidden: true,
        }));
        select.order = order;
        select.limit = Some(size.saturating_add(1));
        let count = self.count(request, &select);
        Ok((self.plan(Operation::Select(select), request.tuning)?, count.transpose()?))
    }

    fn page_by_state(
        &self,
        request: &FetchRequest,
        mut select: SelectPlan,
        size: u64,
        start: Option<PageStart<'_>>,
    ) -> Result<(Plan, Option<Plan>), RequestError> {
        let from = match start {
            None => None,
            Some(PageStart::State(state)) => Some(state.into()),
            Some(PageStart::Keys(_)) => return Err(of_another_kind()),
        };
        // So many rows it reads at most, for what is allowed by their number.
        select.limit = Some(size);
        let count = self.count(request, &select);
        let mut plan = self.plan(Operation::Select(select), request.tuning)?;
        if let Operation::Cql(CqlPlan::Read(read)) = &mut plan.operation {
            cql::paged(read, CqlPage { size, from })?;
        }
        Ok((plan, count.transpose()?))
    }
}

fn of_another_kind() -> RequestError {
    let message = "The cursor belongs to a database of another kind.";
    RequestError::field(RequestCode::InvalidCursor, "cursor", message)
        .hint("begin again with an empty cursor")
}

fn no_identity(relation: &Relation) -> RequestError {
    let name = &relation.name;
    let reason = match relation.inherited {
        true => format!(
            "other tables inherit from '{name}', and a key of one says nothing of the rows of another"
        ),
        false => format!("'{name}' has no primary key and no unique index without nulls"),
    };
    let message = format!("{reason}, so that no cursor could tell its rows apart");
    RequestError::field(RequestCode::NotSupportedByBackend, "cursor", message)
        .hint("page with current_page and page_size, or read it whole with Accept: application/x-ndjson")
}

/// The values of `place`, if they are those of `order`.
fn place_in(relation: &Relation, order: &[Order], place: &[KeyValue]) -> Result<Vec<Bind>, RequestError> {
    let names = order.iter().map(|key| &*relation.columns[key.column].name);
    if !names.eq(place.iter().map(|key| &*key.column)) {
        let message = format!("The key of '{}' has changed since the cursor was made.", relation.name);
        return Err(RequestError::field(RequestCode::InvalidCursor, "cursor", message)
            .hint("begin again with an empty cursor"));
    }
    let bind = |(key, given): (&Order, &KeyValue)| Bind {
        datum: given.value.as_deref().map_or(Datum::Null, |text| Datum::Text(text.into())),
        ty: relation.columns[key.column].ty.clone(),
    };
    Ok(order.iter().zip(place).map(bind).collect())
}
