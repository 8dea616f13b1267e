use std::sync::Arc;

use athena_domain::plan::Output;
use athena_domain::plan::cql::Batch;
use athena_domain::schema::{Clustering, Column, ColumnType, CqlTable, CqlType};

use super::*;

fn relation() -> Arc<Relation> {
    let column = |name: &str, ty| Column {
        name: name.into(),
        ty: ColumnType::cql(ty),
        nullable: true,
        writable: true,
    };
    let columns = vec![
        column("id", CqlType::Int(32)),
        column("At", CqlType::Timestamp),
        column("n", CqlType::Int(32)),
        column("odd\"name", CqlType::Text),
    ];
    let table = CqlTable {
        partition: [0].into(),
        clustering: [Clustering { column: 1, descending: true }, Clustering { column: 2, descending: false }]
            .into(),
        ..CqlTable::default()
    };
    Arc::new(Relation::of_cql("k", "t", columns, table))
}

fn outputs(columns: &[usize]) -> Vec<Output> {
    let output = |column: &usize| Output { column: *column, cast: None, label: "l".into(), hidden: false };
    columns.iter().map(output).collect()
}

fn read() -> CqlRead {
    CqlRead {
        relation: relation(),
        outputs: outputs(&[1, 3]),
        every: false,
        reads: vec![vec![]],
        distinct: Vec::new(),
        reversed: false,
        skip: 0,
        limit: None,
        filtering: false,
        unbounded: false,
        page: None,
    }
}

fn is(column: usize, test: Test) -> Restriction {
    Restriction { column, test }
}

fn one() -> CqlValue {
    CqlValue::Int(1)
}

#[test]
fn reads() {
    let mut plan = read();
    assert_eq!(Statement::read(&plan, &[]).text, r#"SELECT "At", "odd""name" FROM "k"."t""#);
    // In whatever order a caller names columns, and however often, it is one statement.
    let mut turned = plan.clone();
    turned.outputs.reverse();
    turned.outputs.extend(plan.outputs.clone());
    assert_eq!(Statement::read(&turned, &[]).text, Statement::read(&plan, &[]).text);
    plan.every = true;
    assert_eq!(Statement::read(&plan, &[]).text, r#"SELECT * FROM "k"."t""#);
    // What tells rows apart is asked for beside the rest.
    plan.distinct = vec![0];
    assert!(Statement::read(&plan, &[]).text.starts_with("SELECT \"At\""));

    let mut plan = read();
    plan.reversed = true;
    (plan.limit, plan.skip, plan.filtering) = (Some(10), 5, true);
    let members = vec![one(), CqlValue::Int(2)];
    let tests = [
        is(0, Test::In(members.clone())),
        is(1, Test::Gt(one())),
        is(1, Test::Lte(one())),
        is(2, Test::Contains(one())),
        is(2, Test::Entry(one(), one())),
    ];
    let statement = Statement::read(&plan, &tests);
    assert_eq!(
        statement.text,
        r#"SELECT "At", "odd""name" FROM "k"."t" WHERE "id" IN ? AND "At" > ? AND "At" <= ? AND "n" CONTAINS ? AND "n"[?] = ? ORDER BY "At" ASC, "n" DESC LIMIT ? ALLOW FILTERING"#
    );
    assert_eq!(statement.markers.len(), 7);
    assert_eq!(statement.markers.len(), statement.text.matches('?').count());
    assert_eq!(statement.markers[0], Marker::Members(&members));
    assert_eq!(statement.markers[6], Marker::Limit(15));
    // Beyond what CQL can be asked for, the gateway counts by itself.
    plan.limit = Some(u64::MAX);
    assert!(!Statement::read(&plan, &[]).text.contains("LIMIT"));
}

#[test]
fn counts() {
    let count = CqlCount { relation: relation(), reads: Vec::new(), filtering: true, most: Some(10) };
    let tests = [is(0, Test::Eq(one()))];
    assert_eq!(
        Statement::count(&count, &tests).text,
        r#"SELECT COUNT(*) FROM "k"."t" WHERE "id" = ? ALLOW FILTERING"#
    );
    let counted = Statement::counted(&count, &tests, 11);
    assert_eq!(counted.text, r#"SELECT "id" FROM "k"."t" WHERE "id" = ? LIMIT ? ALLOW FILTERING"#);
    assert_eq!(counted.markers.last(), Some(&Marker::Limit(11)));
}

#[test]
fn inserts() {
    let mut insert = CqlInsert {
        relation: relation(),
        columns: vec![0, 1, 2],
        rows: vec![vec![one(), CqlValue::Unset, one()]],
        existing: Existing::Refuses,
        batch: Batch::Single,
        stamp: Stamp::default(),
        returning: Vec::new(),
        visible: None,
    };
    let statement = Statement::insert(&insert, &insert.rows[0]);
    assert_eq!(statement.text, r#"INSERT INTO "k"."t" ("id", "At", "n") VALUES (?, ?, ?) IF NOT EXISTS"#);
    assert_eq!(statement.markers.len(), 3);
    insert.existing = Existing::Changes;
    assert!(Statement::insert(&insert, &insert.rows[0]).text.ends_with("VALUES (?, ?, ?)"));
}

#[test]
fn updates_and_deletes_touch_no_row_that_is_not_there() {
    let key = vec![is(0, Test::Eq(one())), is(1, Test::Eq(one())), is(2, Test::Eq(one()))];
    let mut update = CqlUpdate {
        relation: relation(),
        rows: vec![key.clone()],
        set: vec![(3, CqlValue::Null)],
        added: false,
        ttl: None,
        condition: Vec::new(),
        told: false,
        returning: Vec::new(),
        visible: None,
    };
    assert_eq!(
        Statement::update(&update, &key).text,
        r#"UPDATE "k"."t" SET "odd""name" = ? WHERE "id" = ? AND "At" = ? AND "n" = ? IF EXISTS"#
    );
    update.condition = vec![is(3, Test::Null), is(3, Test::NotNull), is(3, Test::In(vec![one(), one()]))];
    assert!(
        Statement::update(&update, &key)
            .text
            .ends_with(r#" IF "odd""name" = null AND "odd""name" != null AND "odd""name" IN ?"#)
    );
    let mut delete = CqlDelete {
        relation: relation(),
        rows: vec![key.clone()],
        condition: Vec::new(),
        timestamp: None,
        told: false,
        returning: Vec::new(),
    };
    assert_eq!(
        Statement::delete(&delete, &key).text,
        r#"DELETE FROM "k"."t" WHERE "id" = ? AND "At" = ? AND "n" = ? IF EXISTS"#
    );
    delete.timestamp = Some(9);
    let dated = Statement::delete(&delete, &key);
    assert_eq!(
        dated.text,
        r#"DELETE FROM "k"."t" USING TIMESTAMP ? WHERE "id" = ? AND "At" = ? AND "n" = ?"#
    );
    assert_eq!((dated.markers.len(), dated.markers[0]), (4, Marker::Time(9)));
}

#[test]
fn a_row_is_read_by_its_key_and_what_else_it_must_be() {
    let (relation, key) = (relation(), vec![is(0, Test::Eq(one()))]);
    let visible = vec![is(3, Test::Eq(one()))];
    let row = |visible| Statement::row(&relation, &[], &key, visible);
    assert!(row(&[]).text.ends_with(r#" WHERE "id" = ?"#));
    let seen = row(&visible);
    assert!(seen.text.ends_with(r#" WHERE "id" = ? AND "odd""name" = ? ALLOW FILTERING"#), "{}", seen.text);
    assert_eq!(seen.markers.len(), 2);
}

#[test]
fn values_are_dated_and_given_an_end() {
    let key = vec![is(0, Test::Eq(one()))];
    let mut update = CqlUpdate {
        relation: relation(),
        rows: vec![key.clone()],
        set: vec![(2, one()), (3, one())],
        added: false,
        ttl: Some(60),
        condition: vec![is(3, Test::Neq(one()))],
        told: true,
        returning: Vec::new(),
        visible: None,
    };
    let lasting = Statement::update(&update, &key);
    assert_eq!(
        lasting.text,
        r#"UPDATE "k"."t" USING TTL ? SET "n" = ?, "odd""name" = ? WHERE "id" = ? IF "odd""name" != ?"#
    );
    assert_eq!((lasting.markers.len(), lasting.markers[0]), (5, Marker::Ttl(60)));
    (update.added, update.ttl, update.condition) = (true, None, Vec::new());
    assert_eq!(
        Statement::update(&update, &key).text,
        r#"UPDATE "k"."t" SET "n" = "n" + ?, "odd""name" = "odd""name" + ? WHERE "id" = ?"#
    );
    let insert = CqlInsert {
        relation: relation(),
        columns: vec![0, 2],
        rows: vec![vec![one(), one()]],
        existing: Existing::Changes,
        batch: Batch::Single,
        stamp: Stamp { ttl: Some(60), timestamp: Some(7) },
        returning: Vec::new(),
        visible: None,
    };
    let statement = Statement::insert(&insert, &insert.rows[0]);
    assert_eq!(
        statement.text,
        r#"INSERT INTO "k"."t" ("id", "n") VALUES (?, ?) USING TTL ? AND TIMESTAMP ?"#
    );
    assert_eq!(statement.markers[2..], [Marker::Ttl(60), Marker::Time(7)]);
    assert_eq!(
        Statement::presence(&insert.relation, &key).text,
        r#"SELECT "id" FROM "k"."t" WHERE "id" = ?"#
    );
}
