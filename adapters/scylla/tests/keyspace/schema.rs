//! What the gateway knows of a keyspace, and how it learns that it is old.

use athena_application::ports::{Reason, SchemaReader as _};
use athena_domain::plan::CqlPlan;
use athena_domain::plan::cql::{Batch, Existing};
use athena_domain::query::RelationName;
use athena_domain::schema::{Dialect, IndexKind};

use super::{Bench, is, numbers, read, soon};

#[tokio::test]
async fn the_schema_is_read() {
    let Some(bench) = Bench::new("?allow_filtering=true").await else { return };
    let events = bench.table("events").await;
    let names: Vec<&str> = events.columns.iter().map(|column| &*column.name).collect();
    assert_eq!(names, ["day", "at", "id", "note", "spot", "tags"]);
    let types: Vec<&str> = events.columns.iter().map(|column| &*column.ty.sql).collect();
    assert_eq!(types, ["date", "timestamp", "int", "text", "frozen<place>", "set<text>"]);
    let cql = events.cql.as_ref().unwrap();
    assert_eq!(&*cql.partition, [0]);
    assert_eq!(
        cql.clustering.iter().map(|c| (c.column, c.descending)).collect::<Vec<_>>(),
        [(1, true), (2, false)]
    );
    assert_eq!((cql.indexes.len(), cql.indexes[0].column, cql.indexes[0].kind), (1, 3, IndexKind::Secondary));
    assert!(bench.table("hits").await.cql.as_ref().unwrap().counter);
    let schema = bench.schema.loaded().unwrap();
    assert!(matches!(schema.dialect(), Dialect::Cql(rules) if rules.allow_filtering));
    assert_eq!(schema.default_schema(), bench.keyspace.name());
}

#[tokio::test]
async fn tables_that_change_are_noticed() {
    let Some(bench) = Bench::new("").await else { return };
    let table = bench.table("numbers").await;
    let plan = CqlPlan::Read(read(&table, vec![vec![is(0, 1)]]));
    bench.run(numbers(&table, &[(1, 1)], Existing::Changes, Batch::Single)).await.unwrap();
    bench.run(plan.clone()).await.unwrap();
    let reason = async |plan: &CqlPlan| bench.run(plan.clone()).await.map(|_| ()).unwrap_err().reason();

    // A column that nobody named.
    bench.keyspace.run("ALTER TABLE numbers ADD extra text").await;
    assert_eq!(reason(&plan).await, Some(Reason::Stale));
    let grown = bench.table("numbers").await;
    let plan = CqlPlan::Read(read(&grown, vec![vec![is(0, 1)]]));
    bench.run(plan.clone()).await.unwrap();

    // A column that is gone, and the table itself.
    bench.keyspace.run("ALTER TABLE numbers DROP extra").await;
    let mut named = read(&grown, vec![vec![is(0, 1)]]);
    named.every = false;
    assert_eq!(reason(&CqlPlan::Read(named)).await, Some(Reason::Stale));
    bench.keyspace.run("DROP TABLE numbers").await;
    assert_eq!(reason(&plan).await, Some(Reason::Stale));
    let schema = bench.schema.refresh(None, soon()).await.unwrap();
    assert!(schema.relation(&RelationName::parse("numbers", None, "t").unwrap()).is_none());
}
