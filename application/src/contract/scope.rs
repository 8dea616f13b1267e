//! What a key's row filter makes of reads and writes: rows beyond it are neither seen, changed, made nor revealed.

use athena_domain::access::{ApiKey, Authority, RightSet, Scope};
use athena_domain::plan::{PlanOptions, Planner};
use athena_domain::query::{Decoding, DeleteRequest, FetchRequest, InsertRequest, JsonText, UpdateRequest};
use athena_domain::rows::RowFormat;
use athena_domain::{Limits, RequestError};

use super::recorder::canonical;
use super::run::{Verb, execute, is_refused, known, refused};
use crate::ports::{Backend, Reason, SchemaReader};

/// A key that reaches only rows of one land.
fn key() -> ApiKey {
    let filter = r#"{"contract_places":[{"eq_column":"land","eq_value":"scope-a"}]}"#;
    ApiKey {
        rights: RightSet::new(["*"]).into(),
        scope: Scope::from_parts(None, None, None, Some(filter)).expect("a scope").into(),
        ..ApiKey::new(1, "")
    }
}

/// What a step leads to.
enum Outcome {
    /// Rows, in the order of their text, and how many were affected.
    Rows(&'static str, u64),
    /// A refusal.
    Refused(Reason),
}
use Outcome::{Refused, Rows};
use Verb::{Count, Delete, Fetch, Insert, Update};

/// Name, whether the key bounds the request, what is asked, and what follows.
type Step = (&'static str, bool, Verb, &'static str, Outcome);

const STEPS: &[Step] = &[
    (
        "rows of two lands",
        false,
        Insert,
        r#"{"table_name":"contract_places","columns":"town","insert_body":[{"land":"scope-a","town":"x","people":1},
            {"land":"scope-a","town":"y","people":2},{"land":"scope-b","town":"x","people":3}]}"#,
        Rows(r#"[{"town":"x"},{"town":"x"},{"town":"y"}]"#, 3),
    ),
    (
        "others are not seen",
        true,
        Fetch,
        r#"{"table_name":"contract_places","columns":"land,town","conditions":[{"operator":"or","value":"(town.eq.x,land.eq.scope-b)"}]}"#,
        Rows(r#"[{"land":"scope-a","town":"x"}]"#, 0),
    ),
    ("nor counted", true, Count, r#"{"table_name":"contract_places","count":"exact"}"#, Rows("2", 0)),
    (
        "nor changed",
        true,
        Update,
        r#"{"table_name":"contract_places","columns":"land,people","set":{"people":9},"conditions":[{"eq_column":"town","eq_value":"x"}]}"#,
        Rows(r#"[{"land":"scope-a","people":9}]"#, 1),
    ),
    (
        "a row cannot be moved to others",
        true,
        Update,
        r#"{"table_name":"contract_places","set":{"land":"scope-b"},"conditions":[{"eq_column":"town","eq_value":"y"}]}"#,
        Refused(Reason::RowOutOfScope),
    ),
    (
        "not even without an answer",
        true,
        Update,
        r#"{"table_name":"contract_places","head":true,"set":{"land":"scope-b"},"conditions":[{"eq_column":"town","eq_value":"y"}]}"#,
        Refused(Reason::RowOutOfScope),
    ),
    (
        "a row cannot be made for others",
        true,
        Insert,
        r#"{"table_name":"contract_places","insert_body":{"land":"scope-b","town":"z"}}"#,
        Refused(Reason::RowOutOfScope),
    ),
    (
        "nor among one's own",
        true,
        Insert,
        r#"{"table_name":"contract_places","insert_body":[{"land":"scope-a","town":"z"},{"land":"scope-b","town":"z"}]}"#,
        Refused(Reason::RowOutOfScope),
    ),
    (
        "a row of others cannot be met by a conflict",
        true,
        Insert,
        r#"{"table_name":"contract_places","insert_body":{"land":"scope-b","town":"x","people":7},"on_conflict":"land,town",
            "update_body":{"people":7}}"#,
        Refused(Reason::RowOutOfScope),
    ),
    (
        "nor taken over",
        true,
        Insert,
        r#"{"table_name":"contract_places","insert_body":{"land":"scope-b","town":"x"},"on_conflict":"land,town",
            "update_body":{"land":"scope-a","town":"taken"}}"#,
        Refused(Reason::RowOutOfScope),
    ),
    (
        "one's own can",
        true,
        Insert,
        r#"{"table_name":"contract_places","columns":"town,people","insert_body":{"land":"scope-a","town":"x","people":7},
            "on_conflict":"land,town"}"#,
        Rows(r#"[{"town":"x","people":7}]"#, 1),
    ),
    (
        "without an answer too",
        true,
        Insert,
        r#"{"table_name":"contract_places","head":true,"insert_body":{"land":"scope-a","town":"w"}}"#,
        Rows("[]", 1),
    ),
    (
        "others are not removed",
        true,
        Delete,
        r#"{"table_name":"contract_places","columns":"land,town","conditions":[{"in_column":"town","in_value":["x","y","w"]}]}"#,
        Rows(
            r#"[{"land":"scope-a","town":"w"},{"land":"scope-a","town":"x"},{"land":"scope-a","town":"y"}]"#,
            3,
        ),
    ),
    (
        "what others have is as it was",
        false,
        Delete,
        r#"{"table_name":"contract_places","conditions":[{"like_column":"land","like_value":"scope-%"}]}"#,
        Rows(r#"[{"land":"scope-b","town":"x","people":3,"note":null}]"#, 1),
    ),
];

/// A key's row filter holds for reads, counts and every kind of write.
pub async fn row_filters_hold(backend: &dyn Backend, schema: &dyn SchemaReader) {
    for step in STEPS {
        check(backend, schema, step).await;
    }
}

/// As [`row_filters_hold`], for a database whose catalog is not known: what it refuses is carried out by `other`, a way
/// to the same tables. Gives the names of what was refused.
pub async fn row_filters_hold_or_refuse(
    (backend, schema): (&dyn Backend, &dyn SchemaReader),
    other: (&dyn Backend, &dyn SchemaReader),
) -> Vec<&'static str> {
    let mut refused = Vec::new();
    for step in STEPS {
        if !check(backend, schema, step).await {
            refused.push(step.0);
            check(other.0, other.1, step).await;
        }
    }
    refused
}

/// Checks a step; false when it is refused by a database that may.
async fn check(backend: &dyn Backend, schema: &dyn SchemaReader, step: &Step) -> bool {
    let (name, bounded, verb, request, outcome) = step;
    let (key, limits, options) = (key(), Limits::default(), PlanOptions::default());
    let schema = known(schema).await;
    let authority = bounded.then(|| Authority::of(&key));
    let planner = Planner { schema: &schema, limits: &limits, options: &options, authority };
    let answer = match plan(planner, &limits, *verb, request) {
        Ok(plan) => execute(backend, &plan).await,
        Err(error) if schema.is_open() => Err(refused(error)),
        Err(fault) => panic!("{name}: {fault}"),
    };
    if schema.is_open() && is_refused(&answer) {
        return false;
    }
    match (answer, outcome) {
        (Ok(answer), Rows(count, _)) if *verb == Count => {
            assert_eq!(answer.done.count.map(|count| count.to_string()).as_deref(), Some(*count), "{name}");
        }
        (Ok(answer), Rows(rows, affected)) => {
            let mut found = answer.sink.rows;
            found.sort();
            assert_eq!(format!("[{}]", found.join(",")), canonical(rows), "{name}");
            assert_eq!(answer.done.affected, *affected, "{name}");
        }
        (Err(fault), Refused(reason)) => assert_eq!(fault.reason(), Some(*reason), "{name}: {fault}"),
        (Ok(answer), Refused(_)) => panic!("{name}: not refused, but {answer:?}"),
        (Err(fault), Rows(..)) => panic!("{name}: {fault}: {:?}", fault.kind),
    }
    true
}

fn plan(
    planner: Planner<'_>,
    limits: &Limits,
    verb: Verb,
    request: &str,
) -> Result<athena_domain::plan::Plan, RequestError> {
    let (body, decoding) = (JsonText::parse(request.as_bytes())?, Decoding::default());
    match verb {
        Fetch => Ok(planner.fetch(&FetchRequest::decode(body, limits, decoding)?, RowFormat::Json)?.0),
        Count => {
            let planned = planner.fetch(&FetchRequest::decode(body, limits, decoding)?, RowFormat::Json)?;
            Ok(planned.1.expect("a count was asked for"))
        }
        Insert => planner.insert(&InsertRequest::decode(body, limits, decoding)?),
        Update => planner.update(&UpdateRequest::decode(body, limits, decoding)?),
        Delete => planner.delete(&DeleteRequest::decode(body, limits, decoding)?),
    }
}
