//! Lists of values that a column may have. A list may be long and is held against many others, so that what tells its
//! members apart is found once, and copies share it.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;

use super::CqlValue;

/// What two values share exactly when they are the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Identity {
    Int(i64),
    Uuid([u8; 16]),
    Bytes(Box<[u8]>),
}

/// A value, and what tells it from others.
#[derive(Debug, Clone)]
struct Member {
    value: CqlValue,
    identity: Identity,
}

/// Values of one type, all different, in the order they were given in; never none.
#[derive(Debug, Clone)]
pub(super) struct Members {
    all: Arc<[Member]>,
    /// The same for equal lists.
    digest: u64,
}

impl Members {
    /// These values without those that come again; `None` when there are none.
    pub fn of(values: impl IntoIterator<Item = CqlValue>) -> Option<Self> {
        let mut seen = HashSet::new();
        let new = |value: CqlValue| {
            let identity = identity(&value);
            seen.insert(identity.clone()).then_some(Member { value, identity })
        };
        Self::all(values.into_iter().filter_map(new).collect())
    }

    /// This value alone.
    pub fn one(value: CqlValue) -> Self {
        let identity = identity(&value);
        Self::holding([Member { value, identity }].into())
    }

    fn all(members: Vec<Member>) -> Option<Self> {
        (!members.is_empty()).then(|| Self::holding(members.into()))
    }

    fn holding(all: Arc<[Member]>) -> Self {
        let mut digest = DefaultHasher::new();
        all.iter().for_each(|member| member.identity.hash(&mut digest));
        Self { digest: digest.finish(), all }
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// The values, in order.
    pub fn values(&self) -> impl Iterator<Item = &CqlValue> {
        self.all.iter().map(|member| &member.value)
    }

    /// The only value.
    pub fn only(&self) -> Option<&CqlValue> {
        match &*self.all {
            [only] => Some(&only.value),
            _ => None,
        }
    }

    pub fn contains(&self, value: &CqlValue) -> bool {
        let wanted = identity(value);
        self.all.iter().any(|member| member.identity == wanted)
    }

    /// Each value as a list of its own.
    pub fn singles(&self) -> impl Iterator<Item = Self> {
        self.all.iter().map(|member| Self::holding([member.clone()].into()))
    }

    /// Lists of `size` values at most.
    pub fn portions(&self, size: usize) -> impl Iterator<Item = Self> {
        self.all.chunks(size).map(|members| Self::holding(members.into()))
    }

    /// The values of both.
    pub fn shared_with(&self, other: &Self) -> Option<Self> {
        if Arc::ptr_eq(&self.all, &other.all) {
            return Some(self.clone());
        }
        let others: HashSet<&Identity> = other.all.iter().map(|member| &member.identity).collect();
        Self::all(self.all.iter().filter(|member| others.contains(&member.identity)).cloned().collect())
    }

    /// The values of either.
    pub fn and_those_of(&self, other: &Self) -> Self {
        let seen: HashSet<&Identity> = self.all.iter().map(|member| &member.identity).collect();
        let new = other.all.iter().filter(|member| !seen.contains(&member.identity));
        Self::holding(self.all.iter().chain(new).cloned().collect())
    }

    /// The values that `keep` names; `None` when there are none.
    pub fn that<E>(self, mut keep: impl FnMut(&CqlValue) -> Result<bool, E>) -> Result<Option<Self>, E> {
        let mut kept = Vec::with_capacity(self.all.len());
        for member in &*self.all {
            if keep(&member.value)? {
                kept.push(member.clone());
            }
        }
        Ok(if kept.len() == self.all.len() { Some(self) } else { Self::all(kept) })
    }

    /// What it takes to learn whether both are the same.
    pub fn weight_to_tell(&self, other: &Self) -> u64 {
        let same = self.digest == other.digest && self.all.len() == other.all.len();
        if same && !Arc::ptr_eq(&self.all, &other.all) { self.all.len() as u64 } else { 1 }
    }
}

impl PartialEq for Members {
    fn eq(&self, other: &Self) -> bool {
        let same = || {
            let pairs = self.all.iter().zip(&*other.all);
            self.digest == other.digest && pairs.into_iter().all(|(one, two)| one.identity == two.identity)
        };
        Arc::ptr_eq(&self.all, &other.all) || (self.all.len() == other.all.len() && same())
    }
}

/// What tells a value from others of its type.
pub(super) fn identity(value: &CqlValue) -> Identity {
    #[cfg(test)]
    super::tests::step();
    match value {
        CqlValue::Int(number) | CqlValue::Timestamp(number) | CqlValue::Time(number) => {
            Identity::Int(*number)
        }
        CqlValue::Date(days) => Identity::Int((*days).into()),
        CqlValue::Uuid(bytes) => Identity::Uuid(*bytes),
        CqlValue::Text(text) => Identity::Bytes(text.as_bytes().into()),
        value => {
            let mut bytes = Vec::new();
            value.tell(&mut bytes);
            Identity::Bytes(bytes.into())
        }
    }
}
