//! Requests → statements, as PostgREST runs them, and their answers.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::function;
use super::grammar::{identifier, literal, names, order, select, tree};
use super::wire::{Reply, Request};
use super::{Preferences, Shared};

const KNOWN: &[&str] = &[
    "return=representation",
    "return=minimal",
    "return=headers-only",
    "count=exact",
    "count=planned",
    "count=estimated",
    "resolution=merge-duplicates",
    "resolution=ignore-duplicates",
    "missing=default",
    "missing=null",
    "handling=strict",
    "handling=lenient",
    "tx=commit",
    "tx=rollback",
];

/// What a request asks for, once its grammar was checked.
struct Asked {
    table: String,
    parameters: HashMap<String, String>,
    prefer: Vec<String>,
}

impl Asked {
    fn prefers(&self, preference: &str) -> bool {
        self.prefer.iter().any(|known| known == preference)
    }

    fn condition(&self) -> Result<String, String> {
        self.parameters.get("and").map_or_else(|| Ok("true".to_owned()), |text| tree(text))
    }

    fn columns(&self) -> Result<String, String> {
        select(self.parameters.get("select").map_or("*", String::as_str))
    }
}

pub(super) fn refusal(status: u16, code: &str, message: &str) -> Reply {
    let text = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let body =
        format!("{{\"code\":{},\"details\":null,\"hint\":null,\"message\":{}}}", text(code), text(message));
    Reply::new(status, &body)
}

/// Answers a request; the error is that no PostgREST would have taken it.
pub(super) async fn answer(shared: &Shared, request: &Request) -> Result<Reply, String> {
    let key = [request.header("authorization"), request.header("apikey")].concat();
    let mut wanted = vec![format!("Bearer {}", shared.key)];
    if shared.gate.load(Ordering::Relaxed) {
        wanted.push(shared.key.clone());
    }
    if key.len() != wanted.len() {
        let places = "the key goes into Authorization, and with a gate into apikey, once each";
        return Err(format!("{places}: {}", key.len()));
    }
    if key != wanted {
        return Ok(Reply::new(401, r#"{"message":"Invalid API key"}"#));
    }
    if request.method == "HEAD" {
        return Ok(Reply::new(200, ""));
    }
    if request.target.starts_with(function::BELOW) {
        headers(request)?;
        return function::answer(shared, request).await;
    }
    let asked = check(request)?;
    if asked.prefers("handling=strict") {
        let unknown = |preference: &&String| {
            preference.starts_with("max-affected=") && shared.preferences == Preferences::Strict
        };
        if shared.preferences != Preferences::Skipped && asked.prefer.iter().any(|p| unknown(&p)) {
            return Ok(refusal(400, "PGRST122", "Invalid preferences given with handling=strict"));
        }
    }
    let mut connection = PgConnection::connect(&shared.uri).await.map_err(|error| error.to_string())?;
    let outcome = match request.method.as_str() {
        "GET" => read(shared, &asked, &mut connection).await?,
        _ => write(shared, request, &asked, &mut connection).await?,
    };
    let mut reply = outcome.unwrap_or_else(|error| failed(&error));
    if shared.preferences != Preferences::Skipped && asked.prefers("handling=strict") && reply.status < 300 {
        reply = reply.header("preference-applied", "handling=strict");
    }
    Ok(reply)
}

/// Checks headers, path and query.
fn check(request: &Request) -> Result<Asked, String> {
    let writes = request.method != "GET";
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let table = path.strip_prefix("/rest/v1/").ok_or("the path is not below /rest/v1")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%()*,:=&".contains(&byte);
    if !query.bytes().all(plain) {
        return Err("the query holds what belongs encoded".to_owned());
    }
    let allowed: &[&str] = match request.method.as_str() {
        "GET" => &["select", "and", "order", "limit", "offset"],
        "POST" => &["select", "columns", "on_conflict"],
        "PATCH" | "DELETE" => &["select", "and"],
        other => return Err(format!("no method {other}")),
    };
    let mut parameters = HashMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or("a parameter without a value")?;
        if !allowed.contains(&name) {
            return Err(format!("no parameter {name}"));
        }
        if parameters.insert(name.to_owned(), decoded(value)?).is_some() {
            return Err(format!("{name} is given twice"));
        }
    }
    if writes && request.method != "POST" && !parameters.contains_key("and") {
        return Err("a write without a filter".to_owned());
    }
    headers(request)?;
    let prefer: Vec<String> = request
        .header("prefer")
        .iter()
        .flat_map(|header| header.split(','))
        .map(|preference| preference.trim().to_owned())
        .collect();
    for (place, preference) in prefer.iter().enumerate() {
        let known = KNOWN.contains(&preference.as_str()) || preference.starts_with("max-affected=");
        if !known || prefer[..place].contains(preference) {
            return Err(format!("no preference {preference}, or given twice"));
        }
    }
    Ok(Asked { table: format!("public.{}", identifier(&decoded(table)?)), parameters, prefer })
}

/// Checks what the headers say of schema, form and body.
fn headers(request: &Request) -> Result<(), String> {
    let writes = request.method != "GET";
    let (wanted, other) =
        if writes { ("content-profile", "accept-profile") } else { ("accept-profile", "content-profile") };
    if request.header(wanted) != ["public"] || !request.header(other).is_empty() {
        return Err(format!("the schema goes into {wanted}"));
    }
    if request.header("accept") != ["application/json"] {
        return Err("no JSON is accepted".to_owned());
    }
    let has_body = matches!(request.method.as_str(), "POST" | "PATCH");
    if has_body != (request.header("content-type") == ["application/json"])
        || has_body == request.body.is_empty()
    {
        return Err("a body of JSON goes with POST and PATCH, and with nothing else".to_owned());
    }
    Ok(())
}

pub(super) fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits =
            tail.get(..2).and_then(|two| std::str::from_utf8(two).ok()).ok_or("half an encoded byte")?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| "an encoded byte that is none")?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| "encoded bytes that are no text".to_owned())
}

/// The status that PostgREST gives a SQLSTATE.
pub(super) fn failed(error: &sqlx::Error) -> Reply {
    let Some(database) = error.as_database_error() else {
        return refusal(503, "PGRST001", "Database client error");
    };
    let code = database.code().unwrap_or_default().into_owned();
    let status = match code.as_str() {
        "23503" | "23505" => 409,
        "42P01" | "42883" => 404,
        "42501" => 403,
        "25006" => 405,
        code if code.starts_with("08") || code.starts_with("53") => 503,
        code if ["40", "54", "55", "57", "58", "XX"].iter().any(|class| code.starts_with(class)) => 500,
        _ => 400,
    };
    refusal(status, &code, database.message())
}

async fn one(connection: &mut PgConnection, sql: String) -> Result<(i64, String), sqlx::Error> {
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(connection).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

async fn read(
    shared: &Shared,
    asked: &Asked,
    connection: &mut PgConnection,
) -> Result<Result<Reply, sqlx::Error>, String> {
    let number = |name: &str| {
        let text = asked.parameters.get(name);
        text.map(|text| text.parse::<u64>().map_err(|_| format!("{name} is no number"))).transpose()
    };
    let (condition, columns) = (asked.condition()?, asked.columns()?);
    let order = match asked.parameters.get("order") {
        Some(text) => format!("ORDER BY {}", order(text, "pgrst_source")?),
        None => String::new(),
    };
    let limit = match (number("limit")?, shared.max_rows) {
        (Some(limit), Some(most)) => limit.min(most).to_string(),
        (Some(limit), None) => limit.to_string(),
        (None, Some(most)) => most.to_string(),
        (None, None) => "ALL".to_owned(),
    };
    let offset = number("offset")?.unwrap_or(0);
    let table = &asked.table;
    let counted = match asked.prefer.iter().any(|preference| preference.starts_with("count=")) {
        true => format!("(SELECT count(*) FROM {table} WHERE {condition})"),
        false => "-1::bigint".to_owned(),
    };
    let sql = format!(
        "SELECT {counted}, coalesce(json_agg(row_to_json(r)), '[]')::text FROM \
         (SELECT {columns} FROM {table} AS pgrst_source WHERE {condition} {order} LIMIT {limit} OFFSET {offset}) r"
    );
    Ok(one(connection, sql).await.map(|(count, rows)| {
        let total = if count < 0 { "*".to_owned() } else { count.to_string() };
        Reply::new(200, &rows).header("content-range", &format!("*/{total}"))
    }))
}

async fn write(
    shared: &Shared,
    request: &Request,
    asked: &Asked,
    connection: &mut PgConnection,
) -> Result<Result<Reply, sqlx::Error>, String> {
    let table = &asked.table;
    let change = match request.method.as_str() {
        "POST" => insert(request, asked)?,
        "PATCH" => update(request, asked)?,
        _ => format!("DELETE FROM {table} WHERE {} RETURNING *", asked.condition()?),
    };
    let columns = asked.columns()?;
    let sql = format!(
        "WITH s AS ({change}) SELECT (SELECT count(*) FROM s), \
         (SELECT coalesce(json_agg(row_to_json(r)), '[]')::text FROM (SELECT {columns} FROM s) r)"
    );
    let most = asked.prefer.iter().find_map(|preference| preference.strip_prefix("max-affected="));
    let most: Option<i64> = most.and_then(|most| most.parse().ok());
    let keeps = asked.prefers("handling=strict") && shared.preferences == Preferences::Known;
    let mut transaction = match connection.begin().await {
        Ok(transaction) => transaction,
        Err(error) => return Ok(Err(error)),
    };
    let (count, rows) = match one(&mut transaction, sql).await {
        Ok(answer) => answer,
        Err(error) => return Ok(Err(error)),
    };
    if keeps && most.is_some_and(|most| count > most) && request.method != "POST" {
        drop(transaction.rollback().await);
        return Ok(Ok(refusal(400, "PGRST124", "Query result exceeds max-affected preference constraint")));
    }
    if let Err(error) = transaction.commit().await {
        return Ok(Err(error));
    }
    let (status, body) = match (asked.prefers("return=representation"), request.method.as_str()) {
        (true, "POST") => (201, rows),
        (true, _) => (200, rows),
        (false, "POST") => (201, String::new()),
        (false, _) => (204, String::new()),
    };
    let total = if asked.prefers("count=exact") { count.to_string() } else { "*".to_owned() };
    Ok(Ok(Reply::new(status, &body).header("content-range", &format!("*/{total}"))))
}

/// The column of a JSON object, as the table's type reads it.
fn field(table: &str, object: &str, column: &str) -> String {
    format!("(json_populate_record(null::{table}, {})).{}", literal(object), identifier(column))
}

fn insert(request: &Request, asked: &Asked) -> Result<String, String> {
    let table = &asked.table;
    let columns = names(asked.parameters.get("columns").ok_or("an insert without columns")?)?;
    let body: serde_json::Value = serde_json::from_str(&request.body).map_err(|error| error.to_string())?;
    let raw: Vec<Box<serde_json::value::RawValue>> = match body.is_array() {
        true => serde_json::from_str(&request.body).map_err(|error| error.to_string())?,
        false => vec![serde_json::from_str(&request.body).map_err(|error| error.to_string())?],
    };
    let mut rows = Vec::new();
    for row in &raw {
        let keys: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(row.get()).map_err(|error| error.to_string())?;
        if keys.keys().any(|key| !columns.contains(key)) {
            return Err("a row with a column that `columns` lacks".to_owned());
        }
        let cell = |column: &String| match keys.contains_key(column) || !asked.prefers("missing=default") {
            true => field(table, row.get(), column),
            false => "DEFAULT".to_owned(),
        };
        rows.push(format!("({})", columns.iter().map(cell).collect::<Vec<_>>().join(", ")));
    }
    let listed = |names: &[String]| names.iter().map(|name| identifier(name)).collect::<Vec<_>>().join(", ");
    let set = columns.iter().map(|name| format!("{0} = EXCLUDED.{0}", identifier(name)));
    let action =
        match (asked.prefers("resolution=merge-duplicates"), asked.prefers("resolution=ignore-duplicates")) {
            (false, false) => String::new(),
            (true, true) => return Err("two resolutions".to_owned()),
            (merges, _) => {
                // The tables of tests have the key `id`.
                let target = match asked.parameters.get("on_conflict") {
                    Some(text) => names(text)?,
                    None => vec!["id".to_owned()],
                };
                let action = match merges {
                    true => format!("DO UPDATE SET {}", set.collect::<Vec<_>>().join(", ")),
                    false => "DO NOTHING".to_owned(),
                };
                format!("ON CONFLICT ({}) {action}", listed(&target))
            }
        };
    Ok(format!("INSERT INTO {table} ({}) VALUES {} {action} RETURNING *", listed(&columns), rows.join(", ")))
}

fn update(request: &Request, asked: &Asked) -> Result<String, String> {
    let table = &asked.table;
    let keys: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&request.body).map_err(|error| error.to_string())?;
    let set: Vec<String> = keys
        .keys()
        .map(|column| format!("{} = {}", identifier(column), field(table, &request.body, column)))
        .collect();
    Ok(format!("UPDATE {table} SET {} WHERE {} RETURNING *", set.join(", "), asked.condition()?))
}
