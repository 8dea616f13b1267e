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
    let parts: Vec<&str> =
        split("id, total::text ,customer:customers!inner(id,orders(id,total)),,x").collect();
    assert_eq!(parts, ["id", "total::text", "customer:customers!inner(id,orders(id,total))", "x"]);
}
