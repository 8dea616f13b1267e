//! Compressed answers can be read again, and only those that gain are compressed.

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use tokio::io::AsyncReadExt;

use crate::fake::fetch;

async fn unpack(coding: &str, bytes: &[u8]) -> String {
    let mut text = String::new();
    match coding {
        "gzip" => GzipDecoder::new(bytes).read_to_string(&mut text).await.unwrap(),
        "br" => BrotliDecoder::new(bytes).read_to_string(&mut text).await.unwrap(),
        "zstd" => ZstdDecoder::new(bytes).read_to_string(&mut text).await.unwrap(),
        other => panic!("{other}"),
    };
    text
}

#[tokio::test]
async fn answers_come_back_whole() {
    for limit in [100, 1_000, 20_000] {
        let body = format!(r#"{{"table_name":"many","limit":{limit}}}"#);
        let plain = fetch(&[], &body).await;
        for coding in ["gzip", "br", "zstd"] {
            let reply = fetch(&[("Accept-Encoding", coding)], &body).await;
            assert_eq!(reply.header("content-encoding"), Some(coding));
            assert_eq!(reply.header("vary"), Some("Accept-Encoding"));
            let bytes = reply.body.unwrap();
            assert!(bytes.len() * 4 < plain.body.as_ref().unwrap().len());
            assert_eq!(unpack(coding, &bytes).await, plain.text(), "{coding} {limit}");
        }
    }
}

#[tokio::test]
async fn the_caller_decides() {
    let long = r#"{"table_name":"many","limit":100}"#;
    for (accept, expected) in [
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip;q=1.0, br;q=0.5", Some("gzip")),
        ("br, gzip", Some("br")),
        ("*", Some("zstd")),
        ("*, zstd;q=0, br;q=0", Some("gzip")),
        ("deflate", None),
        ("identity", None),
        ("gzip;q=0", None),
        ("gzip;q=0.5, identity;q=1", None),
        ("", None),
    ] {
        let reply = fetch(&[("Accept-Encoding", accept)], long).await;
        assert_eq!(reply.header("content-encoding"), expected, "{accept}");
    }
    let reply = fetch(&[("Accept-Encoding", "gzip")], r#"{"table_name":"items"}"#).await;
    assert_eq!(reply.header("content-encoding"), None);
}
