//! Handlers without a gateway around them: the same server, the same drivers, the same answers.
//!
//! They set the measure for `bench/run`. No planning, no rights, no limits and no catalog live
//! here; each family of routes holds one fixed statement per question.

mod pipelined;
mod question;
mod sqlx_pool;
mod wire;

use anyhow::{Context, Result};
use poem::listener::TcpListener;
use poem::{EndpointExt, Route, Server, get, handler, post};

#[handler]
fn hello() -> &'static str {
    "hello"
}

fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

#[tokio::main]
async fn main() -> Result<()> {
    let url = std::env::var("BENCH_DATABASE_URL").context("BENCH_DATABASE_URL is not set")?;
    let port = setting("BENCH_PORT", "4099");
    let pool_size = setting("BENCH_POOL", "50").parse().context("BENCH_POOL is not a number")?;
    let pipes = setting("BENCH_PIPES", "4").parse().context("BENCH_PIPES is not a number")?;

    let pool = sqlx_pool::connect(&url, pool_size).await?;
    let pipes = pipelined::Pipes::connect(&url, pipes).await?;

    let routes = Route::new()
        .at("/hello", get(hello))
        .at("/sqlx/point", post(sqlx_pool::point))
        .at("/sqlx/page50", post(sqlx_pool::page))
        .at("/sqlx/page1000", post(sqlx_pool::page))
        .at("/pipelined/point", post(pipelined::point))
        .at("/pipelined/page50", post(pipelined::page))
        .at("/pipelined/page1000", post(pipelined::page))
        .data(pool)
        .data(pipes);

    Server::new(TcpListener::bind(format!("127.0.0.1:{port}")))
        .run_with_graceful_shutdown(
            routes,
            async {
                let _ = tokio::signal::ctrl_c().await;
            },
            None,
        )
        .await?;
    Ok(())
}
