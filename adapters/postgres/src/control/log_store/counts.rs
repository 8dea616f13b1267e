//! What a batch adds to counts, and when keys and clients were seen last.
//!
//! One statement a table; rows are locked in the order of their keys, so that batches of several gateways
//! wait for each other instead of locking each other out.

use athena_application::ports::{LogEntry, NOT_FOUND};
use sqlx::postgres::PgConnection;

use super::KnownKeys;
use super::tally::{OfClient, Tally};

/// `to_timestamp` goes through a double, which loses microseconds.
macro_rules! time {
    ($column:literal) => {
        concat!("(timestamptz 'epoch' + ", $column, " * interval '1 microsecond')")
    };
}

/// Notes when the keys of a batch were used last, and tells which of them exist: the log refers to them.
pub(super) async fn keys(connection: &mut PgConnection, tally: &Tally<'_>) -> Result<KnownKeys, sqlx::Error> {
    let used = &tally.keys;
    if used.is_empty() {
        return Ok(KnownKeys::default());
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

/// Adds to `client_statistics`. Must come before [`tables`]: a refresh locks them in this order.
pub(super) async fn clients(connection: &mut PgConnection, tally: &Tally<'_>) -> Result<(), sqlx::Error> {
    let counts = &tally.clients;
    if counts.is_empty() {
        return Ok(());
    }
    let column = |value: fn(&OfClient) -> i64| counts.values().map(value).collect::<Vec<_>>();
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
    .bind(column(|of| of.request))
    .bind(counts.values().map(|of| of.operation).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds to `client_table_statistics`.
pub(super) async fn tables(connection: &mut PgConnection, tally: &Tally<'_>) -> Result<(), sqlx::Error> {
    let counts = &tally.tables;
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
    .bind(counts.values().map(|of| of.total).collect::<Vec<_>>())
    .bind(counts.values().map(|of| of.failed).collect::<Vec<_>>())
    .bind(counts.values().map(|of| of.last).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds to the registry of live connections (contract 19.4): one row a key, the latest request's values.
pub(super) async fn connections(connection: &mut PgConnection, tally: &Tally<'_>) -> Result<(), sqlx::Error> {
    let hits = &tally.connections;
    if hits.is_empty() {
        return Ok(());
    }
    let texts = |value: for<'a> fn(&'a LogEntry<'_>) -> Option<&'a str>| {
        hits.values().map(|hits| value(hits.last)).collect::<Vec<Option<&str>>>()
    };
    let flags =
        |value: fn(&LogEntry<'_>) -> bool| hits.values().map(|hits| value(hits.last)).collect::<Vec<_>>();
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
    .bind(hits.values().map(|hits| hits.origin).collect::<Vec<_>>())
    .bind(texts(|entry| entry.verified_key().map(|key| &*key.public_id)))
    .bind(texts(|entry| entry.verified_key().map(|key| &*key.external_id)))
    .bind(hits.values().map(|hits| hits.last.verified_key().map(|key| key.id)).collect::<Vec<_>>())
    .bind(flags(|entry| entry.verified_key().is_some()))
    .bind(flags(|entry| entry.auth.as_ref().is_some_and(|auth| auth.authorized)))
    .bind(texts(|entry| Some(&entry.method)))
    .bind(texts(|entry| Some(&entry.path)))
    .bind(texts(|entry| entry.user_agent.as_deref().or(Some(NOT_FOUND))))
    .bind(texts(|entry| Some(&entry.request_id)))
    .bind(hits.values().map(|hits| i32::from(hits.last.status)).collect::<Vec<_>>())
    .bind(hits.values().map(|hits| hits.count).collect::<Vec<_>>())
    .bind(hits.values().map(|hits| hits.first).collect::<Vec<_>>())
    .bind(hits.values().map(|hits| hits.last.at).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes when clients were seen last.
pub(super) async fn seen_clients(
    connection: &mut PgConnection,
    tally: &Tally<'_>,
) -> Result<(), sqlx::Error> {
    let seen = &tally.clients;
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
    .bind(seen.values().map(|of| of.request).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}
