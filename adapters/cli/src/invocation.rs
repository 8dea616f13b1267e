//! From arguments to what is to be done.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use crate::grammar::{Cli, Command, Healthcheck, Retention, Server};

/// What the arguments ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invocation {
    /// Start the API.
    Server(ServerOptions),
    /// Print the version of the product.
    Version,
    /// Print what [`crate::diagnosis`] says.
    Diag,
    /// Print the OpenAPI specification.
    OpenApi,
    /// Ask a running server whether it takes requests.
    Healthcheck(HealthcheckOptions),
    /// Delete old records.
    Retention(RetentionOptions),
}

/// Which records are to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionOptions {
    /// The one configuration file to read; `None` searches the usual places.
    pub config: Option<PathBuf>,
    /// Count only.
    pub dry_run: bool,
}

/// Which server is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthcheckOptions {
    /// The whole address; `None` is the readiness probe of the server on this machine.
    pub url: Option<String>,
    /// The configuration that the server reads; without it none is looked for.
    pub config: Option<PathBuf>,
    /// Port that wins over the configuration.
    pub port: Option<u16>,
}

/// How the API is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// The one configuration file to read; `None` searches the usual places.
    pub config: Option<PathBuf>,
    /// Pipeline definitions.
    pub pipelines: PathBuf,
    /// Port that wins over the configuration.
    pub port: Option<u16>,
    /// Serve sample data from a private PostgreSQL.
    pub demo: Option<Demo>,
    /// Data directory of a private PostgreSQL; never together with `demo`.
    pub managed_postgres: Option<PathBuf>,
    /// Directory of the PostgreSQL programs.
    pub pg_bin: Option<PathBuf>,
}

/// How the demo is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demo {
    /// Where its data lies; `None` leaves the choice to the gateway.
    pub dir: Option<PathBuf>,
    /// Throw the data away first.
    pub reset: bool,
}

/// Nothing is to be run: `text` is to be printed instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Stop {
    /// The text, without a trailing line break.
    pub text: String,
    /// Exit code of the process: 0 for help and version (standard output), else an error (standard error).
    pub code: u8,
}

/// Reads a command line whose first member is the program's name.
///
/// # Errors
///
/// [`Stop`] when the arguments ask for help or the version (code 0), or cannot be understood (code 2).
pub fn parse_from<I, T>(arguments: I) -> Result<Invocation, Stop>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let cli = Cli::try_parse_from(arguments).map_err(|error| Stop {
        text: error.render().to_string().trim_end().to_owned(),
        code: if error.use_stderr() { 2 } else { 0 },
    })?;
    let Cli { config, pipelines, port, api_only, command } = cli;
    let server = |config, server: Server| {
        let Server { demo, reset, demo_dir, managed_postgres, pg_bin } = server;
        let demo = demo.then_some(Demo { dir: demo_dir, reset });
        Invocation::Server(ServerOptions { config, pipelines, port, demo, managed_postgres, pg_bin })
    };
    match command {
        Some(Command::Server(options)) => Ok(server(config, options)),
        Some(Command::Version) => Ok(Invocation::Version),
        Some(Command::Diag) => Ok(Invocation::Diag),
        Some(Command::OpenApi) => Ok(Invocation::OpenApi),
        Some(Command::Healthcheck(Healthcheck { url })) => {
            Ok(Invocation::Healthcheck(HealthcheckOptions { url, config, port }))
        }
        Some(Command::Retention(Retention::Run { dry_run })) => {
            Ok(Invocation::Retention(RetentionOptions { config, dry_run }))
        }
        None if api_only => Ok(server(config, Server::default())),
        None => Err(Stop { text: NO_COMMAND.to_owned(), code: 2 }),
    }
}

const NO_COMMAND: &str = "No command provided; pass --api-only to boot the API, or name a command: \
                          server, version, diag, openapi, healthcheck, retention (--help explains them)";

#[cfg(test)]
mod tests;
