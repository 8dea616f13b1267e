//! The client catalog in memory, for tests of what administers and obeys it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use athena_application::ports::{
    ClientFields, ClientStore, ClientStoreError, NewClient, PortError, PortErrorKind,
};
use athena_domain::catalog::{ClientRecord, ConfigClient, Seed, Source, TargetTexts};
use time::OffsetDateTime;

/// A client catalog in memory, empty at first.
#[derive(Debug, Default)]
pub struct MemoryClientStore(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    rows: Vec<ClientRecord>,
    /// Number of the last row that was made.
    last: u64,
    unreachable: bool,
    unseedable: bool,
    /// How often the configuration's word was to be written.
    seedings: u64,
}

impl MemoryClientStore {
    /// Decides whether the store answers at all.
    pub fn set_reachable(&self, reachable: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).unreachable = !reachable;
    }

    /// Decides whether the store takes what the configuration says.
    pub fn set_seedable(&self, seedable: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).unseedable = !seedable;
    }

    /// How often it was told what the configuration says, whether it took that or not.
    pub fn seedings(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).seedings
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, PortError> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.unreachable {
            return Err(PortError::new("memory", PortErrorKind::Unavailable));
        }
        Ok(state)
    }
}

impl State {
    fn live(&mut self, key: &str) -> Option<&mut ClientRecord> {
        self.rows.iter_mut().find(|row| row.deleted_at.is_none() && row.key() == key)
    }

    fn add(&mut self, name: &str, target: TargetTexts, source: Source, metadata: &str) -> &mut ClientRecord {
        self.last += 1;
        let now = OffsetDateTime::now_utc();
        self.rows.push(ClientRecord {
            id: format!("00000000-0000-4000-8000-{:012x}", self.last),
            name: name.trim().to_owned(),
            description: None,
            target,
            source,
            is_active: true,
            is_frozen: false,
            metadata: metadata.to_owned(),
            last_synced_from_config_at: None,
            last_seen_at: None,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        });
        let last = self.rows.len() - 1;
        &mut self.rows[last]
    }

    fn insert(&mut self, client: &ConfigClient) {
        let key = client.name.trim().to_lowercase();
        if self.rows.iter().any(|row| row.key() == key) {
            return;
        }
        let target = TargetTexts {
            config_uri_template: client.target.config_uri_template.clone(),
            ..TargetTexts::default()
        };
        let row = self.add(&client.name, target, Source::Config, r#"{"seeded_from": "config.yaml"}"#);
        row.last_synced_from_config_at = Some(row.created_at);
    }

    fn refresh(&mut self, client: &ConfigClient) {
        let key = client.name.trim().to_lowercase();
        let Some(row) = self.live(&key).filter(|row| row.source != Source::Database) else { return };
        if row.source == Source::Config {
            if row.target.is_seeded() {
                row.target = TargetTexts::default();
            } else {
                row.source = Source::Merged;
            }
        }
        row.target.config_uri_template.clone_from(&client.target.config_uri_template);
        row.updated_at = OffsetDateTime::now_utc();
        row.last_synced_from_config_at = Some(row.updated_at);
    }
}

#[async_trait::async_trait]
impl ClientStore for MemoryClientStore {
    async fn load(&self) -> Result<Vec<ClientRecord>, PortError> {
        Ok(self.state()?.rows.clone())
    }

    async fn seed(&self, seeds: &[Seed]) -> Result<(), PortError> {
        let mut state = self.state()?;
        state.seedings += 1;
        if state.unseedable {
            return Err(PortError::new("memory", PortErrorKind::Internal));
        }
        for seed in seeds {
            match seed {
                Seed::Insert(client) => state.insert(client),
                Seed::Refresh(client) => state.refresh(client),
            }
        }
        Ok(())
    }

    async fn create(&self, client: &NewClient) -> Result<ClientRecord, ClientStoreError> {
        let mut state = self.state()?;
        if state.live(&client.name.trim().to_lowercase()).is_some() {
            return Err(ClientStoreError::Duplicate);
        }
        let target = TargetTexts { config_uri_template: None, ..client.target.clone() };
        let row = state.add(&client.name, target, Source::Database, r#"{"managed_by": "admin_api"}"#);
        row.description.clone_from(&client.description);
        row.is_active = client.is_active;
        Ok(row.clone())
    }

    async fn update(
        &self,
        key: &str,
        change: &(dyn for<'a> Fn(&'a mut ClientFields) + Send + Sync),
    ) -> Result<Option<ClientRecord>, PortError> {
        let mut state = self.state()?;
        let Some(row) = state.live(key) else { return Ok(None) };
        let mut fields = ClientFields {
            description: row.description.clone(),
            target: row.target.clone(),
            is_active: row.is_active,
            is_frozen: row.is_frozen,
            is_deleted: false,
        };
        change(&mut fields);
        let chosen = |target: &TargetTexts| (target.pg_uri.clone(), target.pg_uri_env_var.clone());
        if row.source == Source::Config && chosen(&row.target) != chosen(&fields.target) {
            row.source = Source::Merged;
        }
        let now = OffsetDateTime::now_utc();
        row.description = fields.description;
        row.target = fields.target;
        row.is_active = fields.is_active;
        row.is_frozen = fields.is_frozen;
        row.deleted_at = fields.is_deleted.then_some(now);
        row.updated_at = now;
        Ok(Some(row.clone()))
    }
}
