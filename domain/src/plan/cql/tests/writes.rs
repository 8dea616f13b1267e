//! Which writes are sound, and what they say.

use super::*;

const ASKING: Asking<'static> = Asking { allow_filtering: false, database_order: false, authority: None };

fn inserting(table: &str, rows: &str, rest: &str) -> Result<CqlInsert, RequestError> {
    ASKING.insert(&format!(r#"{{"table_name":"{table}","insert_body":{rows}{rest}}}"#))
}

fn rows_of(insert: &CqlInsert) -> Vec<String> {
    let row = |row: &Vec<CqlValue>| row.iter().map(shown).collect::<Vec<_>>().join(",");
    insert.rows.iter().map(row).collect()
}

#[test]
fn inserts_never_write_over_what_is_there_unless_asked() {
    let check = |rest: &str, existing: Existing| {
        let insert = inserting("users", r#"{"id":1,"name":"x","age":null}"#, rest).unwrap();
        assert_eq!((insert.existing, insert.batch), (existing, Batch::Single), "{rest}");
        let age = if existing == Existing::Changes { "null" } else { "unset" };
        assert_eq!(rows_of(&insert), [format!("1,'x',{age}")], "{rest}");
        assert_eq!(said(&insert.relation, &insert.key(&insert.rows[0])), "id=1");
    };
    check("", Existing::Refuses);
    check(r#","on_conflict":"id""#, Existing::Changes);
    check(r#","update_body":{}"#, Existing::Stays);
    check(r#","on_conflict":["id"],"update_body":{}"#, Existing::Stays);
    for (rest, field) in [
        (r#","update_body":{"age":3}"#, "update_body"),
        (r#","dry_run":true"#, "dry_run"),
        (r#","on_conflict":{"columns":["id"],"where":[{"eq_column":"age","eq_value":1}]}"#, "on_conflict"),
    ] {
        assert_eq!(refused(inserting("users", r#"{"id":1,"name":"x"}"#, rest)), field, "{rest}");
    }
    let wrong_target = inserting("users", r#"{"id":1,"name":"x"}"#, r#","on_conflict":"name""#);
    assert_eq!(wrong_target.unwrap_err().code, RequestCode::InvalidField);
    // The answer ends with the id, for the gateway alone.
    let labels: Vec<_> = inserting("users", r#"{"id":1}"#, "").unwrap().returning;
    assert_eq!(
        labels.iter().map(|o| (&*o.label, o.hidden)).collect::<Vec<_>>(),
        [("id", false), ("name", false), ("age", false), ("id", true)]
    );
}

#[test]
fn every_row_has_a_key_of_its_own() {
    let check = |rows: &str, rest: &str| {
        let error = inserting("events", rows, rest).unwrap_err();
        assert_eq!(error.code, RequestCode::InvalidPayload, "{rows}: {error:?}");
        error.message
    };
    assert!(check(r#"{"a":1,"b":2,"c":3,"d":4}"#, "").contains("'e'"));
    assert!(check(r#"{"a":1,"b":2,"c":3,"d":4,"e":null}"#, "").contains("'e'"));
    assert!(check(r#"{"a":1}"#, r#","on_conflict":["a","b","c","d","e"]"#).contains("'b'"));
    let twice = r#"[{"a":1,"b":2,"c":3,"d":4,"e":5},{"a":1,"b":2,"c":3,"d":4,"e":5,"plain":1}]"#;
    assert!(check(twice, r#","on_conflict":["a","b","c","d","e"]"#).contains("row 1"));
    let error = inserting("events", twice, "").unwrap_err();
    assert_eq!(error.code, RequestCode::UniqueViolation, "as in a database that looks at them one by one");
}

#[test]
fn rows_are_written_together_where_they_can_be() {
    let row = |b: i32, e: i32| format!(r#"{{"a":1,"b":{b},"c":3,"d":4,"e":{e},"plain":{e}}}"#);
    let same = format!("[{},{}]", row(2, 5), row(2, 6));
    let other = format!("[{},{}]", row(2, 5), row(3, 5));
    let upsert = r#","on_conflict":["a","b","c","d","e"]"#;
    let batch = |rows: &str, rest: &str| inserting("events", rows, rest).map(|insert| insert.batch);
    assert_eq!(batch(&same, ""), Ok(Batch::Partition));
    assert_eq!(batch(&same, upsert), Ok(Batch::Partition));
    assert_eq!(batch(&other, upsert), Ok(Batch::Logged));
    assert_eq!(refused(batch(&other, "")), "insert_body");
    assert_eq!(refused(batch(&same, r#","update_body":{}"#)), "update_body");
    let sparse = r#"[{"a":1,"b":2,"c":3,"d":4,"e":5,"plain":1},{"a":1,"b":2,"c":3,"d":4,"e":6,"word":"x"}]"#;
    assert_eq!(
        rows_of(&inserting("events", sparse, "").unwrap()),
        ["1,2,3,4,5,1,unset", "1,2,3,4,6,unset,'x'"]
    );
    assert_eq!(
        rows_of(&inserting("events", sparse, upsert).unwrap()),
        ["1,2,3,4,5,1,null", "1,2,3,4,6,null,'x'"]
    );
    let fixed = r#"[{"a":1,"b":2,"c":3,"d":4,"e":5,"shared":1},{"a":1,"b":2,"c":3,"d":4,"e":6,"shared":1}]"#;
    let fixed_one = r#"{"a":1,"b":2,"c":3,"d":4,"e":5,"shared":1}"#;
    for (rows, rest) in
        [(fixed, ""), (fixed, upsert), (fixed_one, ""), (fixed_one, r#","if_not_exists":true"#)]
    {
        assert_eq!(refused(batch(rows, rest)), "shared");
    }
    let many = |n: i32| format!("[{}]", (0..n).map(|e| row(2, e)).collect::<Vec<_>>().join(","));
    assert!(batch(&many(100), "").is_ok());
    assert_eq!(refused(batch(&many(101), "")), "insert_body");
    assert_eq!(
        inserting("events", &same, r#","max_affected":1"#).unwrap_err().code,
        RequestCode::TooManyRows
    );
    assert!(batch(&same, r#","max_affected":2"#).is_ok());
}

fn updating(table: &str, set: &str, filter: &str, rest: &str) -> Result<CqlUpdate, RequestError> {
    let body = format!(r#"{{"table_name":"{table}","set":{set},"conditions":{}{rest}}}"#, conditions(filter));
    ASKING.update(&body)
}

fn deleting(table: &str, filter: &str, rest: &str) -> Result<CqlDelete, RequestError> {
    ASKING.delete(&format!(r#"{{"table_name":"{table}","conditions":{}{rest}}}"#, conditions(filter)))
}

#[test]
fn rows_are_changed_by_their_whole_key() {
    let check = |filter: &str, rows: &str, condition: &str| {
        let update =
            updating("events", r#"{"plain":1}"#, filter, "").unwrap_or_else(|e| panic!("{filter}: {e:?}"));
        assert_eq!(all_said(&update.relation, &update.rows), rows, "{filter}");
        assert_eq!(said(&update.relation, &update.condition), condition, "{filter}");
        let delete = deleting("events", filter, "").unwrap();
        assert_eq!((delete.rows, delete.condition), (update.rows, update.condition), "{filter}");
    };
    const KEY: &str = "a eq 1; b eq 2; c eq 3; d eq 4; e eq 5";
    const ROW: &str = "a=1 and b=2 and c=3 and d=4 and e=5";
    let with = |more: &str| format!("{KEY}; {more}");
    check(KEY, ROW, "");
    check(
        "a eq 1; b in [2,3]; c eq 3; d eq 4; e eq 5",
        &format!("{ROW} | {}", ROW.replace("b=2", "b=3")),
        "",
    );
    check(&with("plain eq 6"), ROW, "plain=6");
    check(&with("plain in [6,7]; word eq \"x\""), ROW, "plain in (6,7) and word='x'");
    check(&with("plain gt 6; plain lte 9"), ROW, "plain>6 and plain<=9");
    check(&with("plain is \"not null\""), ROW, "plain!=null");
    check(&with("plain is null; word eq \"x\""), ROW, "plain=null and word='x'");
    check(&with("whole eq [1]"), ROW, r#"whole=["1"]"#);
    check(&with("e gt 5"), "", "");
    check("a in []", "", "");
    for (filter, field) in [
        ("a eq 1; b eq 2", "conditions"),
        ("a eq 1; b eq 2; c eq 3; d eq 4; e gt 5", "conditions"),
        ("legacy eq 1", "conditions"),
        (&*with("plain is null"), "plain"),
        (&*with("shared eq 1"), "shared"),
        (&*with("tags contains [\"x\"]"), "tags"),
        (&*with("plain like \"x\""), "plain"),
        (&*with("items eq [1]"), "items"),
        (&*with("or plain.eq.1,word.eq.x"), "conditions"),
    ] {
        assert_eq!(refused(updating("events", r#"{"plain":1}"#, filter, "")), field, "{filter}");
        assert_eq!(refused(deleting("events", filter, "")), field, "{filter}");
    }
}

#[test]
fn a_row_named_twice_is_written_once() {
    let update = updating("users", r#"{"age":1}"#, "or id.eq.1,id.eq.2,id.in.(2,3)", "").unwrap();
    assert_eq!(all_said(&update.relation, &update.rows), "id=1 | id=2 | id=3");
    let alternatives = "or and(a.eq.1,b.eq.2,c.eq.3,d.eq.4,e.eq.5),and(a.eq.1,b.eq.3,c.eq.4,d.eq.4,e.eq.5)";
    assert_eq!(deleting("events", alternatives, "").unwrap().rows.len(), 2);
}

#[test]
fn what_cannot_be_undone_is_not_begun() {
    let check = |filter: &str, rest: &str, field: &str| {
        assert_eq!(refused(updating("users", r#"{"age":1}"#, filter, rest)), field, "{rest}");
        assert_eq!(refused(deleting("users", filter, rest)), field, "{rest}");
    };
    check("id eq 1", r#","dry_run":true"#, "dry_run");
    check("id in [1,2]", r#","max_affected":1"#, "max_affected");
    check("id eq 1", r#","max_affected":0"#, "max_affected");
    assert!(updating("users", r#"{"age":1}"#, "id in [1,2]", r#","max_affected":2"#).is_ok());
    let many = format!("id in {:?}", (0..101).collect::<Vec<_>>());
    check(&many, "", "conditions");
    let grouped = updating("users", r#"{"age":1}"#, "id eq 1", r#","group_by":"name""#);
    assert_eq!(refused(grouped), "group_by");
}

#[test]
fn new_values_go_into_columns_of_the_row() {
    const KEY: &str = "a eq 1; b eq 2; c eq 3; d eq 4; e eq 5";
    let update = updating("events", r#"{"plain":null,"tags":["x"]}"#, KEY, "").unwrap();
    assert_eq!(update.set, [(5, CqlValue::Null), (9, CqlValue::Set(vec![CqlValue::Text("x".into())]))]);
    assert_eq!(refused(updating("events", r#"{"e":1}"#, KEY, "")), "e");
    assert_eq!(refused(updating("events", r#"{"shared":1}"#, KEY, "")), "shared");
}

#[test]
fn views_are_only_read() {
    assert_eq!(refused(inserting("by_name", r#"{"id":1}"#, "")), "table_name");
    assert_eq!(refused(updating("by_name", r#"{"age":1}"#, "id eq 1", "")), "table_name");
    assert_eq!(refused(deleting("by_name", "id eq 1", "")), "table_name");
    assert!(ASKING.read("by_name", "").is_ok());
}

#[test]
fn counters_are_added_to_and_nothing_else() {
    let added = |set: &str| updating("hits", set, "id in [1,2]", "");
    let update = added(r#"{"n":{"increment":5}}"#).unwrap();
    assert_eq!((update.added, &update.set[..], update.rows.len()), (true, &[(1, CqlValue::Int(5))][..], 2));
    for (text, number) in [("-9223372036854775808", i64::MIN), ("\"7\"", 7), ("0", 0)] {
        let update = added(&format!(r#"{{"n":{{"increment":{text}}}}}"#)).unwrap();
        assert_eq!(update.set, [(1, CqlValue::Int(number))]);
    }
    for set in [r#"{"n":5}"#, r#"{"n":"5"}"#, r#"{"n":null}"#, r#"{"n":[5]}"#] {
        assert_eq!(refused(added(set)), "n", "{set}");
    }
    for bad in [
        r#"{"increment":1.5}"#,
        r#"{"increment":9223372036854775808}"#,
        r#"{"increment":null}"#,
        r#"{"increment":true}"#,
        "{}",
    ] {
        assert_eq!(
            added(&format!(r#"{{"n":{bad}}}"#)).unwrap_err().code,
            RequestCode::DataException,
            "{bad}"
        );
    }
    let misspelt = added(r#"{"n":{"increment":1,"by":2}}"#).unwrap_err();
    assert_eq!(misspelt.code, RequestCode::UnknownField);
    for (filter, rest, field) in [
        ("id eq 1; n gt 3", "", "n"),
        ("id eq 1", r#","if":[]"#, "if"),
        ("id eq 1", r#","ttl":60"#, "ttl"),
        ("id eq 1", r#","timestamp":60"#, "timestamp"),
        ("id gt 1", "", "conditions"),
        ("id in [1,2]", r#","max_affected":1"#, "max_affected"),
    ] {
        assert_eq!(
            refused(updating("hits", r#"{"n":{"increment":1}}"#, filter, rest)),
            field,
            "{filter} {rest}"
        );
    }
    assert_eq!(refused(inserting("hits", r#"{"id":1,"n":{"increment":1}}"#, "")), "table_name");
    assert_eq!(refused(inserting("hits", r#"{"id":1,"n":1}"#, r#","on_conflict":"id""#)), "table_name");
    assert_eq!(refused(deleting("hits", "id eq 1", "")), "table_name");
    assert!(ASKING.read("hits", "").is_ok());
    // Elsewhere the object is a value like any other.
    assert!(updating("users", r#"{"age":{"increment":1}}"#, "id eq 1", "").is_err());
}

#[test]
fn values_are_dated_and_given_an_end_where_the_database_does_it() {
    let upsert = r#","on_conflict":"id""#;
    let insert = |rest: &str| inserting("users", r#"{"id":1,"age":2}"#, rest).map(|insert| insert.stamp);
    let stamp = |ttl, timestamp| Stamp { ttl, timestamp };
    assert_eq!(insert(""), Ok(stamp(None, None)));
    assert_eq!(insert(r#","ttl":60"#), Ok(stamp(Some(60), None)));
    assert_eq!(insert(r#","ttl":60,"if_not_exists":true"#), Ok(stamp(Some(60), None)));
    assert_eq!(insert(&format!(r#"{upsert},"ttl":0,"timestamp":7"#)), Ok(stamp(Some(0), Some(7))));
    for rest in ["", r#","if_not_exists":true"#, r#","update_body":{}"#] {
        assert_eq!(refused(insert(&format!(r#"{rest},"timestamp":7"#))), "timestamp", "{rest}");
    }
    let update = |rest: &str| updating("users", r#"{"age":2}"#, "id eq 1", rest).map(|update| update.ttl);
    assert_eq!((update(""), update(r#","ttl":60"#)), (Ok(None), Ok(Some(60))));
    assert_eq!(update(r#","ttl":60,"if":[]"#), Ok(Some(60)));
    assert_eq!(refused(update(r#","timestamp":7"#)), "timestamp");
    let delete = |filter: &str, rest: &str| deleting("users", filter, rest).map(|delete| delete.timestamp);
    assert_eq!(delete("id in [1,2]", r#","timestamp":7"#), Ok(Some(7)));
    assert_eq!(refused(delete("id eq 1; age eq 2", r#","timestamp":7"#)), "timestamp");
    assert_eq!(refused(delete("id eq 1", r#","timestamp":7,"if":[]"#)), "timestamp");
    // An hour ahead of now at most, which is 1970 here: what is dated later keeps the writes after it from having an effect.
    let (latest, later) = (3_600_000_000_i64, [3_600_000_001, i64::MAX]);
    assert!(insert(&format!(r#"{upsert},"timestamp":{latest}"#)).is_ok());
    assert!(delete("id eq 1", &format!(r#","timestamp":{latest}"#)).is_ok());
    for later in later {
        for error in [
            insert(&format!(r#"{upsert},"timestamp":{later}"#)).unwrap_err(),
            delete("id eq 1", &format!(r#","timestamp":{later}"#)).unwrap_err(),
        ] {
            assert_eq!(error.code, RequestCode::InvalidField, "{error:?}");
            assert_eq!(error.field.as_deref(), Some("timestamp"));
            assert!(error.hint.is_some(), "{error:?}");
        }
    }
    assert_eq!(delete("id eq 1", r#","ttl":7"#).unwrap_err().code, RequestCode::UnknownField);
}

#[test]
fn a_row_is_removed_by_its_id() {
    let delete = ASKING.delete(r#"{"table_name":"users","resource_id":"7"}"#).unwrap();
    assert_eq!(all_said(&delete.relation, &delete.rows), "id=7");
    assert!(ASKING.delete(r#"{"table_name":"events","resource_id":"7"}"#).is_err());
}
