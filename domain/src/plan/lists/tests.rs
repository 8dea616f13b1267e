use proptest::prelude::*;

use super::*;
use crate::plan::Bind;
use crate::query::CompareOp;
use crate::schema::{Column, ColumnType};

fn relation() -> Relation {
    let column = |name: &str, sql: &str, kind| Column {
        name: name.into(),
        ty: ColumnType::new(sql, kind),
        nullable: true,
        writable: true,
    };
    Relation {
        schema: "public".into(),
        name: "t".into(),
        columns: vec![column("n", "int4", TypeKind::Int(32)), column("t", "text", TypeKind::Text)],
        primary_key: Box::default(),
        unique: Vec::new(),
        inherited: false,
        cql: None,
    }
}

fn within(column: usize, members: &[&str], or_null: bool) -> Filter {
    Filter::In { column, members: members.iter().map(|&member| member.into()).collect(), or_null }
}

fn not(filter: Filter) -> Filter {
    Filter::Not(Box::new(filter))
}

/// Whether the filter holds for a row of these two values; `None` is SQL's unknown.
fn holds(filter: &Filter, row: [Option<&str>; 2]) -> Option<bool> {
    let all = |list: &[Filter], ends: bool| {
        let mut outcome = Some(!ends);
        for inner in list {
            match holds(inner, row) {
                Some(found) if found == ends => return Some(ends),
                Some(_) => {}
                None => outcome = None,
            }
        }
        outcome
    };
    match filter {
        Filter::And(list) => all(list, false),
        Filter::Or(list) => all(list, true),
        Filter::Not(inner) => holds(inner, row).map(|found| !found),
        Filter::In { column, members, or_null } => match row[*column] {
            Some(value) => Some(members.iter().any(|member| **member == *value)),
            None if *or_null => Some(true),
            None if members.is_empty() => Some(false),
            None => None,
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn lists_of_one_column_become_one() {
    let relation = relation();
    let check = |filter: Filter, expected: Filter| assert_eq!(joined(filter, &relation, true), expected);
    let (a, b) = (within(0, &["1", "2", "3"], false), within(0, &["3", "4"], true));
    let both = within(0, &["3"], false);
    let any = within(0, &["1", "2", "3", "4"], true);
    check(Filter::And(vec![a.clone(), b.clone()]), both.clone());
    check(Filter::Or(vec![a.clone(), b.clone()]), any);
    // Wherever they stand.
    check(Filter::And(vec![a.clone(), Filter::And(vec![not(not(b.clone()))])]), both.clone());
    check(not(Filter::Or(vec![not(a.clone()), not(b.clone())])), both.clone());
    check(Filter::And(vec![Filter::Or(vec![a.clone(), a.clone()]), Filter::Or(vec![b.clone()])]), both);
    // What is not in two lists is in neither; the two stay apart.
    let neither = Filter::And(vec![not(a.clone()), not(b.clone())]);
    check(not(Filter::Or(vec![a, b])), neither);
    // The database alone knows which texts are equal.
    let texts = Filter::And(vec![within(1, &["a"], false), within(1, &["A"], false)]);
    check(texts.clone(), texts);
}

#[test]
fn a_filter_with_one_list_stays_as_it_is() {
    let value = Bind::text("x");
    let filter = not(Filter::And(vec![
        within(0, &["1"], false),
        Filter::Compare { column: 1, op: CompareOp::Eq, value, as_text: false },
    ]));
    assert_eq!(lists(&filter), 1);
}

fn filters() -> impl Strategy<Value = Filter> {
    let member = prop::sample::select(vec!["1", "2", "3"]);
    let leaf = (0..2_usize, prop::collection::vec(member, 0..3), any::<bool>())
        .prop_map(|(column, members, or_null)| within(column, &members, or_null));
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Or),
            inner.prop_map(not),
        ]
    })
}

proptest! {
    #[test]
    fn the_same_rows_are_meant(filter in filters()) {
        let relation = relation();
        let after = joined(filter.clone(), &relation, true);
        for n in [None, Some("1"), Some("2"), Some("3")] {
            for t in [None, Some("1"), Some("2"), Some("3")] {
                let truly = |filter: &Filter| holds(filter, [n, t]) == Some(true);
                prop_assert_eq!(truly(&filter), truly(&after), "{:?} {:?} {:?}", n, t, after);
            }
        }
    }
}
