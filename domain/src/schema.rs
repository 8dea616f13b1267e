//! What a database says about itself: relations, columns, types, keys. Immutable once built.

mod cql;

pub use cql::{
    Clustering, Consistency, CqlIndex, CqlRules, CqlTable, CqlType, Dialect, IndexKind, IndexTarget,
    PRIMARY_KEY,
};

use std::collections::HashMap;
use std::sync::Arc;

use crate::query::RelationName;

/// How values of a type behave on the wire and in filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeKind {
    /// `boolean`
    Bool,
    /// An integer of so many bits: 16, 32 or 64.
    Int(u8),
    /// A binary floating-point number of so many bits: 32 or 64.
    Float(u8),
    /// An exact decimal.
    Numeric,
    /// Text of any length.
    Text,
    /// `uuid`
    Uuid,
    /// JSON kept as text.
    Json,
    /// JSON kept parsed, with containment.
    Jsonb,
    /// Bytes.
    Bytes,
    /// `date`
    Date,
    /// `timestamp without time zone`
    Timestamp,
    /// `timestamp with time zone`
    TimestampTz,
    /// An array of a type.
    Array(Arc<ColumnType>),
    /// A row type.
    Composite(Arc<[Field]>),
    /// A type over another one.
    Domain(Arc<ColumnType>),
    /// A range or multirange.
    Range,
    /// A type of CQL.
    Cql(CqlType),
    /// Any other type: it travels as the database's own text.
    Other,
    /// A type that only the database knows: values are bound as the JSON text of the request.
    Dynamic,
}

/// A field of a composite type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Name.
    pub name: Box<str>,
    /// Type.
    pub ty: ColumnType,
}

/// A type of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnType {
    /// The type's name as the database writes it, quoted where it must be, ready to stand after `::`.
    pub sql: Arc<str>,
    /// How its values behave.
    pub kind: TypeKind,
}

impl ColumnType {
    /// A type by its SQL name.
    pub fn new(sql: &str, kind: TypeKind) -> Self {
        Self { sql: sql.into(), kind }
    }

    /// A type that only the database knows.
    pub fn dynamic() -> Self {
        Self::new("", TypeKind::Dynamic)
    }

    /// A type of CQL.
    pub fn cql(ty: CqlType) -> Self {
        Self { sql: ty.to_string().into(), kind: TypeKind::Cql(ty) }
    }

    /// The type below any domains.
    pub fn base(&self) -> &ColumnType {
        match &self.kind {
            TypeKind::Domain(base) => base.base(),
            _ => self,
        }
    }
}

/// A column of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name as the database has it; any text, so it is always quoted.
    pub name: Arc<str>,
    /// Type.
    pub ty: ColumnType,
    /// Whether it may hold null.
    pub nullable: bool,
    /// Whether it may be written: not generated and not an always-identity.
    pub writable: bool,
}

/// A unique index of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueIndex {
    /// Name of the index, which is also its constraint's name.
    pub name: Box<str>,
    /// Positions in [`Relation::columns`].
    pub columns: Box<[usize]>,
    /// Whether it holds for every row (no predicate) and on plain columns.
    pub total: bool,
    /// Whether it belongs to a constraint.
    pub constraint: bool,
}

/// A table or view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Schema.
    pub schema: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// Columns in the database's order.
    pub columns: Vec<Column>,
    /// Positions of the primary key's columns; empty without one.
    pub primary_key: Box<[usize]>,
    /// Unique indexes, the primary key's included.
    pub unique: Vec<UniqueIndex>,
    /// Whether a read of it also gives the rows of tables that inherit from it. Each of them has keys of its own, so that
    /// two rows may be alike in all of them.
    pub inherited: bool,
    /// What is special about a CQL table; nothing for SQL.
    pub cql: Option<CqlTable>,
}

impl Relation {
    /// Position of `*` in an open relation.
    pub const EVERY: usize = 0;

    /// Whether it was made of the names of one request: then its first column is `*`, which stands for every column,
    /// and only the database knows types and keys.
    pub fn is_open(&self) -> bool {
        self.columns.first().is_some_and(|column| column.ty.kind == TypeKind::Dynamic)
    }

    /// Position of a column by its exact name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| &*column.name == name)
    }

    /// The columns that tell every row from every other: the primary key's, else those of a unique index without
    /// nulls.
    pub fn identity(&self) -> Option<&[usize]> {
        if self.inherited {
            return None;
        }
        let never_null = |columns: &[usize]| columns.iter().all(|column| !self.columns[*column].nullable);
        let unique = self.unique.iter().filter(|index| index.total && !index.columns.is_empty());
        match &*self.primary_key {
            [] => unique.map(|index| &*index.columns).find(|columns| never_null(columns)),
            key => Some(key),
        }
    }

    /// The single column of the primary key.
    pub fn single_key(&self) -> Option<usize> {
        match *self.primary_key {
            [only] => Some(only),
            _ => None,
        }
    }
}

/// Tables by which a control database is known: of this gateway's, and of one that has not been brought forward yet.
const CONTROL_TABLES: [&str; 2] = ["athena_control_version", "api_key_right_grants"];

/// Everything known about one database at one moment.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    relations: HashMap<(Arc<str>, Arc<str>), Arc<Relation>>,
    types: HashMap<Box<str>, ColumnType>,
    search_path: Vec<Arc<str>>,
    dialect: Dialect,
    /// Asked for every request, so it is found out once.
    has_control_tables: bool,
}

impl Schema {
    /// A schema of which nothing is known but the name of its default one: the database itself says what exists.
    pub fn open(default_schema: &str) -> Self {
        Self { search_path: vec![default_schema.into()], dialect: Dialect::Rest, ..Self::default() }
    }

    /// Whether nothing is known of relations.
    pub fn is_open(&self) -> bool {
        self.dialect == Dialect::Rest
    }

    /// Builds a snapshot. `types` are the types a caller may cast to, by lower-case name.
    pub fn new(
        relations: Vec<Relation>,
        types: HashMap<Box<str>, ColumnType>,
        search_path: Vec<Arc<str>>,
    ) -> Self {
        let decides =
            |relation: &Relation| &*relation.schema == "public" && CONTROL_TABLES.contains(&&*relation.name);
        let has_control_tables = relations.iter().any(decides);
        let relations = relations
            .into_iter()
            .map(|relation| ((relation.schema.clone(), relation.name.clone()), Arc::new(relation)))
            .collect();
        Self { relations, types, search_path, dialect: Dialect::Sql, has_control_tables }
    }

    /// The same snapshot of a database that speaks `dialect`.
    #[must_use]
    pub fn speaking(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// The language of the database.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Finds a relation; an unqualified name resolves through the search path.
    pub fn relation(&self, name: &RelationName) -> Option<&Arc<Relation>> {
        let table = name.name.as_str();
        match &name.schema {
            Some(schema) => self.at(schema.as_str(), table),
            None => self.search_path.iter().find_map(|schema| self.at(schema, table)),
        }
    }

    fn at(&self, schema: &str, table: &str) -> Option<&Arc<Relation>> {
        self.relations.get(&(Arc::from(schema), Arc::from(table)))
    }

    /// The schema whose tables need no prefix: the first of the search path.
    pub fn default_schema(&self) -> &str {
        self.search_path.first().map_or("public", |schema| schema)
    }

    /// A type that a caller may cast to, by lower-case name, arrays with `[]`.
    pub fn type_named(&self, name: &str) -> Option<&ColumnType> {
        self.types.get(name)
    }

    /// Every relation, in no particular order.
    pub fn relations(&self) -> impl Iterator<Item = &Arc<Relation>> {
        self.relations.values()
    }

    /// Whether the database has tables that a gateway decides about callers by; nothing where that is not known.
    pub fn is_control(&self) -> Option<bool> {
        match self.dialect {
            Dialect::Rest => None,
            // Whoever may use them: the catalog lists what nobody may read, too.
            Dialect::Sql => Some(self.has_control_tables),
            Dialect::Cql(_) => Some(false),
        }
    }

    /// Number of relations.
    pub fn len(&self) -> usize {
        self.relations.len()
    }

    /// Whether there is no relation.
    pub fn is_empty(&self) -> bool {
        self.relations.is_empty()
    }
}
