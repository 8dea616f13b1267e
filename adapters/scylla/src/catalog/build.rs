//! Rows of `system_schema` → the domain's schema.

use std::collections::{HashMap, HashSet};

use athena_domain::schema::{
    Clustering, Column, ColumnType, CqlIndex, CqlTable, IndexKind, IndexTarget, Relation, Schema,
};

use super::types::Types;
use super::{ColumnRow, IndexRow, TableRow, TypeRow, ViewRow};

/// What was read.
pub(super) struct Rows {
    pub tables: Vec<TableRow>,
    pub views: Vec<ViewRow>,
    pub columns: Vec<ColumnRow>,
    pub indexes: Vec<IndexRow>,
    pub types: Vec<TypeRow>,
}

/// Builds the schema of one keyspace.
pub(super) fn schema(keyspace: &str, rows: Rows) -> Schema {
    let types = Types::new(&rows.types);
    let counters: HashSet<&str> = rows
        .tables
        .iter()
        .filter(|table| table.flags.as_ref().is_some_and(|flags| flags.iter().any(|flag| flag == "counter")))
        .map(|table| table.table_name.as_str())
        .collect();
    let views: HashSet<&str> = rows.views.iter().map(|view| view.view_name.as_str()).collect();
    let known: HashSet<&str> =
        rows.tables.iter().map(|table| table.table_name.as_str()).chain(views.iter().copied()).collect();
    let mut columns: HashMap<&str, Vec<&ColumnRow>> = HashMap::new();
    // A table made between two of the readings is half known; the next reading has it whole.
    for column in rows.columns.iter().filter(|column| known.contains(column.table_name.as_str())) {
        columns.entry(&column.table_name).or_default().push(column);
    }
    let relations = columns.into_iter().map(|(name, mut columns)| {
        columns.sort_by_key(|column| (rank(&column.kind), column.position, &column.column_name));
        let view = views.contains(name);
        let of_kind = |kind: &'static str| {
            columns.iter().enumerate().filter(move |(_, column)| column.kind == kind).map(|(place, _)| place)
        };
        let clustering = of_kind("clustering")
            .map(|column| Clustering { column, descending: columns[column].clustering_order == "desc" });
        let table = CqlTable {
            partition: of_kind("partition_key").collect(),
            clustering: clustering.collect(),
            statics: of_kind("static").collect(),
            indexes: rows
                .indexes
                .iter()
                .filter(|index| index.table_name == name)
                .filter_map(|index| self::index(index, &columns))
                .collect(),
            counter: counters.contains(name),
            view,
        };
        let columns = columns.iter().map(|column| Column {
            name: column.column_name.as_str().into(),
            ty: ColumnType::cql(types.parse(&column.r#type)),
            nullable: !matches!(column.kind.as_str(), "partition_key" | "clustering"),
            writable: !view,
        });
        Relation::of_cql(keyspace, name, columns.collect(), table)
    });
    Schema::new(relations.collect(), HashMap::new(), vec![keyspace.into()])
}

/// Columns in the order in which `SELECT *` gives them.
fn rank(kind: &str) -> u8 {
    match kind {
        "partition_key" => 0,
        "clustering" => 1,
        "static" => 2,
        _ => 3,
    }
}

/// An index on a column that can be found; others, such as ScyllaDB's local ones, are for nobody to ask.
fn index(row: &IndexRow, columns: &[&ColumnRow]) -> Option<CqlIndex> {
    let options = row.options.as_ref()?;
    let (target, name) = target(options.get("target")?);
    let column = columns.iter().position(|column| column.column_name == name)?;
    let class = options.get("class_name").map_or("", String::as_str);
    let class = class.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let kind = match class.as_str() {
        "" if row.kind != "CUSTOM" => IndexKind::Secondary,
        "sai" | "storageattachedindex" if is_exact(options, &columns[column].r#type) => IndexKind::Sai,
        _ => IndexKind::Other,
    };
    Some(CqlIndex { name: row.index_name.as_str().into(), column, kind, target })
}

/// Whether what a storage-attached index calls equal is equal.
fn is_exact(options: &HashMap<String, String>, ty: &str) -> bool {
    let set = |name: &str, usual: &str| options.get(name).is_some_and(|value| value != usual);
    !(ty.starts_with("vector<")
        || options.contains_key("index_analyzer")
        || options.contains_key("similarity_function")
        || set("case_sensitive", "true")
        || set("normalize", "false")
        || set("ascii", "false"))
}

/// `values(tags)`, `keys("M")`, `name`: what of which column.
fn target(text: &str) -> (IndexTarget, String) {
    let (target, name) =
        match text.split_once('(').and_then(|(word, rest)| Some((word, rest.strip_suffix(')')?))) {
            Some(("keys", name)) => (IndexTarget::Keys, name),
            Some(("entries", name)) => (IndexTarget::Entries, name),
            Some(("full", name)) => (IndexTarget::Full, name),
            Some(("values", name)) => (IndexTarget::Values, name),
            _ => (IndexTarget::Values, text),
        };
    let quoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    (target, quoted.map_or_else(|| name.to_owned(), |name| name.replace("\"\"", "\"")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
    use super::*;
    use athena_domain::query::RelationName;

    fn column(table: &str, name: &str, kind: &str, position: i32, ty: &str) -> ColumnRow {
        let (name, order) = name.split_once(' ').unwrap_or((name, "none"));
        ColumnRow {
            table_name: table.to_owned(),
            column_name: name.to_owned(),
            clustering_order: order.to_owned(),
            kind: kind.to_owned(),
            position,
            r#type: ty.to_owned(),
        }
    }

    fn index(name: &str, kind: &str, options: &[(&str, &str)]) -> IndexRow {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        IndexRow {
            table_name: "t".to_owned(),
            index_name: name.to_owned(),
            kind: kind.to_owned(),
            options: Some(options.collect()),
        }
    }

    #[test]
    fn a_table_has_its_keys_and_indexes() {
        let rows = Rows {
            tables: vec![
                TableRow { table_name: "t".to_owned(), flags: Some(vec!["compound".to_owned()]) },
                TableRow { table_name: "n".to_owned(), flags: Some(vec!["counter".to_owned()]) },
            ],
            views: vec![ViewRow { view_name: "v".to_owned() }],
            columns: vec![
                column("t", "z", "regular", -1, "int"),
                column("t", "tags", "regular", -1, "set<text>"),
                column("t", "once", "static", -1, "text"),
                column("t", "at desc", "clustering", 0, "timestamp"),
                column("t", "b", "partition_key", 1, "int"),
                column("t", "a", "partition_key", 0, "int"),
                column("n", "k", "partition_key", 0, "text"),
                column("n", "hits", "regular", -1, "counter"),
                column("v", "k", "partition_key", 0, "text"),
                column("new", "k", "partition_key", 0, "text"),
            ],
            indexes: vec![
                index("by_z", "COMPOSITES", &[("target", "z")]),
                index(
                    "by_tag",
                    "CUSTOM",
                    &[("target", "values(tags)"), ("class_name", "StorageAttachedIndex")],
                ),
                index(
                    "loose",
                    "CUSTOM",
                    &[("target", "z"), ("class_name", "sai"), ("case_sensitive", "false")],
                ),
                index(
                    "like",
                    "CUSTOM",
                    &[("target", "z"), ("class_name", "org.apache.cassandra.index.sasi.SASIIndex")],
                ),
                index("local", "COMPOSITES", &[("target", "{\"pk\":[\"a\"],\"ck\":[\"z\"]}")]),
            ],
            types: Vec::new(),
        };
        let schema = schema("k", rows);
        assert_eq!(schema.len(), 3);
        let find = |name: &str| schema.relation(&RelationName::parse(name, None, "t").unwrap()).cloned();
        assert!(find("new").is_none());
        let table = find("t").unwrap();
        let names: Vec<&str> = table.columns.iter().map(|column| &*column.name).collect();
        assert_eq!(names, ["a", "b", "at", "once", "tags", "z"]);
        assert_eq!(&*table.primary_key, [0, 1, 2]);
        let cql = table.cql.as_ref().unwrap();
        assert_eq!((&*cql.partition, &*cql.statics), (&[0, 1][..], &[3][..]));
        assert_eq!(&*cql.clustering, [Clustering { column: 2, descending: true }]);
        let kinds: Vec<_> =
            cql.indexes.iter().map(|index| (&*index.name, index.column, index.kind)).collect();
        assert_eq!(
            kinds,
            [
                ("by_z", 5, IndexKind::Secondary),
                ("by_tag", 4, IndexKind::Sai),
                ("loose", 5, IndexKind::Other),
                ("like", 5, IndexKind::Other),
            ]
        );
        assert!(find("n").unwrap().cql.as_ref().unwrap().counter);
        let view = find("v").unwrap();
        assert!(view.cql.as_ref().unwrap().view && !view.columns[0].writable);
    }

    #[test]
    fn targets_name_their_column() {
        let check = |text: &str, expected: IndexTarget, name: &str| {
            assert_eq!(target(text), (expected, name.to_owned()))
        };
        check("a", IndexTarget::Values, "a");
        check("\"A b\"", IndexTarget::Values, "A b");
        check("keys(m)", IndexTarget::Keys, "m");
        check("entries(\"M\")", IndexTarget::Entries, "M");
        check("full(l)", IndexTarget::Full, "l");
        check("values(s)", IndexTarget::Values, "s");
    }
}
