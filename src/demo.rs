//! The private PostgreSQL of `--demo` and `--managed-postgres`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use athena_cli::ServerOptions;
use athena_domain::ClientName;
use athena_http::AllowedHost;
use athena_postgres::demo::Loaded;
use athena_postgres::managed::{ManagedPostgres, ManagedSettings};

use crate::config::{
    ClientConfig, Config, ConnectionUri, Environment, LoggingConfig, Secret, ServerConfig, usual_spool,
};

/// Configuration of a gateway over a private database alone: on this machine only, with the audit headers
/// optional, so that the first request fits on one line.
pub const CONFIG: &str = "
api:
  host: 127.0.0.1
  port: 4052
gateway:
  require_audit_headers: lenient
";

/// Name of the control database, beside the data.
const CONTROL_DATABASE: &str = "athena_logging";

/// A private PostgreSQL and what a configuration needs for it.
pub struct PrivateDatabase {
    postgres: ManagedPostgres,
    sample: Option<Loaded>,
    /// What it adds to a configuration.
    pub addition: Addition,
}

/// What a private database adds to a configuration, whenever that is read.
#[derive(Clone)]
pub struct Addition {
    /// The client to register.
    pub client: ClientConfig,
    /// The client of the control database.
    control: ClientConfig,
    /// The static admin key of this run, where the environment gives none.
    admin_key: Option<Secret>,
    /// Whether only this machine may be named as the host.
    guarded: bool,
    /// Where records wait for this control database.
    spool: PathBuf,
}

impl Addition {
    /// Adds the private databases to a configuration.
    pub fn configure(&self, config: &mut Config) {
        for client in [&self.client, &self.control] {
            config.clients.retain(|known| known.name != client.name);
            config.clients.push(client.clone());
        }
        // As those of a file are, so that two readings can be compared.
        config.clients.sort_by(|one, other| one.name.key().cmp(other.name.key()));
        let name = self.control.name.to_string();
        let gateway = &mut config.gateway;
        let logging = gateway.logging_client.get_or_insert_with(|| name.clone()).clone();
        gateway.auth_client.get_or_insert(logging);
        keep_apart(&mut config.logging, usual_spool(&Environment::from_process()).as_deref(), &self.spool);
        if self.guarded {
            guard_hosts(&mut config.server);
        }
        if config.admin_key.is_none() {
            config.admin_key.clone_from(&self.admin_key);
        }
    }
}

impl PrivateDatabase {
    /// Starts one when the options ask for it: with the sample data for `--demo`, empty otherwise.
    ///
    /// # Errors
    /// When PostgreSQL is missing or cannot start; the text names every remedy.
    pub async fn start(options: &ServerOptions) -> anyhow::Result<Option<Self>> {
        let (dir, name, reset) = match (&options.demo, &options.managed_postgres) {
            (Some(demo), _) => {
                (demo.dir.clone().unwrap_or_else(|| ManagedSettings::default_dir("demo")), "demo", demo.reset)
            }
            (None, Some(dir)) => (dir.clone(), "local", false),
            (None, None) => return Ok(None),
        };
        let spool = dir.join("spool");
        let settings = ManagedSettings { pg_bin: options.pg_bin.clone(), reset, ..ManagedSettings::new(dir) };
        let postgres = ManagedPostgres::start(settings).await?;
        for database in [CONTROL_DATABASE, name] {
            postgres.ensure_database(database).await?;
        }
        // SQL of callers: the superuser's could run programs as whoever started this, and make itself keys.
        postgres.ensure_owner(name, name).await?;
        let uri = postgres.uri_as(name, name);
        let sample = match options.demo {
            Some(_) => Some(athena_postgres::demo::load(&uri).await?),
            None => None,
        };
        let client = client_at(name, &uri)?;
        let control = client_at(CONTROL_DATABASE, &postgres.uri(CONTROL_DATABASE))?;
        let admin_key = match options.demo {
            Some(_) => Some(Secret::new(random_key()?)),
            None => None,
        };
        let addition = Addition { client, control, admin_key, guarded: sample.is_some(), spool };
        Ok(Some(Self { postgres, sample, addition }))
    }

    /// What tells a newcomer what is there and what to try, once requests are taken.
    pub fn announcement(&self, address: SocketAddr, config: &Config) -> String {
        let base = format!("http://{address}");
        let client = &self.addition.client.name;
        let Some(sample) = &self.sample else {
            return format!(
                "Athena is ready at {base}; the client `{client}` is an empty PostgreSQL of its own."
            );
        };
        let tables: Vec<String> =
            sample.tables.iter().map(|(table, rows)| format!("{table} ({rows})")).collect();
        let own = self.addition.admin_key.as_ref().filter(|own| config.admin_key.as_ref() == Some(own));
        let (admin, whose) = admin_key(own);
        format!(
            r#"
Athena is ready at {base} with the client `{client}`.
Tables: {}

Try it:

  curl -s {base}/gateway/fetch -H 'X-Athena-Client: {client}' -H 'Content-Type: application/json' \
    -d '{{"table_name":"customers","limit":3}}'

Make an API key and demand keys ({whose}):

  curl -s {base}/admin/api-keys -H "X-Athena-Key: {admin}" \
    -H 'Content-Type: application/json' -d '{{"name":"first","rights":["gateway.read"]}}'
  curl -s -X PUT {base}/admin/api-key-config -H "X-Athena-Key: {admin}" \
    -H 'Content-Type: application/json' -d '{{"mode":"enforce"}}'

  From then on the request above needs the key, in later runs too, until the same command says "off".

Next:
  {base}/reference      every operation, to try in the browser
  {base}/openapi.yaml   the same as a file
  Stop with Ctrl-C; the data stays. Start afresh with --reset (make demo ARGS=--reset).
"#,
            tables.join(", ")
        )
    }

    /// Stops PostgreSQL in order.
    pub async fn stop(self) {
        self.postgres.stop().await;
    }
}

/// Whoever tries the demo has a browser on the same machine, whose pages must not reach it by names of their own.
fn guard_hosts(server: &mut ServerConfig) {
    if server.allowed_hosts.is_empty() && server.host.is_loopback() {
        server.allowed_hosts = AllowedHost::loopback();
    }
}

/// Records wait beside the database they are for, so that a directory that is removed takes them with it.
fn keep_apart(logging: &mut LoggingConfig, usual: Option<&Path>, own: &Path) {
    if logging.spool_dir.as_deref() == usual {
        logging.spool_dir = Some(own.to_owned());
    }
}

fn client_at(name: &str, uri: &str) -> anyhow::Result<ClientConfig> {
    Ok(ClientConfig {
        name: ClientName::parse(name).context("the client's name is not one")?,
        template: Secret::new(uri),
        variable: None,
        target: ConnectionUri::parse(uri).map_err(str::to_owned),
    })
}

/// The admin key as it stands in a command between double quotes, and what is said of it. It is shown where it was made
/// for this run; a key that the operator has set is taken from their shell, which says so where it has none.
fn admin_key(own: Option<&Secret>) -> (&str, &'static str) {
    match own {
        Some(key) => (key.expose(), "the admin key is of this run; set ATHENA_KEY_12 for one of your own"),
        None => {
            ("${ATHENA_KEY_12:?is to hold the admin key}", "ATHENA_KEY_12 has to be set in your shell too")
        }
    }
}

/// A key that nobody can guess.
fn random_key() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("the system has no random numbers")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
    use std::process::Command;

    use super::*;

    #[test]
    fn the_admin_key_works_as_it_is_pasted() {
        let key = random_key().expect("a key");
        let pasted = |own: Option<&Secret>, set: Option<&str>| {
            let (shown, _) = admin_key(own);
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("printf %s \"X-Athena-Key: {shown}\"")).env_clear();
            let out = shell.envs(set.map(|key| ("ATHENA_KEY_12", key))).output().expect("a shell");
            (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
        };
        let own = Secret::new(key.clone());
        assert_eq!(pasted(Some(&own), None), (true, format!("X-Athena-Key: {key}")));
        let set = "it's $HOME \"quoted\"";
        assert_eq!(pasted(None, Some(set)), (true, format!("X-Athena-Key: {set}")));
        let (ok, told) = pasted(None, None);
        assert!(!ok && told.contains("ATHENA_KEY_12: is to hold the admin key"), "{told}");
    }

    #[test]
    fn the_demo_answers_to_this_machine_alone_unless_told_otherwise() {
        let hosts = |text: &str| {
            let (mut config, _) = Config::from_text("test", text, &Environment::default(), None).unwrap();
            guard_hosts(&mut config.server);
            config.server.allowed_hosts.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(hosts(CONFIG), ["localhost", ".localhost", "127.0.0.1", "::1"]);
        assert_eq!(hosts("api: {host: 127.0.0.1, allowed_hosts: [demo.example]}"), ["demo.example"]);
        assert_eq!(hosts("api: {host: 0.0.0.0}"), [""; 0]);
    }

    #[test]
    fn records_wait_beside_their_database_unless_told_otherwise() {
        let environment = [("HOME", "/home/ada")].into_iter().collect::<Environment>();
        let usual = usual_spool(&environment);
        let (mut config, _) = Config::from_text("test", CONFIG, &environment, None).unwrap();
        keep_apart(&mut config.logging, usual.as_deref(), Path::new("/demo/spool"));
        assert_eq!(config.logging.spool_dir.as_deref(), Some(Path::new("/demo/spool")));

        config.logging.spool_dir = Some(PathBuf::from("/elsewhere"));
        keep_apart(&mut config.logging, usual.as_deref(), Path::new("/demo/spool"));
        assert_eq!(config.logging.spool_dir.as_deref(), Some(Path::new("/elsewhere")));
    }
}
