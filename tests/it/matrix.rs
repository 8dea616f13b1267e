//! One table of requests on every kind of database: the same logical rows, the same answer, or a refusal that says why.
//!
//! What came out is `docs/support-matrix.md`; the test fails when it has changed. `ATHENA_WRITE_MATRIX=1` writes it anew.

mod cases;
mod own;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use cases::{Case, Column, Route, Table};
use reqwest::Method;
use serde_json::Value;

use athena_test_support::{Postgrest, TestDatabase, TestKeyspace};

use crate::harness::{Answer, CLIENT, Gateway, SUPABASE_KEY, SUPABASE_KEY_ENV};

/// A kind of database with the rows of the matrix.
struct Side {
    name: &'static str,
    gateway: Gateway,
    /// Whether it is a CQL database.
    speaks_cql: bool,
    /// Whether the gateway does not know its types.
    knows_no_types: bool,
    /// What the database lives in, as long as it is asked.
    _keeps: Vec<Box<dyn std::any::Any>>,
}

/// What a database made of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// The answer that the reference gives.
    Works,
    /// A refusal that every database gives: the request is wrong.
    Wrong(String),
    /// A refusal of what this kind of database does not do.
    Refused(String),
    /// There is no such type.
    Absent,
}

const POSTGRES: &str = "
    CREATE TYPE place AS (name text, no int);
    CREATE TABLE events (device text, at int, kind text, amount int, note text, PRIMARY KEY (device, at));
    CREATE TABLE visits (device text, at uuid, who uuid, host inet, PRIMARY KEY (device, at, who, host));
    CREATE INDEX ON events (amount);";

const CQL: &str = "
    CREATE TYPE place (name text, no int);
    CREATE TABLE events (device text, at int, kind text, amount int, note text, PRIMARY KEY (device, at));
    CREATE TABLE visits (device text, at timeuuid, who uuid, host inet, PRIMARY KEY (device, at, who, host));
    CREATE INDEX events_amount ON events (amount);
";

/// A table of the columns that `of` has a type for.
fn table(table: &Table, of: impl Fn(&Column) -> Option<&'static str>) -> String {
    let columns = table.columns.iter().filter_map(|column| Some((column.name, of(column)?)));
    let columns: Vec<String> = columns.map(|(name, ty)| format!("{name} {ty}")).collect();
    format!("CREATE TABLE {} ({}, PRIMARY KEY (id));\n", table.name, columns.join(", "))
}

fn postgres() -> String {
    let tables = cases::TABLES.iter().map(|one| table(one, |column| Some(column.sql)));
    std::iter::once(POSTGRES.to_owned()).chain(tables).collect()
}

fn cql() -> String {
    let tables = cases::TABLES.iter().map(|one| table(one, |column| column.cql));
    std::iter::once(CQL.to_owned()).chain(tables).collect()
}

impl Side {
    async fn postgres() -> Self {
        Self::filled("PostgreSQL", Gateway::with(&postgres()).await, Vec::new()).await
    }

    /// None where there is no CQL server.
    async fn cql(name: &'static str, options: &str) -> Option<Self> {
        let keyspace = TestKeyspace::with(&cql()).await?;
        let gateway = Gateway::over(&[(CLIENT, &format!("{}{options}", keyspace.uri()))], "").await;
        Some(Self::filled(name, gateway, vec![Box::new(keyspace)]).await)
    }

    async fn postgrest() -> Self {
        let database = TestDatabase::with(&postgres()).await;
        let server = Postgrest::over(&database.uri(), SUPABASE_KEY).await;
        let uri = format!("supabase+http://{}?key_env={SUPABASE_KEY_ENV}", server.address());
        let gateway = Gateway::over(&[(CLIENT, &uri)], "").await;
        Self::filled("Supabase, PostgREST", gateway, vec![Box::new(server), Box::new(database)]).await
    }

    async fn filled(name: &'static str, gateway: Gateway, keeps: Vec<Box<dyn std::any::Any>>) -> Self {
        let (speaks_cql, knows_no_types) = (name.starts_with("CQL"), name.contains("PostgREST"));
        let side = Self { name, gateway, speaks_cql, knows_no_types, _keeps: keeps };
        side.fill().await;
        side
    }

    /// Adds the rows through the gateway, one by one.
    async fn fill(&self) {
        let typed = cases::TABLES.iter().map(|table| {
            let rows = table.rows(|column| !self.speaks_cql || column.cql.is_some());
            (table.name, rows)
        });
        let others = [("events", cases::events()), ("visits", cases::visits())];
        for (table, rows) in typed.chain(others) {
            for row in rows {
                let body = format!(r#"{{"table_name":"{table}","insert_body":{row}}}"#);
                let answer = self.ask(Route::Insert, &body, &[]).await;
                assert_eq!(answer.status, 200, "{}: {row}: {}", self.name, answer.text);
            }
        }
    }

    async fn ask(&self, route: Route, body: &str, headers: &[(&str, &str)]) -> Answer {
        let (method, path) = match route {
            Route::Fetch => (Method::POST, "/gateway/fetch"),
            Route::Insert => (Method::PUT, "/gateway/insert"),
            Route::Update => (Method::POST, "/gateway/update"),
            Route::Delete => (Method::DELETE, "/gateway/delete"),
        };
        let mut request = self.gateway.request(method, path).header("Content-Type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        // Bytes are `0x…` in CQL.
        let spelled = |text: &str, from: &str, to: &str| {
            if self.speaks_cql { text.replace(from, to) } else { text.to_owned() }
        };
        let mut answer = self.gateway.send(request.body(spelled(body, r#""\\x"#, r#""0x"#))).await;
        answer.text = spelled(&answer.text, r#""0x"#, r#""\\x"#);
        answer
    }

    /// The answer of a case: of its second page, where it is about that.
    async fn answer(&self, case: &Case) -> Answer {
        let answer = self.ask(case.route, &case.body, case.headers).await;
        if !case.second_page || answer.status != 200 {
            return answer;
        }
        let mut body: Value = serde_json::from_str(&case.body).expect("JSON");
        body["cursor"] = answer.json()["data"]["next_cursor"].clone();
        assert!(body["cursor"].is_string(), "{}: a further page: {}", case.name, answer.text);
        self.ask(case.route, &body.to_string(), case.headers).await
    }
}

/// What is compared of an answer: its rows, count and groups; of a failure its code.
fn essence(case: &Case, answer: &Answer) -> Result<Value, String> {
    if answer.status != 200 {
        let body = answer.json();
        return Err(body["code"]
            .as_str()
            .unwrap_or_else(|| panic!("{}: {}", case.name, answer.text))
            .to_owned());
    }
    let lines = case.headers.iter().any(|(_, value)| value.contains("ndjson"));
    let mut essence = if lines {
        let rows =
            answer.text.lines().map(|line| serde_json::from_str(&digits_as_text(line)).expect("a row"));
        Value::Array(rows.collect())
    } else {
        // Digits are compared as they stand: numbers beyond f64 would all be alike.
        let text = digits_as_text(&answer.text);
        let body: Value = serde_json::from_str(&text).expect("JSON");
        let data = if body.is_array() { body } else { body["data"].clone() };
        let mut data = data;
        if let Some(object) = data.as_object_mut() {
            object.remove("next_cursor");
            object.remove("filtered");
            if case.roughly && object.get("count").is_some_and(Value::is_string) {
                object.insert("count".to_owned(), "about so many".into());
            }
        }
        data
    };
    if !case.ordered {
        sort_rows(&mut essence);
    }
    Ok(essence)
}

/// Every number of a JSON text as a string, so that no digit is lost.
fn digits_as_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let mut in_text = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if in_text {
            out.push(c);
            match c {
                '\\' => out.extend(chars.next()),
                '"' => in_text = false,
                _ => {}
            }
        } else if c == '-' || c.is_ascii_digit() {
            out.push('"');
            out.push(c);
            while let Some(next) = chars.next_if(|c| matches!(c, '0'..='9' | '.' | 'e' | 'E' | '+' | '-')) {
                // `1e+100` and `1e100` are one number.
                if next != '+' {
                    out.push(next);
                }
            }
            out.push('"');
        } else {
            in_text = c == '"';
            out.push(c);
        }
    }
    out
}

/// Puts rows that have no order into one.
fn sort_rows(value: &mut Value) {
    match value {
        Value::Array(rows) if rows.iter().all(Value::is_object) => {
            rows.iter_mut().for_each(sort_rows);
            rows.sort_by_key(ToString::to_string);
        }
        Value::Object(fields) => fields.values_mut().for_each(sort_rows),
        _ => {}
    }
}

/// What a database made of a request, against what the reference made of it.
async fn outcome(case: &Case, side: &Side, reference: &Result<Value, String>) -> Result<Outcome, String> {
    if case.of_sql_types && side.speaks_cql {
        return Ok(Outcome::Absent);
    }
    let answer = side.answer(case).await;
    let mut found = essence(case, &answer);
    if let (Ok(value), Some(then)) = (&found, &case.then) {
        // What is there afterwards counts as well as what was said of it.
        let after = side.ask(Route::Fetch, then, &[]).await;
        found = Ok(Value::Array(vec![value.clone(), essence(case, &after).expect("the rows afterwards")]));
    }
    let outcome = match (&found, reference) {
        (Ok(found), Ok(reference)) if found == reference => Outcome::Works,
        (Err(code), _) if code == "not_supported_by_backend" => {
            let body = answer.json();
            let reason =
                body["details"]["reason"].as_str().unwrap_or_else(|| panic!("a reason: {}", answer.text));
            // The words of the database itself stand alone.
            assert!(side.knows_no_types || body["details"]["fix"].is_string(), "a fix: {}", answer.text);
            Outcome::Refused(reason.to_owned())
        }
        (Err(code), Err(_)) if answer.status < 500 => Outcome::Wrong(code.clone()),
        // Nothing is known here of the types behind PostgREST: what they do not have is refused by the database itself.
        (Err(code), Ok(_))
            if side.knows_no_types
                && matches!(&**code, "type_mismatch" | "query_syntax" | "data_exception") =>
        {
            Outcome::Refused(answer.json()["error"].as_str().unwrap_or_default().to_owned())
        }
        _ => {
            return Err(format!(
                "{}: {} {}: {}\n  answers {}\n  is {found:?}\n  not {reference:?}",
                side.name, case.group, case.name, case.body, answer.text
            ));
        }
    };
    Ok(outcome)
}

#[tokio::test]
async fn the_support_matrix_is_what_it_says() {
    let mut sides = vec![Side::postgres().await];
    for (name, options) in [("CQL", ""), ("CQL, `allow_filtering`", "?allow_filtering=true")] {
        sides.extend(Side::cql(name, options).await);
    }
    let has_cql = sides.len() > 1;
    sides.push(Side::postgrest().await);
    let cases = cases::all();
    assert!(cases.len() >= 150, "{} requests", cases.len());
    let mut rows: BTreeMap<&str, Vec<(String, Vec<Outcome>)>> = BTreeMap::new();
    let mut groups: Vec<&str> = Vec::new();
    let mut differences: Vec<String> = Vec::new();
    for case in &cases {
        if !groups.contains(&case.group) {
            groups.push(case.group);
        }
        let answer = sides[0].answer(case).await;
        let mut reference = essence(case, &answer);
        if let (Ok(value), Some(then)) = (&reference, &case.then) {
            let after = sides[0].ask(Route::Fetch, then, &[]).await;
            reference =
                Ok(Value::Array(vec![value.clone(), essence(case, &after).expect("the rows afterwards")]));
        }
        let mut outcomes = match (&case.own, &reference) {
            (Some(_), _) => Vec::new(),
            (None, Ok(_)) => vec![Outcome::Works],
            (None, Err(code)) => vec![Outcome::Wrong(code.clone())],
        };
        if let Some(own) = &case.own {
            reference = Ok(own.clone());
        }
        for side in &sides[outcomes.len()..] {
            match outcome(case, side, &reference).await {
                Ok(outcome) => outcomes.push(outcome),
                Err(difference) => differences.push(difference),
            }
        }
        rows.entry(case.group).or_default().push((case.name.clone(), outcomes));
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    if !has_cql {
        eprintln!("LEFT OUT: docs/support-matrix.md is compared only where there is a CQL server");
        return;
    }
    let document = document(&sides.iter().map(|side| side.name).collect::<Vec<_>>(), &groups, &rows);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/support-matrix.md");
    if std::env::var_os("ATHENA_WRITE_MATRIX").is_some() {
        std::fs::write(&path, &document).expect("the matrix can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        document == committed,
        "docs/support-matrix.md is not what the databases do; look at it after\n  ATHENA_WRITE_MATRIX=1 cargo test \
         --test it the_support_matrix"
    );
}

fn document(sides: &[&str], groups: &[&str], rows: &BTreeMap<&str, Vec<(String, Vec<Outcome>)>>) -> String {
    let mut text = String::from(
        "# Support matrix\n\nWritten by `tests/it/matrix.rs`, which sends every request to every kind of database and \
         compares the answers with PostgreSQL's, but for what PostgreSQL leaves to others. A heading names a column's type in PostgreSQL and, where it has another name, in CQL; the key of their tables is `id`. \
         `events` has the key (`device`, `at`) and an index on `amount`, `visits` the key (`device`, `at`, `who`, `host`). Rows with an interval are compared by `id`: through PostgREST it comes in the style of its database. CQL was run on Cassandra 5.0, PostgREST on the tests' own server of its protocol.\n\n",
    );
    let all: Vec<&Vec<Outcome>> = rows.values().flatten().map(|(_, outcomes)| outcomes).collect();
    writeln!(
        text,
        "| | works | refused with a reason | wrong everywhere | no such type |\n|---|---|---|---|---|"
    )
    .expect("text");
    for (at, side) in sides.iter().enumerate() {
        let count =
            |wanted: fn(&Outcome) -> bool| all.iter().filter(|outcomes| wanted(&outcomes[at])).count();
        let works = count(|outcome| *outcome == Outcome::Works);
        let refused = count(|outcome| matches!(outcome, Outcome::Refused(_)));
        let wrong = count(|outcome| matches!(outcome, Outcome::Wrong(_)));
        let absent = count(|outcome| *outcome == Outcome::Absent);
        writeln!(text, "| {side} | {works} | {refused} | {wrong} | {absent} |").expect("text");
    }
    for group in groups {
        let names = sides.join(" | ");
        let rule = "---|".repeat(sides.len());
        let mut columns = cases::TABLES.iter().flat_map(|table| table.columns);
        let types =
            columns.find(|column| column.name == *group).map(|column| format!(": {}", column.types()));
        let types = types.unwrap_or_default();
        write!(text, "\n## {group}{types}\n\n| | {names} |\n|---|{rule}\n").expect("text");
        for (name, outcomes) in &rows[group] {
            let cells: Vec<String> = outcomes
                .iter()
                .map(|outcome| match outcome {
                    Outcome::Works => "yes".to_owned(),
                    Outcome::Wrong(code) => format!("`{code}`"),
                    Outcome::Absent => "no such type".to_owned(),
                    Outcome::Refused(reason) => format!("no: {}", reason.replace('|', "\\|")),
                })
                .collect();
            writeln!(text, "| {name} | {} |", cells.join(" | ")).expect("text");
        }
    }
    text
}
