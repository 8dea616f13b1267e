//! What a batch adds to counts, and when keys and clients were seen last.
//!
//! One statement a table; rows are locked in the order of their keys, so that batches of several gateways
//! wait for each other instead of locking each other out.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use athena_application::ports::{LogEntry, NOT_FOUND};
use sqlx::postgres::PgConnection;

use super::KnownKeys;
use super::origins::Origins;

/// `to_timestamp` goes through a double, which loses microseconds.
macro_rules! time {
    ($column:literal) => {
        concat!("(timestamptz 'epoch' + ", $column, " * interval '1 microsecond')")
    };
}

/// Notes when the keys of a batch were used last, and tells which of them exist: the log refers to them.
pub(super) async fn keys(
    connection: &mut PgConnection,
    entries: &[LogEntry<'_>],
) -> Result<KnownKeys, sqlx::Error> {
    let mut used: BTreeMap<i64, Option<i64>> = BTreeMap::new();
    for entry in entries {
        let Some(key) = entry.auth.as_ref().and_then(|auth| auth.key.as_ref()) else { continue };
        let latest = used.entry(key.id).or_default();
        if entry.verified_key().is_some() {
            *latest = (*latest).max(Some(entry.at));
        }
    }
    if used.is_empty() {
        return Ok(KnownKeys::new());
    }
    let ids: Vec<i64> = used.keys().copied().collect();
    let known: Vec<i64> =
        sqlx::query_scalar("SELECT id FROM api_keys WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE")
            .bind(&ids)
            .fetch_all(&mut *connection)
            .await?;
    let (ids, times): (Vec<i64>, Vec<i64>) = used.iter().filter_map(|(id, at)| Some((*id, (*at)?))).unzip();
    if !ids.is_empty() {
        sqlx::query(concat!(
            "UPDATE api_keys SET last_used_at = GREATEST(last_used_at, ",
            time!("used.at"),
            ") FROM UNNEST($1::int8[], $2::int8[]) AS used (id, at) WHERE api_keys.id = used.id"
        ))
        .bind(&ids)
        .bind(&times)
        .execute(&mut *connection)
        .await?;
    }
    Ok(known.into_iter().collect())
}

#[derive(Default)]
struct OfClient {
    total: i64,
    good: i64,
    failed: i64,
    cached: i64,
    operations: i64,
    request: Option<i64>,
    operation: Option<i64>,
}

/// Adds to `client_statistics`. Must come before [`tables`]: a refresh locks them in this order.
pub(super) async fn clients(
    connection: &mut PgConnection,
    entries: &[LogEntry<'_>],
) -> Result<(), sqlx::Error> {
    let mut counts: BTreeMap<&str, OfClient> = BTreeMap::new();
    for entry in entries {
        let Some(client) = entry.client.as_deref() else { continue };
        let of = counts.entry(client).or_default();
        of.total += 1;
        of.good += i64::from(entry.succeeded());
        of.failed += i64::from(entry.failed());
        of.cached += i64::from(entry.cached);
        of.request = of.request.max(Some(entry.at));
        if entry.operation.is_some() {
            of.operations += 1;
            of.operation = of.operation.max(Some(entry.at));
        }
    }
    if counts.is_empty() {
        return Ok(());
    }
    let column = |value: fn(&OfClient) -> i64| counts.values().map(value).collect::<Vec<_>>();
    let time = |value: fn(&OfClient) -> Option<i64>| counts.values().map(value).collect::<Vec<_>>();
    sqlx::query(concat!(
        "INSERT INTO client_statistics AS kept (client_name, total_requests, successful_requests, \
         failed_requests, total_cached_requests, total_operations, last_request_at, last_operation_at) \
         SELECT name, total, good, failed, cached, operations, ",
        time!("request"),
        ", ",
        time!("operation"),
        " FROM UNNEST($1::text[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], \
         $8::int8[]) AS added (name, total, good, failed, cached, operations, request, operation) \
         ORDER BY name COLLATE \"C\" ON CONFLICT (client_name) DO UPDATE SET \
         total_requests = kept.total_requests + EXCLUDED.total_requests, \
         successful_requests = kept.successful_requests + EXCLUDED.successful_requests, \
         failed_requests = kept.failed_requests + EXCLUDED.failed_requests, \
         total_cached_requests = kept.total_cached_requests + EXCLUDED.total_cached_requests, \
         total_operations = kept.total_operations + EXCLUDED.total_operations, \
         last_request_at = GREATEST(kept.last_request_at, EXCLUDED.last_request_at), \
         last_operation_at = GREATEST(kept.last_operation_at, EXCLUDED.last_operation_at), \
         updated_at = now()"
    ))
    .bind(counts.keys().copied().collect::<Vec<_>>())
    .bind(column(|of| of.total))
    .bind(column(|of| of.good))
    .bind(column(|of| of.failed))
    .bind(column(|of| of.cached))
    .bind(column(|of| of.operations))
    .bind(time(|of| of.request))
    .bind(time(|of| of.operation))
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds to `client_table_statistics`.
pub(super) async fn tables(
    connection: &mut PgConnection,
    entries: &[LogEntry<'_>],
) -> Result<(), sqlx::Error> {
    let mut counts: BTreeMap<(&str, &str, &str), (i64, i64, i64)> = BTreeMap::new();
    for entry in entries {
        let (Some(client), Some(operation)) = (entry.client.as_deref(), &entry.operation) else { continue };
        let Some(table) = operation.table.as_deref().filter(|table| !table.is_empty()) else { continue };
        let (total, failed, at) = counts.entry((client, table, &operation.name)).or_default();
        *total += 1;
        *failed += i64::from(entry.failed());
        *at = (*at).max(entry.at);
    }
    if counts.is_empty() {
        return Ok(());
    }
    sqlx::query(concat!(
        "INSERT INTO client_table_statistics AS kept (client_name, table_name, operation, total_operations, \
         error_operations, last_operation_at) SELECT client, name, operation, total, failed, ",
        time!("at"),
        " FROM UNNEST($1::text[], $2::text[], $3::text[], $4::int8[], $5::int8[], $6::int8[]) \
         AS added (client, name, operation, total, failed, at) \
         ORDER BY client COLLATE \"C\", name COLLATE \"C\", operation COLLATE \"C\" \
         ON CONFLICT (client_name, table_name, operation) DO UPDATE SET \
         total_operations = kept.total_operations + EXCLUDED.total_operations, \
         error_operations = kept.error_operations + EXCLUDED.error_operations, \
         last_operation_at = GREATEST(kept.last_operation_at, EXCLUDED.last_operation_at), \
         updated_at = now()"
    ))
    .bind(counts.keys().map(|key| key.0).collect::<Vec<_>>())
    .bind(counts.keys().map(|key| key.1).collect::<Vec<_>>())
    .bind(counts.keys().map(|key| key.2).collect::<Vec<_>>())
    .bind(counts.values().map(|count| count.0).collect::<Vec<_>>())
    .bind(counts.values().map(|count| count.1).collect::<Vec<_>>())
    .bind(counts.values().map(|count| count.2).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds to the registry of live connections (contract 19.4): one row a key, the latest request's values.
pub(super) async fn connections(
    connection: &mut PgConnection,
    entries: &[LogEntry<'_>],
    origins: &Mutex<Origins>,
) -> Result<(), sqlx::Error> {
    type Hit<'e> = (i64, &'e LogEntry<'e>, i64, &'e str);
    let mut hits: BTreeMap<String, Hit<'_>> = BTreeMap::new();
    for entry in entries {
        let origin = entry.origin.as_deref().map_or(NOT_FOUND, |origin| {
            origins.lock().unwrap_or_else(PoisonError::into_inner).kept(origin, entry.at)
        });
        let Some(key) = entry.registry_key(origin) else { continue };
        let (count, last, first, _) = hits.entry(key).or_insert((0, entry, entry.at, origin));
        *count += 1;
        *first = (*first).min(entry.at);
        if entry.at >= last.at {
            *last = entry;
        }
    }
    if hits.is_empty() {
        return Ok(());
    }
    let texts = |value: for<'a> fn(&'a LogEntry<'_>) -> Option<&'a str>| {
        hits.values().map(|(_, last, ..)| value(last)).collect::<Vec<Option<&str>>>()
    };
    let flags =
        |value: fn(&LogEntry<'_>) -> bool| hits.values().map(|(_, last, ..)| value(last)).collect::<Vec<_>>();
    sqlx::query(concat!(
        "INSERT INTO gateway_connection_registry_realtime AS kept (registry_key, client_name, ipv4, athena_url, \
         api_key_public_id, api_key_external_id, api_key_internal_id, api_key_authenticated, \
         api_key_authorized, last_method, last_path, user_agent, last_request_id, last_status_code, \
         total_hits, first_seen_at, last_seen_at) \
         SELECT key, client, ip, url, public, external, internal, known, allowed, method, path, agent, request, \
         status, hits, ",
        time!("first"),
        ", ",
        time!("last"),
        " FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int8[], \
         $8::bool[], $9::bool[], $10::text[], $11::text[], $12::text[], $13::text[], $14::int4[], $15::int8[], \
         $16::int8[], $17::int8[]) AS added (key, client, ip, url, public, external, internal, known, allowed, \
         method, path, agent, request, status, hits, first, last) ORDER BY key COLLATE \"C\" \
         ON CONFLICT (registry_key) DO UPDATE SET client_name = EXCLUDED.client_name, ipv4 = EXCLUDED.ipv4, \
         athena_url = EXCLUDED.athena_url, api_key_public_id = EXCLUDED.api_key_public_id, \
         api_key_external_id = EXCLUDED.api_key_external_id, \
         api_key_internal_id = EXCLUDED.api_key_internal_id, \
         api_key_authenticated = EXCLUDED.api_key_authenticated, \
         api_key_authorized = EXCLUDED.api_key_authorized, last_method = EXCLUDED.last_method, \
         last_path = EXCLUDED.last_path, user_agent = EXCLUDED.user_agent, \
         last_request_id = EXCLUDED.last_request_id, last_status_code = EXCLUDED.last_status_code, \
         total_hits = kept.total_hits + EXCLUDED.total_hits, \
         last_seen_at = GREATEST(kept.last_seen_at, EXCLUDED.last_seen_at), updated_at = now()"
    ))
    .bind(hits.keys().map(String::as_str).collect::<Vec<_>>())
    .bind(texts(|entry| entry.client.as_deref()))
    .bind(texts(|entry| entry.address.as_deref().or(Some(NOT_FOUND))))
    .bind(hits.values().map(|(.., origin)| *origin).collect::<Vec<_>>())
    .bind(texts(|entry| entry.verified_key().map(|key| &*key.public_id)))
    .bind(texts(|entry| entry.verified_key().map(|key| &*key.external_id)))
    .bind(hits.values().map(|(_, last, ..)| last.verified_key().map(|key| key.id)).collect::<Vec<_>>())
    .bind(flags(|entry| entry.verified_key().is_some()))
    .bind(flags(|entry| entry.auth.as_ref().is_some_and(|auth| auth.authorized)))
    .bind(texts(|entry| Some(&entry.method)))
    .bind(texts(|entry| Some(&entry.path)))
    .bind(texts(|entry| entry.user_agent.as_deref().or(Some(NOT_FOUND))))
    .bind(texts(|entry| Some(&entry.request_id)))
    .bind(hits.values().map(|(_, last, ..)| i32::from(last.status)).collect::<Vec<_>>())
    .bind(hits.values().map(|(count, ..)| *count).collect::<Vec<_>>())
    .bind(hits.values().map(|(_, _, first, _)| *first).collect::<Vec<_>>())
    .bind(hits.values().map(|(_, last, ..)| last.at).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes when clients were seen last.
pub(super) async fn seen_clients(
    connection: &mut PgConnection,
    entries: &[LogEntry<'_>],
) -> Result<(), sqlx::Error> {
    let mut seen: BTreeMap<&str, i64> = BTreeMap::new();
    for entry in entries {
        if let Some(client) = entry.client.as_deref() {
            let at = seen.entry(client).or_insert(entry.at);
            *at = (*at).max(entry.at);
        }
    }
    if seen.is_empty() {
        return Ok(());
    }
    sqlx::query(concat!(
        "WITH locked AS MATERIALIZED (SELECT id, lower(client_name) AS name FROM athena_clients \
         WHERE lower(client_name) = ANY($1) AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE) \
         UPDATE athena_clients SET last_seen_at = GREATEST(last_seen_at, ",
        time!("seen.at"),
        ") FROM locked JOIN UNNEST($1::text[], $2::int8[]) AS seen (name, at) USING (name) \
         WHERE athena_clients.id = locked.id"
    ))
    .bind(seen.keys().copied().collect::<Vec<_>>())
    .bind(seen.values().copied().collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}
