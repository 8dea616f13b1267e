//! The words of the command line. What they mean is decided in [`crate::invocation`].

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// One fast, safe door in front of many databases.
#[derive(Debug, Parser)]
#[command(name = "athena_rs", bin_name = "athena_rs", version)]
pub(crate) struct Cli {
    /// Configuration file; without it the usual places are searched.
    #[arg(long, visible_alias = "config-path", value_name = "PATH", global = true)]
    pub config: Option<PathBuf>,

    /// Pipeline definitions.
    #[arg(
        long,
        visible_alias = "pipelines-path",
        value_name = "PATH",
        global = true,
        default_value = "config/pipelines.yaml"
    )]
    pub pipelines: PathBuf,

    /// Port to listen on; wins over the configuration. 0 takes any free port.
    #[arg(long, value_name = "PORT", global = true)]
    pub port: Option<u16>,

    /// Start the API, as the command `server` does.
    #[arg(long, global = true)]
    pub api_only: bool,

    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the API.
    Server(Server),
    /// Print the version of the product.
    Version,
    /// Describe the machine and the compiler, as JSON.
    Diag,
    /// Print the OpenAPI specification.
    #[command(name = "openapi")]
    OpenApi,
    /// Ask a running server whether it takes requests; ends with 0 if it does.
    Healthcheck(Healthcheck),
    /// Delete records that are older than the configuration keeps them.
    #[command(subcommand)]
    Retention(Retention),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Retention {
    /// Do it now, as the server does every hour.
    Run {
        /// Count what would be deleted, and delete nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Healthcheck {
    /// What to ask (http:// only); without it /readyz on this machine, on the port the server would take.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
}

#[derive(Debug, Default, Args)]
pub(crate) struct Server {
    /// Run with a private PostgreSQL and sample data; nothing else is needed.
    #[arg(long, conflicts_with = "managed_postgres")]
    pub demo: bool,

    /// Throw the demo's data away first.
    #[arg(long, requires = "demo")]
    pub reset: bool,

    /// Where the demo keeps its data.
    #[arg(long, value_name = "DIR", requires = "demo")]
    pub demo_dir: Option<PathBuf>,

    /// Run a private PostgreSQL whose data lies in DIR.
    #[arg(long, value_name = "DIR")]
    pub managed_postgres: Option<PathBuf>,

    /// Directory of the PostgreSQL programs (initdb, postgres).
    #[arg(long, value_name = "DIR", env = "ATHENA_PG_BIN")]
    pub pg_bin: Option<PathBuf>,
}
