//! A gateway over one database in memory, and requests as they stand on the wire.

use std::sync::Arc;

use athena_application::ports::Backend;
use athena_application::use_cases::{Fetch, Fetched, Insert, Update, Updated, Written};
use athena_application::{
    Body, Client, ClientRegistry, ClientState, Context, Error, Framing, Gateway, Tally,
};
use athena_domain::plan::PlanOptions;
use athena_domain::query::{Decoding, FetchRequest, InsertRequest, JsonText, UpdateRequest};
use athena_domain::rows::{RowFormat, RowStyle};
use athena_domain::schema::{Column, ColumnType, Relation, TypeKind, UniqueIndex};
use athena_domain::{ClientName, Limits};
use athena_memory::{MemoryDatabase, Table};

/// Rows in an array, as an envelope would hold them.
pub const ARRAY: Framing = Framing { open: "[", close: |_| "]".to_owned() };

pub const JSON: RowStyle = RowStyle { format: RowFormat::Json, strip_nulls: false };

pub struct Bench {
    pub database: Arc<MemoryDatabase>,
    pub gateway: Arc<Gateway>,
}

impl Bench {
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub fn with_limits(limits: Limits) -> Self {
        let database = Arc::new(MemoryDatabase::new([users()]));
        let backend = database.clone();
        Self::over(database, backend, limits)
    }

    /// A gateway whose client runs its plans on `backend`.
    pub fn over(database: Arc<MemoryDatabase>, backend: Arc<dyn Backend>, limits: Limits) -> Self {
        let ready = ClientState::Ready { backend, schema: database.clone(), circuit: Arc::default() };
        let broken = ClientState::Misconfigured { reason: "PG_URI is not set".to_owned() };
        let clients = [("main", ready), ("broken", broken)];
        let registry = clients.map(|(known, state)| Client::new(name(known), state));
        let gateway = Gateway {
            direct: None,
            caches: Default::default(),
            memory: Default::default(),
            registry: Arc::new(ClientRegistry::new(registry)),
            limits,
            options: PlanOptions::default(),
            decoding: Decoding::default(),
            authenticator: Default::default(),
            budgets: Default::default(),
            cursors: Default::default(),
        };
        Self { database, gateway: Arc::new(gateway) }
    }

    pub fn context(&self) -> Context {
        self.gateway.context(false)
    }

    pub async fn fetch_as(&self, client: &str, request: &str, style: RowStyle) -> Result<Fetched, Error> {
        let request = FetchRequest::decode(body(request), &self.gateway.limits, self.gateway.decoding)?;
        Fetch::new(self.gateway.clone()).run(&name(client), request, style, ARRAY, self.context()).await
    }

    pub async fn fetch(&self, request: &str) -> Result<Fetched, Error> {
        self.fetch_as("main", request, JSON).await
    }

    /// The rows of an answer that came whole, and its tally.
    pub async fn rows(&self, request: &str) -> (String, Tally) {
        match self.fetch(request).await.unwrap() {
            Fetched::Rows { body: Body::Whole(bytes, tally), .. } => (text(&bytes), tally),
            other => panic!("not a whole answer: {other:?}"),
        }
    }

    pub async fn insert(&self, request: &str) -> Result<Written, Error> {
        let request = InsertRequest::decode(body(request), &self.gateway.limits, self.gateway.decoding)?;
        Insert::new(self.gateway.clone()).run(&name("main"), &request, false, self.context()).await
    }

    pub async fn update(&self, request: &str) -> Result<Updated, Error> {
        let request = UpdateRequest::decode(body(request), &self.gateway.limits, self.gateway.decoding)?;
        Update::new(self.gateway.clone()).run(&name("main"), &request, false, self.context()).await
    }
}

pub fn name(text: &str) -> ClientName {
    ClientName::parse(text).unwrap()
}

pub fn body(text: &str) -> JsonText<'_> {
    JsonText::parse(text.as_bytes()).unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub fn column(name: &str, sql: &str, kind: TypeKind) -> Column {
    Column { name: name.into(), ty: ColumnType::new(sql, kind), nullable: true, writable: true }
}

/// A table of three people, numbered by itself, with a unique mail address.
pub fn users() -> Table {
    let unique = |name: &str, column: usize| UniqueIndex {
        name: name.into(),
        columns: [column].into(),
        total: true,
        constraint: true,
    };
    let relation = Relation {
        schema: "public".into(),
        name: "users".into(),
        columns: vec![
            column("id", "bigint", TypeKind::Int(64)),
            column("mail", "text", TypeKind::Text),
            column("team", "text", TypeKind::Text),
            column("score", "numeric(12,2)", TypeKind::Numeric),
        ],
        primary_key: [0].into(),
        unique: vec![unique("users_pkey", 0), unique("users_mail_key", 1)],
        inherited: false,
        cql: None,
    };
    let rows = r#"[{"id":1,"mail":"ada@x","team":"red","score":1.50},{"id":2,"mail":"bob@x","team":"red","score":2.25},
        {"id":3,"mail":"cy@x","team":"blue","score":null}]"#;
    Table::new(relation).with_rows(rows).unwrap().with_serial("id").unwrap()
}
