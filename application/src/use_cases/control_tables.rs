//! Whether a database whose schema nobody can read has the tables of a control database: it is asked for one of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use athena_domain::plan::{Operation, PlanOptions, Planner};
use athena_domain::query::{FetchRequest, JsonText, RelationName};
use athena_domain::rows::RowFormat;
use athena_domain::schema::Schema;

use tokio::time::Instant;

use super::fetch::NoRows;
use super::{Context, Gateway, Target};
use crate::error::Error;
use crate::ports::{Backend, PortErrorKind, Reason};

/// A read of the table that every control database has.
const READ: &[u8] = br#"{"table_name":"athena_control_version","columns":["area"],"limit":1}"#;

/// How long a database that kept no control tables is taken not to have been given any.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Most databases that are remembered.
const MOST: usize = 1_000;

/// Databases that were found to keep no control tables, so that calls of functions, which might touch any table, cost
/// no further exchange each.
#[derive(Default)]
pub(crate) struct Apart(Mutex<HashMap<usize, Known>>);

/// The database, so that no other one comes to its address while it is remembered, and until when it is.
type Known = (Weak<dyn Backend>, Instant);

impl Apart {
    fn holds(&self, backend: &Arc<dyn Backend>) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&place(backend)).is_some_and(|(_, until)| Instant::now() < *until)
    }

    /// Databases that it remembers.
    pub(crate) fn len(&self) -> usize {
        let now = Instant::now();
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().filter(|(database, until)| database.strong_count() > 0 && now < *until).count()
    }

    fn add(&self, backend: &Arc<dyn Backend>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(place(backend), (Arc::downgrade(backend), Instant::now() + REMEMBERED));
    }
}

fn place(backend: &Arc<dyn Backend>) -> usize {
    Arc::as_ptr(backend).addr()
}

impl Gateway {
    /// Asks the database, unless it was asked within the last minute and kept none.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) async fn keeps_no_control_tables(
        &self,
        target: &Target,
        context: &Context,
        schema: &Schema,
    ) -> Result<bool, Error> {
        let is_known = self.caches.apart.holds(&target.backend);
        self.caches.looked_for_control_tables(is_known);
        if is_known {
            return Ok(true);
        }
        let keeps = self.keeps_control_tables(target, context, schema).await?;
        if !keeps {
            self.caches.apart.add(&target.backend);
        }
        Ok(!keeps)
    }

    async fn keeps_control_tables(
        &self,
        target: &Target,
        context: &Context,
        schema: &Schema,
    ) -> Result<bool, Error> {
        let options = PlanOptions { shielded: false, ..self.options.clone() };
        let planner = Planner { schema, limits: &self.limits, options: &options, authority: None };
        let body = JsonText::parse(READ)?;
        let mut request = FetchRequest::decode(body, &self.limits, self.decoding)?;
        let places = match schema.default_schema() {
            "public" => vec![None],
            _ => vec![None, Some("public")],
        };
        for place in places {
            request.relation = RelationName::parse("athena_control_version", place, "table_name")?;
            let (plan, _) = planner.fetch(&request, RowFormat::Json)?;
            debug_assert!(matches!(plan.operation, Operation::Select(_)), "a read");
            let outcome =
                target.backend.execute(&plan, &mut NoRows, context.deadline, context.trail.waits()).await;
            match outcome {
                Ok(_) => return Ok(true),
                Err(error) if error.reason() == Some(Reason::UndefinedTable) => {}
                // It says no, and not that there is none.
                Err(error) if matches!(error.kind, PortErrorKind::Rejected(_)) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }
}
