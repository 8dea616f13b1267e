//! Whether a database whose schema nobody can read has the tables of a control database: it is asked for one of them.

use athena_domain::plan::{Operation, PlanOptions, Planner};
use athena_domain::query::{FetchRequest, JsonText, RelationName};
use athena_domain::rows::RowFormat;
use athena_domain::schema::Schema;

use super::fetch::NoRows;
use super::{Context, Gateway, Target};
use crate::error::Error;
use crate::ports::{PortErrorKind, Reason};

/// A read of the table that every control database has.
const READ: &[u8] = br#"{"table_name":"athena_control_version","columns":["area"],"limit":1}"#;

impl Gateway {
    /// Asks the database. It is one exchange more, for requests that name a table as a control database has it; they
    /// are too rare for the answer to be kept.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) async fn keeps_control_tables(
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
