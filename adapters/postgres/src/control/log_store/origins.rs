//! By which names callers reach the gateway. They choose what they write into `Host`, so there is a bound: past it a name
//! that is not known is one of many.

use std::collections::HashMap;

/// What stands in the registry of live connections for every further name.
pub(super) const OTHER: &str = "OTHER";

/// Most names at once.
const MOST: usize = 64;

/// How long a name is known that nobody uses, in microseconds: longer than callers stay in the registry by default.
const KEPT: i64 = 900_000_000;

/// Names that callers have used lately.
#[derive(Debug, Default)]
pub(super) struct Origins(HashMap<Box<str>, i64, foldhash::fast::RandomState>);

impl Origins {
    /// The name under which a caller is kept that used `origin` at this time, in microseconds since 1970.
    pub(super) fn kept<'o>(&mut self, origin: &'o str, at: i64) -> &'o str {
        if let Some(seen) = self.0.get_mut(origin) {
            *seen = at.max(*seen);
            return origin;
        }
        if self.0.len() >= MOST {
            self.0.retain(|_, seen| at.saturating_sub(*seen) <= KEPT);
        }
        if self.0.len() >= MOST {
            return OTHER;
        }
        self.0.insert(origin.into(), at);
        origin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_forgotten() {
        let mut origins = Origins::default();
        let names: Vec<String> = (0..1000).map(|number| format!("http://{number}")).collect();
        let kept = names.iter().filter(|name| origins.kept(name, 1) != OTHER).count();
        assert_eq!(kept, MOST);
        assert_eq!(origins.kept("http://0", 2), "http://0");
        assert_eq!(origins.kept("http://new", KEPT + 1), OTHER);
        // The one that is used is known on, the others make room.
        assert_eq!(origins.kept("http://new", KEPT + 2), "http://new");
        assert_eq!(origins.0.len(), 2);
    }
}
