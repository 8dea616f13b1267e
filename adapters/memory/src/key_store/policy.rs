//! Whether keys are demanded.

use athena_application::ports::{EnforcementStore, PolicyRecord, PortError};
use athena_domain::access::Mode;
use time::OffsetDateTime;

use super::{MemoryKeyStore, State};

/// A policy that demands nothing.
pub(super) fn off(client_name: Option<&str>) -> PolicyRecord {
    let now = OffsetDateTime::now_utc();
    PolicyRecord {
        client_name: client_name.map(str::to_owned),
        mode: Mode::Off,
        created_at: now,
        updated_at: now,
    }
}

fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}

impl State {
    fn policy_of(&self, client: Option<&str>) -> Option<usize> {
        self.policy.iter().position(|record| record.client_name.as_deref().map(folded) == client.map(folded))
    }

    fn set(&mut self, client: Option<&str>, mode: Mode) -> PolicyRecord {
        let place = self.policy_of(client).unwrap_or_else(|| {
            self.policy.push(off(client.map(str::trim)));
            self.policy.len() - 1
        });
        let record = &mut self.policy[place];
        record.mode = mode;
        record.updated_at = OffsetDateTime::now_utc();
        record.clone()
    }
}

#[async_trait::async_trait]
impl EnforcementStore for MemoryKeyStore {
    async fn global(&self) -> Result<PolicyRecord, PortError> {
        let state = self.state()?;
        Ok(state.policy_of(None).map_or_else(|| off(None), |place| state.policy[place].clone()))
    }

    async fn set_global(&self, mode: Mode) -> Result<PolicyRecord, PortError> {
        Ok(self.state()?.set(None, mode))
    }

    async fn clients(&self) -> Result<Vec<PolicyRecord>, PortError> {
        let state = self.state()?;
        let mut clients: Vec<PolicyRecord> =
            state.policy.iter().filter(|record| record.client_name.is_some()).cloned().collect();
        clients.sort_by_key(|record| record.client_name.as_deref().map(folded));
        Ok(clients)
    }

    async fn set_client(&self, client_name: &str, mode: Mode) -> Result<PolicyRecord, PortError> {
        Ok(self.state()?.set(Some(client_name), mode))
    }

    async fn delete_client(&self, client_name: &str) -> Result<bool, PortError> {
        let mut state = self.state()?;
        let place = state.policy_of(Some(client_name));
        Ok(place.map(|place| state.policy.remove(place)).is_some())
    }
}
