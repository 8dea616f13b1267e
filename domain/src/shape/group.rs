//! Groups of a page's rows, and exact totals over them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::str::FromStr;

use bigdecimal::BigDecimal;

use super::decimal::{self, Decimal};
use super::granularity::{Granularity, TimestampError};
use super::row_set::{Cell, RowSet};
use super::strip_nulls::without_spaces;
use crate::error::excerpt;

#[cfg(test)]
mod tests;

/// How the totals of groups are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Each group carries the sum of itself and all groups before it, in
    /// label order.
    CumulativeSum,
}

/// An `aggregation_strategy` that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Unknown aggregation_strategy '{0}': expected cumulative_sum")]
pub struct UnknownStrategy(pub Box<str>);

/// What a request asks of its rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Grouping {
    group_by: Box<str>,
    granularity: Option<Granularity>,
    aggregation_column: Option<Box<str>>,
    strategy: Option<Strategy>,
    dedup: bool,
}

/// Why rows cannot be grouped. The texts are shown to the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The rows have no such column.
    #[error("Missing group_by column '{0}'")]
    MissingGroupColumn(Box<str>),
    /// The rows have no such column.
    #[error("Missing aggregation column '{0}'")]
    MissingAggregationColumn(Box<str>),
    /// A value that is neither null nor a finite number, or is a number too
    /// large to add up.
    #[error("Aggregation column '{0}' contains non-numeric data")]
    NonNumeric(Box<str>),
    /// A strategy was asked for without something to add up.
    #[error("aggregation_strategy requires aggregation_column")]
    StrategyWithoutColumn,
    /// A value of the `group_by` column is no point in time.
    #[error(transparent)]
    Timestamp(#[from] TimestampError),
}

/// The rows that share one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What the rows have in common.
    pub label: String,
    /// Places of the rows in the page, in fetch order.
    pub rows: Vec<usize>,
    /// A JSON number with every digit; none when nothing was to be added up.
    pub aggregation: Option<String>,
}

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    /// Reads `cumulative_sum` in any case.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if name.eq_ignore_ascii_case("cumulative_sum") {
            Ok(Self::CumulativeSum)
        } else {
            Err(UnknownStrategy(excerpt(name).into()))
        }
    }
}

impl Grouping {
    /// Takes the fields of a request together. Without an aggregation column
    /// `dedup` has no effect.
    ///
    /// # Errors
    ///
    /// [`GroupError::StrategyWithoutColumn`] when there is a strategy and
    /// nothing to add up.
    pub fn new(
        group_by: impl Into<Box<str>>,
        granularity: Option<Granularity>,
        aggregation_column: Option<Box<str>>,
        strategy: Option<Strategy>,
        dedup: bool,
    ) -> Result<Self, GroupError> {
        if strategy.is_some() && aggregation_column.is_none() {
            return Err(GroupError::StrategyWithoutColumn);
        }
        Ok(Self { group_by: group_by.into(), granularity, aggregation_column, strategy, dedup })
    }

    /// The column whose values make the labels.
    pub fn group_by(&self) -> &str {
        &self.group_by
    }

    /// How wide groups of time are; none groups by the value itself.
    pub fn granularity(&self) -> Option<Granularity> {
        self.granularity
    }

    /// The column to add up.
    pub fn aggregation_column(&self) -> Option<&str> {
        self.aggregation_column.as_deref()
    }

    /// How totals are told; none tells each group's own sum.
    pub fn strategy(&self) -> Option<Strategy> {
        self.strategy
    }

    /// Whether equal numbers count once within a group.
    pub fn dedup(&self) -> bool {
        self.dedup
    }
}

/// A group while its rows are being collected.
#[derive(Default)]
struct Collected {
    rows: Vec<usize>,
    sum: BigDecimal,
    /// Numbers already counted; stays empty without dedup.
    counted: HashSet<Decimal>,
}

/// Groups the rows of a page, ordered by label, byte by byte.
///
/// Every row is in exactly one group. Sums are exact; nulls add nothing, so
/// a group of nulls alone sums to 0. Null keys share the label `null`, with
/// or without a granularity. A set without columns and without rows, which is
/// all that is known of an empty answer in JSON, has no groups.
///
/// # Errors
///
/// [`GroupError`] names the missing column, or the first value that cannot be
/// read.
pub fn group(rows: &RowSet, grouping: &Grouping) -> Result<Vec<Group>, GroupError> {
    if rows.is_empty() && rows.columns().is_empty() {
        return Ok(Vec::new());
    }
    let key = rows
        .column(&grouping.group_by)
        .ok_or_else(|| GroupError::MissingGroupColumn(grouping.group_by.clone()))?;
    let value = match &grouping.aggregation_column {
        Some(name) => {
            Some(rows.column(name).ok_or_else(|| GroupError::MissingAggregationColumn(name.clone()))?)
        }
        None => None,
    };
    let mut groups: BTreeMap<Cow<'_, str>, Collected> = BTreeMap::new();
    for (index, row) in rows.rows().enumerate() {
        let group = groups.entry(label(&row[key], grouping.granularity)?).or_default();
        group.rows.push(index);
        if let Some(number) = value.map(|value| parse_number(&row[value], grouping)).transpose()?.flatten() {
            group.add(number, grouping.dedup);
        }
    }
    Ok(total(groups, grouping))
}

impl Collected {
    fn add(&mut self, number: Decimal, dedup: bool) {
        if dedup && self.counted.contains(&number) {
            return;
        }
        self.sum += number.to_big();
        if dedup {
            self.counted.insert(number);
        }
    }
}

/// Ends collecting: tells each group's total as the strategy wants it.
fn total(groups: BTreeMap<Cow<'_, str>, Collected>, grouping: &Grouping) -> Vec<Group> {
    let mut running = BigDecimal::default();
    groups
        .into_iter()
        .map(|(label, Collected { rows, sum, .. })| {
            let aggregation = grouping.aggregation_column.as_ref().map(|_| match grouping.strategy {
                Some(Strategy::CumulativeSum) => {
                    running += sum;
                    decimal::render(&running)
                }
                None => decimal::render(&sum),
            });
            Group { label: label.into_owned(), rows, aggregation }
        })
        .collect()
}

/// The label of one row: a string as it is, anything else as compact JSON, a
/// point in time by its granularity.
fn label(cell: &Cell, granularity: Option<Granularity>) -> Result<Cow<'_, str>, TimestampError> {
    if let Some(granularity) = granularity {
        return granularity.label(cell).map(Cow::Owned);
    }
    Ok(match cell {
        Cell::Null => Cow::Borrowed("null"),
        Cell::Bool(true) => Cow::Borrowed("true"),
        Cell::Bool(false) => Cow::Borrowed("false"),
        Cell::Number(text) | Cell::Text(text) => Cow::Borrowed(text),
        Cell::Json(text) => Cow::Owned(without_spaces(text)),
    })
}

/// The number to add up; none for a null. Numeric strings count as numbers.
fn parse_number(cell: &Cell, grouping: &Grouping) -> Result<Option<Decimal>, GroupError> {
    let decimal = match cell {
        Cell::Null => return Ok(None),
        Cell::Number(text) | Cell::Text(text) => Decimal::parse(text),
        Cell::Bool(_) | Cell::Json(_) => None,
    };
    match decimal {
        Some(decimal) => Ok(Some(decimal)),
        None => Err(GroupError::NonNumeric(grouping.aggregation_column.clone().unwrap_or_default())),
    }
}
