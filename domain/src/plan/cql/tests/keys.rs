//! Values that the database tells apart otherwise than SQL does: never a silently different answer.

use super::*;

const STRICT: Asking<'static> = Asking { allow_filtering: false, database_order: false, authority: None };
const LOOSE: Asking<'static> = Asking { allow_filtering: true, database_order: false, authority: None };

fn reads(table: &str, filter: &str) -> Result<String, RequestError> {
    let read = LOOSE.read(table, &format!(r#","conditions":{}"#, conditions(filter)))?;
    Ok(all_said(&read.relation, &read.reads))
}

fn rows_deleted(table: &str, filter: &str) -> Result<String, RequestError> {
    let body = format!(r#"{{"table_name":"{table}","conditions":{}}}"#, conditions(filter));
    let delete = STRICT.delete(&body)?;
    Ok(all_said(&delete.relation, &delete.rows))
}

#[test]
fn decimals_that_are_found_by_their_digits_are_not_asked_for_by_value() {
    for filter in ["p eq 7; c eq 1", "p in [7,7.0,7.00]; c eq 1", "p in [7]; c eq 1", "p eq 7"] {
        assert_eq!(refused(reads("rates", filter)), "p", "{filter}");
    }
    assert_eq!(refused(rows_deleted("rates", "p in [7,7.0]; c eq 1")), "p");
    assert_eq!(refused(rows_deleted("rates", "p eq 7; c eq 1")), "p");
    // So does an index of the older kind.
    assert_eq!(refused(reads("rates", "old eq 7")), "old");
    // A clustering column is compared by value.
    let seven = CqlValue::Decimal { unscaled: Box::new([7]), scale: 0 };
    assert_eq!(reads("scales", "id eq 1; c in [7,7.0,7.00]"), Ok(format!("id=1 and c={}", shown(&seven))));
    assert_eq!(
        rows_deleted("scales", "id eq 1; c in [7,7.00]; d eq 5"),
        Ok(format!("id=1 and c={} and d={}", shown(&seven), shown(&CqlValue::Float(5.0))))
    );
}

#[test]
fn a_zero_is_both_zeros() {
    let check = |filter: &str, expected: &str| {
        let said = reads("scales", &format!("id eq 1; c eq 1; {filter}")).unwrap_or_else(|e| panic!("{e:?}"));
        let said = said.replace("Float(", "").replace(')', "");
        let one = shown(&CqlValue::Decimal { unscaled: Box::new([1]), scale: 0 });
        assert_eq!(said, format!("id=1 and c={one} and {expected}"), "{filter}");
    };
    check("d eq 0", "d in (-0.0,0.0");
    check("d eq -0.0", "d in (-0.0,0.0");
    check("d in [0,5]", "d in (-0.0,0.0,5.0");
    check("d gt 0", "d>0.0");
    check("d gte 0", "d>=-0.0");
    check("d lt 0", "d<-0.0");
    check("d lte 0", "d<=0.0");
    check("d gte -0.0; d lte 0", "d>=-0.0 and d<=0.0");
    check("d in [-1,0,1]; d gt 0", "d=1.0");
    check("d in [-1,0,1]; d gte 0", "d in (-0.0,0.0,1.0");
    check("d eq 1.5", "d=1.5");
    // It stands inside a value as well, where nobody can ask for both.
    for filter in ["parts eq [1,0]", "parts contains [0]", "parts eq [-0.0]"] {
        assert_eq!(refused(reads("scales", filter)), "parts", "{filter}");
    }
    let body = format!(
        r#"{{"table_name":"scales","set":{{"v":1}},"conditions":{},"if":{}}}"#,
        conditions("id eq 1; c eq 1; d eq 2"),
        conditions("v neq 0")
    );
    let update = STRICT.update(&body).unwrap();
    assert_eq!(said(&update.relation, &update.condition), "v!=Float(-0.0) and v!=Float(0.0) and v!=null");
}

#[test]
fn an_empty_partition_key_finds_nothing_and_cannot_be_written() {
    assert_eq!(reads("notes", r#"id eq """#).as_deref(), Ok(""));
    assert_eq!(reads("notes", r#"id in ["","a"]"#).as_deref(), Ok("id='a'"));
    assert_eq!(rows_deleted("notes", r#"id eq """#).as_deref(), Ok(""));
    assert_eq!(rows_deleted("notes", r#"id in ["a",""]"#).as_deref(), Ok("id='a'"));
    let error = STRICT.insert(r#"{"table_name":"notes","insert_body":{"id":""}}"#).unwrap_err();
    assert_eq!((error.code, error.field.as_deref()), (RequestCode::DataException, Some("id")));
}

#[test]
fn a_row_of_static_values_alone_is_not_denied() {
    assert_eq!(refused(reads("events", "a eq 1; b eq 2; c is null")), "c");
    assert_eq!(refused(reads("events", "a eq 1; b eq 2; c in [1,null]")), "c");
    // Without static columns every row has its whole key.
    assert_eq!(reads("scales", "id eq 1; c is null").as_deref(), Ok(""));
}

#[test]
fn what_sql_sorts_otherwise_is_not_ranged_or_sorted_unless_its_owner_takes_it() {
    let owner = Asking { database_order: true, ..STRICT };
    let at = "50554d6e-29bb-11e5-b345-feff819cdc9f";
    let who = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    let whole = format!(r#"id eq 1; at eq "{at}"; who eq "{who}""#);
    // A range, also one under `not` and inside of `or`.
    for (filter, column) in [
        (format!(r#"id eq 1; at gt "{at}""#), "at"),
        (format!(r#"id eq 1; at eq "{at}"; who lte "{who}""#), "who"),
        (format!(r#"{whole}; host lt "10.0.0.1""#), "host"),
        (format!("id eq 1; not at.lt.{at}"), "at"),
        (format!("id eq 1; or at.lt.{at},at.gt.{at}"), "at"),
    ] {
        let rest = format!(r#","conditions":{}"#, conditions(&filter));
        for asking in [STRICT, LOOSE] {
            assert_eq!(refused(asking.read("visits", &rest)), column, "{filter}");
            let body = format!(r#"{{"table_name":"visits"{rest}}}"#);
            assert_eq!(refused(asking.delete(&body)), column, "{filter}");
            let body = format!(r#"{{"table_name":"visits","columns":["id"],"count":"exact"{rest}}}"#);
            assert_eq!(refused(asking.fetch(&body, RowFormat::Json)), column, "{filter}");
        }
        let read = owner.read("visits", &rest).unwrap_or_else(|error| panic!("{filter}: {error:?}"));
        assert!(!read.filtering && !read.reads.is_empty(), "{filter}");
    }
    let error = STRICT
        .read("visits", &format!(r#","conditions":{}"#, conditions(&format!(r#"id eq 1; at gt "{at}""#))))
        .unwrap_err();
    assert!(
        error.message.contains("timeuuid") && error.message.contains("by their time"),
        "{}",
        error.message
    );
    assert!(error.hint.unwrap().contains("database_order=true"));
    // What is not equal is on either side, whatever the order.
    let rest = format!(r#","conditions":{}"#, conditions(&format!(r#"id eq 1; at neq "{at}""#)));
    let neither = STRICT.read("visits", &rest).unwrap();
    assert_eq!((neither.reads.len(), neither.distinct.len()), (2, 0), "no row is on both");
    // A sort by such a column, and by one that comes behind it.
    for (filter, sort) in [
        ("id eq 1".to_owned(), r#"{"field":"at","direction":"desc"}"#),
        (format!(r#"id eq 1; at eq "{at}""#), r#"{"field":"who"}"#),
        (whole.clone(), r#"{"field":"host"}"#),
        (format!(r#"{whole}; host eq "::1""#), r#"[{"field":"path"},{"field":"pair"}]"#),
    ] {
        let rest = format!(r#","conditions":{},"sort_by":{sort}"#, conditions(&filter));
        assert_eq!(refused(STRICT.read("visits", &rest)), "sort_by", "{filter} {sort}");
        assert!(owner.read("visits", &rest).is_ok(), "{filter} {sort}");
    }
    // Lists of numbers come as they do in SQL, and a column with one value has no order.
    let rest = format!(
        r#","conditions":{},"sort_by":[{{"field":"at"}},{{"field":"path"}}]"#,
        conditions(&format!(r#"{whole}; host eq "::1""#))
    );
    assert!(STRICT.read("visits", &rest).is_ok());
}
