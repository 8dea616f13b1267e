//! What every database behind the ports must do alike, checked over the ports themselves.
//!
//! Each check is a plain function over `&dyn Backend` and `&dyn SchemaReader` that panics where a promise
//! is broken. An adapter's test creates the tables of [`FIXTURE_SQL`], or of [`fixture`], in a database
//! of its own and calls [`all`]. Requests are JSON as on the wire and go through the planner, so a check
//! reads like a request and its answer.
//!
//! Not checked here, since no plan can show it: that a request leaves no trace of its session.

mod budget_ledger;
mod client_store;
mod filters;
mod fixture;
mod flow;
mod key_store;
mod log_store;
mod pages;
mod reads;
mod recorder;
mod refusals;
mod run;
mod schema;
mod scope;
mod writes;

pub use budget_ledger::{budgets_are_shared, silent_gateways_are_forgotten};
pub use client_store::client_store;
pub use filters::filters_follow_sql;
pub use fixture::{FIXTURE_SQL, TableSpec, fixture};
pub use flow::{
    a_dropped_future_frees_the_backend, a_full_sink_is_flushed, a_passed_deadline_times_out,
    a_stopped_sink_gets_no_further_row, a_stopped_write_is_kept_or_fails, requests_run_side_by_side,
};
pub use key_store::{AccessStore, key_store};
pub use log_store::{
    batches_are_written_once, log_entry, statistics_follow_the_batches, stores_have_names_of_their_own,
};
pub use pages::pages_go_on_where_they_ended;
pub use reads::reads_answer_as_asked;
pub use recorder::{Recorder, canonical};
pub use refusals::{bad_values_are_rejected, columns_added_since_are_noticed, unknown_names_are_rejected};
pub use run::{Answer, Verb, run};
pub use schema::the_schema_is_read;
pub use scope::{row_filters_hold, row_filters_hold_or_refuse};
pub use writes::{writes_change_what_they_say, writes_change_what_they_say_or_are_refused};

use crate::ports::{Backend, SchemaReader};

/// Runs every check, one after the other, on a database that holds the fixture and nothing else has
/// written to.
pub async fn all(backend: &dyn Backend, schema: &dyn SchemaReader) {
    the_schema_is_read(schema).await;
    let refused = [filters_follow_sql(backend, schema).await, reads_answer_as_asked(backend, schema).await];
    assert_eq!(refused.concat(), [""; 0], "refused by a database whose catalog is known");
    pages_go_on_where_they_ended(backend, schema).await;
    a_stopped_sink_gets_no_further_row(backend, schema).await;
    a_full_sink_is_flushed(backend, schema).await;
    a_dropped_future_frees_the_backend(backend, schema).await;
    a_passed_deadline_times_out(backend, schema).await;
    requests_run_side_by_side(backend, schema).await;
    unknown_names_are_rejected(backend, schema).await;
    columns_added_since_are_noticed(backend, schema).await;
    bad_values_are_rejected(backend, schema).await;
    writes_change_what_they_say(backend, schema).await;
    row_filters_hold(backend, schema).await;
    a_stopped_write_is_kept_or_fails(backend, schema).await;
}

/// Runs the checks on a database whose catalog nobody knows, such as one behind PostgREST, that holds the fixture. What
/// it cannot do it may refuse, as `Unsupported`, and must not do otherwise; `other` is a way to the same tables that
/// carries out what was refused, so that every step finds what it should. Gives the names of what was refused.
///
/// Not run are the checks of what needs a catalog: the schema itself, columns added since, and pages by a cursor.
pub async fn all_of_open(
    (backend, schema): (&dyn Backend, &dyn SchemaReader),
    other: (&dyn Backend, &dyn SchemaReader),
) -> Vec<&'static str> {
    let mut refused = filters_follow_sql(backend, schema).await;
    refused.extend(reads_answer_as_asked(backend, schema).await);
    a_stopped_sink_gets_no_further_row(backend, schema).await;
    a_full_sink_is_flushed(backend, schema).await;
    a_dropped_future_frees_the_backend(backend, schema).await;
    a_passed_deadline_times_out(backend, schema).await;
    requests_run_side_by_side(backend, schema).await;
    unknown_names_are_rejected(backend, schema).await;
    bad_values_are_rejected(backend, schema).await;
    refused.extend(writes_change_what_they_say_or_are_refused((backend, schema), other).await);
    refused.extend(row_filters_hold_or_refuse((backend, schema), other).await);
    a_stopped_write_is_kept_or_fails(backend, schema).await;
    refused
}
