//! How much every client has asked for.

use std::sync::Arc;

use athena_application::ports::{ClientStatistics, PortError, StatisticsStore, TableStatistics};
use poem::Request;
use poem::http::StatusCode;
use poem_openapi::OpenApi;
use poem_openapi::param::Path;
use serde_json::{Value, json};

use super::{Admin, StoreAbsence, answered, catalog_absent, catalog_failure, moment};
use crate::api::Tag;
use crate::api::answer::{Answer, Described};
use crate::api::docs::AdminAnswer;
use crate::error::Failure;

/// How much every client has asked for.
pub struct StatisticsApi {
    store: Option<Arc<dyn StatisticsStore>>,
    absence: StoreAbsence,
}

/// Counts.
pub struct Counted;
impl Described for Counted {
    type Body = AdminAnswer;
    const SUCCESS: &'static str = "The counts.";
    const FAILURES: &'static [u16] = &[401, 404, 500, 503];
}

#[OpenApi(tag = "Tag::Clients")]
impl StatisticsApi {
    /// Statistics of every client
    ///
    /// Requests and operations, by requests descending.
    #[oai(path = "/admin/clients/statistics", method = "get", operation_id = "list_statistics")]
    async fn list(&self, request: &Request, _admin: Admin) -> Answer<Counted> {
        let outcome = async {
            let data = self.listed().await?;
            Ok((StatusCode::OK, "Listed client statistics", data))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// Rebuild the statistics
    ///
    /// Counts everything anew from what the logs hold.
    #[oai(path = "/admin/clients/statistics/refresh", method = "post", operation_id = "refresh_statistics")]
    async fn refresh(&self, request: &Request, _admin: Admin) -> Answer<Counted> {
        let outcome = async {
            self.store()?.refresh().await.map_err(failed("Failed to refresh client statistics"))?;
            let data = self.listed().await?;
            Ok((StatusCode::OK, "Refreshed client statistics", data))
        };
        Answer::new(answered(outcome.await, request))
    }

    /// Statistics of one client
    ///
    /// Its requests and operations, and the operations on each of its tables.
    #[oai(
        path = "/admin/clients/:client_name/statistics",
        method = "get",
        operation_id = "client_statistics"
    )]
    async fn of_client(
        &self,
        request: &Request,
        _admin: Admin,
        client_name: Path<String>,
    ) -> Answer<Counted> {
        let outcome = async {
            let found = self.store()?.of_client(&client_name).await;
            let found = found.map_err(failed("Failed to load client statistics"))?;
            let (client, tables) = found.ok_or_else(|| {
                Failure::new(StatusCode::NOT_FOUND, "not_found", "validation", "Client statistics not found")
                    .error(format!("No statistics exist for '{}'.", client_name.as_str()))
            })?;
            let tables: Vec<Value> = tables.iter().map(table).collect();
            Ok((
                StatusCode::OK,
                "Loaded client statistics",
                json!({ "statistics": row(&client), "tables": tables }),
            ))
        };
        Answer::new(answered(outcome.await, request))
    }
}

impl StatisticsApi {
    /// The operations over a store, or why there is none.
    pub(crate) fn new(store: Option<Arc<dyn StatisticsStore>>, absence: StoreAbsence) -> Self {
        Self { store, absence }
    }

    fn store(&self) -> Result<&dyn StatisticsStore, Box<Failure>> {
        self.store.as_deref().ok_or_else(|| catalog_absent(&self.absence))
    }

    async fn listed(&self) -> Result<Value, Box<Failure>> {
        let rows = self.store()?.list().await.map_err(failed("Failed to list client statistics"))?;
        let rows: Vec<Value> = rows.iter().map(row).collect();
        Ok(json!({ "statistics": rows }))
    }
}

fn failed(title: &'static str) -> impl FnOnce(PortError) -> Box<Failure> {
    move |error| catalog_failure(error, title)
}

fn row(counts: &ClientStatistics) -> Value {
    json!({
        "client_name": counts.client_name, "total_requests": counts.total_requests,
        "successful_requests": counts.successful_requests, "failed_requests": counts.failed_requests,
        "total_cached_requests": counts.total_cached_requests, "total_operations": counts.total_operations,
        "last_request_at": moment(counts.last_request_at), "last_operation_at": moment(counts.last_operation_at),
        "updated_at": moment(Some(counts.updated_at)),
    })
}

fn table(counts: &TableStatistics) -> Value {
    json!({
        "client_name": counts.client_name, "table_name": counts.table_name, "operation": counts.operation,
        "total_operations": counts.total_operations, "error_operations": counts.error_operations,
        "last_operation_at": moment(counts.last_operation_at), "updated_at": moment(Some(counts.updated_at)),
    })
}
