//! Rights: `resource.action`, what is granted and what is needed (contract 5.5 and 29.7).

use std::collections::HashMap;
use std::fmt;

/// What is done to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Rows are read.
    Read,
    /// Rows are added or changed.
    Write,
    /// Rows are removed.
    Delete,
}

impl Action {
    /// The word in a right.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
        }
    }
}

/// A right's name: at least one dot with something on both sides, or `*` alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Right(Box<str>);

/// Longest name of a right, in bytes.
const MAX_RIGHT_BYTES: usize = 200;

impl Right {
    /// Reads a name; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let plain =
            |part: &str| !part.is_empty() && !part.chars().any(|c| c.is_control() || c.is_whitespace());
        let formed = text == "*" || text.rsplit_once('.').is_some_and(|(a, b)| plain(a) && plain(b));
        (formed && text.len() <= MAX_RIGHT_BYTES).then(|| Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A right that a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Required<'a> {
    /// An action on a table.
    Table {
        /// Schema that the table really stands in.
        schema: &'a str,
        /// Name.
        table: &'a str,
        /// Schema whose tables need no prefix in a right.
        default_schema: &'a str,
        /// What is done.
        action: Action,
    },
    /// Anything else, such as `gateway.query`.
    Named(&'static str),
}

impl fmt::Display for Required<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table { schema, table, default_schema, action } if schema == default_schema => {
                write!(f, "{table}.{}", action.as_str())
            }
            Self::Table { schema, table, action, .. } => write!(f, "{schema}.{table}.{}", action.as_str()),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// Rights that a key has, ready to be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RightSet {
    names: Vec<Box<str>>,
    everything: bool,
    /// Actions by resource; both sides may be `*`.
    actions: HashMap<Box<str>, Vec<Box<str>>, foldhash::fast::RandomState>,
}

impl RightSet {
    /// A set of these names.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Self::default();
        for name in names {
            match name.rsplit_once('.') {
                None => set.everything |= name == "*",
                Some((resource, action)) => {
                    set.actions.entry(resource.into()).or_default().push(action.into())
                }
            }
            set.names.push(name.into());
        }
        set.names.sort_unstable();
        set.names.dedup();
        set
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    /// Whether the rights cover what is needed.
    pub fn covers(&self, required: Required<'_>) -> bool {
        if self.everything {
            return true;
        }
        match required {
            Required::Table { schema, table, default_schema, action } => {
                let action = action.as_str();
                if self.broadly(action) {
                    return true;
                }
                if schema == default_schema && self.on(table, action) {
                    return true;
                }
                self.qualified(schema, table, action) || self.qualified(schema, "*", action)
            }
            Required::Named(name) => {
                let Some((resource, action)) = name.rsplit_once('.') else { return false };
                // The broad rights are about data; changing tables and the like is asked for by name.
                let broad = !is_management(resource) && self.broadly(action);
                broad || self.on(resource, action)
            }
        }
    }

    /// `*.{action}`, `gateway.{action}` or `gateway.*`.
    fn broadly(&self, action: &str) -> bool {
        self.has("*", action) || self.on("gateway", action)
    }

    /// `{resource}.{action}` or `{resource}.*`.
    fn on(&self, resource: &str, action: &str) -> bool {
        self.has(resource, action) || self.has(resource, "*")
    }

    fn has(&self, resource: &str, action: &str) -> bool {
        self.actions.get(resource).is_some_and(|actions| actions.iter().any(|granted| **granted == *action))
    }

    fn qualified(&self, schema: &str, table: &str, action: &str) -> bool {
        self.actions.iter().any(|(resource, actions)| {
            let fits = resource.strip_prefix(schema).and_then(|rest| rest.strip_prefix('.')) == Some(table);
            fits && actions.iter().any(|granted| **granted == *action || **granted == *"*")
        })
    }
}

fn is_management(resource: &str) -> bool {
    resource == "management" || resource.starts_with("management.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table<'a>(schema: &'a str, table: &'a str, action: Action) -> Required<'a> {
        Required::Table { schema, table, default_schema: "public", action }
    }

    #[test]
    fn names_of_rights() {
        for good in ["*", "users.read", "*.read", "gateway.*", "audit.users.read", "management.tables.write"]
        {
            assert!(Right::parse(good).is_some(), "{good}");
        }
        for bad in
            ["", "users", ".read", "users.", "us ers.read", "users.read\n", &format!("{}.r", "x".repeat(200))]
        {
            assert!(Right::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_a_grant_covers() {
        let read = table("public", "users", Action::Read);
        let other = table("audit", "users", Action::Read);
        let check = |grant: &str, required: Required<'_>, expected: bool| {
            assert_eq!(RightSet::new([grant]).covers(required), expected, "{grant} for {required}");
        };
        for grant in [
            "*",
            "users.read",
            "*.read",
            "users.*",
            "gateway.read",
            "gateway.*",
            "public.users.read",
            "public.users.*",
            "public.*.read",
            "public.*.*",
        ] {
            check(grant, read, true);
        }
        for grant in [
            "users.write",
            "orders.read",
            "*.write",
            "gateway.write",
            "audit.users.read",
            "read",
            "user.read",
            "users.read.more",
            "gateway",
            "**",
            "*.users.read",
            "management.*",
        ] {
            check(grant, read, false);
        }
        for grant in
            ["*", "audit.users.read", "audit.users.*", "audit.*.read", "*.read", "gateway.read", "gateway.*"]
        {
            check(grant, other, true);
        }
        for grant in ["users.read", "users.*", "public.users.read", "audit.read", "audit.*", "public.*.read"]
        {
            check(grant, other, false);
        }
        for grant in ["*", "gateway.query", "gateway.*", "*.query"] {
            check(grant, Required::Named("gateway.query"), true);
        }
        for grant in ["gateway.read", "users.query", "management.query"] {
            check(grant, Required::Named("gateway.query"), false);
        }
        for grant in ["gateway.*", "*.write", "gateway.write", "management.write", "management.*"] {
            check(grant, Required::Named("management.tables.write"), false);
        }
        check("management.tables.*", Required::Named("management.tables.write"), true);
        check("gateway.read", Required::Named("management.read"), false);
        check("management.*", Required::Named("management.read"), true);
        check("gateway.*", Required::Named("gateway.access"), true);
    }

    #[test]
    fn the_missing_right_is_named_as_it_would_be_granted() {
        assert_eq!(table("public", "users", Action::Write).to_string(), "users.write");
        assert_eq!(table("audit", "users", Action::Delete).to_string(), "audit.users.delete");
    }
}
