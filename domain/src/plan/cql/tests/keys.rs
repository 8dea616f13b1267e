//! Values that the database tells apart otherwise than SQL does: never a silently different answer.

use super::*;

const STRICT: Asking<'static> = Asking { allow_filtering: false, authority: None };
const LOOSE: Asking<'static> = Asking { allow_filtering: true, authority: None };

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
