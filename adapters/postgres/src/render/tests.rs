#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::collections::HashMap;

use athena_domain::Limits;
use athena_domain::plan::{KeyValue, PageStart, PlanOptions, Planner};
use athena_domain::query::{Decoding, DeleteRequest, FetchRequest, InsertRequest, JsonText, UpdateRequest};
use athena_domain::rows::RowFormat;
use athena_domain::schema::{Column, Schema, UniqueIndex};
use proptest::prelude::*;

use super::*;

fn schema() -> Schema {
    let column = |name: &str, sql: &str, kind: TypeKind| Column {
        name: name.into(),
        ty: ColumnType::new(sql, kind),
        nullable: name != "id" && name != "rank",
        writable: true,
    };
    let text = ColumnType::new("text", TypeKind::Text);
    let relation = Relation {
        schema: "public".into(),
        name: "t\"q".into(),
        columns: vec![
            column("id", "bigint", TypeKind::Int(64)),
            column("n\"ame", "text", TypeKind::Text),
            column("kind", "mood", TypeKind::Other),
            column("tags", "text[]", TypeKind::Array(text.into())),
            column("meta", "jsonb", TypeKind::Jsonb),
            column("code", "bpchar", TypeKind::Text),
            column("rank", "integer", TypeKind::Int(32)),
        ],
        primary_key: Box::new([0]),
        inherited: false,
        cql: None,
        unique: vec![UniqueIndex {
            name: "t_pkey".into(),
            columns: Box::new([0]),
            total: true,
            constraint: true,
        }],
    };
    let plain = Relation {
        name: "t".into(),
        columns: relation
            .columns
            .iter()
            .map(|c| Column {
                name: if &*c.name == "n\"ame" { "name".into() } else { c.name.clone() },
                ..c.clone()
            })
            .collect(),
        ..relation.clone()
    };
    let native = Relation {
        name: "u".into(),
        columns: vec![relation.columns[0].clone(), plain.columns[1].clone()],
        ..relation.clone()
    };
    Schema::new(vec![relation, plain, native], HashMap::new(), vec!["public".into()])
}

fn plan(verb: &str, body: &str) -> Plan {
    let limits = Limits::default();
    let options = PlanOptions::default();
    let schema = schema();
    let planner = Planner { schema: &schema, limits: &limits, options: &options, authority: None };
    let body = JsonText::parse(body.as_bytes()).unwrap();
    let decoding = Decoding::default();
    match verb {
        "fetch" => {
            planner.fetch(&FetchRequest::decode(body, &limits, decoding).unwrap(), RowFormat::Json).unwrap().0
        }
        "insert" => planner.insert(&InsertRequest::decode(body, &limits, decoding).unwrap()).unwrap(),
        "update" => planner.update(&UpdateRequest::decode(body, &limits, decoding).unwrap()).unwrap(),
        _ => planner.delete(&DeleteRequest::decode(body, &limits, decoding).unwrap()).unwrap(),
    }
}

fn check(verb: &str, body: &str, expected: &str) {
    let statement = render(&plan(verb, body)).unwrap();
    assert_eq!(statement.sql, expected, "{body}");
    assert_eq!(statement.binds, statement.arguments.len());
}

#[test]
fn reads() {
    check(
        "fetch",
        r#"{"table_name":"t","columns":"id,kind,k2:kind","conditions":[{"eq_column":"id","eq_value":7}],"limit":1}"#,
        r#"SELECT "id","kind"::text,"kind"::text FROM "public"."t" WHERE ("id" = $1::int8) LIMIT 1"#,
    );
    check(
        "fetch",
        r#"{"table_name":"t","columns":"id","conditions":[{"op":"in","column":"id","value":[1,null]},{"op":"in","column":"kind","value":["a"]},{"op":"neq","column":"code","value":"x"}],"current_page":2,"page_size":5,"sort_by":{"field":"name","direction":"desc","nulls":"last"}}"#,
        r#"SELECT "id" FROM "public"."t" WHERE (("id" = ANY($1::text[]::bigint[]) OR "id" IS NULL) AND ("kind" = ANY($2::text[]::mood[])) AND ("code" <> $3::text::bpchar)) ORDER BY "t"."name" DESC NULLS LAST,"t"."id" LIMIT 5 OFFSET $4::int8"#,
    );
    check(
        "fetch",
        r#"{"table_name":"t","columns":"id","conditions":[{"operator":"or","value":"id.gt.5,not.and(name.like.a%,kind.ilike.b)"},{"op":"cs","column":"tags","value":["x"]},{"op":"cd","column":"meta","value":{"a":1}}]}"#,
        r#"SELECT "id" FROM "public"."t" WHERE ((("id" > $1::int8) OR (NOT (("name" LIKE $2::text) AND ("kind"::text ILIKE $3::text)))) AND ("tags" @> $4::text::text[]) AND ("meta" <@ $5::text::jsonb)) LIMIT 100"#,
    );
}

#[test]
fn several_lists_for_one_column() {
    let a = r#"{"op":"in","column":"id","value":[1,2,3]},{"op":"in","column":"id","value":[3,4]}"#;
    check(
        "fetch",
        &format!(r#"{{"table_name":"t","columns":"id","conditions":[{a}]}}"#),
        r#"SELECT "id" FROM "public"."t" WHERE ("id" = ANY($1::text[]::bigint[])) LIMIT 100"#,
    );
    // Only the database knows which of these are equal; the shorter may be looked up.
    check(
        "fetch",
        r#"{"table_name":"t","columns":"id","conditions":[{"op":"in","column":"code","value":["a","b",null]},{"op":"in","column":"code","value":["A"]}]}"#,
        r#"SELECT "id" FROM "public"."t" WHERE (("code" = ANY($1::text[]::bpchar[]) OR "code" IS NULL) IS TRUE AND ("code" = ANY($2::text[]::bpchar[]))) LIMIT 100"#,
    );
}

/// The statement of the page behind a row with these values.
fn behind(order: &str, values: &[(&str, Option<&str>)]) -> String {
    let (schema, limits, options) = (schema(), Limits::default(), PlanOptions::default());
    let planner = Planner { schema: &schema, limits: &limits, options: &options, authority: None };
    let body =
        format!(r#"{{"table_name":"t","columns":"id","sort_by":[{order}],"cursor":"","page_size":5}}"#);
    let body = JsonText::parse(body.as_bytes()).unwrap();
    let request = FetchRequest::decode(body, &limits, Decoding::default()).unwrap();
    let key = |(column, value): &(&str, Option<&str>)| KeyValue {
        column: (*column).into(),
        value: value.map(Box::from),
    };
    let keys: Vec<KeyValue> = values.iter().map(key).collect();
    let plan = planner.page(&request, Some(PageStart::Keys(&keys))).unwrap().0;
    let statement = render(&plan).unwrap();
    assert_eq!(statement.binds, statement.arguments.len());
    let sql = statement.sql;
    let (start, end) = (sql.find(" WHERE ").unwrap() + 7, sql.find(" ORDER BY ").unwrap());
    assert!(sql.starts_with(r#"SELECT "id","#) && sql.ends_with(" LIMIT 6"), "{sql}");
    sql[start..end].to_owned()
}

#[test]
fn a_page_begins_behind_a_row() {
    let check = |order: &str, values: &[(&str, Option<&str>)], expected: &str| {
        assert_eq!(behind(order, values), expected, "{order}");
    };
    let (id, rank) = (("id", Some("7")), ("rank", Some("3")));
    check("", &[id], r#"("id" > $1::text::bigint)"#);
    check(r#"{"field":"id","direction":"desc"}"#, &[id], r#"("id" < $1::text::bigint)"#);
    // What an index answers at once.
    check(r#"{"field":"rank"}"#, &[rank, id], r#"(("rank","id") > ($1::text::integer,$2::text::bigint))"#);
    check(
        r#"{"field":"rank","direction":"desc"},{"field":"id","direction":"desc"}"#,
        &[rank, id],
        r#"(("rank","id") < ($1::text::integer,$2::text::bigint))"#,
    );
    // Two directions.
    check(
        r#"{"field":"rank","direction":"desc"}"#,
        &[rank, id],
        r#"("rank" <= $1::text::integer AND ("rank" < $1::text::integer OR ("rank" = $1::text::integer AND ("id" > $2::text::bigint))))"#,
    );
    // Nulls behind the values, and before them.
    let name = |value| ("name", value);
    check(
        r#"{"field":"name"}"#,
        &[name(Some("a")), id],
        r#"(("name" >= $1::text OR "name" IS NULL) AND (("name" > $1::text OR "name" IS NULL) OR ("name" = $1::text AND ("id" > $2::text::bigint))))"#,
    );
    check(
        r#"{"field":"name","direction":"desc"}"#,
        &[name(Some("a")), id],
        r#"("name" <= $1::text AND ("name" < $1::text OR ("name" = $1::text AND ("id" > $2::text::bigint))))"#,
    );
    check(
        r#"{"field":"name"}"#,
        &[name(None), id],
        r#"("name" IS NULL AND (false OR ("name" IS NULL AND ("id" > $1::text::bigint))))"#,
    );
    check(
        r#"{"field":"name","nulls":"first"}"#,
        &[name(None), id],
        r#"("name" IS NOT NULL OR ("name" IS NULL AND ("id" > $1::text::bigint)))"#,
    );
    // The end of an order can be compared as rows where its beginning cannot.
    check(
        r#"{"field":"name"},{"field":"rank"}"#,
        &[name(None), rank, id],
        r#"("name" IS NULL AND (false OR ("name" IS NULL AND (("rank","id") > ($1::text::integer,$2::text::bigint)))))"#,
    );
}

#[test]
fn a_page_of_every_column_keeps_the_star() {
    let body = r#"{"table_name":"u","cursor":""}"#;
    let (schema, limits, options) = (schema(), Limits::default(), PlanOptions::default());
    let planner = Planner { schema: &schema, limits: &limits, options: &options, authority: None };
    let request =
        FetchRequest::decode(JsonText::parse(body.as_bytes()).unwrap(), &limits, Decoding::default())
            .unwrap();
    let plan = planner.page(&request, None).unwrap().0;
    assert_eq!(
        render(&plan).unwrap().sql,
        r#"SELECT *,"id"::text FROM "public"."u" ORDER BY "u"."id" LIMIT 101"#
    );
}

#[test]
fn writes() {
    check(
        "insert",
        r#"{"table_name":"t","insert_body":{"id":1,"name":"a"},"on_conflict":"id"}"#,
        r#"INSERT INTO "public"."t" AS t ("id","name") VALUES ($1::int8,$2::text) ON CONFLICT ("id") DO UPDATE SET "name" = EXCLUDED."name" RETURNING "id","name","kind"::text,"tags","meta","code","rank","id""#,
    );
    check(
        "insert",
        r#"{"table_name":"t","insert_body":[{"id":1,"kind":"x"},{"id":2,"kind":null}],"columns":"id"}"#,
        r#"INSERT INTO "public"."t" AS t ("id","kind") SELECT u.c0::bigint,u.c1::mood FROM unnest($1::text[],$2::text[]) AS u(c0,c1) RETURNING "id","id""#,
    );
    check(
        "insert",
        r#"{"table_name":"t","insert_body":{"id":1},"update_body":{},"head":true}"#,
        r#"INSERT INTO "public"."t" AS t ("id") VALUES ($1::int8) ON CONFLICT ("id") DO UPDATE SET "id" = t."id" RETURNING "id""#,
    );
    check(
        "update",
        r#"{"table_name":"t","set":{"meta":{"a":1}},"conditions":[{"eq_column":"name","eq_value":null}],"columns":"id"}"#,
        r#"UPDATE "public"."t" SET "meta" = $1::text::jsonb WHERE ("name" IS NULL) RETURNING "id""#,
    );
    check(
        "delete",
        r#"{"table_name":"t","resource_id":"5","columns":"id"}"#,
        r#"DELETE FROM "public"."t" WHERE ("id" = $1::int8) RETURNING "id""#,
    );
}

#[test]
fn catalog_names_are_quoted_whatever_they_hold() {
    let plan = plan("fetch", r#"{"table_name":"t"}"#);
    let Operation::Select(mut select) = plan.operation else { panic!() };
    select.relation = schema().relations().find(|r| &*r.name == "t\"q").unwrap().clone();
    let mut statement = Statement::new();
    statement.select(&select).unwrap();
    assert_eq!(
        statement.sql,
        r#"SELECT "id","n""ame","kind"::text,"tags","meta","code","rank" FROM "public"."t""q" LIMIT 100"#
    );
}

proptest! {
    /// Whatever a caller writes as a value, the statement's text stays the same.
    #[test]
    fn values_never_reach_the_text(value in any::<String>().prop_filter("no NUL", |v| !v.contains('\0'))) {
        let json = serde_json::Value::from(value.as_str());
        // A pattern must not end with an escape.
        let pattern = serde_json::Value::from(format!("{value}%"));
        let body = format!(r#"{{"table_name":"t","columns":"id","conditions":[{{"eq_column":"name","eq_value":{json}}},{{"op":"in","column":"name","value":[{json}]}},{{"op":"like","column":"name","value":{pattern}}}]}}"#);
        let statement = render(&plan("fetch", &body)).unwrap();
        prop_assert_eq!(
            statement.sql,
            r#"SELECT "id" FROM "public"."t" WHERE (("name" = $1::text) AND ("name" = ANY($2::text[])) AND ("name" LIKE $3::text)) LIMIT 100"#
        );
    }
}
