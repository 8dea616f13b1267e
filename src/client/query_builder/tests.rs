#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
use super::*;

#[test]
fn labels_are_those_of_the_answer() {
    let check = |column: &str, expected: &str| assert_eq!(label(column), expected, "{column}");
    check("id", "id");
    check("total::text", "total");
    check("price:total", "price");
    check("price:total::text", "price");
}

#[test]
fn a_relation_is_one_part() {
    let parts: Vec<&str> = split("id, total::text ,customer:customers!inner(id,orders(id,total)),,x").collect();
    assert_eq!(parts, ["id", "total::text", "customer:customers!inner(id,orders(id,total))", "x"]);
}

#[test]
fn a_call_names_its_arguments() {
    let (sql, values) = call("audit.top_n", json!({ "n": 3, "name": "x" })).unwrap();
    assert_eq!(sql, r#"SELECT * FROM "audit"."top_n"("n" => $1, "name" => $2)"#);
    assert_eq!(values, [json!(3), json!("x")]);
    assert_eq!(call("now", Value::Null).unwrap().0, r#"SELECT * FROM "now"()"#);
    for wrong in ["a.b.c", "a; drop", "", "a\"b", "."] {
        assert!(call(wrong, Value::Null).is_err(), "{wrong}");
    }
    assert!(call("f", json!([1])).is_err());
    assert!(call("f", json!({ "a b": 1 })).is_err());
}
