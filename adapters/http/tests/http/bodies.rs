//! Size, encoding and type of request bodies.

use std::time::Duration;

use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use athena_http::HttpSettings;
use futures_util::{StreamExt, poll};
use poem::http::{Method, StatusCode};
use tokio::io::AsyncWriteExt;

use crate::fake::{Reply, fetch, lenient, request, server};

async fn packed(coding: &str, bytes: &[u8]) -> Vec<u8> {
    macro_rules! pack {
        ($encoder:ident) => {{
            let mut encoder = $encoder::new(Vec::new());
            encoder.write_all(bytes).await.unwrap();
            encoder.shutdown().await.unwrap();
            encoder.into_inner()
        }};
    }
    match coding {
        "gzip" => pack!(GzipEncoder),
        "br" => pack!(BrotliEncoder),
        _ => pack!(ZstdEncoder),
    }
}

async fn send(coding: &str, bytes: Vec<u8>) -> Reply {
    let headers = [("X-Athena-Client", "demo"), ("Content-Encoding", coding)];
    let (app, _) = server(&lenient());
    Reply::of(app.answer(request(Method::POST, "/gateway/fetch", &headers, bytes)).await).await
}

#[tokio::test]
async fn packed_bodies_are_read_within_both_bounds() {
    let body = |filler: usize| format!("{}{}", r#"{"table_name":"items"}"#, " ".repeat(filler)).into_bytes();
    for coding in ["gzip", "br", "zstd"] {
        let reply = send(coding, packed(coding, &body(5000)).await).await;
        assert_eq!(reply.status, StatusCode::OK, "{coding}");
        let reply = send(coding, packed(coding, &body(9000)).await).await;
        assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE, "{coding}");
        let json = reply.json();
        assert_eq!(json["code"], "limit_exceeded");
        assert_eq!(json["details"]["limit"]["name"], "max_decompressed_bytes");
        assert_eq!(json["details"]["limit"]["value"], 8192);
        // A megabyte of nothing in a few bytes.
        let bomb = packed(coding, &vec![b' '; 1 << 20]).await;
        assert!(bomb.len() < 4096);
        assert_eq!(send(coding, bomb).await.status, StatusCode::PAYLOAD_TOO_LARGE);
        let reply = send(coding, b"not packed at all".to_vec()).await;
        assert_eq!(reply.json()["code"], "invalid_encoding", "{coding}");
    }
    assert_eq!(send("identity", body(0)).await.status, StatusCode::OK);
    let reply = send("deflate", body(0)).await;
    assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(reply.json()["code"], "unsupported_encoding");
    assert_eq!(send("gzip, br", body(0)).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_body_past_the_limit_is_refused_whether_declared_or_not() {
    let body = vec![b' '; 4097];
    let headers = [("X-Athena-Client", "demo")];
    let (app, _) = server(&lenient());
    let declared = [("X-Athena-Client", "demo"), ("Content-Length", "4097")];
    for headers in [&headers[..], &declared[..]] {
        let asked = request(Method::POST, "/gateway/fetch", headers, body.clone());
        let reply = Reply::of(app.answer(asked).await).await;
        assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
        let json = reply.json();
        assert_eq!(json["details"]["limit"]["name"], "max_body_bytes");
        assert_eq!(json["details"]["limit"]["value"], 4096);
    }
    let chunks = (0..9).map(|_| Ok::<_, std::io::Error>(vec![b' '; 512]));
    let chunked = poem::Body::from_bytes_stream(futures_util::stream::iter(chunks));
    let reply = app.answer(request(Method::POST, "/gateway/fetch", &headers, chunked)).await;
    assert_eq!(reply.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let chunks = [r#"{"table_"#, r#"name":"it"#, r#"ems"}"#].map(Ok::<_, std::io::Error>);
    let chunked = poem::Body::from_bytes_stream(futures_util::stream::iter(chunks));
    let reply = app.answer(request(Method::POST, "/gateway/fetch", &headers, chunked)).await;
    assert_eq!(reply.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_body_must_arrive_in_time() {
    let settings = HttpSettings { client_request_timeout: Duration::from_secs(3), ..lenient() };
    let (app, _) = server(&settings);
    let never =
        poem::Body::from_bytes_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let asked = request(Method::POST, "/gateway/fetch", &[("X-Athena-Client", "demo")], never);
    let reply = Reply::of(app.answer(asked).await).await;
    assert_eq!(reply.status, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(reply.json()["code"], "request_timeout");
}

/// A body of two pieces whose rest never comes.
fn stalled() -> poem::Body {
    let begun = futures_util::stream::iter([r#"{"table_"#, r#"name":"#].map(Ok::<_, std::io::Error>));
    poem::Body::from_bytes_stream(begun.chain(futures_util::stream::pending()))
}

#[tokio::test]
async fn begun_bodies_share_a_memory_and_refused_requests_take_none_of_it() {
    let (app, _) = server(&lenient());
    let demo = [("X-Athena-Client", "demo")];
    let ask = |headers: &[(&'static str, &'static str)], body: poem::Body| {
        request(Method::POST, "/gateway/fetch", headers, body)
    };
    let refused = [("X-Athena-Client", "nobody")];
    let mut waiting: Vec<_> = (0..100).map(|_| Box::pin(app.answer(ask(&refused, stalled())))).collect();
    waiting.extend((0..8).map(|_| Box::pin(app.answer(ask(&demo, stalled())))));
    for answer in &mut waiting {
        assert!(poll!(answer).is_pending());
    }
    let reply = Reply::of(app.answer(ask(&demo, stalled())).await).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.json()["code"], "too_many_bodies");
    assert_eq!(reply.headers["retry-after"], "1");
    let packed = packed("gzip", br#"{"table_name":"items"}"#).await;
    let gzip = [demo[0], ("Content-Encoding", "gzip")];
    let reply = Reply::of(app.answer(ask(&gzip, packed.clone().into())).await).await;
    assert_eq!(reply.json()["code"], "too_many_bodies", "unpacked bodies take of the same memory");
    let whole = || poem::Body::from(r#"{"table_name":"items"}"#);
    assert_eq!(app.answer(ask(&demo, whole())).await.status(), StatusCode::OK, "it comes in one piece");
    drop(waiting);
    assert_eq!(app.answer(ask(&gzip, packed.into())).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn only_json_is_read() {
    let (app, _) = server(&lenient());
    for (media, status) in [
        (None, 200),
        (Some("application/json"), 200),
        (Some("Application/JSON; charset=utf-8"), 200),
        (Some("application/vnd.api+json"), 200),
        (Some("text/plain"), 400),
        (Some("application/x-www-form-urlencoded"), 400),
    ] {
        let mut headers = vec![("X-Athena-Client", "demo")];
        headers.extend(media.map(|media| ("Content-Type", media)));
        let asked = request(Method::POST, "/gateway/fetch", &headers, r#"{"table_name":"items"}"#);
        let reply = Reply::of(app.answer(asked).await).await;
        assert_eq!(reply.status.as_u16(), status, "{media:?}");
        if status == 400 {
            assert!(reply.json()["error"].as_str().unwrap().starts_with("Content type error"));
        }
    }
    let reply = fetch(&[], "null").await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
}
