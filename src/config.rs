//! Configuration: a YAML file, the environment and the command line, read once into typed sections.
//!
//! The process environment and directories are arguments ([`LoadOptions`]), so nothing here but
//! [`LoadOptions::from_process`] and [`Environment::from_process`] looks at the process. Passwords are kept in
//! [`Secret`] and [`ConnectionUri`], which print as `***`.

mod bounds;
mod clients;
mod cors;
mod document;
mod environment;
mod error;
mod gateway;
mod keys;
mod limits;
mod locations;
mod logging;
mod pool;
mod reader;
mod redis;
mod retention;
mod secret;
mod server;
mod traces;

use std::path::PathBuf;

use athena_domain::Limits;

pub use athena_http::AddressBlock;
pub use athena_redis::RedisUrl;
pub use clients::ClientConfig;
pub use cors::CorsConfig;
pub use environment::Environment;
pub use error::{ConfigError, ConfigErrorKind, Inspected, Problem, Warning};
pub use gateway::{AuditHeaders, GatewayConfig, ResponseShape, UnknownFields};
pub use keys::{KEYS, Key};
pub use locations::Platform;
pub use logging::{LogFormat, LoggingConfig, usual_spool};
pub use pool::PoolConfig;
pub use retention::RetentionConfig;
pub use secret::{ConnectionUri, Secret};
pub use server::ServerConfig;
pub use traces::TracesConfig;

use document::Document;
use locations::Found;
use reader::Reader;

/// The configuration that is written where there is none.
pub const BUNDLED: &str = include_str!("../config/config.yaml");

/// Everything the gateway is told by its operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where it was read from.
    pub file: ConfigFile,
    /// The listener and its connections.
    pub server: ServerConfig,
    /// Which web sites may call.
    pub cors: CorsConfig,
    /// How requests are read and answered.
    pub gateway: GatewayConfig,
    /// The databases, by name.
    pub clients: Vec<ClientConfig>,
    /// Bounds on one request.
    pub limits: Limits,
    /// Connections to each database.
    pub pool: PoolConfig,
    /// What the process says about itself.
    pub logging: LoggingConfig,
    /// How long records are kept.
    pub retention: RetentionConfig,
    /// Where the Redis is that several gateways share.
    pub redis: Option<RedisUrl>,
    /// Requests as spans.
    pub traces: TracesConfig,
    /// `ATHENA_KEY_12`: the static admin key.
    pub admin_key: Option<Secret>,
    /// The variables that targets of the client catalog may name.
    pub environment: Environment,
}

/// Where a configuration was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// The file; `None` when the bundled default is used as it is.
    pub path: Option<PathBuf>,
    /// True when the bundled default was written there just now.
    pub seeded: bool,
}

/// What a configuration is read from.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The one file to read (`--config`); `None` searches the usual places.
    pub path: Option<PathBuf>,
    /// Port that wins over file and environment (`--port`).
    pub port: Option<u16>,
    /// The environment.
    pub environment: Environment,
    /// Where relative paths start, and the last place that is searched.
    pub working_directory: PathBuf,
    /// Decides which places are searched.
    pub platform: Platform,
}

impl LoadOptions {
    /// The environment of this process, with the `.env` of its working directory.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the working directory is unknown or its `.env` is not valid.
    pub fn from_process(path: Option<PathBuf>, port: Option<u16>) -> Result<Self, ConfigError> {
        let working_directory = std::env::current_dir()
            .map_err(|error| ConfigErrorKind::WorkingDirectory { reason: error.to_string() }.alone())?;
        let environment = Environment::from_process().with_dotenv(&working_directory)?;
        Ok(Self { path, port, environment, working_directory, platform: Platform::current() })
    }
}

impl Config {
    /// Finds and reads the configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the file named in `options` is missing, a file cannot be read, or values cannot be
    /// used. It names every place that was looked at.
    pub fn load(options: &LoadOptions) -> Result<(Self, Vec<Warning>), ConfigError> {
        let mut inspected = Vec::new();
        Self::search(options, &mut inspected).map_err(|kind| ConfigError { kind: Box::new(kind), inspected })
    }

    fn search(
        options: &LoadOptions,
        inspected: &mut Vec<Inspected>,
    ) -> Result<(Self, Vec<Warning>), ConfigErrorKind> {
        let LoadOptions { path, port, environment, working_directory, platform } = options;
        let found = match path {
            Some(path) => named(working_directory.join(path), inspected)?,
            None => {
                let candidates = locations::candidates(environment, *platform, working_directory);
                locations::search(&candidates, BUNDLED, inspected)?
            }
        };
        match found {
            Found::File { path, text, seeded } => {
                let name = path.display().to_string();
                let (mut config, warnings) = Self::read(&name, &text, environment, *port)?;
                config.file = ConfigFile { path: Some(path), seeded };
                Ok((config, warnings))
            }
            Found::Nothing => {
                let (config, mut warnings) = Self::read("built-in defaults", BUNDLED, environment, *port)?;
                warnings.insert(0, Warning::NotSeeded { inspected: inspected.clone() });
                Ok((config, warnings))
            }
        }
    }

    /// Reads a configuration from `text`; errors and warnings call it `name`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when `text` is no YAML map or holds values that cannot be used.
    pub fn from_text(
        name: &str,
        text: &str,
        environment: &Environment,
        port: Option<u16>,
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        Self::read(name, text, environment, port).map_err(ConfigErrorKind::alone)
    }

    fn read(
        name: &str,
        text: &str,
        environment: &Environment,
        port: Option<u16>,
    ) -> Result<(Self, Vec<Warning>), ConfigErrorKind> {
        let mut document = Document::read(name, text, environment)?;
        let mut warnings = std::mem::take(&mut document.warnings);
        let mut reader = Reader::new(&document, environment);
        let server = ServerConfig::read(&mut reader, port);
        let cors = CorsConfig::read(&mut reader, &mut warnings);
        let gateway = GatewayConfig::read(&mut reader);
        let limits = limits::read(&mut reader);
        let pool = PoolConfig::read(&mut reader, &limits);
        let logging = LoggingConfig::read(&mut reader);
        let retention = RetentionConfig::read(&mut reader);
        let redis = redis::read(&mut reader);
        let traces = TracesConfig::read(&mut reader);
        let mut problems = Vec::new();
        let clients = clients::read(&document, &reader, &gateway, &mut warnings, &mut problems);
        problems.splice(0..0, reader.into_problems());
        let admin_key = environment.var("ATHENA_KEY_12").filter(|key| !key.is_empty());
        // Whatever else it holds would never arrive in a header as it was sent.
        if admin_key
            .is_some_and(|key| key.trim() != key || key.bytes().any(|byte| !matches!(byte, b' '..=b'~')))
        {
            problems.push(Problem {
                origin: "environment".to_owned(),
                key: "ATHENA_KEY_12".to_owned(),
                message:
                    "must consist of visible ASCII characters, as headers do, without blanks around them"
                        .to_owned(),
            });
        }
        if !problems.is_empty() {
            return Err(ConfigErrorKind::Invalid { problems });
        }
        let file = ConfigFile { path: None, seeded: false };
        let admin_key = admin_key.map(Secret::new);
        Ok((
            Self {
                file,
                server,
                cors,
                gateway,
                clients,
                limits,
                pool,
                logging,
                retention,
                redis,
                traces,
                admin_key,
                environment: environment.clone(),
            },
            warnings,
        ))
    }

    /// Tells the log where the configuration comes from and what about it deserves a word.
    pub fn announce(&self, warnings: &[Warning]) {
        match &self.file {
            ConfigFile { path: Some(path), seeded: true } => {
                tracing::info!(path = %path.display(), "no configuration was found; the default was written");
            }
            ConfigFile { path: Some(path), seeded: false } => {
                tracing::info!(path = %path.display(), "configuration read");
            }
            ConfigFile { path: None, .. } => tracing::info!("built-in configuration used"),
        }
        for warning in warnings {
            match warning.is_severe() {
                true => tracing::error!("{warning}"),
                false => tracing::warn!("{warning}"),
            }
        }
    }
}

/// Reads the one file the command line names.
fn named(path: PathBuf, inspected: &mut Vec<Inspected>) -> Result<Found, ConfigErrorKind> {
    let read = std::fs::read_to_string(&path);
    let outcome = match &read {
        Ok(_) => "found".to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "not found".to_owned(),
        Err(error) => error.to_string(),
    };
    inspected.push(Inspected { path: path.clone(), outcome });
    match read {
        Ok(text) => Ok(Found::File { path, text, seeded: false }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(ConfigErrorKind::Missing { path }),
        Err(error) => Err(ConfigErrorKind::Unreadable { path, reason: error.to_string() }),
    }
}

#[cfg(test)]
mod tests;
