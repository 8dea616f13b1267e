//! Whatever is asked of whatever table: a plan means what the request means, and needs no leave that was not given.

mod kinds;

use proptest::prelude::*;

use self::kinds::{Kind, typed};
use super::*;
use crate::query::page::Window;
use crate::query::{CompareOp, Condition, Identifier, IsTest, RelationName, Selection, Tuning, Value};

const COLUMNS: usize = 5;

/// A table of five columns: their types, how many make the partition key, how many the clustering key, and the indexes.
#[derive(Debug, Clone)]
struct Layout {
    kinds: Vec<Kind>,
    partition: usize,
    clustering: Vec<bool>,
    indexes: Vec<Option<IndexKind>>,
}

impl Layout {
    fn relation(&self) -> Relation {
        let columns = self.kinds.iter().enumerate();
        let columns = columns.map(|(at, kind)| column(&format!("c{at}"), kind.ty())).collect();
        let clustering = self
            .clustering
            .iter()
            .enumerate()
            .map(|(nth, descending)| clustering(self.partition + nth, *descending));
        let indexes = self.indexes.iter().enumerate();
        let indexes = indexes.filter_map(|(at, kind)| Some(index(at, (*kind)?, IndexTarget::Values)));
        let table = CqlTable {
            partition: (0..self.partition).collect(),
            clustering: clustering.collect(),
            indexes: indexes.collect(),
            ..CqlTable::default()
        };
        Relation::of_cql("ks", "t", columns, table)
    }
}

fn layout() -> impl Strategy<Value = Layout> {
    let kind =
        prop_oneof![4 => Just(None), 1 => Just(Some(IndexKind::Secondary)), 1 => Just(Some(IndexKind::Sai))];
    let ty = prop_oneof![
        3 => Just(Kind::Int),
        1 => Just(Kind::Text),
        1 => Just(Kind::Timestamp),
        1 => Just(Kind::Uuid),
    ];
    (
        prop::collection::vec(ty, COLUMNS),
        1..=2_usize,
        prop::collection::vec(any::<bool>(), 0..=2),
        prop::collection::vec(kind, COLUMNS),
    )
        .prop_map(|(kinds, partition, clustering, indexes)| Layout {
            kinds,
            partition,
            clustering,
            indexes,
        })
}

fn condition() -> impl Strategy<Value = Condition> {
    let name = || (0..COLUMNS).prop_map(|at| Identifier::parse(&format!("c{at}"), "").unwrap());
    let number = || (0..4_i32).prop_map(|number| Value::Number(number.to_string().into()));
    let op = prop::sample::select(vec![
        CompareOp::Eq,
        CompareOp::Eq,
        CompareOp::Eq,
        CompareOp::Neq,
        CompareOp::Gt,
        CompareOp::Gte,
        CompareOp::Lt,
        CompareOp::Lte,
    ]);
    let member = prop_oneof![9 => number(), 1 => Just(Value::Null)];
    let leaf = prop_oneof![
        6 => (name(), op, number()).prop_map(|(column, op, value)| Condition::Compare { column, op, value }),
        3 => (name(), prop::collection::vec(member, 0..4)).prop_map(|(column, values)| Condition::In { column, values }),
        1 => (name(), any::<bool>()).prop_map(|(column, null)| {
            Condition::Is { column, test: if null { IsTest::Null } else { IsTest::NotNull } }
        }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|one| Condition::Not(Box::new(one))),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Condition::And),
            prop::collection::vec(inner, 1..4).prop_map(Condition::Or),
        ]
    })
}

/// A row that has its whole key.
type Row = Vec<Option<i64>>;

fn rows(layout: &Layout) -> Vec<Row> {
    let keys = layout.partition + layout.clustering.len();
    let mut rows: Vec<Row> = vec![Vec::new()];
    for at in 0..COLUMNS {
        let values = (0..4_i64).map(Some).chain((at >= keys).then_some(None));
        let values: Vec<Option<i64>> = values.collect();
        rows = rows
            .iter()
            .flat_map(|row| values.iter().map(|value| [&row[..], &[*value]].concat()).collect::<Vec<_>>())
            .collect();
    }
    rows
}

fn place(column: &Identifier) -> usize {
    column.as_str()[1..].parse().unwrap()
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(text) => text.parse().ok(),
        _ => None,
    }
}

/// What SQL makes of a condition: true, false or neither.
fn holds(condition: &Condition, row: &Row) -> Option<bool> {
    let any = |list: &[Condition]| {
        let all: Vec<_> = list.iter().map(|one| holds(one, row)).collect();
        if all.contains(&Some(true)) {
            Some(true)
        } else if all.contains(&None) {
            None
        } else {
            Some(false)
        }
    };
    match condition {
        Condition::Compare { column, op, value } => {
            let (cell, value) = (row[place(column)]?, number(value)?);
            Some(match op {
                CompareOp::Eq => cell == value,
                CompareOp::Neq => cell != value,
                CompareOp::Gt => cell > value,
                CompareOp::Gte => cell >= value,
                CompareOp::Lt => cell < value,
                CompareOp::Lte => cell <= value,
                CompareOp::Like | CompareOp::Ilike => panic!(),
            })
        }
        // A null member asks for null.
        Condition::In { column, values } => {
            let cell = row[place(column)];
            let null = values.contains(&Value::Null);
            match cell {
                None if null => Some(true),
                None if values.is_empty() => Some(false),
                None => None,
                Some(_) => Some(values.iter().any(|value| number(value) == cell)),
            }
        }
        Condition::Is { column, test } => Some(row[place(column)].is_none() == (*test == IsTest::Null)),
        Condition::Not(inner) => holds(inner, row).map(|held| !held),
        Condition::And(list) => {
            let all: Vec<_> = list.iter().map(|one| holds(one, row)).collect();
            if all.contains(&Some(false)) {
                Some(false)
            } else if all.contains(&None) {
                None
            } else {
                Some(true)
            }
        }
        Condition::Or(list) => any(list),
        Condition::Contains { .. } => panic!(),
    }
}

/// Whether the database finds a row, by its own order.
fn finds(layout: &Layout, restrictions: &[Restriction], row: &Row) -> bool {
    restrictions.iter().all(|restriction| {
        let kind = layout.kinds[restriction.column];
        let cell = row[restriction.column].map(|number| kind.place(number));
        let int = |value: &CqlValue| kind.place(kind.number(value));
        match (&restriction.test, cell) {
            (Test::Null, cell) => cell.is_none(),
            (Test::NotNull, cell) => cell.is_some(),
            (Test::Neq(value), cell) => cell != Some(int(value)),
            (_, None) => false,
            (Test::Eq(value), Some(cell)) => cell == int(value),
            (Test::In(members), Some(cell)) => members.iter().any(|member| int(member) == cell),
            (Test::Gt(value), Some(cell)) => cell > int(value),
            (Test::Gte(value), Some(cell)) => cell >= int(value),
            (Test::Lt(value), Some(cell)) => cell < int(value),
            (Test::Lte(value), Some(cell)) => cell <= int(value),
            (Test::Contains(_) | Test::Entry(..), _) => panic!(),
        }
    })
}

fn relation_name() -> RelationName {
    RelationName::parse("t", None, "").unwrap()
}

fn planned<T>(
    layout: &Layout,
    allow_filtering: bool,
    plan: impl FnOnce(Planner<'_>) -> Result<T, RequestError>,
) -> Result<T, RequestError> {
    let rules = CqlRules {
        allow_filtering,
        database_order: false,
        max_filtered_rows: 1000,
        max_consistency: Consistency::LocalQuorum,
        max_timeout: std::time::Duration::from_secs(30),
        max_fetch_size: 1000,
    };
    let schema =
        Schema::new(vec![layout.relation()], HashMap::new(), vec!["ks".into()]).speaking(Dialect::Cql(rules));
    let (limits, options) = (Limits::default(), PlanOptions::default());
    plan(Planner { schema: &schema, limits: &limits, options: &options, authority: None })
}

fn read_of(
    layout: &Layout,
    conditions: &[Condition],
    allow_filtering: bool,
) -> Result<CqlRead, RequestError> {
    let request = FetchRequest {
        relation: relation_name(),
        columns: Selection::All,
        conditions: conditions.iter().map(|condition| typed(&layout.kinds, condition)).collect(),
        window: Window::default(),
        sort: Vec::new(),
        strip_nulls: None,
        grouping: None,
        count: None,
        head: false,
        tuning: Tuning::default(),
    };
    match planned(layout, allow_filtering, |planner| planner.fetch(&request, RowFormat::Json))?.0.operation {
        Operation::Cql(CqlPlan::Read(read)) => Ok(read),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn a_read_finds_what_sql_would_find(
        layout in layout(),
        conditions in prop::collection::vec(condition(), 0..4),
        allow_filtering in any::<bool>(),
    ) {
        let Ok(read) = read_of(&layout, &conditions, allow_filtering) else { return Ok(()) };
        for row in rows(&layout) {
            let wanted = conditions.iter().all(|condition| holds(condition, &row) == Some(true));
            let found = read.reads.iter().filter(|restrictions| finds(&layout, restrictions, &row)).count();
            prop_assert_eq!(found > 0, wanted, "{:?}: {}", row, all_said(&read.relation, &read.reads));
            prop_assert!(found <= 1 || !read.distinct.is_empty(), "{:?} is found {} times", row, found);
        }
    }

    #[test]
    fn a_read_needs_no_leave_that_was_not_given(
        layout in layout(),
        conditions in prop::collection::vec(condition(), 0..4),
    ) {
        let Ok(read) = read_of(&layout, &conditions, false) else { return Ok(()) };
        prop_assert!(!read.filtering);
        let key = &read.relation.primary_key;
        for restrictions in &read.reads {
            let by_value = |column: usize| restrictions.iter().any(|restriction| {
                restriction.column == column && matches!(restriction.test, Test::Eq(_) | Test::In(_))
            });
            let pinned = (0..layout.partition).all(by_value);
            let indexed = restrictions.iter().any(|restriction| layout.indexes[restriction.column].is_some());
            prop_assert!(restrictions.is_empty() || pinned || indexed, "{}", said(&read.relation, restrictions));
            // The columns of the key come first and in its order.
            let order: Vec<usize> = restrictions.iter().map(|restriction| restriction.column).collect();
            let (of_key, others): (Vec<usize>, Vec<usize>) = order.iter().partition(|column| key.contains(column));
            prop_assert!(of_key.is_sorted());
            prop_assert_eq!(order, [of_key, others].concat());
        }
    }

    #[test]
    fn a_write_meets_the_rows_that_sql_would_change(
        layout in layout(),
        key in prop::collection::vec(prop::collection::vec(0..4_i32, 1..3), COLUMNS),
        conditions in prop::collection::vec(condition(), 0..3),
    ) {
        let keys = layout.partition + layout.clustering.len();
        let mut all = conditions.clone();
        all.extend((0..keys).map(|at| Condition::In {
            column: Identifier::parse(&format!("c{at}"), "").unwrap(),
            values: key[at].iter().map(|number| Value::Number(number.to_string().into())).collect(),
        }));
        let request = DeleteRequest {
            relation: relation_name(),
            resource_id: None,
            conditions: all.iter().map(|condition| typed(&layout.kinds, condition)).collect(),
            many: true,
            columns: Selection::All,
            strip_nulls: None,
            count: None,
            head: false,
            max_affected: None,
            dry_run: false,
            only_if: None,
            timestamp: None,
            tuning: Tuning::default(),
        };
        let plan = planned(&layout, false, |planner| planner.delete(&request));
        let Ok(Plan { operation: Operation::Cql(CqlPlan::Delete(delete)), .. }) = plan else { return Ok(()) };
        for row in rows(&layout) {
            let wanted = all.iter().all(|condition| holds(condition, &row) == Some(true));
            let hits = delete.rows.iter().filter(|key| finds(&layout, key, &row)).count();
            let met = hits == 1 && finds(&layout, &delete.condition, &row);
            prop_assert!(hits <= 1);
            prop_assert_eq!(met, wanted, "{:?}", row);
        }
        // A condition never holds for what is not there.
        let nothing = vec![None; COLUMNS];
        prop_assert!(delete.condition.is_empty() || !finds(&layout, &delete.condition, &nothing));
    }

    #[test]
    fn an_if_asks_of_a_row_what_sql_would_ask(
        layout in layout(),
        conditions in prop::collection::vec(condition(), 0..4),
    ) {
        let keys = layout.partition + layout.clustering.len();
        let key = |at: usize| Condition::Compare {
            column: Identifier::parse(&format!("c{at}"), "").unwrap(),
            op: CompareOp::Eq,
            value: Value::Number("1".into()),
        };
        let request = DeleteRequest {
            relation: relation_name(),
            resource_id: None,
            conditions: (0..keys).map(|at| typed(&layout.kinds, &key(at))).collect(),
            many: true,
            columns: Selection::All,
            strip_nulls: None,
            count: None,
            head: false,
            max_affected: None,
            dry_run: false,
            only_if: Some(conditions.iter().map(|condition| typed(&layout.kinds, condition)).collect()),
            timestamp: None,
            tuning: Tuning::default(),
        };
        let plan = planned(&layout, false, |planner| planner.delete(&request));
        let Ok(Plan { operation: Operation::Cql(CqlPlan::Delete(delete)), .. }) = plan else { return Ok(()) };
        for row in rows(&layout) {
            let wanted = conditions.iter().all(|condition| holds(condition, &row) == Some(true));
            prop_assert_eq!(finds(&layout, &delete.condition, &row), wanted, "{:?}: {}", row, said(&delete.relation, &delete.condition));
        }
        let nothing = vec![None; COLUMNS];
        prop_assert!(delete.condition.is_empty() || !finds(&layout, &delete.condition, &nothing));
    }
}
