//! What CQL tables have and SQL tables do not: keys that decide which questions may be asked, indexes that answer
//! some of the others, and types of their own.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Column, Relation, UniqueIndex};

/// The language of a database and what its owner allows in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// SQL.
    #[default]
    Sql,
    /// CQL.
    Cql(CqlRules),
    /// Requests to an interface such as PostgREST, which tells nothing of its catalog.
    Rest,
}

/// What the owner of a CQL database allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CqlRules {
    /// Whether a read may look at more rows than it returns (`ALLOW FILTERING`).
    pub allow_filtering: bool,
    /// Most rows that such a read may return.
    pub max_filtered_rows: u64,
    /// Whether ranges and sorts take the database's order of types that SQL sorts otherwise.
    pub database_order: bool,
    /// The most replicas that a request may wait for.
    pub max_consistency: Consistency,
    /// The longest time that a request may ask for one page or one write.
    pub max_timeout: Duration,
    /// Most rows that a request may have sent at once.
    pub max_fetch_size: u32,
}

/// How many replicas have to agree; those that wait for more come later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Consistency {
    /// One in the nearest datacenter.
    LocalOne,
    /// One.
    One,
    /// Two.
    Two,
    /// Three.
    Three,
    /// Most of those in the nearest datacenter.
    LocalQuorum,
    /// Most of them.
    Quorum,
    /// Most of them in each datacenter.
    EachQuorum,
    /// Every one.
    All,
}

impl Consistency {
    const NAMES: [(&'static str, Self); 8] = [
        ("local_one", Self::LocalOne),
        ("one", Self::One),
        ("two", Self::Two),
        ("three", Self::Three),
        ("local_quorum", Self::LocalQuorum),
        ("quorum", Self::Quorum),
        ("each_quorum", Self::EachQuorum),
        ("all", Self::All),
    ];

    /// The level of a name, in whatever letter case.
    pub fn parse(name: &str) -> Option<Self> {
        let known = Self::NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        known.map(|(_, level)| *level)
    }

    /// Every name, for messages.
    pub fn names() -> String {
        Self::NAMES.map(|(name, _)| name).join(", ")
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Self::NAMES.iter().find(|(_, level)| level == self);
        f.write_str(known.map_or("", |(name, _)| name))
    }
}

/// The name that a primary key has where a constraint is named.
pub const PRIMARY_KEY: &str = "PRIMARY KEY";

/// What is special about a CQL table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CqlTable {
    /// Positions of the partition key's columns, in the key's order.
    pub partition: Box<[usize]>,
    /// The clustering columns, in the key's order.
    pub clustering: Box<[Clustering]>,
    /// Positions of the columns that a partition has once.
    pub statics: Box<[usize]>,
    /// Indexes that can be asked.
    pub indexes: Vec<CqlIndex>,
    /// Whether its values are counters.
    pub counter: bool,
    /// Whether it is a materialized view.
    pub view: bool,
}

/// A clustering column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clustering {
    /// Position in [`Relation::columns`].
    pub column: usize,
    /// Whether the greatest value comes first in a partition.
    pub descending: bool,
}

/// An index of a CQL table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CqlIndex {
    /// Name.
    pub name: Box<str>,
    /// Position in [`Relation::columns`].
    pub column: usize,
    /// What it can answer.
    pub kind: IndexKind,
    /// What of the column it holds.
    pub target: IndexTarget,
}

/// What an index can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexKind {
    /// An index of the first kind (also ScyllaDB's): equality and `CONTAINS`, one of them in a query.
    Secondary,
    /// A storage-attached index whose equality is that of the column's type: also ranges, several in a query.
    Sai,
    /// Any other, such as for vectors or with an analyzer: what it finds is not what the column's type calls equal,
    /// so that it answers none of our questions.
    Other,
}

/// What of a column an index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexTarget {
    /// The value; of a collection, each element, or each value of a map.
    Values,
    /// Each key of a map.
    Keys,
    /// Each pair of a map.
    Entries,
    /// A frozen collection as one value.
    Full,
}

impl Relation {
    /// A CQL table. Its primary key is the partition key with the clustering columns, and the only unique index.
    pub fn of_cql(keyspace: &str, name: &str, columns: Vec<Column>, table: CqlTable) -> Self {
        let clustering = table.clustering.iter().map(|clustering| clustering.column);
        let primary_key: Box<[usize]> = table.partition.iter().copied().chain(clustering).collect();
        let unique = UniqueIndex {
            name: PRIMARY_KEY.into(),
            columns: primary_key.clone(),
            total: true,
            constraint: true,
        };
        Self {
            schema: keyspace.into(),
            name: name.into(),
            columns,
            primary_key,
            unique: vec![unique],
            inherited: false,
            cql: Some(table),
        }
    }
}

/// A type of CQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CqlType {
    /// `ascii`
    Ascii,
    /// `text`, `varchar`
    Text,
    /// `boolean`
    Bool,
    /// `tinyint`, `smallint`, `int`, `bigint`: 8, 16, 32 or 64 bits.
    Int(u8),
    /// `varint`
    Varint,
    /// `decimal`
    Decimal,
    /// `float`, `double`: 32 or 64 bits.
    Float(u8),
    /// `uuid`
    Uuid,
    /// `timeuuid`
    TimeUuid,
    /// `timestamp`, in milliseconds.
    Timestamp,
    /// `date`
    Date,
    /// `time`, in nanoseconds.
    Time,
    /// `duration`
    Duration,
    /// `inet`
    Inet,
    /// `blob`
    Blob,
    /// `counter`
    Counter,
    /// `list<…>`
    List {
        /// Whether it is one value that can only be written whole.
        frozen: bool,
        /// Type of the elements.
        element: Arc<CqlType>,
    },
    /// `set<…>`
    Set {
        /// Whether it is one value that can only be written whole.
        frozen: bool,
        /// Type of the elements.
        element: Arc<CqlType>,
    },
    /// `map<…, …>`
    Map {
        /// Whether it is one value that can only be written whole.
        frozen: bool,
        /// Type of the keys.
        key: Arc<CqlType>,
        /// Type of the values.
        value: Arc<CqlType>,
    },
    /// `tuple<…>`
    Tuple(Arc<[CqlType]>),
    /// `vector<…, n>`
    Vector {
        /// Type of the elements.
        element: Arc<CqlType>,
        /// Number of elements.
        dimensions: usize,
    },
    /// A user-defined type.
    Udt {
        /// Whether it is one value that can only be written whole.
        frozen: bool,
        /// Name.
        name: Arc<str>,
        /// Fields in the type's order.
        fields: Arc<[(Box<str>, CqlType)]>,
    },
    /// A type of the server's own making, of which nothing is known.
    Custom(Arc<str>),
}

impl CqlType {
    /// Whether a value consists of others.
    pub fn is_compound(&self) -> bool {
        matches!(
            self,
            Self::List { .. }
                | Self::Set { .. }
                | Self::Map { .. }
                | Self::Tuple(_)
                | Self::Vector { .. }
                | Self::Udt { .. }
        )
    }

    /// Whether a value is kept as one: it can be compared with another one.
    pub fn is_whole(&self) -> bool {
        match self {
            Self::List { frozen, .. }
            | Self::Set { frozen, .. }
            | Self::Map { frozen, .. }
            | Self::Udt { frozen, .. } => *frozen,
            _ => true,
        }
    }

    /// Whether one value can be less than another in a way that CQL lets be asked for.
    pub fn has_order(&self) -> bool {
        !self.is_compound() && !matches!(self, Self::Duration | Self::Counter | Self::Custom(_))
    }
}

impl fmt::Display for CqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wrap = |f: &mut fmt::Formatter<'_>, frozen: bool, inner: fmt::Arguments<'_>| {
            if frozen { write!(f, "frozen<{inner}>") } else { f.write_fmt(inner) }
        };
        match self {
            Self::Ascii => f.write_str("ascii"),
            Self::Text => f.write_str("text"),
            Self::Bool => f.write_str("boolean"),
            Self::Int(8) => f.write_str("tinyint"),
            Self::Int(16) => f.write_str("smallint"),
            Self::Int(32) => f.write_str("int"),
            Self::Int(_) => f.write_str("bigint"),
            Self::Varint => f.write_str("varint"),
            Self::Decimal => f.write_str("decimal"),
            Self::Float(32) => f.write_str("float"),
            Self::Float(_) => f.write_str("double"),
            Self::Uuid => f.write_str("uuid"),
            Self::TimeUuid => f.write_str("timeuuid"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Date => f.write_str("date"),
            Self::Time => f.write_str("time"),
            Self::Duration => f.write_str("duration"),
            Self::Inet => f.write_str("inet"),
            Self::Blob => f.write_str("blob"),
            Self::Counter => f.write_str("counter"),
            Self::List { frozen, element } => wrap(f, *frozen, format_args!("list<{element}>")),
            Self::Set { frozen, element } => wrap(f, *frozen, format_args!("set<{element}>")),
            Self::Map { frozen, key, value } => wrap(f, *frozen, format_args!("map<{key}, {value}>")),
            Self::Tuple(fields) => {
                f.write_str("tuple<")?;
                for (index, field) in fields.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{field}")?;
                }
                f.write_str(">")
            }
            Self::Vector { element, dimensions } => write!(f, "vector<{element}, {dimensions}>"),
            Self::Udt { frozen, name, .. } => wrap(f, *frozen, format_args!("{name}")),
            Self::Custom(name) => write!(f, "'{name}'"),
        }
    }
}
