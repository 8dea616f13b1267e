//! What a request may ask of how it is carried out.

use std::time::Duration;

use super::*;

const ASKING: Asking<'static> = Asking { allow_filtering: false, database_order: false, authority: None };

#[test]
fn a_request_stays_within_what_the_client_allows() {
    let fetch = |rest: &str| {
        let body = format!(r#"{{"table_name":"users","count":"exact"{rest}}}"#);
        ASKING.fetch(&body, RowFormat::Json).map(|(read, count)| (read.tuning, count.unwrap().tuning))
    };
    let (read, _) = fetch(r#","fetch_size":1000"#).unwrap();
    assert_eq!(read.fetch_size, Some(1000));
    let error = fetch(r#","fetch_size":1001"#).unwrap_err();
    assert_eq!((error.code, error.field.as_deref()), (RequestCode::InvalidField, Some("fetch_size")));
    assert!(error.message.contains("1000 at most") && error.hint.is_some(), "{}", error.message);
    // A write has no rows to be sent in pages.
    let write = r#"{"table_name":"users","resource_id":1,"fetch_size":5}"#;
    assert_eq!(ASKING.delete(write).unwrap_err().code, RequestCode::UnknownField);
    let (read, count) = fetch(r#","consistency":"one","timeout_ms":30000"#).unwrap();
    assert_eq!(read, count);
    assert_eq!((read.consistency, read.timeout), (Some(Consistency::One), Some(Duration::from_secs(30))));
    assert!(fetch(r#","consistency":"local_quorum""#).is_ok());
    for (rest, field) in [
        (r#","consistency":"quorum""#, "consistency"),
        (r#","consistency":"all""#, "consistency"),
        (r#","timeout_ms":30001"#, "timeout_ms"),
    ] {
        let error = fetch(rest).unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (RequestCode::InvalidField, Some(field)), "{rest}");
        assert!(error.hint.is_some());
        let writes = [
            ASKING.insert(&format!(r#"{{"table_name":"users","insert_body":{{"id":1}}{rest}}}"#)).err(),
            ASKING.update(&format!(r#"{{"table_name":"users","set":{{"age":1}},"conditions":[{{"eq_column":"id","eq_value":1}}]{rest}}}"#)).err(),
            ASKING.delete(&format!(r#"{{"table_name":"users","resource_id":1{rest}}}"#)).err(),
        ];
        for error in writes {
            assert_eq!(error.unwrap().field.as_deref(), Some(field), "{rest}");
        }
    }
}
