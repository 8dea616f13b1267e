//! Plans → CQL text and the values for its markers; pure.

#[cfg(test)]
mod tests;

use athena_domain::plan::Output;
use athena_domain::plan::cql::{
    CqlCount, CqlDelete, CqlInsert, CqlRead, CqlUpdate, CqlValue, Existing, Restriction, Test,
};
use athena_domain::query::Stamp;
use athena_domain::schema::Relation;
use scylla::frame::response::result::{CollectionType, ColumnType};
use scylla::serialize::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::value::SerializeValue;
use scylla::serialize::writers::{CellWriter, RowWriter, WrittenCellProof};

use crate::value::{Bound, OtherType};

/// The value of one marker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Marker<'a> {
    One(&'a CqlValue),
    /// The members of `IN ?`, as one list.
    Members(&'a [CqlValue]),
    /// A number of rows.
    Limit(i32),
    /// Seconds.
    Ttl(i32),
    /// Microseconds since 1970.
    Time(i64),
}

impl SerializeValue for Marker<'_> {
    fn serialize<'b>(
        &self,
        ty: &ColumnType<'_>,
        writer: CellWriter<'b>,
    ) -> Result<WrittenCellProof<'b>, SerializationError> {
        match self {
            Self::One(value) => Bound(value).serialize(ty, writer),
            Self::Limit(number) | Self::Ttl(number) => number.serialize(ty, writer),
            Self::Time(micros) => micros.serialize(ty, writer),
            Self::Members(members) => {
                let ColumnType::Collection { typ: CollectionType::List(element), .. } = ty else {
                    return Err(SerializationError::new(OtherType));
                };
                let mut builder = writer.into_value_builder();
                let count = i32::try_from(members.len()).map_err(|_| SerializationError::new(OtherType))?;
                builder.append_bytes(&count.to_be_bytes());
                for member in *members {
                    Bound(member).serialize(element, builder.make_sub_writer())?;
                }
                builder.finish().map_err(SerializationError::new)
            }
        }
    }
}

/// The values of one of several statements that have a text in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values<'a> {
    pub row: &'a [CqlValue],
    /// What stands behind them, the same for every one.
    pub shared: &'a [Marker<'a>],
}

impl SerializeRow for Values<'_> {
    fn serialize(
        &self,
        context: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        let columns = context.columns();
        if columns.len() != self.row.len() + self.shared.len() {
            return Err(SerializationError::new(OtherType));
        }
        let values = self.row.iter().map(Marker::One).chain(self.shared.iter().copied());
        for (value, column) in values.zip(columns) {
            value.serialize(column.typ(), writer.make_cell_writer())?;
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.row.is_empty() && self.shared.is_empty()
    }
}

/// A statement whose text holds no value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement<'a> {
    pub text: String,
    pub markers: Vec<Marker<'a>>,
}

impl<'a> Statement<'a> {
    fn begin(text: &str) -> Self {
        let mut begun = String::with_capacity(256);
        begun.push_str(text);
        Self { text: begun, markers: Vec::new() }
    }

    /// Its `LIMIT`, `u64::MAX` when it has none.
    pub(crate) fn limit(&self) -> u64 {
        let of = |marker: &Marker<'_>| match marker {
            Marker::Limit(rows) => u64::try_from(*rows).ok(),
            _ => None,
        };
        self.markers.iter().find_map(of).unwrap_or(u64::MAX)
    }

    /// One of the reads of a plan.
    pub(crate) fn read(read: &'a CqlRead, restrictions: &'a [Restriction]) -> Self {
        let mut statement = Self::begin("SELECT ");
        // So that a column added since is in the answer, where it is noticed.
        if read.every && read.distinct.is_empty() {
            statement.text.push('*');
        } else {
            statement.columns(&read.relation, &read.outputs);
        }
        statement.from(&read.relation, restrictions);
        if read.reversed {
            statement.reversed(&read.relation);
        }
        // As many of each read: of a later one, at most the rows that are kept already come a second time.
        let rows = read.limit.map(|limit| limit.saturating_add(read.skip));
        if let Some(rows) = rows.and_then(|rows| i32::try_from(rows).ok()) {
            statement.text.push_str(" LIMIT ?");
            statement.markers.push(Marker::Limit(rows));
        }
        if read.filtering {
            statement.text.push_str(" ALLOW FILTERING");
        }
        statement
    }

    /// One of the counts of a plan.
    pub(crate) fn count(count: &'a CqlCount, restrictions: &'a [Restriction]) -> Self {
        let mut statement = Self::begin("SELECT COUNT(*)");
        statement.from(&count.relation, restrictions);
        if count.filtering {
            statement.text.push_str(" ALLOW FILTERING");
        }
        statement
    }

    /// Some column of at most `rows` rows that one of the counts of a plan is of, where they are counted as they come.
    pub(crate) fn counted(count: &'a CqlCount, restrictions: &'a [Restriction], rows: u64) -> Self {
        let mut statement = Self::begin("SELECT ");
        statement.first_of_key(&count.relation);
        statement.from(&count.relation, restrictions);
        statement.text.push_str(" LIMIT ?");
        statement.markers.push(Marker::Limit(i32::try_from(rows).unwrap_or(i32::MAX)));
        if count.filtering {
            statement.text.push_str(" ALLOW FILTERING");
        }
        statement
    }

    /// One row, read by its key, if it meets `visible` as well: there the database looks at that row alone.
    pub(crate) fn row(
        relation: &'a Relation,
        outputs: &[Output],
        key: &'a [Restriction],
        visible: &'a [Restriction],
    ) -> Self {
        let mut statement = Self::begin("SELECT ");
        statement.columns(relation, outputs);
        statement.from(relation, key);
        if !visible.is_empty() {
            statement.restrictions(" AND ", relation, visible);
            statement.text.push_str(" ALLOW FILTERING");
        }
        statement
    }

    /// One new row.
    pub(crate) fn insert(insert: &'a CqlInsert, row: &'a [CqlValue]) -> Self {
        let mut statement = Self::begin("INSERT INTO ");
        statement.table(&insert.relation);
        statement.text.push_str(" (");
        for (index, column) in insert.columns.iter().enumerate() {
            statement.separate(index, ", ");
            statement.name(&insert.relation.columns[*column].name);
        }
        statement.text.push_str(") VALUES (");
        for (index, value) in row.iter().enumerate() {
            statement.separate(index, ", ");
            statement.marker(Marker::One(value));
        }
        statement.text.push(')');
        if insert.existing != Existing::Changes {
            statement.text.push_str(" IF NOT EXISTS");
        }
        statement.using(insert.stamp);
        statement
    }

    /// The change of one row.
    pub(crate) fn update(update: &'a CqlUpdate, key: &'a [Restriction]) -> Self {
        let mut statement = Self::begin("UPDATE ");
        statement.table(&update.relation);
        statement.using(Stamp { ttl: update.ttl, timestamp: None });
        statement.text.push_str(" SET ");
        for (index, (column, value)) in update.set.iter().enumerate() {
            statement.separate(index, ", ");
            statement.name(&update.relation.columns[*column].name);
            statement.text.push_str(" = ");
            if update.added {
                statement.name(&update.relation.columns[*column].name);
                statement.text.push_str(" + ");
            }
            statement.marker(Marker::One(value));
        }
        statement.restrictions(" WHERE ", &update.relation, key);
        if !update.added {
            statement.condition(&update.relation, &update.condition);
        }
        statement
    }

    /// The removal of one row.
    pub(crate) fn delete(delete: &'a CqlDelete, key: &'a [Restriction]) -> Self {
        let mut statement = Self::begin("DELETE FROM ");
        statement.table(&delete.relation);
        statement.using(Stamp { ttl: None, timestamp: delete.timestamp });
        statement.restrictions(" WHERE ", &delete.relation, key);
        if delete.timestamp.is_none() {
            statement.condition(&delete.relation, &delete.condition);
        }
        statement
    }

    /// Whether a row is there, by its key.
    pub(crate) fn presence(relation: &'a Relation, key: &'a [Restriction]) -> Self {
        let mut statement = Self::begin("SELECT ");
        statement.first_of_key(relation);
        statement.from(relation, key);
        statement
    }

    /// A column that no row is without.
    fn first_of_key(&mut self, relation: &Relation) {
        if let Some(column) = relation.primary_key.first() {
            self.name(&relation.columns[*column].name);
        }
    }

    fn using(&mut self, stamp: Stamp) {
        let parts =
            [(" TTL ", stamp.ttl.map(Marker::Ttl)), (" TIMESTAMP ", stamp.timestamp.map(Marker::Time))];
        for (nth, (word, marker)) in parts.into_iter().filter_map(|(word, m)| Some((word, m?))).enumerate() {
            self.text.push_str(if nth == 0 { " USING" } else { " AND" });
            self.text.push_str(word);
            self.marker(marker);
        }
    }

    /// Each column once and in the table's order: in whatever order a caller names them, it is one statement. The
    /// answer is read by the columns' names.
    fn columns(&mut self, relation: &Relation, outputs: &[Output]) {
        let mut columns: Vec<usize> = outputs.iter().map(|output| output.column).collect();
        columns.sort_unstable();
        columns.dedup();
        for (index, column) in columns.into_iter().enumerate() {
            self.separate(index, ", ");
            self.name(&relation.columns[column].name);
        }
    }

    fn from(&mut self, relation: &'a Relation, restrictions: &'a [Restriction]) {
        self.text.push_str(" FROM ");
        self.table(relation);
        self.restrictions(" WHERE ", relation, restrictions);
    }

    /// The order that the table does not have: every clustering column turned round.
    fn reversed(&mut self, relation: &Relation) {
        let clustering = relation.cql.as_ref().map_or(&[][..], |table| &table.clustering);
        for (index, clustering) in clustering.iter().enumerate() {
            self.text.push_str(if index == 0 { " ORDER BY " } else { ", " });
            self.name(&relation.columns[clustering.column].name);
            self.text.push_str(if clustering.descending { " ASC" } else { " DESC" });
        }
    }

    fn condition(&mut self, relation: &Relation, condition: &'a [Restriction]) {
        if condition.is_empty() {
            self.text.push_str(" IF EXISTS");
        } else {
            self.restrictions(" IF ", relation, condition);
        }
    }

    fn restrictions(&mut self, word: &str, relation: &Relation, restrictions: &'a [Restriction]) {
        for (index, restriction) in restrictions.iter().enumerate() {
            self.text.push_str(if index == 0 { word } else { " AND " });
            self.name(&relation.columns[restriction.column].name);
            let (operator, value) = match &restriction.test {
                Test::Eq(value) => (" = ", Some(Marker::One(value))),
                Test::In(members) => (" IN ", Some(Marker::Members(members))),
                Test::Gt(value) => (" > ", Some(Marker::One(value))),
                Test::Gte(value) => (" >= ", Some(Marker::One(value))),
                Test::Lt(value) => (" < ", Some(Marker::One(value))),
                Test::Lte(value) => (" <= ", Some(Marker::One(value))),
                Test::Contains(value) => (" CONTAINS ", Some(Marker::One(value))),
                Test::Entry(key, value) => {
                    self.text.push('[');
                    self.marker(Marker::One(key));
                    ("] = ", Some(Marker::One(value)))
                }
                Test::Neq(value) => (" != ", Some(Marker::One(value))),
                Test::Null => (" = null", None),
                Test::NotNull => (" != null", None),
            };
            self.text.push_str(operator);
            if let Some(value) = value {
                self.marker(value);
            }
        }
    }

    fn marker(&mut self, marker: Marker<'a>) {
        self.text.push('?');
        self.markers.push(marker);
    }

    fn separate(&mut self, index: usize, with: &str) {
        if index > 0 {
            self.text.push_str(with);
        }
    }

    fn table(&mut self, relation: &Relation) {
        self.name(&relation.schema);
        self.text.push('.');
        self.name(&relation.name);
    }

    fn name(&mut self, name: &str) {
        self.text.push('"');
        for (index, part) in name.split('"').enumerate() {
            self.separate(index, "\"\"");
            self.text.push_str(part);
        }
        self.text.push('"');
    }
}
