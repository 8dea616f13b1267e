//! POST `/query/sql`: the caller's own statement, for a database whose kind the caller names.

use std::fmt;

use super::body::{Decoding, JsonText, Object};
use super::raw::RawRequest;
use crate::error::{RequestCode, RequestError};
use crate::name::ClientName;

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    /// PostgreSQL, over its own protocol.
    Postgres,
    /// ScyllaDB or Cassandra.
    Cql,
    /// Supabase, or another PostgREST.
    Supabase,
}

impl DatabaseKind {
    /// Whether a database that calls itself `system` (`db.system.name` of OpenTelemetry) is of this kind.
    pub fn is(self, system: &str) -> bool {
        match self {
            Self::Postgres => system == "postgresql",
            Self::Cql => system == "cassandra",
            // What is behind Supabase is a PostgreSQL; SQL reaches it over that one's own protocol.
            Self::Supabase => matches!(system, "postgrest" | "postgresql"),
        }
    }
}

/// A driver as the caller names it, and the kind of database it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Driver {
    /// Name.
    pub name: &'static str,
    /// Kind of database.
    pub kind: DatabaseKind,
}

/// Every name a driver has (contract 11), and two that users of a CQL database try first.
pub const DRIVERS: [Driver; 10] = [
    Driver { name: "native", kind: DatabaseKind::Postgres },
    Driver { name: "postgres", kind: DatabaseKind::Postgres },
    Driver { name: "postgresql", kind: DatabaseKind::Postgres },
    Driver { name: "neon", kind: DatabaseKind::Postgres },
    Driver { name: "scylla", kind: DatabaseKind::Cql },
    Driver { name: "athena", kind: DatabaseKind::Cql },
    Driver { name: "cassandra", kind: DatabaseKind::Cql },
    Driver { name: "cql", kind: DatabaseKind::Cql },
    Driver { name: "supabase", kind: DatabaseKind::Supabase },
    Driver { name: "postgrest", kind: DatabaseKind::Supabase },
];

impl Driver {
    fn parse(text: &str) -> Result<Self, RequestError> {
        let name = text.trim();
        let found = DRIVERS.iter().find(|driver| driver.name.eq_ignore_ascii_case(name));
        found.copied().ok_or_else(|| {
            let shown: String = name.chars().take(40).collect();
            let message = format!("Driver '{shown}' is not supported. Use athena, postgresql, or supabase.");
            RequestError::invalid("driver", message)
        })
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// One statement, and the database it is meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlRequest {
    /// The statement.
    pub statement: RawRequest,
    /// The kind of database it is written for.
    pub driver: Driver,
    /// The database's name; the client's, where no header names one.
    pub db_name: ClientName,
}

impl SqlRequest {
    /// Decodes a body.
    ///
    /// # Errors
    /// Every field that is missing, malformed or unknown, a driver nobody knows, a statement that is empty.
    pub fn decode(body: JsonText<'_>, decoding: Decoding) -> Result<Self, RequestError> {
        let mut body = body.expect_object("")?;
        let mut statement = RawRequest::take(&mut body)?;
        statement.one_statement = true;
        statement.tells_columns = true;
        let driver = body.take_string("driver")?.ok_or_else(|| missing("driver", "the kind of database"))?;
        let driver = Driver::parse(&driver)?;
        let db_name = take_db_name(&mut body)?.ok_or_else(|| missing("db_name", "the name of the client"))?;
        body.finish(decoding)?;
        Ok(Self { statement, driver, db_name })
    }

    /// The database's name alone, out of a body that is decoded later.
    pub fn db_name(body: &[u8]) -> Option<ClientName> {
        let mut body = JsonText::parse(body).ok()?.expect_object("").ok()?;
        take_db_name(&mut body).ok()?
    }
}

fn missing(field: &str, what: &str) -> RequestError {
    RequestError::field(RequestCode::MissingField, field, format!("`{field}` is required: {what}"))
}

fn take_db_name(body: &mut Object<'_>) -> Result<Option<ClientName>, RequestError> {
    let Some(text) = body.take_string("db_name")? else { return Ok(None) };
    let name = ClientName::parse(&text);
    name.map(Some).ok_or_else(|| RequestError::invalid("db_name", "`db_name` is not a name of a database"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(body: &str) -> Result<SqlRequest, RequestError> {
        SqlRequest::decode(JsonText::parse(body.as_bytes())?, Decoding::default())
    }

    #[test]
    fn every_driver_has_its_kind() {
        let check = |driver: &str, expected: Option<DatabaseKind>| {
            let body = format!(r#"{{"query":"select 1","driver":"{driver}","db_name":"shop"}}"#);
            assert_eq!(decode(&body).ok().map(|request| request.driver.kind), expected, "{driver}");
        };
        for name in ["native", "postgres", "postgresql", "neon", " PostgreSQL "] {
            check(name, Some(DatabaseKind::Postgres));
        }
        for name in ["scylla", "athena", "Scylla", "cassandra", "cql"] {
            check(name, Some(DatabaseKind::Cql));
        }
        for name in ["supabase", "postgrest"] {
            check(name, Some(DatabaseKind::Supabase));
        }
        for name in ["", "mysql", "postgres;", "cqlsh"] {
            check(name, None);
        }
        let fault = decode(r#"{"query":"q","driver":"mysql","db_name":"d"}"#).err().map(|e| e.message);
        assert_eq!(
            fault.as_deref(),
            Some("Driver 'mysql' is not supported. Use athena, postgresql, or supabase.")
        );
    }

    #[test]
    fn kinds_know_their_systems() {
        let kinds = [DatabaseKind::Postgres, DatabaseKind::Cql, DatabaseKind::Supabase];
        let check = |system: &str, expected: &[DatabaseKind]| {
            let of: Vec<_> = kinds.into_iter().filter(|kind| kind.is(system)).collect();
            assert_eq!(of, expected, "{system}");
        };
        check("postgresql", &[DatabaseKind::Postgres, DatabaseKind::Supabase]);
        check("cassandra", &[DatabaseKind::Cql]);
        check("postgrest", &[DatabaseKind::Supabase]);
        check("other_sql", &[]);
    }

    #[test]
    fn every_field_is_read_or_refused() {
        let check = |body: &str, code: RequestCode, field: &str| {
            let fault = decode(body).err().map(|error| (error.code, error.field));
            assert_eq!(fault, Some((code, Some(field.to_owned()))), "{body}");
        };
        check(r#"{"driver":"native","db_name":"d"}"#, RequestCode::MissingField, "query");
        check(r#"{"query":"q","db_name":"d"}"#, RequestCode::MissingField, "driver");
        check(r#"{"query":"q","driver":"native"}"#, RequestCode::MissingField, "db_name");
        check(r#"{"query":"q","driver":"native","db_name":" "}"#, RequestCode::InvalidField, "db_name");
        check(r#"{"query":"q","driver":"native","db_name":7}"#, RequestCode::InvalidField, "db_name");
        check(
            r#"{"query":"q","driver":"native","db_name":"d","dbname":"x"}"#,
            RequestCode::UnknownField,
            "dbname",
        );
        let body = r#"{"query":"q;","driver":"native","db_name":" Shop ","params":[1],"read_only":true,"max_rows":5}"#;
        let request = decode(body).ok();
        let statement = request.as_ref().map(|request| &request.statement);
        assert_eq!(statement.map(|s| (&*s.query, s.read_only, s.max_rows)), Some(("q", true, Some(5))));
        assert_eq!(request.map(|request| request.db_name.to_string()).as_deref(), Some("Shop"));
        assert_eq!(SqlRequest::db_name(body.as_bytes()).map(|n| n.to_string()).as_deref(), Some("Shop"));
        assert_eq!(SqlRequest::db_name(b"{"), None);
        assert_eq!(SqlRequest::db_name(br#"{"db_name":["x"]}"#), None);
    }
}
