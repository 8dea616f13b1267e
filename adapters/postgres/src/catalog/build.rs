//! Catalog rows → a schema.

use std::collections::HashMap;
use std::sync::Arc;

use athena_domain::schema::{Column, ColumnType, Field, Relation, Schema, TypeKind, UniqueIndex};

use super::{Catalog, ColumnRow, FieldRow, IndexRow, TypeRow};
use crate::decode::oid;

/// Deepest nesting of types that is followed; a composite may not hold itself, but a damaged catalog might.
const MAX_DEPTH: usize = 16;

pub(super) fn catalog(
    types: Vec<TypeRow>,
    fields: Vec<FieldRow>,
    columns: Vec<ColumnRow>,
    indexes: Vec<IndexRow>,
    path: Vec<String>,
) -> Catalog {
    let resolver = Resolver {
        rows: types.iter().map(|row| (row.oid, row)).collect(),
        fields: fields.iter().fold(HashMap::new(), |mut by_type, field| {
            by_type.entry(field.composite).or_insert_with(Vec::new).push(field);
            by_type
        }),
    };
    let by_oid: HashMap<u32, ColumnType> = types
        .iter()
        .filter_map(|row| Some((u32::try_from(row.oid).ok()?, resolver.resolve(row.oid, 0))))
        .collect();
    let relations = relations(columns, indexes, &by_oid);
    let search_path: Vec<Arc<str>> = path.into_iter().map(Arc::from).collect();
    let named = cast_names(&types, &by_oid, &search_path);
    Catalog { schema: Arc::new(Schema::new(relations, named, search_path)), types: by_oid }
}

fn relations(
    columns: Vec<ColumnRow>,
    indexes: Vec<IndexRow>,
    types: &HashMap<u32, ColumnType>,
) -> Vec<Relation> {
    let mut relations: Vec<Relation> = Vec::new();
    // Relation number → place in `relations` and the attribute numbers of its columns.
    let mut places: HashMap<i64, (usize, Vec<i16>)> = HashMap::new();
    for row in columns {
        let (place, numbers) = places.entry(row.relation).or_insert_with(|| {
            relations.push(Relation {
                schema: row.schema.as_str().into(),
                name: row.table.as_str().into(),
                columns: Vec::new(),
                primary_key: Box::default(),
                unique: Vec::new(),
                inherited: row.inherited,
                cql: None,
            });
            (relations.len() - 1, Vec::new())
        });
        numbers.push(row.number);
        let ty = u32::try_from(row.ty).ok().and_then(|number| types.get(&number)).cloned();
        relations[*place].columns.push(Column {
            name: row.name.into(),
            ty: ty.unwrap_or_else(|| ColumnType::new("text", TypeKind::Other)),
            nullable: row.nullable,
            writable: row.writable,
        });
    }
    for row in indexes {
        let Some((place, numbers)) = places.get(&row.relation) else { continue };
        let found: Option<Vec<usize>> = row
            .columns
            .iter()
            // Number 0 is an expression.
            .map(|number| numbers.iter().position(|known| known == number))
            .collect();
        let Some(positions) = found else { continue };
        let relation = &mut relations[*place];
        if row.primary {
            relation.primary_key = positions.clone().into();
        }
        relation.unique.push(UniqueIndex {
            name: row.name.into(),
            columns: positions.into(),
            total: row.total,
            constraint: row.constraint,
        });
    }
    relations
}

/// Types a caller may cast to: PostgreSQL's own and those on the search path, by both of their names.
fn cast_names(
    rows: &[TypeRow],
    types: &HashMap<u32, ColumnType>,
    search_path: &[Arc<str>],
) -> HashMap<Box<str>, ColumnType> {
    const ALIASES: [(&str, u32); 4] =
        [("int", oid::INT4), ("decimal", oid::NUMERIC), ("float", oid::FLOAT8), ("string", oid::TEXT)];
    let mut names: HashMap<Box<str>, ColumnType> = HashMap::new();
    let visible = |row: &&TypeRow| {
        row.schema == "pg_catalog" || search_path.iter().any(|schema| **schema == *row.schema)
    };
    for row in rows.iter().filter(visible) {
        let Some(ty) = u32::try_from(row.oid).ok().and_then(|number| types.get(&number)) else { continue };
        let name = match row.name.strip_prefix('_') {
            Some(element) if matches!(ty.kind, TypeKind::Array(_)) => format!("{element}[]"),
            _ => row.name.clone(),
        };
        for name in [name, row.sql.clone()] {
            names.entry(name.to_ascii_lowercase().into()).or_insert_with(|| ty.clone());
        }
    }
    for (alias, number) in ALIASES {
        if let Some(ty) = types.get(&number) {
            names.insert(alias.into(), ty.clone());
            let array =
                ColumnType { sql: format!("{}[]", ty.sql).into(), kind: TypeKind::Array(ty.clone().into()) };
            names.insert(format!("{alias}[]").into(), array);
        }
    }
    names
}

struct Resolver<'a> {
    rows: HashMap<i64, &'a TypeRow>,
    fields: HashMap<i64, Vec<&'a FieldRow>>,
}

impl Resolver<'_> {
    fn resolve(&self, number: i64, depth: usize) -> ColumnType {
        let Some(row) = self.rows.get(&number) else { return ColumnType::new("text", TypeKind::Other) };
        let kind = if depth > MAX_DEPTH { TypeKind::Other } else { self.kind(row, depth) };
        ColumnType::new(&row.sql, kind)
    }

    fn kind(&self, row: &TypeRow, depth: usize) -> TypeKind {
        match u32::try_from(row.oid).unwrap_or_default() {
            oid::BOOL => return TypeKind::Bool,
            oid::INT2 => return TypeKind::Int(16),
            oid::INT4 => return TypeKind::Int(32),
            oid::INT8 => return TypeKind::Int(64),
            oid::FLOAT4 => return TypeKind::Float(32),
            oid::FLOAT8 => return TypeKind::Float(64),
            oid::NUMERIC => return TypeKind::Numeric,
            oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME => return TypeKind::Text,
            oid::UUID => return TypeKind::Uuid,
            oid::JSON => return TypeKind::Json,
            oid::JSONB => return TypeKind::Jsonb,
            oid::BYTEA => return TypeKind::Bytes,
            oid::DATE => return TypeKind::Date,
            oid::TIMESTAMP => return TypeKind::Timestamp,
            oid::TIMESTAMPTZ => return TypeKind::TimestampTz,
            _ => {}
        }
        match row.kind.as_str() {
            "d" => TypeKind::Domain(Arc::new(self.resolve(row.base, depth + 1))),
            "c" => {
                let fields = self.fields.get(&row.oid).map(Vec::as_slice).unwrap_or_default();
                TypeKind::Composite(
                    fields
                        .iter()
                        .map(|field| Field {
                            name: field.name.as_str().into(),
                            ty: self.resolve(field.ty, depth + 1),
                        })
                        .collect(),
                )
            }
            "r" | "m" => TypeKind::Range,
            // `int2vector` and `oidvector` are arrays by category, but of a notation of their own.
            _ if row.category == "A" && row.element != 0 && row.variable && !row.name.ends_with("vector") => {
                TypeKind::Array(Arc::new(self.resolve(row.element, depth + 1)))
            }
            _ => TypeKind::Other,
        }
    }
}
