//! What a column must be: conditions that are all to hold, reduced to as few as say the same.

use std::cmp::Ordering::{Equal, Greater, Less};

use super::members::Members;
use super::{CqlValue, Restriction, Test};

/// What one alternative demands of one column.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Demand {
    /// One of these; never none.
    pub among: Option<Members>,
    /// More than this, or this too.
    pub lower: Option<(CqlValue, bool)>,
    /// Less than this, or this too.
    pub upper: Option<(CqlValue, bool)>,
    /// What the collection holds.
    pub holds: Vec<Test>,
    /// Whether it is null; a demand of any other kind is only met by what is not.
    pub null: Option<bool>,
}

impl Demand {
    /// The demand to be one of `members`.
    pub fn among(members: Members) -> Self {
        Self { among: Some(members), ..Self::default() }
    }

    /// The only value that meets it.
    pub fn single(&self) -> Option<&CqlValue> {
        self.among.as_ref().and_then(Members::only)
    }

    /// What it takes to copy it.
    pub fn weight(&self) -> u64 {
        let bound = |bound: &Bound| bound.as_ref().map_or(0, |(value, _)| value.weight());
        let test = |test: &Test| match test {
            Test::Contains(value) => value.weight(),
            Test::Entry(key, value) => key.weight() + value.weight(),
            _ => 1,
        };
        // Members are shared, not copied.
        1 + bound(&self.lower) + bound(&self.upper) + self.holds.iter().map(test).sum::<u64>()
    }

    /// What it takes to find what meets both.
    pub fn weight_with(&self, other: &Self) -> u64 {
        let members = |demand: &Self| demand.among.as_ref().map_or(0, |members| members.len() as u64);
        // Each member is held against the bounds.
        let bounds = |demand: &Self| if demand.is_range() { demand.weight() } else { 1 };
        let listed = members(self) + members(other);
        self.weight() + other.weight() + listed.saturating_mul(bounds(self).max(bounds(other)))
    }

    /// What it takes to learn whether both are the same.
    pub fn weight_to_tell(&self, other: &Self) -> u64 {
        let members = match (&self.among, &other.among) {
            (Some(one), Some(two)) => one.weight_to_tell(two),
            _ => 1,
        };
        self.weight().min(other.weight()) + members
    }

    /// Whether it is a comparison with values only.
    pub fn is_among(&self) -> bool {
        self.among.is_some()
    }

    pub fn is_range(&self) -> bool {
        self.lower.is_some() || self.upper.is_some()
    }

    /// Whether a value meets it; `None` when that is not known.
    pub fn is_met_by(&self, value: &CqlValue) -> Option<bool> {
        let is_null = matches!(value, CqlValue::Null | CqlValue::Unset);
        if let Some(null) = self.null {
            return Some(null == is_null);
        }
        if is_null {
            return Some(false);
        }
        if !self.holds.is_empty() {
            return None;
        }
        if let Some(among) = &self.among {
            return Some(among.contains(value));
        }
        within(value, self)
    }

    /// Both demands; `Ok(None)` when nothing meets both.
    pub fn and(mut self, other: Self) -> Result<Option<Self>, Incomparable> {
        self.null = match (self.null, other.null) {
            (Some(one), Some(two)) if one != two => return Ok(None),
            (one, two) => one.or(two),
        };
        self.holds.extend(other.holds);
        self.among = match (self.among, other.among) {
            (Some(members), Some(others)) => match members.shared_with(&others) {
                None => return Ok(None),
                shared => shared,
            },
            (one, two) => one.or(two),
        };
        self.lower = tighter(self.lower, other.lower, Greater)?;
        self.upper = tighter(self.upper, other.upper, Less)?;
        let valued = self.among.is_some() || self.is_range() || !self.holds.is_empty();
        match self.null {
            Some(true) if valued => return Ok(None),
            Some(false) if valued => self.null = None,
            _ => {}
        }
        if let Some(members) = self.among.take() {
            let range = Self { lower: self.lower.take(), upper: self.upper.take(), ..Self::default() };
            self.among = match range.is_range() {
                false => Some(members),
                true => members.that(|member| within(member, &range).ok_or(Incomparable))?,
            };
            if self.among.is_none() {
                return Ok(None);
            }
        }
        if let (Some((lower, with_lower)), Some((upper, with_upper))) = (&self.lower, &self.upper) {
            match lower.compare(upper) {
                Some(Greater) => return Ok(None),
                Some(Equal) if !(*with_lower && *with_upper) => return Ok(None),
                _ => {}
            }
        }
        Ok(Some(self))
    }

    /// The restrictions that say it.
    pub fn restrictions(&self, column: usize) -> Vec<Restriction> {
        let mut tests = self.holds.clone();
        if let Some(members) = &self.among {
            tests.push(match members.only() {
                Some(only) => Test::Eq(only.clone()),
                None => Test::In(members.values().cloned().collect()),
            });
        }
        tests.extend(
            self.lower.as_ref().map(
                |(value, with)| {
                    if *with { Test::Gte(value.clone()) } else { Test::Gt(value.clone()) }
                },
            ),
        );
        tests.extend(
            self.upper.as_ref().map(
                |(value, with)| {
                    if *with { Test::Lte(value.clone()) } else { Test::Lt(value.clone()) }
                },
            ),
        );
        tests.extend(self.null.map(|null| if null { Test::Null } else { Test::NotNull }));
        tests.into_iter().map(|test| Restriction { column, test }).collect()
    }
}

/// Two values whose order is not known here.
pub(super) struct Incomparable;

type Bound = Option<(CqlValue, bool)>;

fn tighter(one: Bound, two: Bound, side: std::cmp::Ordering) -> Result<Bound, Incomparable> {
    let (Some(one), Some(two)) = (&one, &two) else { return Ok(one.or(two)) };
    let order = one.0.compare(&two.0).ok_or(Incomparable)?;
    Ok(Some(match order {
        Equal => (one.0.clone(), one.1 && two.1),
        order if order == side => one.clone(),
        _ => two.clone(),
    }))
}

fn within(value: &CqlValue, range: &Demand) -> Option<bool> {
    let meets = |bound: &Bound, side| match bound {
        None => Some(true),
        Some((edge, with)) => value.compare(edge).map(|order| order == side || (order == Equal && *with)),
    };
    Some(meets(&range.lower, Greater)? && meets(&range.upper, Less)?)
}
