//! What a column must be: conditions that are all to hold, reduced to as few as say the same.

use std::cmp::Ordering::{Equal, Greater, Less};
use std::collections::HashSet;
use std::fmt::Write as _;

use super::{CqlValue, Restriction, Test};

/// What one alternative demands of one column.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Demand {
    /// One of these, all different; never none.
    pub among: Option<Vec<CqlValue>>,
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
    /// The only value that meets it.
    pub fn single(&self) -> Option<&CqlValue> {
        match self.among.as_deref() {
            Some([only]) => Some(only),
            _ => None,
        }
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
            let wanted = identity(value);
            return Some(among.iter().any(|member| identity(member) == wanted));
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
            (Some(mut members), Some(others)) => {
                let others: HashSet<String> = others.iter().map(identity).collect();
                members.retain(|member| others.contains(&identity(member)));
                Some(members)
            }
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
            let mut kept = Vec::with_capacity(members.len());
            for member in members {
                if !range.is_range() || within(&member, &range).ok_or(Incomparable)? {
                    kept.push(member);
                }
            }
            if kept.is_empty() {
                return Ok(None);
            }
            self.among = Some(kept);
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
        match self.among.as_deref() {
            Some([only]) => tests.push(Test::Eq(only.clone())),
            Some(members) => tests.push(Test::In(members.to_vec())),
            None => {}
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

/// What two values of one type share exactly when the database takes them for the same; it begins like no other, so
/// that a list of them is as good.
pub(super) fn identity(value: &CqlValue) -> String {
    let mut identity = String::new();
    push_identity(value, &mut identity);
    identity
}

/// Appends the same.
pub(super) fn push_identity(value: &CqlValue, to: &mut String) {
    // Writing to a `String` cannot fail.
    let _ = match value {
        // The usual keys, without the machinery of formatting.
        CqlValue::Int(number) => to.write_str(itoa::Buffer::new().format(*number)),
        CqlValue::Text(text) => {
            to.push_str(itoa::Buffer::new().format(text.len()));
            to.push(':');
            to.write_str(text)
        }
        CqlValue::Decimal { .. } => match value.decimal() {
            Some(decimal) => write!(to, "{}", decimal.normalized()),
            None => Ok(()),
        },
        value => write!(to, "{value:?}"),
    };
}
