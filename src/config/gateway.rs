//! Section `gateway`: how requests are read and answered.

use std::time::Duration;

use athena_domain::breaker::BreakerSettings;
use athena_supabase::HostRules;

use super::reader::Reader;
use super::secret::Secret;
use super::server::narrow;

/// What happens to a body field nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownFields {
    /// The request is refused and the field named.
    Refuse,
    /// The field is skipped.
    Ignore,
}

/// What happens when a company or organisation header is missing on insert and delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditHeaders {
    /// The request is refused.
    Strict,
    /// A placeholder takes its place.
    Lenient,
}

/// Form of the answers to fetch and update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseShape {
    /// Status, message and `data.rows`.
    Envelope,
    /// `{"data": [rows]}`.
    Flat,
}

/// How requests are read and answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayConfig {
    /// `gateway.unknown_fields`.
    pub unknown_fields: UnknownFields,
    /// `gateway.require_audit_headers`.
    pub require_audit_headers: AuditHeaders,
    /// `gateway.response_shape`.
    pub response_shape: ResponseShape,
    /// `gateway.force_camel_case_to_snake_case`: column names of requests are rewritten.
    pub force_camel_case_to_snake_case: bool,
    /// `gateway.auto_cast_uuid_filter_values_to_text`: filters compare UUID columns as text.
    pub auto_cast_uuid_filter_values_to_text: bool,
    /// `gateway.allow_schema_names_prefixed_as_table_name`: `public.users` is table `users` of schema `public`.
    pub allow_schema_names_prefixed_as_table_name: bool,
    /// `gateway.logging_client`: client of the control database.
    pub logging_client: Option<String>,
    /// `gateway.auth_client`: client of the API keys; the logging client unless it is set.
    pub auth_client: Option<String>,
    /// `gateway.auto_migrate`: the control database is brought to the current schema at start.
    pub auto_migrate: bool,
    /// `gateway.schema_refresh_secs`: how old the knowledge of tables and columns may grow.
    pub schema_refresh: Duration,
    /// `gateway.cursor_secret`: what cursors are sealed with; drawn at start where it is absent.
    pub cursor_secret: Option<Secret>,
    /// `gateway.cursor_lifetime_secs`: how long a cursor can be gone on with.
    pub cursor_lifetime: Duration,
    /// `gateway.circuit_breaker_*`: when the database of a client is taken to be away.
    pub breaker: BreakerSettings,
    /// `gateway.uri_variables`: environment variables that a URI of the client catalog may hold.
    pub uri_variables: Vec<String>,
    /// `gateway.supabase_allowed_hosts`, `gateway.supabase_allow_insecure`: where `x-supabase-url` may lead.
    pub supabase_hosts: HostRules,
}

impl GatewayConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let key = |name| ("gateway", name);
        let logging_client = reader.text("gateway", "logging_client");
        let supabase_hosts = supabase_hosts(reader);
        let auth_client = reader.text("gateway", "auth_client").or_else(|| logging_client.clone());
        Self {
            unknown_fields: reader.choice(
                key("unknown_fields"),
                UnknownFields::Refuse,
                &[("refuse", UnknownFields::Refuse), ("ignore", UnknownFields::Ignore)],
            ),
            require_audit_headers: reader.choice(
                key("require_audit_headers"),
                AuditHeaders::Strict,
                &[("strict", AuditHeaders::Strict), ("lenient", AuditHeaders::Lenient)],
            ),
            response_shape: reader.choice(
                key("response_shape"),
                ResponseShape::Envelope,
                &[("envelope", ResponseShape::Envelope), ("flat", ResponseShape::Flat)],
            ),
            force_camel_case_to_snake_case: reader.boolean(key("force_camel_case_to_snake_case"), false),
            auto_cast_uuid_filter_values_to_text: reader
                .boolean(key("auto_cast_uuid_filter_values_to_text"), true),
            allow_schema_names_prefixed_as_table_name: reader
                .boolean(key("allow_schema_names_prefixed_as_table_name"), true),
            logging_client,
            auth_client,
            auto_migrate: reader.boolean(key("auto_migrate"), true),
            cursor_secret: cursor_secret(reader),
            cursor_lifetime: reader.seconds(key("cursor_lifetime_secs"), 3600, 1..=604_800),
            supabase_hosts,
            uri_variables: reader.list(key("uri_variables"), variable_name),
            schema_refresh: reader.seconds(key("schema_refresh_secs"), 60, 1..=86_400),
            breaker: BreakerSettings {
                threshold: narrow(reader.integer(key("circuit_breaker_threshold"), 5, 1..=1_000_000)),
                timeout: reader.seconds(key("circuit_breaker_timeout_secs"), 60, 1..=86_400),
                check_interval: reader.seconds(key("circuit_breaker_check_interval_secs"), 30, 1..=86_400),
                ..BreakerSettings::default()
            },
        }
    }
}

/// Fewest characters of a secret: whoever holds a cursor can try secrets as fast as a machine can.
const MIN_SECRET: usize = 32;

fn cursor_secret(reader: &mut Reader<'_>) -> Option<Secret> {
    let secret = reader.text("gateway", "cursor_secret")?;
    if secret.chars().count() < MIN_SECRET {
        let message = format!("must have {MIN_SECRET} characters or more; openssl rand -hex 32 makes one");
        reader.problem("gateway", "cursor_secret", message);
        return None;
    }
    Some(Secret::new(secret))
}

fn variable_name(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if text.bytes().all(plain) && !text.as_bytes().first().is_some_and(u8::is_ascii_digit) {
        Ok(text.to_owned())
    } else {
        Err("names of environment variables, such as REPORTING_DB_PASSWORD".to_owned())
    }
}

fn supabase_hosts(reader: &mut Reader<'_>) -> HostRules {
    let list = reader.text("gateway", "supabase_allowed_hosts").unwrap_or_default();
    let insecure = reader.boolean(("gateway", "supabase_allow_insecure"), false);
    HostRules::parse(&list, insecure).unwrap_or_else(|error| {
        reader.problem("gateway", "supabase_allowed_hosts", error.to_string());
        HostRules::default()
    })
}
