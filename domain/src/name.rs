//! Names of clients: the logical databases a caller selects.

use std::fmt;
use std::hash::{Hash, Hasher};

/// Longest client name accepted, in bytes.
pub const MAX_CLIENT_NAME_BYTES: usize = 128;

/// A client's name: compared without regard to case, shown as it was written.
#[derive(Clone)]
pub struct ClientName {
    display: Box<str>,
    key: Box<str>,
}

impl ClientName {
    /// Reads a name; `None` when it is blank, too long or holds a control character.
    pub fn parse(text: &str) -> Option<Self> {
        let display = text.trim();
        if display.is_empty()
            || display.len() > MAX_CLIENT_NAME_BYTES
            || display.chars().any(char::is_control)
        {
            return None;
        }
        Some(Self { display: display.into(), key: display.to_lowercase().into() })
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.display
    }

    /// The lower-case form that look-ups use.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether every program and database makes the same lower-case form of it: only letters from A to Z are turned.
    pub fn has_one_folding(&self) -> bool {
        *self.key == *self.display.to_ascii_lowercase()
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display)
    }
}

impl fmt::Debug for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.display, f)
    }
}

impl PartialEq for ClientName {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for ClientName {}

impl Hash for ClientName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ascii_is_folded_alike_everywhere() {
        let folds = |text: &str| ClientName::parse(text).map(|name| name.has_one_folding());
        for (text, alike) in [("Demo", true), ("ä", true), ("日本", true), ("Ä", false), ("İstanbul", false)]
        {
            assert_eq!(folds(text), Some(alike), "{text}");
        }
    }

    #[test]
    fn names_meet_without_case_or_margin() {
        assert_eq!(ClientName::parse(" Demo "), ClientName::parse("dEMO"));
        assert_eq!(ClientName::parse(" Demo ").map(|n| n.to_string()), Some("Demo".to_owned()));
        for blank in ["", "  ", "a\nb"] {
            assert!(ClientName::parse(blank).is_none(), "{blank:?}");
        }
    }
}
