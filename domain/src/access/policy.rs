//! Whether keys are demanded, for everybody and for single clients (contract 5.3).

use std::collections::HashMap;

/// How strictly keys are demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Nobody is refused for want of a key.
    #[default]
    Off,
    /// Nobody is refused, and what would have been refused is counted and logged.
    Warn,
    /// Who has no valid key with the rights is refused.
    Enforce,
}

impl Mode {
    /// The word in bodies and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Enforce => "enforce",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Off, Self::Warn, Self::Enforce].into_iter().find(|mode| mode.as_str() == text)
    }

    /// The mode that the older switch means.
    pub const fn from_enforced(enforced: bool) -> Self {
        if enforced { Self::Enforce } else { Self::Off }
    }

    /// Whether requests are refused.
    pub const fn enforces(self) -> bool {
        matches!(self, Self::Enforce)
    }
}

/// The mode for everybody and its exceptions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    global: Mode,
    clients: HashMap<Box<str>, Mode>,
}

impl Policy {
    /// A policy; names of clients meet without case and margins, and of two that meet the stricter one holds.
    pub fn new<'a>(global: Mode, clients: impl IntoIterator<Item = (&'a str, Mode)>) -> Self {
        let mut policy = Self { global, clients: HashMap::new() };
        for (name, mode) in clients {
            let held = policy.clients.entry(name.trim().to_lowercase().into()).or_insert(mode);
            if mode as u8 > *held as u8 {
                *held = mode;
            }
        }
        policy
    }

    /// The mode for a client, by its lower-case name; without one, that for everybody.
    pub fn mode(&self, client_key: Option<&str>) -> Mode {
        client_key.and_then(|key| self.clients.get(key)).copied().unwrap_or(self.global)
    }

    /// Whether any client is enforced.
    pub fn enforces_anywhere(&self) -> bool {
        self.global.enforces() || self.clients.values().any(|mode| mode.enforces())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_meet_without_case() {
        let policy =
            Policy::new(Mode::Enforce, [(" Demo ", Mode::Off), ("x", Mode::Warn), ("X", Mode::Enforce)]);
        assert_eq!(policy.mode(Some("demo")), Mode::Off);
        assert_eq!(policy.mode(Some("x")), Mode::Enforce, "the stricter of two");
        assert_eq!(policy.mode(Some("other")), Mode::Enforce);
        assert_eq!(policy.mode(None), Mode::Enforce);
    }
}
