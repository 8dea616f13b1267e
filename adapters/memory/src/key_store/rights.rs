//! Rights that can be granted.

use athena_application::ports::{KeyStoreError, PortError, RightRecord, RightStore};
use time::OffsetDateTime;

use super::{MemoryKeyStore, State};

/// Rights that are there from the start.
pub(super) const SEEDED: [&str; 9] = [
    "*",
    "gateway.*",
    "gateway.access",
    "gateway.delete",
    "gateway.query",
    "gateway.read",
    "gateway.write",
    "management.*",
    "schema.read",
];

impl State {
    /// Adds a right whose name is free.
    pub(super) fn add_right(&mut self, name: &str, description: Option<&str>) -> RightRecord {
        let now = OffsetDateTime::now_utc();
        let record = RightRecord {
            id: self.next().1,
            name: name.to_owned(),
            description: description.map(str::to_owned),
            created_at: now,
            updated_at: now,
        };
        self.rights.push(record.clone());
        record
    }

    fn right(&self, id: &str) -> Option<usize> {
        self.rights.iter().position(|right| right.id.eq_ignore_ascii_case(id))
    }
}

#[async_trait::async_trait]
impl RightStore for MemoryKeyStore {
    async fn rights(&self) -> Result<Vec<RightRecord>, PortError> {
        let mut rights = self.state()?.rights.clone();
        rights.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(rights)
    }

    async fn create_right(
        &self,
        name: &str,
        description: Option<&str>,
    ) -> Result<RightRecord, KeyStoreError> {
        let mut state = self.state()?;
        if state.rights.iter().any(|right| right.name == name) {
            return Err(KeyStoreError::Duplicate);
        }
        Ok(state.add_right(name, description))
    }

    async fn update_right(
        &self,
        id: &str,
        name: &str,
        description: Option<&str>,
    ) -> Result<Option<RightRecord>, KeyStoreError> {
        let mut state = self.state()?;
        let Some(place) = state.right(id) else { return Ok(None) };
        let taken = |(other, right): (usize, &RightRecord)| other != place && right.name == name;
        if state.rights.iter().enumerate().any(taken) {
            return Err(KeyStoreError::Duplicate);
        }
        let right = &mut state.rights[place];
        right.name = name.to_owned();
        right.description = description.map(str::to_owned);
        right.updated_at = OffsetDateTime::now_utc();
        Ok(Some(right.clone()))
    }

    async fn delete_right(&self, id: &str) -> Result<bool, PortError> {
        let mut state = self.state()?;
        let Some(place) = state.right(id) else { return Ok(false) };
        let id = state.rights.remove(place).id;
        state.keys.iter_mut().for_each(|key| key.record.rights.retain(|held| *held != id));
        Ok(true)
    }
}
