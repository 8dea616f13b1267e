use super::{Cell, NotAJsonValue, RowSet, WrongWidth};

#[track_caller]
fn check(json: &str, expected: Cell) {
    let cell = Cell::parse(json);
    assert_eq!(cell.as_ref(), Ok(&expected), "{json}");
    let mut rendered = Vec::new();
    expected.render(&mut rendered);
    assert_eq!(rendered, json.as_bytes());
}

#[test]
fn cells_survive_parse_and_render() {
    check("null", Cell::Null);
    check("true", Cell::Bool(true));
    check("false", Cell::Bool(false));
    check("-1.10", Cell::Number("-1.10".into()));
    check("12345678901234567890", Cell::Number("12345678901234567890".into()));
    check(r#""a\"b\\ größe""#, Cell::Text("a\"b\\ größe".into()));
    check(r#"{"a": [1]}"#, Cell::Json(r#"{"a": [1]}"#.into()));
}

#[test]
fn what_is_no_json_value_is_refused() {
    for json in ["", "nul", "\"", r#""\x""#, "NaN", "TRUE"] {
        assert_eq!(Cell::parse(json), Err(NotAJsonValue), "{json}");
    }
}

#[test]
fn a_row_of_another_width_leaves_the_set_unchanged() {
    let mut set = RowSet::new(["a", "b"]);
    set.push_row([Cell::Null, Cell::Bool(true)]).expect("two cells fit two columns");
    assert_eq!(set.push_row([Cell::Null]), Err(WrongWidth { expected: 2, found: 1 }));
    assert_eq!(set.push_row([Cell::Null, Cell::Null, Cell::Null]), Err(WrongWidth { expected: 2, found: 3 }));
    assert_eq!(set.len(), 1);
    assert_eq!(set.rows().collect::<Vec<_>>(), [[Cell::Null, Cell::Bool(true)]]);
    assert_eq!(set.row(1), None);
    assert_eq!((set.column("b"), set.column("c")), (Some(1), None));
}

#[test]
fn rows_without_columns_are_counted() {
    let mut set = RowSet::new(Vec::<String>::new());
    assert!(set.is_empty());
    set.push_row([]).expect("no cells fit no columns");
    assert_eq!((set.len(), set.rows().len(), set.row(0)), (1, 1, Some(&[][..])));
}

#[test]
fn scalars_of_json_columns_are_told_as_what_they_are() {
    for (json, expected) in [
        ("null", Cell::Null),
        (" 1.10 ", Cell::Number("1.10".into())),
        (r#""a\n""#, Cell::Text("a\n".into())),
        (r#""\ud800""#, Cell::Json(r#""\ud800""#.into())),
        (" [1]", Cell::Json("[1]".into())),
    ] {
        let mut set = RowSet::new(["a"]);
        set.push_row([Cell::Json(json.into())]).expect("one cell fits one column");
        assert_eq!(set.row(0), Some(&[expected][..]), "{json}");
    }
}
