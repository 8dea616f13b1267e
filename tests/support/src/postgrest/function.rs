//! Calls of functions, as PostgREST finds and runs them.

use std::collections::BTreeMap;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::Shared;
use super::grammar::{identifier, literal};
use super::statement::{decoded, failed, refusal};
use super::wire::{Reply, Request};

/// Where functions are.
pub(super) const BELOW: &str = "/rest/v1/rpc/";

/// A function of the exposed schema.
struct Function {
    /// Whether it returns a set.
    several: bool,
    /// Whether a value of it is a row.
    composite: bool,
    void: bool,
    volatile: bool,
    /// Type of each argument that goes in, and whether it has a default.
    arguments: BTreeMap<String, (String, bool)>,
}

/// Answers a call; the error is that no PostgREST would have taken it.
pub(super) async fn answer(shared: &Shared, request: &Request) -> Result<Reply, String> {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let name = decoded(path.strip_prefix(BELOW).ok_or("no function")?)?;
    if !request.header("prefer").is_empty() {
        return Err("a call has no preferences here".to_owned());
    }
    let mut given: BTreeMap<String, Option<String>> = BTreeMap::new();
    match request.method.as_str() {
        "GET" => {
            for pair in query.split('&').filter(|pair| !pair.is_empty()) {
                let (name, value) = pair.split_once('=').ok_or("a parameter without a value")?;
                let value = decoded(value)?;
                let word = value.split(['.', '(']).next().unwrap_or_default();
                if ["select", "order", "limit", "offset", "and", "or", "not"].contains(&name)
                    || (word.len() < value.len() && ["eq", "gt", "in", "is", "not", "like"].contains(&word))
                {
                    return Err(format!("{pair} is a filter of the result"));
                }
                if given.insert(decoded(name)?, Some(value)).is_some() {
                    return Err(format!("{name} is given twice"));
                }
            }
        }
        "POST" if query.is_empty() => {
            let body: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(&request.body).map_err(|error| error.to_string())?;
            given.extend(body.into_iter().map(|(name, _)| (name, None)));
        }
        _ => {
            return Err("a call is GET with arguments in the query, or POST with them in the body".to_owned());
        }
    }
    let mut connection = PgConnection::connect(&shared.uri).await.map_err(|error| error.to_string())?;
    let fits = |function: &Function| {
        given.keys().all(|name| function.arguments.contains_key(name))
            && function.arguments.iter().all(|(name, (_, default))| *default || given.contains_key(name))
    };
    let found = functions(&mut connection, &name).await.map_err(|error| error.to_string())?;
    let mut found = found.into_iter().filter(fits);
    let Some(function) = found.next() else {
        let message = format!("Could not find the function public.{name} in the schema cache");
        return Ok(refusal(404, "PGRST202", &message));
    };
    if found.next().is_some() {
        return Ok(refusal(300, "PGRST203", "Could not choose the best candidate function"));
    }
    let outcome = run(&mut connection, &name, &function, &given, request).await;
    Ok(outcome.unwrap_or_else(|error| failed(&error)))
}

async fn functions(connection: &mut PgConnection, name: &str) -> Result<Vec<Function>, sqlx::Error> {
    let sql = format!(
        "SELECT p.proretset, p.provolatile = 'v', p.prorettype = 'void'::regtype, \
         t.typtype = 'c' OR (p.prorettype = 'record'::regtype), \
         coalesce(p.proargnames[1:p.pronargs], '{{}}'), \
         ARRAY(SELECT format_type(u, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS a(u, n) ORDER BY n), \
         p.pronargdefaults::int4 \
         FROM pg_proc p JOIN pg_type t ON t.oid = p.prorettype \
         WHERE p.pronamespace = 'public'::regnamespace AND p.proname = {}",
        literal(name)
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await?;
    let function = |row: &sqlx::postgres::PgRow| {
        let (names, types): (Vec<String>, Vec<String>) = (row.try_get(4)?, row.try_get(5)?);
        let required = types.len() - usize::try_from(row.try_get::<i32, _>(6)?).unwrap_or_default();
        let arguments = names.into_iter().zip(types).enumerate();
        Ok(Function {
            several: row.try_get(0)?,
            volatile: row.try_get(1)?,
            void: row.try_get(2)?,
            composite: row.try_get(3)?,
            arguments: arguments.map(|(place, (name, ty))| (name, (ty, place >= required))).collect(),
        })
    };
    rows.iter().map(function).collect()
}

async fn run(
    connection: &mut PgConnection,
    name: &str,
    function: &Function,
    given: &BTreeMap<String, Option<String>>,
    request: &Request,
) -> Result<Reply, sqlx::Error> {
    // A GET hands texts over, a POST the fields of its object in the types of the arguments.
    let typed: Vec<String> =
        given.keys().map(|name| format!("{} {}", identifier(name), function.arguments[name].0)).collect();
    let source = match (request.method.as_str(), typed.is_empty()) {
        ("POST", false) => {
            format!(", json_to_record({}::json) AS given({})", literal(&request.body), typed.join(", "))
        }
        _ => String::new(),
    };
    let argument = |(name, text): (&String, &Option<String>)| match text {
        Some(text) => format!("{} := {}::{}", identifier(name), literal(text), function.arguments[name].0),
        None => format!("{0} := given.{0}", identifier(name)),
    };
    let arguments: Vec<String> = given.iter().map(argument).collect();
    let call = format!("public.{}({})", identifier(name), arguments.join(", "));
    // No column of a function's has this name.
    let from = format!("(SELECT) one{source}, LATERAL {call} AS pgrst_call");
    let result = match (function.several, function.composite) {
        (true, true) => format!("SELECT coalesce(json_agg(row_to_json(pgrst_call)), '[]')::text FROM {from}"),
        (true, false) => format!("SELECT coalesce(json_agg(pgrst_call), '[]')::text FROM {from}"),
        (false, true) => format!("SELECT row_to_json(pgrst_call)::text FROM {from}"),
        (false, false) if function.void => format!("SELECT {call}::text FROM (SELECT) one{source}"),
        (false, false) => format!("SELECT to_json({call})::text FROM (SELECT) one{source}"),
    };
    let mut transaction = connection.begin().await?;
    if request.method == "GET" || !function.volatile {
        sqlx::raw_sql("SET TRANSACTION READ ONLY").execute(&mut *transaction).await?;
    }
    let row = sqlx::query(AssertSqlSafe(result)).fetch_one(&mut *transaction).await?;
    let body: Option<String> = row.try_get(0)?;
    transaction.commit().await?;
    Ok(match function.void {
        true => Reply::new(204, ""),
        false => Reply::new(200, body.as_deref().unwrap_or("null")),
    })
}
