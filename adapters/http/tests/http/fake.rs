//! A database that does what the name of a table, or the text of a query, tells it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use athena_application::ports::{
    Backend, BackendStatus, Done, PortError, PortErrorKind, Reason, Rejection, RowStream, SchemaReader,
};
use athena_application::stopwatch::Stopwatch;
use athena_application::{Client, ClientRegistry, ClientState, Gateway};
use athena_domain::plan::{CqlPlan, Operation, Plan};
use athena_domain::rows::{CellRef, ColumnHead, Flow};
use athena_domain::schema::{
    Column, ColumnType, CqlRules, CqlTable, CqlType, Dialect, Relation, Schema, TypeKind, UniqueIndex,
};
use athena_domain::{ClientName, Limits};
use athena_http::{App, AuditHeaders, HttpSettings, Services, app};
use poem::http::{Method, StatusCode};
use poem::{Request, Response};
use serde_json::Value;
use tokio::time::Instant;

/// Set when a statement that waits for ever is dropped.
#[derive(Clone, Default)]
pub struct Dropped(pub Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[derive(Default)]
pub struct Script {
    /// What kind of database it plays; none in particular when empty.
    pub system: &'static str,
    pub dropped: Arc<AtomicBool>,
}

fn rejected(reason: Reason, constraint: Option<&str>) -> PortError {
    let mut rejection = Rejection::new(reason, "the database's words");
    rejection.constraint = constraint.map(Into::into);
    rejection.sql_state = Some("XX000".into());
    PortError::rejected("fake", rejection)
}

#[async_trait::async_trait]
impl Backend for Script {
    fn system(&self) -> &'static str {
        if self.system.is_empty() { "other_sql" } else { self.system }
    }

    async fn execute(
        &self,
        plan: &Plan,
        sink: &mut dyn RowStream,
        _: Instant,
        _: &Stopwatch,
    ) -> Result<Done, PortError> {
        let (script, columns, affected) = match &plan.operation {
            Operation::Select(select) => (select.relation.name.to_string(), &select.outputs[..], 0),
            Operation::Insert(insert) => (insert.relation.name.to_string(), &insert.returning[..], 1),
            Operation::Update(update) => (update.relation.name.to_string(), &update.returning[..], 2),
            Operation::Delete(delete) => (delete.relation.name.to_string(), &delete.returning[..], 1),
            Operation::Raw(raw) => (raw.query.to_string(), &[][..], 0),
            Operation::Cql(CqlPlan::Read(read)) => (read.relation.name.to_string(), &read.outputs[..], 0),
            Operation::Call(call) => (call.function.to_string(), &[][..], 0),
            Operation::Cql(_) => return Err(PortError::new("fake", PortErrorKind::Internal)),
            Operation::Count(_) => return Ok(Done { count: Some(7), ..Done::default() }),
        };
        let heads: Vec<ColumnHead> = columns
            .iter()
            .map(|output| ColumnHead { label: output.label.clone(), hidden: output.hidden })
            .collect();
        let row = |sink: &mut dyn RowStream, number: i64| {
            for head in &heads {
                match &*head.label {
                    "id" => sink.cell(CellRef::Int(number)),
                    "note" => sink.cell(CellRef::Null),
                    _ if head.hidden => sink.cell(CellRef::Int(number)),
                    _ => sink.cell(CellRef::Text("a \"name\"")),
                }
            }
            sink.end_row()
        };
        sink.columns(&heads);
        let wanted = match &plan.operation {
            Operation::Select(select) => select.limit.and_then(|limit| i64::try_from(limit).ok()),
            _ => None,
        };
        let rows = match script.as_str() {
            "items" => 2 - affected.min(1),
            "empty" => 0,
            "many" => wanted.unwrap_or(20_000),
            "broken" => 5_000,
            "slow" | "select 'slow'" => {
                let _flag = Dropped(self.dropped.clone());
                std::future::pending::<()>().await;
                unreachable!()
            }
            "panic" => panic!("a scripted panic"),
            "unique" => return Err(rejected(Reason::Unique, Some("items_name_key"))),
            "foreign" => return Err(rejected(Reason::ForeignKey, None)),
            "stale" => return Err(rejected(Reason::Stale, None)),
            "away" => return Err(PortError::new("fake", PortErrorKind::Unavailable)),
            "busy" => return Err(PortError::new("fake", PortErrorKind::Exhausted)),
            "open" => {
                let retry_after = Duration::from_millis(1001);
                return Err(PortError::new("fake", PortErrorKind::CircuitOpen { retry_after }));
            }
            "late" => return Err(PortError::new("fake", PortErrorKind::TimedOut)),
            "conflict" => return Err(PortError::new("fake", PortErrorKind::Conflict)),
            "bug" => {
                return Err(
                    PortError::new("fake", PortErrorKind::Internal).caused_by("a secret of the driver")
                );
            }
            _ => return Ok(Done { statements: 1, affected: 3, ..Done::default() }),
        };
        for number in 0..rows {
            match row(sink, number) {
                Flow::More => {}
                Flow::Full => {
                    if sink.flush().await == Flow::Stop {
                        break;
                    }
                }
                Flow::Stop => break,
            }
        }
        if script == "broken" {
            return Err(PortError::new("fake", PortErrorKind::Unavailable));
        }
        Ok(Done {
            rows: rows.unsigned_abs(),
            affected: affected.unsigned_abs(),
            statements: 1,
            ..Done::default()
        })
    }

    async fn ping(&self, _: Instant) -> Result<(), PortError> {
        Ok(())
    }

    fn status(&self) -> BackendStatus {
        BackendStatus { connected: true, open: 1, idle: 1, max: 1, ..BackendStatus::default() }
    }
}

fn schema() -> Arc<Schema> {
    static SCHEMA: OnceLock<Arc<Schema>> = OnceLock::new();
    let relation = |name: &str| {
        let column = |name: &str, sql: &str, kind| Column {
            name: name.into(),
            ty: ColumnType::new(sql, kind),
            nullable: true,
            writable: true,
        };
        Relation {
            schema: "public".into(),
            name: name.into(),
            columns: vec![
                column("id", "integer", TypeKind::Int(32)),
                column("name", "text", TypeKind::Text),
                column("note", "text", TypeKind::Text),
            ],
            primary_key: [0].into(),
            inherited: false,
            cql: None,
            unique: vec![UniqueIndex {
                name: "pkey".into(),
                columns: [0].into(),
                total: true,
                constraint: true,
            }],
        }
    };
    let names = [
        "items", "empty", "many", "broken", "slow", "panic", "unique", "foreign", "stale", "away", "open",
        "busy", "late", "conflict", "bug",
    ];
    let build = || Arc::new(Schema::new(names.map(relation).into(), HashMap::new(), vec!["public".into()]));
    SCHEMA.get_or_init(build).clone()
}

#[async_trait::async_trait]
impl SchemaReader for Script {
    fn loaded(&self) -> Option<Arc<Schema>> {
        Some(schema())
    }

    fn has_reading(&self) -> bool {
        self.loaded().is_some()
    }

    async fn refresh(&self, _: Option<&Arc<Schema>>, _: Instant) -> Result<Arc<Schema>, PortError> {
        Ok(schema())
    }

    fn invalidate(&self) {}
}

/// The schema of a CQL database with the table `items`, whose owner allows filtering.
struct CqlScript;

#[async_trait::async_trait]
impl SchemaReader for CqlScript {
    fn loaded(&self) -> Option<Arc<Schema>> {
        let column = |name: &str, ty| Column {
            name: name.into(),
            ty: ColumnType::cql(ty),
            nullable: true,
            writable: true,
        };
        let columns = vec![column("id", CqlType::Int(32)), column("name", CqlType::Text)];
        let table = CqlTable { partition: [0].into(), ..CqlTable::default() };
        let relations = vec![Relation::of_cql("ks", "items", columns, table)];
        let rules = CqlRules {
            allow_filtering: true,
            database_order: false,
            max_filtered_rows: 100,
            max_consistency: athena_domain::schema::Consistency::LocalQuorum,
            max_timeout: std::time::Duration::from_secs(30),
            max_fetch_size: 1000,
        };
        let schema = Schema::new(relations, HashMap::new(), vec!["ks".into()]);
        Some(Arc::new(schema.speaking(Dialect::Cql(rules))))
    }

    fn has_reading(&self) -> bool {
        self.loaded().is_some()
    }

    async fn refresh(&self, _: Option<&Arc<Schema>>, _: Instant) -> Result<Arc<Schema>, PortError> {
        self.loaded().ok_or_else(|| PortError::new("fake", PortErrorKind::Internal))
    }

    fn invalidate(&self) {}
}

/// Settings that ask for no audit headers.
pub fn lenient() -> HttpSettings {
    HttpSettings { require_audit_headers: AuditHeaders::Lenient, ..HttpSettings::default() }
}

/// An application with the clients `demo`, `cql` (whose schema is CQL), `wide` (whose database says it is) and `broken`.
pub fn server(settings: &HttpSettings) -> (App, Arc<AtomicBool>) {
    let script = Arc::new(Script::default());
    let dropped = script.dropped.clone();
    let wide = Arc::new(Script { system: "cassandra", ..Script::default() });
    let name = |text| ClientName::parse(text).unwrap();
    let registry = ClientRegistry::new([
        Client::new(
            name("cql"),
            ClientState::Ready {
                backend: Arc::new(Script { system: "cassandra", ..Script::default() }),
                schema: Arc::new(CqlScript),
                circuit: Arc::default(),
            },
        ),
        Client::new(
            name("demo"),
            ClientState::Ready { backend: script.clone(), schema: script, circuit: Arc::default() },
        ),
        Client::new(
            name("wide"),
            ClientState::Ready { backend: wide.clone(), schema: wide, circuit: Arc::default() },
        ),
        Client::new(name("broken"), ClientState::Misconfigured { reason: "no variable".into() }),
    ]);
    let limits = Limits {
        max_received_bytes: 32 << 10,
        max_body_bytes: 4096,
        max_decompressed_bytes: 8192,
        max_rows: 50_000,
        ..Limits::default()
    };
    let gateway = Gateway {
        direct: None,
        caches: Default::default(),
        memory: Default::default(),
        registry: Arc::new(registry),
        limits,
        options: Default::default(),
        decoding: Default::default(),
        authenticator: Default::default(),
        budgets: Default::default(),
        cursors: Default::default(),
    };
    (app(settings, &Services::new(Arc::new(gateway))), dropped)
}

/// A finished answer.
pub struct Reply {
    pub status: StatusCode,
    pub headers: poem::http::HeaderMap,
    pub body: Result<Vec<u8>, String>,
}

impl Reply {
    pub async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.into_vec().await.map_err(|error| error.to_string());
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone().unwrap()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A request to the client `demo`.
pub fn request(method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<poem::Body>) -> Request {
    let mut builder = Request::builder().method(method).uri(path.parse().unwrap());
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body)
}

/// Sends a request with a JSON body to the client `demo`.
pub async fn send(app: &App, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut all = vec![("X-Athena-Client", "demo"), ("Content-Type", "application/json")];
    all.extend_from_slice(headers);
    Reply::of(app.answer(request(method, path, &all, body.to_owned())).await).await
}

/// Fetches.
pub async fn fetch(headers: &[(&str, &str)], body: &str) -> Reply {
    send(&server(&lenient()).0, Method::POST, "/gateway/fetch", headers, body).await
}

/// Waits until `flag` is set.
pub async fn until(flag: &AtomicBool) -> bool {
    for _ in 0..200 {
        if flag.load(Ordering::SeqCst) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}
