//! Asks the gateway that `make demo` starts.
//!
//! ```sh
//! make demo                                # in another terminal
//! cargo run --example demo                 # or, once keys are demanded: ATHENA_API_KEY=ath_… cargo run --example demo
//! ```

use athena_rs::client::RemoteGateway;
use athena_rs::client::query_builder::OrderDirection;
use athena_rs::{AthenaClient, AthenaError, ErrorKind};
use serde::Deserialize;
use serde_json::json;

#[derive(Debug, Deserialize)]
struct Order {
    id: i64,
    status: String,
    total: f64,
}

fn variable(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}

/// A part of the tests, too, which run it.
#[tokio::main]
pub(crate) async fn main() -> Result<(), AthenaError> {
    let gateway = RemoteGateway::new(variable("ATHENA_URL", "http://localhost:4052"), "demo")
        .key(variable("ATHENA_API_KEY", ""))
        .acting_for("acme", "acme-eu");
    let athena = AthenaClient::remote(gateway)?;

    println!("Filters, an order and a limit, as typed rows:");
    let orders: Vec<Order> = athena
        .select("orders")
        .columns(["id", "status", "total"])
        .where_eq("status", "paid")
        .where_gt("total", 1500)
        .order_by("total", OrderDirection::Desc)
        .limit(3)
        .execute_as()
        .await?;
    for order in &orders {
        println!("  {} {} {:.2}", order.id, order.status, order.total);
    }

    println!("A row added, changed and removed:");
    let row = json!({"sku": "RS-1", "name": "Kite Tamper", "category": "brewing", "price": 31.5});
    let added = athena.insert("products").payload(row).columns(["id", "sku", "price"]).execute().await?;
    println!("  {}", added.rows[0]);
    let id = added.rows[0]["id"].clone();
    let update = athena.update("products", Some(id.clone())).payload(json!({"price": 29}));
    println!("  {}", update.columns(["id", "price"]).execute().await?.rows[0]);
    println!("  {}", athena.delete("products", Some(id)).columns(["sku"]).execute().await?.rows[0]);

    println!("Every event, read as they come:");
    let mut events = athena.select("events").columns(["id", "name"]).stream_as::<serde_json::Value>().await?;
    let mut views = 0;
    while let Some(event) = events.next().await? {
        views += usize::from(event["name"] == "page_view");
    }
    println!("  {views} page views");

    println!("SQL with parameters:");
    let sql = "SELECT category, count(*) AS products FROM products WHERE price < $1 GROUP BY 1 ORDER BY 1";
    for row in athena.execute_sql_with(sql, vec![json!(40)]).await?.rows {
        println!("  {} {}", row["category"], row["products"]);
    }

    println!("A mistake, told:");
    match athena.select("customers").where_eq("nmae", "Ada").execute().await {
        Err(error) if error.kind == ErrorKind::Invalid => println!("  {error}"),
        outcome => println!("  unexpected: {outcome:?}"),
    }
    Ok(())
}
