//! Configuration and catalog → the clients there should be, and what has to change for that (contract 16.3, D9).

use std::collections::BTreeMap;

use super::{ClientRecord, Source, TargetTexts, Variables};

/// A client of the configuration.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigClient {
    /// Name, as it was written.
    pub name: String,
    /// What the configuration says about its target.
    pub target: TargetTexts,
    /// The URI that this comes to, its references resolved, or why there is none.
    pub resolved: Result<String, String>,
}

impl std::fmt::Debug for ConfigClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigClient").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ConfigClient {
    /// The name that look-ups use.
    pub fn key(&self) -> String {
        self.name.trim().to_lowercase()
    }
}

/// Whether a client may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Served,
    /// Somebody has stopped it for a while.
    Frozen,
    /// Somebody has switched it off.
    Inactive,
}

/// A client that there should be.
#[derive(Clone, PartialEq, Eq)]
pub struct Desired {
    /// Name, as it is shown.
    pub name: String,
    /// Who says that it exists.
    pub source: Source,
    /// Description.
    pub description: Option<String>,
    /// Where its database is.
    pub target: TargetTexts,
    /// The URI, where the configuration has resolved it.
    pub resolved: Option<Result<String, String>>,
    /// What the configuration has made of its own template, which counts where the row has no other target.
    pub fallback: Option<Result<String, String>>,
    /// Whether it may be used.
    pub standing: Standing,
}

impl Desired {
    fn follow(&mut self, client: &ConfigClient) {
        self.target = client.target.clone();
        self.resolved = Some(client.resolved.clone());
    }

    /// The URI to connect to.
    ///
    /// # Errors
    /// Why there is none, without a secret.
    pub fn uri(&self, variables: &Variables<'_>) -> Result<String, String> {
        self.resolved.clone().unwrap_or_else(|| self.target.resolve(variables, self.fallback.as_ref()))
    }
}

impl std::fmt::Debug for Desired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Desired");
        shown.field("name", &self.name).field("standing", &self.standing).finish_non_exhaustive()
    }
}

/// Something to write into the catalog; written only where it still holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seed {
    /// A client of the configuration that the catalog has never heard of.
    Insert(ConfigClient),
    /// What the configuration now says of a client that came from it.
    Refresh(ConfigClient),
}

impl Seed {
    /// The client that it is about.
    pub fn client(&self) -> &ConfigClient {
        match self {
            Self::Insert(client) | Self::Refresh(client) => client,
        }
    }
}

/// What follows from configuration and catalog.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// To be written into the catalog.
    pub seeds: Vec<Seed>,
    /// Clients that there should be, by key.
    pub clients: BTreeMap<String, Desired>,
    /// Essential clients that the catalog would stop; they are served all the same.
    pub overruled: Vec<String>,
}

/// Why the catalog's word holds where the configuration has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overruling {
    /// An administrator has deleted the client.
    Deleted,
    /// An administrator has stopped it for a while.
    Frozen,
    /// An administrator has switched it off.
    Inactive,
    /// An administrator has pointed it elsewhere.
    Elsewhere,
    /// The configuration names it no longer, and the catalog still does.
    Kept,
}

impl Overruling {
    /// The reason in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "the catalog has it deleted",
            Self::Frozen => "the catalog has it frozen",
            Self::Inactive => "the catalog has it inactive",
            Self::Elsewhere => "the catalog has a URI of its own for it",
            Self::Kept => {
                "the catalog still has it, and serves it unless its URI holds variables that gateway.uri_variables does not list; DELETE /admin/clients/{client_name} removes it"
            }
        }
    }
}

impl Plan {
    /// What overrules the configuration on the client `key`, of which it says `said`, or nothing any more.
    pub fn overruling(
        &self,
        key: &str,
        said: Option<&ConfigClient>,
        variables: &Variables<'_>,
    ) -> Option<Overruling> {
        match (self.clients.get(key), said) {
            (None, None) => None,
            (None, Some(_)) => Some(Overruling::Deleted),
            (Some(_), None) => Some(Overruling::Kept),
            (Some(client), Some(said)) => match client.standing {
                Standing::Frozen => Some(Overruling::Frozen),
                Standing::Inactive => Some(Overruling::Inactive),
                Standing::Served => (client.uri(variables) != said.resolved).then_some(Overruling::Elsewhere),
            },
        }
    }
}

/// Compares the configuration with the catalog, deleted rows included. `essential` are the keys of the clients
/// that the gateway itself needs: nothing in the catalog stops those.
///
/// A row wins over the configuration: what an administrator has deleted, stopped or pointed elsewhere stays so,
/// whatever the file says.
pub fn reconcile(config: &[ConfigClient], rows: &[ClientRecord], essential: &[String]) -> Plan {
    let mut plan = Plan::default();
    let live: BTreeMap<String, &ClientRecord> =
        rows.iter().filter(|row| row.deleted_at.is_none()).map(|row| (row.key(), row)).collect();
    for (key, row) in &live {
        let needed = essential.contains(key);
        let standing = match (row.is_active, row.is_frozen) {
            (false, _) => Standing::Inactive,
            (true, true) => Standing::Frozen,
            (true, false) => Standing::Served,
        };
        let overruled = needed && standing != Standing::Served;
        if overruled {
            plan.overruled.push(key.clone());
        }
        let desired = Desired {
            name: row.name.trim().to_owned(),
            source: row.source,
            description: row.description.clone(),
            target: row.target.clone(),
            resolved: None,
            fallback: None,
            standing: if overruled { Standing::Served } else { standing },
        };
        plan.clients.insert(key.clone(), desired);
    }
    for client in config {
        let key = client.key();
        let from_config = |source| Desired {
            name: client.name.trim().to_owned(),
            source,
            description: None,
            target: client.target.clone(),
            resolved: Some(client.resolved.clone()),
            fallback: None,
            standing: Standing::Served,
        };
        let deleted = rows.iter().any(|row| row.deleted_at.is_some() && row.key() == key);
        match live.get(&key) {
            Some(row) => {
                let ours = matches!(row.source, Source::Config | Source::Merged);
                if ours && row.target.config_uri_template != client.target.config_uri_template {
                    plan.seeds.push(Seed::Refresh(client.clone()));
                }
                if let Some(desired) = plan.clients.get_mut(&key) {
                    if row.source == Source::Config && row.target.is_seeded() {
                        desired.follow(client);
                    } else if ours {
                        desired.target.config_uri_template.clone_from(&client.target.config_uri_template);
                        desired.fallback = Some(client.resolved.clone());
                    }
                    // The way to the control database is the file's to tell: the row may be what is wrong.
                    if essential.contains(&key) {
                        desired.follow(client);
                    }
                }
            }
            None if deleted && !essential.contains(&key) => {}
            None => {
                if !deleted {
                    plan.seeds.push(Seed::Insert(client.clone()));
                }
                plan.clients.insert(key, from_config(Source::Config));
            }
        }
    }
    plan
}

/// What to do about one client's connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing: they lead where they should.
    Keep(String),
    /// Open them; there are none, or they lead elsewhere.
    Open(String),
    /// Let them go.
    Close(String),
}

/// What leads from the running connections, URIs by key, to those that there should be.
pub fn steps(running: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> Vec<Step> {
    let gone = running.keys().filter(|key| !wanted.contains_key(*key)).map(|key| Step::Close(key.clone()));
    let open = wanted.iter().map(|(key, uri)| match running.get(key) {
        Some(there) if there == uri => Step::Keep(key.clone()),
        _ => Step::Open(key.clone()),
    });
    open.chain(gone).collect()
}

#[cfg(test)]
mod tests;
