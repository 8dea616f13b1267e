//! Planning a read.

use super::open::Names;
use super::{CountPlan, Filter, Operation, Order, Plan, Planner, SelectPlan};
use crate::access::KeyOperation;
use crate::error::RequestError;
use crate::limits::DEFAULT_LIMIT;
use crate::query::fetch::Count;
use crate::query::{FetchRequest, Selection, SortKey};
use crate::rows::RowFormat;
use crate::schema::Relation;

impl Planner<'_> {
    /// Plans a read whose rows leave in `format`, and the count of matching rows when it is asked for.
    ///
    /// # Errors
    /// Unknown names, values that do not fit, a `limit` above the configured one.
    pub fn fetch(
        &self,
        request: &FetchRequest,
        format: RowFormat,
    ) -> Result<(Plan, Option<Plan>), RequestError> {
        let mut select = self.select(request)?;
        let bounded = format == RowFormat::Json || request.grouping.is_some();
        let limit = match request.window.limit {
            Some(limit) if bounded && limit > self.limits.max_rows => {
                return Err(RequestError::limit(
                    "max_rows",
                    self.limits.max_rows,
                    "limit",
                    format!("`limit` is {limit}"),
                )
                .hint("page through the rows, or ask for Accept: application/x-ndjson or text/csv, which have no bound"));
            }
            None if bounded => Some(DEFAULT_LIMIT.min(self.limits.max_rows)),
            limit => limit,
        };
        select.limit = if request.head { Some(0) } else { limit };
        select.unbounded = !bounded;
        let count = self.count(request, &select);
        Ok((self.plan(Operation::Select(select), request.tuning)?, count.transpose()?))
    }

    /// A read of every row that matches.
    pub(super) fn select(&self, request: &FetchRequest) -> Result<SelectPlan, RequestError> {
        let relation = self.relation(&request.relation, KeyOperation::Fetch, || Names::of_fetch(request))?;
        let outputs = self.outputs(&relation, &request.columns)?;
        let filter = self.bounded(&relation, self.filter(&relation, &request.conditions)?)?;
        self.needs_catalog(
            request.window.offset > 0 && request.sort.is_empty(),
            "sort_by",
            "through PostgREST no primary key is known to sort by, so that pages without an order could overlap",
            "give `sort_by` with a column, or columns, that no two rows share",
        )?;
        let order = self.order(&relation, &request.sort, request.window.paged)?;
        let every = matches!(request.columns, Selection::All | Selection::AllWith(_))
            && !self.options.camel_to_snake
            && !self.limits_columns(&relation);
        let offset = request.window.offset;
        Ok(SelectPlan {
            relation,
            every,
            outputs,
            filter,
            order,
            after: None,
            limit: None,
            offset,
            unbounded: false,
        })
    }

    /// The count of the rows that match, where it is asked for.
    pub(super) fn count(
        &self,
        request: &FetchRequest,
        select: &SelectPlan,
    ) -> Option<Result<Plan, RequestError>> {
        let count = request.count?;
        if count != Count::Exact && self.limits_rows(&select.relation) {
            return Some(Err(RequestError::invalid(
                "count",
                "the database estimates over all rows, also those that the API key's row filter hides; ask for `exact`",
            )));
        }
        let (relation, filter) = (select.relation.clone(), select.filter.clone());
        Some(self.plan(Operation::Count(CountPlan { relation, filter, count }), request.tuning))
    }

    /// The order; pages end with the primary key, so that no row stands on two of them.
    fn order(&self, relation: &Relation, sort: &[SortKey], paged: bool) -> Result<Vec<Order>, RequestError> {
        let mut order: Vec<Order> = Vec::with_capacity(sort.len() + 1);
        for key in sort {
            let column = self.column(relation, &key.column)?;
            order.push(Order { column, descending: key.descending, nulls: key.nulls });
        }
        // The rows of a CQL table have one order, in which pages follow each other anyway.
        if paged && !self.speaks_cql() {
            for &column in &relation.primary_key {
                if !order.iter().any(|key| key.column == column) {
                    order.push(Order { column, descending: false, nulls: None });
                }
            }
        }
        Ok(order)
    }
}

impl Filter {
    /// Whether it holds for every row.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::And(list) if list.is_empty())
    }
}
