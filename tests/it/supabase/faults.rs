//! What becomes of requests when the way to PostgREST, or what stands before it, fails.

use std::time::Duration;

use athena_test_support::{Fault, Mode, Reply, TcpProxy};
use serde_json::json;

use super::*;

const ROW: &str = r#"{"table_name":"things","columns":"id","conditions":[{"eq_column":"id","eq_value":1}]}"#;
const CHANGE: &str = r#"{"table_name":"things","set":{"order":0},"conditions":[{"eq_column":"id","eq_value":1}],"columns":"id"}"#;

#[tokio::test]
async fn reads_are_sent_again_and_writes_are_not() {
    let both = Both::start().await;
    let away = || Fault::Answer(Reply::new(503, "<html>busy</html>"));
    both.server.next([away(), away()]);
    assert_eq!(both.send("rest", "fetch", ROW).await.rows(), json!([{"id": 1}]));
    assert_eq!(both.server.seen().len(), 3);
    both.server.next([away(), away(), away()]);
    let failed = both.send("rest", "fetch", ROW).await;
    failed.refused(503, "connection_error");
    assert!(failed.header("retry-after").is_some());
    assert_eq!(both.server.seen().len(), 6, "three times and no more");
    both.server.next([away()]);
    let unknown = both.send("rest", "update", CHANGE).await.refused(503, "connection_error");
    assert!(
        unknown["hint"].as_str().is_some_and(|hint| hint.contains("may have been carried out")),
        "{unknown}"
    );
    assert_eq!(both.server.seen().len(), 7);
    // PostgREST itself says that nothing came as far as the database.
    both.server.next([Fault::Answer(Reply::new(503, r#"{"code":"PGRST001","message":"no connection"}"#))]);
    let sure = both.send("rest", "update", CHANGE).await.refused(503, "connection_error");
    assert!(sure["hint"].as_str().is_some_and(|hint| !hint.contains("may have")), "{sure}");
}

#[tokio::test]
async fn answers_that_break_are_not_taken_for_whole_ones() {
    let both = Both::start().await;
    both.server.next([Fault::Cut(150), Fault::Cut(10), Fault::Cut(0)]);
    let broken = both.send("rest", "fetch", r#"{"table_name":"things","sort_by":{"field":"id"}}"#).await;
    assert_ne!(broken.status, 200, "{}", broken.text);
    both.server.next([Fault::Cut(0)]);
    assert_eq!(both.send("rest", "fetch", ROW).await.rows(), json!([{"id": 1}]), "sent again before a row");
    both.server.next([Fault::Cut(60)]);
    both.send("rest", "update", CHANGE).await.refused(503, "connection_error");
    for odd in ["<html>", "{\"id\":1}", "[1]", "[{\"id\":1},{\"other\":1}]"] {
        both.server.next([Fault::Answer(Reply::new(200, odd))]);
        both.send("rest", "fetch", ROW).await.refused(502, "upstream_unreadable");
        both.server.next([Fault::Answer(Reply::new(200, odd))]);
        both.send("rest", "update", CHANGE).await.refused(502, "upstream_unreadable");
    }
    // A write whose answer does not say how many rows it changed.
    let silent = r#"{"table_name":"things","set":{"order":0},"conditions":[{"eq_column":"id","eq_value":1}],"head":true}"#;
    for range in [None, Some("*/*"), Some("rows")] {
        let reply = Reply::new(200, "");
        let reply = range.map_or(reply.clone(), |range| reply.header("content-range", range));
        both.server.next([Fault::Answer(reply)]);
        both.send("rest", "update", silent).await.refused(502, "upstream_unreadable");
    }
    assert_eq!(both.send("rest", "fetch", ROW).await.rows(), json!([{"id": 1}]), "nobody is turned away");
}

#[tokio::test]
async fn rows_that_nobody_asked_for_are_not_handed_on() {
    let both = Both::start().await;
    let many = r#"[{"id":1},{"id":2},{"id":3}]"#;
    let reply = || Fault::Answer(Reply::new(200, many).header("content-range", "0-2/3"));
    both.server.next([reply()]);
    let limited = r#"{"table_name":"things","columns":"id","limit":2}"#;
    assert_eq!(both.send("rest", "fetch", limited).await.rows(), json!([{"id": 1}, {"id": 2}]));
    both.server.next([reply(), reply()]);
    let head = r#"{"table_name":"things","columns":"id","head":true,"count":"exact"}"#;
    assert_eq!(both.send("rest", "fetch", head).await.rows(), json!([]));
}

#[tokio::test]
async fn what_one_callers_values_bring_about_turns_nobody_else_away() {
    let both = Both::with(Preferences::Known, None, "&circuit_breaker_threshold=3").await;
    for (status, answered) in
        [(400, 400), (401, 403), (403, 403), (404, 404), (406, 406), (409, 409), (422, 422)]
    {
        for (route, body) in [("fetch", ROW), ("update", CHANGE)] {
            let page = || Fault::Answer(Reply::new(status, "<html>This request was blocked.</html>"));
            both.server.next((0..4).map(|_| page()));
            for _ in 0..4 {
                both.send("rest", route, body).await.refused(answered, "upstream_refused");
            }
        }
    }
    // States that a trigger can raise, and a redirect.
    for (status, said) in [
        (503, r#"{"code":"57P01","message":"raised"}"#),
        (503, r#"{"code":"08006","message":"raised"}"#),
        (302, ""),
    ] {
        both.server.next((0..6).map(|_| Fault::Answer(Reply::new(status, said))));
        for _ in 0..6 {
            both.send("rest", "update", CHANGE).await.refused(503, "connection_error");
        }
    }
    assert_eq!(both.send("rest", "fetch", ROW).await.rows(), json!([{"id": 1}]));
}

#[tokio::test]
async fn an_upstream_that_asks_for_patience_is_given_some() {
    let both = Both::start().await;
    for (route, body) in [("fetch", ROW), ("update", CHANGE)] {
        both.server.next([Fault::Answer(Reply::new(429, "").header("retry-after", "17"))]);
        let answer = both.send("rest", route, body).await;
        answer.refused(429, "rate_limited");
        assert_eq!(answer.header("retry-after"), Some("17"));
    }
    assert_eq!(both.server.seen().len(), 2, "not sent again");
}

#[tokio::test]
async fn the_upstreams_no_to_our_key_is_not_the_callers_fault_and_tells_nothing() {
    let both = Both::start().await;
    let body = format!(r#"{{"code":"PGRST301","message":"bad {SUPABASE_KEY}"}}"#);
    both.server.next([Fault::Answer(Reply::new(401, &body))]);
    both.send("rest", "fetch", ROW).await.refused(503, "connection_error");
    let body = format!(r#"{{"code":"42501","message":"denied to {SUPABASE_KEY}","hint":"{SUPABASE_KEY}"}}"#);
    both.server.next([Fault::Answer(Reply::new(403, &body))]);
    both.send("rest", "fetch", ROW).await.refused(403, "insufficient_privilege");
    both.server.next([Fault::Answer(Reply::new(302, "").header("location", "http://127.0.0.1:1/"))]);
    both.send("rest", "fetch", ROW).await.refused(503, "connection_error");
    assert_eq!(both.server.seen().len(), 3, "nobody was followed");
}

#[tokio::test]
async fn an_upstream_that_refuses_the_key_is_not_back_because_it_answers_checks() {
    let database = TestDatabase::with(SQL).await;
    let server = Postgrest::with(&database.uri(), "another key", Preferences::Known, None).await;
    let uri = rest_uri(server.address(), "&circuit_breaker_threshold=3");
    let gateway = Gateway::over(&[("rest", &uri)], "").await;
    for _ in 0..3 {
        send(&gateway, "rest", "fetch", ROW).await.refused(503, "connection_error");
    }
    let reads = || server.seen().iter().filter(|request| request.target.contains("things")).count();
    let before = reads();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        send(&gateway, "rest", "fetch", ROW).await.refused(503, "circuit_open");
    }
    assert_eq!(reads(), before);
}

#[tokio::test]
async fn a_slow_upstream_is_waited_for_as_long_as_a_statement_may_take() {
    let both = Both::with(Preferences::Known, None, "&statement_timeout_secs=1").await;
    both.server.next([Fault::Slowly(64, Duration::from_millis(5))]);
    let slow =
        both.send("rest", "fetch", r#"{"table_name":"things","columns":"id","sort_by":{"field":"id"}}"#);
    assert_eq!(slow.await.rows().as_array().map(Vec::len), Some(5));
    both.server.next([Fault::Slowly(8, Duration::from_secs(3600))]);
    both.send("rest", "fetch", ROW).await.refused(504, "query_canceled");
    both.server.next([Fault::Slowly(8, Duration::from_secs(3600))]);
    both.send("rest", "update", CHANGE).await.refused(503, "connection_error");
}

#[tokio::test]
async fn connections_are_used_again_and_closed_with_their_request() {
    let both = Both::start().await;
    let proxy = TcpProxy::before(both.server.address()).await;
    let uri = rest_uri(proxy.address(), "&statement_timeout_secs=1");
    let gateway = Gateway::over(&[("rest", &uri)], "").await;
    for _ in 0..5 {
        assert_eq!(send(&gateway, "rest", "fetch", ROW).await.rows(), json!([{"id": 1}]));
        assert!(proxy.open() <= 2, "one connection for them all, and one to look whether anybody is there");
    }
    // One that broke while nobody used it is replaced.
    proxy.cut().await;
    assert_eq!(send(&gateway, "rest", "fetch", ROW).await.rows(), json!([{"id": 1}]));
    proxy.set(Mode::Blackhole).await;
    send(&gateway, "rest", "fetch", ROW).await.refused(504, "query_canceled");
    proxy.set(Mode::Pass).await;
    assert_eq!(send(&gateway, "rest", "fetch", ROW).await.rows(), json!([{"id": 1}]));
    proxy.down().await;
    send(&gateway, "rest", "fetch", ROW).await.refused(503, "connection_error");
    let refused = send(&gateway, "rest", "update", CHANGE).await.refused(503, "connection_error");
    assert!(
        refused["hint"].as_str().is_some_and(|hint| !hint.contains("may have")),
        "nothing was sent: {refused}"
    );
}
