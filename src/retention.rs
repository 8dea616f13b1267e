//! `athena_rs retention run`: old records are deleted now, by this process.

use anyhow::{Context as _, anyhow, bail};
use athena_cli::RetentionOptions;
use athena_postgres::control::retain;

use crate::config::{Config, LoadOptions};
use crate::control::database_of;
use crate::records::windows;

/// Deletes, or counts, what is older than the configuration keeps it; a line a table.
///
/// # Errors
/// When there is no control database, it does not answer, or a gateway is deleting at the same time.
pub fn run(options: &RetentionOptions) -> anyhow::Result<String> {
    let (config, _) = Config::load(&LoadOptions::from_process(options.config.clone(), None)?)?;
    let gateway = &config.gateway;
    let mut names: Vec<&String> = gateway.logging_client.iter().chain(&gateway.auth_client).collect();
    names.dedup_by_key(|name| name.trim().to_lowercase());
    if names.is_empty() {
        bail!("gateway.logging_client names no control database");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut told = String::new();
        for name in &names {
            let database = database_of(name, &config).map_err(|reason| anyhow!("client {name}: {reason}"))?;
            let done = retain(&database, &windows(&config.retention), options.dry_run).await;
            let Some(done) =
                done.with_context(|| format!("the database of client {name} does not answer"))?
            else {
                bail!("another gateway is deleting old records of client {name} at this moment");
            };
            let verb = if options.dry_run { "would be deleted" } else { "deleted" };
            if names.len() > 1 {
                told += &format!("{name}:\n");
            }
            told.extend(done.iter().map(|table| format!("{}: {} rows {verb}\n", table.table, table.rows)));
        }
        Ok(told)
    })
}
