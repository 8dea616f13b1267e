//! Columns of which the type is not known: nothing that holds one could be read.

use super::*;

const ASKING: Asking<'static> = Asking { allow_filtering: true, database_order: false, authority: None };
const NAMED: &str = r#""columns":["id","v"]"#;
const BY_KEY: &str = r#""conditions":[{"eq_column":"id","eq_value":1}]"#;

#[test]
fn they_are_not_read() {
    assert_eq!(refused(ASKING.read("odd", "")), "columns");
    assert_eq!(refused(ASKING.read("odd", r#","columns":["id","mark"]"#)), "columns");
    assert!(ASKING.read("odd", &format!(",{NAMED}")).is_ok());
    for test in ["null", "not null"] {
        let condition = format!(r#","conditions":[{{"operator":"is","column":"mark","value":"{test}"}}]"#);
        assert_eq!(refused(ASKING.read("odd", &format!(",{NAMED}{condition}"))), "mark");
    }
    let error = ASKING.read("odd", "").unwrap_err();
    assert!(
        error.message.contains("'mark'") && error.message.contains("org.example.Mark"),
        "{}",
        error.message
    );
}

#[test]
fn writes_do_not_answer_with_them() {
    let insert = |rest: &str| {
        ASKING.insert(&format!(r#"{{"table_name":"odd","insert_body":{{"id":1,"v":2}}{rest}}}"#))
    };
    assert_eq!(refused(insert(r#","on_conflict":"id""#)), "columns");
    assert!(insert(&format!(r#","on_conflict":"id",{NAMED}"#)).is_ok());
    // The database shows the whole row that kept it from being written.
    for looks in ["", r#","if_not_exists":true"#, r#","on_conflict":"id","update_body":{}"#] {
        assert_eq!(refused(insert(&format!("{looks},{NAMED}"))), "insert_body", "{looks}");
    }
    let marked = format!(r#"{{"table_name":"odd","set":{{"mark":null}},{BY_KEY},{NAMED}}}"#);
    assert_eq!(refused(ASKING.update(&marked)), "mark");
    let update = format!(r#"{{"table_name":"odd","set":{{"v":1}},{BY_KEY}"#);
    assert_eq!(refused(ASKING.update(&format!("{update}}}"))), "columns");
    assert!(ASKING.update(&format!("{update},{NAMED}}}")).is_ok());
    let asked = r#""if":[{"operator":"is","column":"mark","value":null}]"#;
    assert_eq!(refused(ASKING.update(&format!("{update},{NAMED},{asked}}}"))), "mark");
    assert!(ASKING.delete(&format!(r#"{{"table_name":"odd",{BY_KEY},{NAMED}}}"#)).is_ok());
}
