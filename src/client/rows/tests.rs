#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
use futures_util::stream;

use super::*;

fn rows(chunks: &[&'static str]) -> Rows<Value> {
    let body =
        stream::iter(chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect::<Vec<_>>());
    Rows::new(Reply { request_id: "f00d".to_owned(), body: body.boxed() })
}

async fn gather(chunks: &[&'static str]) -> Result<QueryResult, AthenaError> {
    QueryResult::gather(rows(chunks), vec!["asked".to_owned()]).await
}

#[tokio::test]
async fn lines_may_be_cut_anywhere() {
    let whole = "{\"b\":1,\"a\":\"x\\n\"}\n{\"b\":2,\"a\":null}\n";
    let expected = gather(&[whole]).await.unwrap();
    assert_eq!(expected.columns, ["b", "a"]);
    assert_eq!(expected.rows.len(), 2);
    for cut in 0..=whole.len() {
        assert_eq!(gather(&[&whole[..cut], &whole[cut..]]).await.unwrap(), expected, "{cut}");
    }
    assert_eq!(gather(&[]).await.unwrap().columns, ["asked"]);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    let error = gather(&["{\"a\":1}\n{\"a\""]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Connection);
    let line = "{\"status\":\"error\",\"code\":\"query_canceled\",\"error\":\"too slow\",\"status_code\":504,\"trace_id\":\"f00d\"}\n";
    let error = gather(&["{\"a\":1}\n", line]).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::TimedOut, Some("query_canceled")));
}

#[tokio::test]
async fn a_row_that_looks_like_an_error_is_a_row() {
    let line = "{\"status\":\"error\",\"status_code\":504,\"trace_id\":\"another\",\"note\":\"f00d\"}\n";
    assert_eq!(gather(&[line]).await.unwrap().rows.len(), 1);
}

#[test]
fn columns_of_an_array_keep_their_order() {
    let result = QueryResult::of_array(br#"[{"z":1,"a":2}]"#, &[]).unwrap();
    assert_eq!(result.columns, ["z", "a"]);
    assert_eq!(QueryResult::of_array(b"[]", &["q".to_owned()]).unwrap().columns, ["q"]);
}
