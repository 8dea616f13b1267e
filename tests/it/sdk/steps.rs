//! What a request can be told besides its filters: pages, conditions of writes, how a CQL database carries it out.

use athena_rs::client::Attempt;
use athena_test_support::TestKeyspace;

use super::*;

const THINGS: &str = "CREATE TABLE things (id int PRIMARY KEY, name text, sold boolean, tags text[]);
    INSERT INTO things VALUES (1, 'Anna', true, '{a,b}'), (2, 'Bert', false, '{a}'), (3, NULL, NULL, '{}'),
      (4, 'Anton', true, '{c}');";

#[tokio::test]
async fn every_filter_is_the_gateways() {
    let database = TestDatabase::with(THINGS).await;
    let gateway = Gateway::with(THINGS).await;
    let embedded = AthenaClient::new(database.uri(), "").await.unwrap();
    let remote = AthenaClient::remote(RemoteGateway::new(gateway.base.as_str(), CLIENT)).unwrap();
    for (kind, athena) in [("embedded", &embedded), ("remote", &remote)] {
        let things = || athena.select("things").columns(["id"]).order_by("id", OrderDirection::Asc);
        for (what, query, expected) in [
            ("not", things().not("name.like.An%"), vec![2]),
            ("not a list", things().not("id.in.(1,2,3)"), vec![4]),
            ("true", things().where_is("sold", true), vec![1, 4]),
            ("false", things().where_is("sold", false), vec![2]),
            ("something", things().where_not_null("name"), vec![1, 2, 4]),
            ("contained by", things().where_contained_by("tags", json!(["a", "b"])), vec![1, 2, 3]),
            ("contains", things().where_contains("tags", json!(["a"])), vec![1, 2]),
        ] {
            let found = query.execute().await.unwrap_or_else(|error| panic!("{kind}, {what}: {error}"));
            let ids: Vec<i64> = found.rows.iter().filter_map(|row| row["id"].as_i64()).collect();
            assert_eq!(ids, expected, "{kind}, {what}");
        }
    }
}

#[tokio::test]
async fn a_table_is_read_page_by_page() {
    let (_gateway, _database, clients) = both().await;
    for (kind, athena) in clients {
        let orders = || athena.select("orders").columns(["id", "total"]).order_by("id", OrderDirection::Desc);
        let first = orders().page(3, None).await.unwrap();
        assert_eq!(first.rows[0], json!({"id": 4, "total": 7.00}), "{kind}");
        let second = orders().page(3, first.next_cursor.as_deref()).await.unwrap();
        assert_eq!((second.rows.len(), second.next_cursor), (1, None), "{kind}");
        let mut pages = orders().where_neq("id", 4).pages_as::<Order>(2);
        let mut ids = Vec::new();
        while let Some(page) = pages.next().await.unwrap() {
            assert!(page.rows.len() <= 2, "{kind}");
            ids.extend(page.rows.iter().map(|order| (order.id, order.total.get().to_owned())));
        }
        let expected =
            [(3, "12345678901234567890.25".to_owned()), (2, "20.00".to_owned()), (1, "10.50".to_owned())];
        assert_eq!(ids, expected, "{kind}");
        assert!(pages.next().await.unwrap().is_none(), "{kind}");
        // A cursor belongs to the query that it came from.
        let other = athena.select("orders").order_by("id", OrderDirection::Asc);
        let error = other.page(3, first.next_cursor.as_deref()).await.unwrap_err();
        assert_eq!(error.code.as_deref(), Some("invalid_cursor"), "{kind}");
    }
}

#[tokio::test]
async fn a_write_says_whether_its_conditions_held() {
    let table = "CREATE TABLE seats (id int PRIMARY KEY, holder text, note text)";
    let Some(keyspace) = TestKeyspace::with(table).await else { return };
    let builder = AthenaClient::builder().backend(BackendType::Scylla).url(keyspace.contact());
    let embedded = builder.database(keyspace.name()).build().await.unwrap();
    let gateway = Gateway::over(&[(CLIENT, &keyspace.uri())], "").await;
    let remote =
        AthenaClient::remote(RemoteGateway::new(gateway.base.as_str(), CLIENT).acting_for("acme", "eu"))
            .unwrap();
    for (id, athena) in [(1, embedded), (2, remote)] {
        let reserve = |holder: &str| {
            let row = json!({"id": id, "holder": holder, "note": null});
            athena.insert("seats").payload(row).if_not_exists().consistency("one")
        };
        let added = reserve("ada").attempt().await.unwrap();
        assert!(added.applied, "{added:?}");
        let taken = reserve("bob").attempt().await.unwrap();
        let current = json!({"id": id, "holder": "ada", "note": null});
        assert_eq!(taken, Attempt { applied: false, row: Some(current) });
        let give = |from: &str| {
            let update = athena.update("seats", Some(json!(id))).payload(json!({"holder": "eve"}));
            update.only_if("eq", "holder", from).timeout(Duration::from_secs(5))
        };
        assert!(!give("bob").attempt().await.unwrap().applied);
        assert!(give("ada").attempt().await.unwrap().applied);
        let delete = || athena.delete("seats", Some(json!(id)));
        assert!(!delete().only_if("eq", "holder", "ada").attempt().await.unwrap().applied);
        assert!(delete().only_if("eq", "holder", "eve").attempt().await.unwrap().applied);

        // The write of the later moment counts, whichever comes last.
        let dated = |holder: &str, micros: i64| {
            let row = json!({"id": id + 10, "holder": holder});
            athena.insert("seats").payload(row).field("on_conflict", "id").timestamp(micros)
        };
        let life = Duration::from_secs(600);
        dated("later", 1_700_000_000_000_000).ttl(life).execute().await.unwrap();
        dated("earlier", 1_000_000_000_000_000).execute().await.unwrap();
        let kept = athena.select("seats").where_eq("id", id + 10).execute().await.unwrap();
        assert_eq!(kept.rows[0]["holder"], "later");
        // CQL of one's own goes to the database itself, not to a gateway.
        if id == 1 {
            let left = athena
                .execute_cql_with("SELECT ttl(holder) AS left FROM seats WHERE id = ?", vec![json!(id + 10)]);
            let left = left.await.unwrap().rows[0]["left"].as_u64().unwrap();
            assert!((1..=600).contains(&left), "{left}");
        }
        let unknown =
            athena.select("seats").where_eq("id", id).consistency("most").execute().await.unwrap_err();
        assert_eq!(unknown.code.as_deref(), Some("invalid_field"));
    }
}
