//! What a schema reader says, and when it reads again.

use std::sync::Arc;

use athena_domain::schema::{ColumnType, Relation, TypeKind, UniqueIndex};

use super::fixture::fixture;
use super::run::soon;
use crate::ports::SchemaReader;

/// The reader knows the fixture's tables, keeps its last reading and reads again when told to.
pub async fn the_schema_is_read(reader: &dyn SchemaReader) {
    let first = reader.refresh(None, soon()).await.expect("the schema can be read");
    let loaded = reader.loaded().expect("a reading is kept");
    assert!(Arc::ptr_eq(&first, &loaded), "the last reading is the one that is kept");
    for table in fixture() {
        let wanted = &table.relation;
        let found = first.relations().find(|relation| relation.name == wanted.name);
        same(found.unwrap_or_else(|| panic!("{} is not known", wanted.name)), wanted);
    }
    let text = first.type_named("text").expect("a column can be cast to text");
    assert_eq!(text.base().kind, TypeKind::Text);

    reader.invalidate();
    let second = reader.refresh(Some(&first), soon()).await.expect("the schema can be read");
    assert!(!Arc::ptr_eq(&first, &second), "an invalid reading is read again");
    let third = reader.refresh(Some(&first), soon()).await.expect("the schema can be read");
    assert!(Arc::ptr_eq(&second, &third), "a reading newer than the one seen is shared");
    assert_eq!(second.len(), first.len(), "relations of a database that has not changed");
}

/// Types are compared by kind: how a type is spelled is the database's own matter.
fn same(found: &Relation, wanted: &Relation) {
    let name = &wanted.name;
    let columns = |relation: &Relation| -> Vec<(Arc<str>, String, bool)> {
        let column = relation.columns.iter();
        column.map(|column| (column.name.clone(), kind(&column.ty), column.writable)).collect()
    };
    assert_eq!(columns(found), columns(wanted), "columns of {name}");
    assert_eq!(found.primary_key, wanted.primary_key, "primary key of {name}");
    let unique = |relation: &Relation| -> Vec<UniqueIndex> {
        let mut unique = relation.unique.clone();
        unique.sort_by(|a, b| a.name.cmp(&b.name));
        unique
    };
    assert_eq!(unique(found), unique(wanted), "unique indexes of {name}");
}

fn kind(ty: &ColumnType) -> String {
    match &ty.base().kind {
        TypeKind::Array(element) => format!("array of {}", kind(element)),
        other => format!("{other:?}"),
    }
}
