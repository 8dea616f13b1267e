//! Which of several gateways this one is.

use std::fmt;

use uuid::Uuid;

/// A gateway that runs; no other has the same, also in the same process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Name of the machine or container.
    pub host: String,
    /// Of this start alone.
    pub id: Uuid,
}

impl Instance {
    /// What this gateway is called from now on.
    pub fn new() -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { host, id: Uuid::new_v4() }
    }
}

impl Default for Instance {
    fn default() -> Self {
        Self::new()
    }
}

/// Host and id, for programs that want one word.
impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.host, self.id)
    }
}
