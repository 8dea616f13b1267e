//! What the gateway does, one file per deed.

mod call;
pub mod clients;
mod control_tables;
mod delete;
mod fetch;
mod grouped;
mod insert;
pub mod keys;
mod page;
pub mod provision;
mod query;
mod update;
mod write;

pub use call::Call;
pub(crate) use control_tables::Apart;
pub use delete::{Delete, Deleted};
pub use fetch::{Fetch, Fetched};
pub use grouped::Grouped;
pub use insert::{Insert, Inserted};
pub use page::Page;
pub use query::{Queried, Query};
pub use update::{Update, Updated};
pub use write::Written;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use athena_domain::access::{AuthReason, Authority, TablePlace};
use athena_domain::error::RequestCode;
use athena_domain::plan::{Operation, Plan, PlanOptions, Planner};
use athena_domain::query::Decoding;
use athena_domain::schema::{Dialect, Schema};
use athena_domain::shape::{Grouping, camel_to_snake};
use athena_domain::{ClientName, Limits, RequestError};
use tokio::time::Instant;

use crate::authenticator::Authenticator;
use crate::budgets::Budgets;
use crate::caches::Caches;
use crate::context::{Caller, Context, Direct};
use crate::cursor::Cursors;
use crate::error::{Absence, Error};
use crate::held::SharedMemory;
use crate::ports::{
    Backend, DirectTarget, DirectTargets, Done, PortError, PortErrorKind, Reason, RowStream, SchemaReader,
};
use crate::registry::{ClientRegistry, ClientState};

/// What every use case needs: the clients and the rules that hold for all of them.
pub struct Gateway {
    /// Clients.
    pub registry: Arc<ClientRegistry>,
    /// Bounds on one request.
    pub limits: Limits,
    /// Switches of the planner.
    pub options: PlanOptions,
    /// How strictly bodies are read.
    pub decoding: Decoding,
    /// Judges credentials.
    pub authenticator: Arc<Authenticator>,
    /// What is left of every key's budget.
    pub budgets: Arc<Budgets>,
    /// Makes and reads cursors.
    pub cursors: Arc<Cursors>,
    /// Opens databases that requests themselves name, where that is offered.
    pub direct: Option<Arc<dyn DirectTargets>>,
    /// What is kept ready for requests.
    pub caches: Arc<Caches>,
    /// What answers that are kept whole may take together.
    pub memory: SharedMemory,
}

/// The client of requests that name their database themselves (contract 4.3).
pub const DIRECT_CLIENT: &str = "custom_supabase";

/// A client whose database can be asked.
#[derive(Clone)]
pub(crate) struct Target {
    pub backend: Arc<dyn Backend>,
    pub schema: Arc<dyn SchemaReader>,
}

impl Target {
    /// Runs a plan and notes what it took.
    pub(crate) async fn execute(
        &self,
        plan: &Plan,
        sink: &mut dyn RowStream,
        context: &Context,
    ) -> Result<Done, PortError> {
        let execution = context.trail.executes(self.backend.system());
        let outcome = self.backend.execute(plan, sink, context.deadline, context.trail.waits()).await;
        if let Ok(done) = &outcome {
            execution.did(done);
        }
        drop(execution);
        outcome.map_err(|mut error| {
            if error.reason() == Some(Reason::RowOutOfScope) {
                context.trail.deny_for(AuthReason::RowOutOfScope);
            }
            if let PortErrorKind::Rejected(rejection) = &mut error.kind
                && let Some(authority) = context.caller.authority().filter(Authority::hides_values)
            {
                let own_sql = matches!(plan.operation, Operation::Raw(_));
                rejection.hide_values(own_sql);
                let schema = self.schema.loaded();
                let default_schema = schema.as_ref().map_or("", |schema| schema.default_schema());
                rejection.hide_column(|schema, table, column| match table {
                    _ if own_sql => true,
                    Some(table) => {
                        let schema = schema.unwrap_or(default_schema);
                        authority.allows_column(TablePlace { schema, table, default_schema }, column)
                    }
                    None => authority.leaves_plans_alone(),
                });
            }
            error
        })
    }
}

impl Gateway {
    /// The context of a request that begins now.
    pub fn context(&self, big_numbers_as_text: bool) -> Context {
        Context {
            deadline: Instant::now() + self.limits.request_timeout,
            big_numbers_as_text,
            control: false,
            bound: false,
            caller: Caller::default(),
            direct: None,
            trail: Arc::default(),
        }
    }

    /// Whether the client leads to a database of the gateway's own, as far as its address says.
    pub fn is_control(&self, client: &ClientName) -> bool {
        !self.is_direct(client) && self.registry.find(client).map_or(true, |client| client.is_control)
    }

    /// Checks that a client exists and has a target.
    ///
    /// # Errors
    /// [`Error::UnknownClient`], [`Error::ClientUnavailable`].
    pub fn check_client(&self, name: &ClientName) -> Result<(), Error> {
        if self.is_direct(name) {
            // A client of that name may be stopped.
            return if self.registry.is_read() { Ok(()) } else { Err(Error::ClientsUnread) };
        }
        self.registered(name).map(drop)
    }

    /// Whether requests for this client name their database themselves. A client of that name goes first, one that is
    /// stopped included.
    pub fn is_direct(&self, name: &ClientName) -> bool {
        self.direct.is_some()
            && name.key() == DIRECT_CLIENT
            && !self.registry.snapshot().contains_key(DIRECT_CLIENT)
    }

    /// Opens the database that a request names.
    ///
    /// # Errors
    /// Why it cannot be used, without a secret.
    pub fn open_direct(&self, url: &str, key: &str) -> Result<Direct, String> {
        let targets = self.direct.as_ref().ok_or("this server takes no databases from requests")?;
        let DirectTarget { backend, schema, .. } = targets.open(url, key)?;
        Ok(Direct(Target { backend, schema }))
    }

    /// The grouping in the names that the answer's keys have (contract 6.5).
    pub(crate) fn grouping(&self, grouping: Option<&Grouping>) -> Result<Option<Grouping>, Error> {
        let Some(asked) = grouping else { return Ok(None) };
        if !self.options.camel_to_snake {
            return Ok(Some(asked.clone()));
        }
        let column = asked.aggregation_column().map(|name| Box::from(camel_to_snake(name).as_ref()));
        let group_by = camel_to_snake(asked.group_by());
        Ok(Some(Grouping::new(&*group_by, asked.granularity(), column, asked.strategy(), asked.dedup())?))
    }

    pub(crate) fn target(&self, name: &ClientName, context: &Context) -> Result<Target, Error> {
        match &context.direct {
            Some(direct) => Ok(direct.0.clone()),
            None => self.registered(name),
        }
    }

    fn registered(&self, name: &ClientName) -> Result<Target, Error> {
        let client = self.registry.find(name)?;
        match &client.state {
            ClientState::Ready { backend, schema, .. } => {
                Ok(Target { backend: backend.clone(), schema: schema.clone() })
            }
            ClientState::Frozen => Err(Error::UnknownClient { name: name.clone(), absence: Absence::Frozen }),
            ClientState::Inactive => {
                Err(Error::UnknownClient { name: name.clone(), absence: Absence::Inactive })
            }
            ClientState::Misconfigured { reason } => {
                Err(Error::ClientUnavailable { name: name.clone(), reason: reason.clone() })
            }
        }
    }

    /// Plans with what is known of the database; what is not known may be new, so it is looked up once.
    pub(crate) async fn plan<T>(
        &self,
        target: &Target,
        context: &Context,
        stale: Option<&Arc<Schema>>,
        plan: impl Fn(Planner<'_>) -> Result<T, RequestError>,
    ) -> Result<(T, Arc<Schema>), Error> {
        let _planning = context.trail.plans();
        let attempt = async |schema: &Schema| self.attempt(target, context, schema, &plan).await;
        let loaded = target.schema.loaded();
        self.caches.looked_for_schema(loaded.is_some() && stale.is_none());
        let schema = match (loaded, stale) {
            (Some(schema), None) => schema,
            (_, stale) => {
                if stale.is_some() {
                    // The database has contradicted what is known of it.
                    target.schema.invalidate();
                }
                target.schema.refresh(stale, context.deadline).await?
            }
        };
        match attempt(&schema).await? {
            Err(error) if may_be_new(error.code, schema.dialect()) => {
                match target.schema.refresh(Some(&schema), context.deadline).await {
                    Ok(newer) if !Arc::ptr_eq(&newer, &schema) => Ok((attempt(&newer).await??, newer)),
                    // Nothing newer, or nobody to ask: what is known says no.
                    Ok(_) | Err(_) => Err(error.into()),
                }
            }
            outcome => Ok((outcome?, schema)),
        }
    }

    /// Plans with this schema.
    async fn attempt<T>(
        &self,
        target: &Target,
        context: &Context,
        schema: &Schema,
        plan: &impl Fn(Planner<'_>) -> Result<T, RequestError>,
    ) -> Result<Result<T, RequestError>, Error> {
        let options = |shielded| PlanOptions {
            big_numbers_as_text: context.big_numbers_as_text,
            shielded,
            since_1970: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            ..self.options.clone()
        };
        let planner = |options: &PlanOptions, authority| {
            plan(Planner { schema, limits: &self.limits, options, authority })
        };
        let would_be = context.caller.would_be_authority().filter(|_| context.trail.denial().is_none());
        let judge = |options: &PlanOptions| {
            // Nobody is refused by a key that is not demanded; what would be is noted.
            match would_be {
                Some(key) if key.leaves_plans_alone() => match planner(options, Some(key)) {
                    Ok(plan) => (Ok(plan), None),
                    Err(denied) => (planner(options, None), Some(denied)),
                },
                Some(key) => (planner(options, None), planner(options, Some(key)).err()),
                None => (planner(options, context.caller.authority()), None),
            }
        };
        let is_control = if context.control { Some(true) } else { schema.is_control() };
        let (mut outcome, mut denied) = judge(&options(!context.bound && is_control != Some(false)));
        if is_control.is_none()
            && outcome.as_ref().is_err_and(RequestError::is_shielded)
            && self.keeps_no_control_tables(target, context, schema).await?
        {
            (outcome, denied) = judge(&options(false));
        }
        if let Some(denied) = denied {
            context.trail.deny(&denied);
        }
        Ok(outcome.inspect_err(|error| context.trail.deny(error)))
    }
}

/// Whether a refusal may only mean that the database has changed since it was read.
fn may_be_new(code: RequestCode, dialect: Dialect) -> bool {
    // In CQL an index created since may make a request legal.
    let by_index = code == RequestCode::NotSupportedByBackend && dialect != Dialect::Sql;
    by_index
        || matches!(
            code,
            RequestCode::UndefinedTable
                | RequestCode::UndefinedColumn
                | RequestCode::UnsupportedSelect
                | RequestCode::TypeMismatch
                | RequestCode::DataException
        )
}

/// Whether a failure says that what is known of the database is older than the database.
pub(crate) fn is_stale(error: &PortError) -> bool {
    matches!(
        error.reason(),
        Some(
            Reason::Stale
                | Reason::UndefinedTable
                | Reason::UndefinedColumn
                | Reason::TypeMismatch
                | Reason::TextUuid
        )
    )
}

#[cfg(test)]
mod tests;
