#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use athena_domain::Limits;
use athena_domain::query::{Decoding, JsonText};

use super::*;

const QUERY: &str = r#"{"table_name":"t","columns":"id","conditions":[{"gt_column":"a","gt_value":1}],
    "sort_by":{"field":"a"},"page_size":5}"#;

fn request(body: &str) -> FetchRequest {
    FetchRequest::decode(JsonText::parse(body.as_bytes()).unwrap(), &Limits::default(), Decoding::default())
        .unwrap()
}

fn name(text: &str) -> ClientName {
    ClientName::parse(text).unwrap()
}

fn cursors(secret: &str) -> Cursors {
    Cursors::new(Some(secret.as_bytes()), Duration::from_secs(60))
}

fn keys(value: Option<&str>) -> Position {
    Position::Keys(vec![KeyValue { column: "a".into(), value: value.map(Box::from) }])
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

#[test]
fn positions_of_every_kind_come_back() {
    let (client, request, cursors) = (name("shop"), request(QUERY), cursors("secret"));
    let owner = Owner { client: &client, key: Some("k1"), request: &request };
    for position in [
        keys(Some("ä'\"\0")),
        keys(None),
        Position::Keys(Vec::new()),
        Position::State { statement: [1; DIGEST], state: vec![0, 255, 0].into() },
        Position::State { statement: [2; DIGEST], state: vec![7; 4000].into() },
    ] {
        let cursor = cursors.seal(owner, position.clone(), at(0)).unwrap();
        assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{cursor}");
        assert_eq!(cursors.open(owner, &cursor, at(59)), Ok(position.clone()));
        // No two are alike, though they say the same.
        assert_ne!(cursor, cursors.seal(owner, position, at(0)).unwrap());
    }
    let long = cursors.seal(owner, keys(Some(&"x".repeat(7000))), at(0));
    assert!(matches!(long, Err(Unsealed::TooLong(error)) if error.field.as_deref() == Some("sort_by")));
    let long = Position::State { statement: [0; DIGEST], state: vec![1; 7000].into() };
    let long = cursors.seal(owner, long, at(0));
    assert!(matches!(long, Err(Unsealed::TooLong(error)) if error.field.as_deref() == Some("cursor")));
}

#[test]
fn a_paging_state_is_of_one_statement_and_one_table() {
    use athena_domain::plan::cql::{CqlPage, CqlValue, Restriction, Test};
    use athena_domain::schema::{Column, ColumnType, CqlTable, CqlType, Relation};
    let table = |ty| {
        let column = Column { name: "id".into(), ty: ColumnType::cql(ty), nullable: true, writable: true };
        Relation::of_cql("ks", "t", vec![column], CqlTable { partition: [0].into(), ..CqlTable::default() })
    };
    let is = |number| vec![Restriction { column: 0, test: Test::Eq(CqlValue::Int(number)) }];
    let read = CqlRead {
        relation: table(CqlType::Int(32)).into(),
        outputs: Vec::new(),
        every: true,
        reads: vec![is(1)],
        distinct: Vec::new(),
        reversed: false,
        skip: 0,
        limit: None,
        filtering: false,
        unbounded: false,
        page: None,
    };
    let position = Position::State { statement: statement_digest(&read), state: [1].into() };
    // Where the page begins is no part of what it is a page of.
    let on = CqlRead { page: Some(CqlPage { size: 7, from: Some([9].into()) }), ..read.clone() };
    assert_eq!(position.belongs_to(&on), Ok(()));
    for other in [
        CqlRead { reads: vec![is(2)], ..read.clone() },
        CqlRead { reads: vec![is(1), is(1)], ..read.clone() },
        CqlRead { reversed: true, ..read.clone() },
        CqlRead { filtering: true, ..read.clone() },
        CqlRead { every: false, ..read.clone() },
        CqlRead { relation: table(CqlType::Int(64)).into(), ..read.clone() },
    ] {
        let error = position.belongs_to(&other).unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (RequestCode::InvalidCursor, Some("cursor")));
    }
}

#[test]
fn what_a_cursor_holds_is_not_to_be_seen() {
    let (client, request, cursors) = (name("shop"), request(QUERY), cursors("secret"));
    let owner = Owner { client: &client, key: None, request: &request };
    let seal = |value: &str| cursors.seal(owner, keys(Some(value)), at(0)).unwrap();
    let bytes = BASE64.decode(seal("hidden marker")).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"hidden"));
    // Not even how long it is.
    assert_eq!(seal("a").len(), seal("abcdefgh").len());
    assert!(!format!("{cursors:?}").contains("secret"));
}

#[test]
fn a_cursor_is_its_owners_for_its_query_and_its_time() {
    let (client, query, cursors) = (name("Shop"), request(QUERY), cursors("secret"));
    let owner = Owner { client: &client, key: Some("k1"), request: &query };
    let cursor = cursors.seal(owner, keys(Some("7")), at(0)).unwrap();
    let refusal = |owner: Owner<'_>, cursor: &str, now| {
        let error = cursors.open(owner, cursor, now).unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (RequestCode::InvalidCursor, Some("cursor")));
        error.message
    };
    // Letter case of the client does not count, nor does the spelling of the body.
    let spelled = request(
        &QUERY.replace("\"page_size\":5", "\"page_size\":\"5\",\"count\":\"exact\",\"strip_nulls\":true"),
    );
    let same = Owner { client: &name(" sHOP "), key: Some("k1"), request: &spelled };
    assert_eq!(cursors.open(same, &cursor, at(0)), Ok(keys(Some("7"))));

    let (other, nobody) = (name("shop2"), Owner { key: None, ..owner });
    for owner in [Owner { client: &other, ..owner }, Owner { key: Some("k2"), ..owner }, nobody] {
        assert!(refusal(owner, &cursor, at(0)).contains("another client or API key"));
    }
    // Where the client ends and the key begins is part of the seal.
    let (long, short) = (name("shopk"), name("shop"));
    let moved =
        cursors.seal(Owner { client: &long, key: Some("1"), request: &query }, keys(None), at(0)).unwrap();
    refusal(Owner { client: &short, key: Some("k1"), request: &query }, &moved, at(0));

    for (from, to) in [
        ("\"t\"", "\"u\""),
        ("\"t\"", "\"s.t\""),
        ("\"columns\":\"id\"", "\"columns\":\"id,a\""),
        ("\"gt_value\":1", "\"gt_value\":2"),
        ("\"gt_value\":1", "\"gt_value\":\"1\""),
        ("gt_", "gte_"),
        ("{\"field\":\"a\"}", "{\"field\":\"a\",\"direction\":\"desc\"}"),
        ("{\"field\":\"a\"}", "{\"field\":\"a\",\"nulls\":\"first\"}"),
        ("\"page_size\":5", "\"page_size\":6"),
    ] {
        let changed = request(&QUERY.replace(from, to));
        assert_ne!(changed, query, "{from}");
        let message = refusal(Owner { request: &changed, ..owner }, &cursor, at(0));
        assert!(message.contains("another query"), "{from} → {to}: {message}");
    }
    assert!(refusal(owner, &cursor, at(60)).contains("expired"));
    assert!(cursors.open(owner, &cursor, at(59)).is_ok());
    let elsewhere = super::tests::cursors("another").open(owner, &cursor, at(0));
    assert_eq!(elsewhere.map_err(|error| error.code), Err(RequestCode::InvalidCursor));
    assert!(Cursors::default().open(owner, &cursor, at(0)).is_err(), "a process of its own secret");
    let shared = super::tests::cursors("secret").open(owner, &cursor, at(0));
    assert_eq!(shared, Ok(keys(Some("7"))), "another gateway with the same secret");
}

#[test]
fn a_changed_cursor_is_none() {
    let (client, request, cursors) = (name("shop"), request(QUERY), cursors("secret"));
    let owner = Owner { client: &client, key: None, request: &request };
    let cursor = cursors.seal(owner, keys(Some("7")), at(0)).unwrap();
    let bytes = BASE64.decode(&cursor).unwrap();
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        assert!(cursors.open(owner, &BASE64.encode(changed), at(0)).is_err(), "byte {place}");
        assert!(cursors.open(owner, &BASE64.encode(&bytes[..place]), at(0)).is_err(), "cut at {place}");
    }
    for text in ["?", "a", "AQ", &format!("{cursor}A"), &format!("{cursor}="), &"A".repeat(1 << 20)] {
        assert!(cursors.open(owner, text, at(0)).is_err(), "{}", &text[..text.len().min(20)]);
    }
}
