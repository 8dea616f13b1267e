//! Any filter → alternatives, each of which says of single columns what they must be.
//!
//! CQL knows no `OR` and no `NOT`. Both are resolved here in the logic of SQL, in which a comparison with null is
//! neither true nor false: rows are kept where a filter is true, and every step keeps that.

use std::collections::BTreeMap;

use super::demand::{Demand, Incomparable};
use super::members::Members;
use super::work::Work;
use super::{CqlValue, Test, known, refuse};
use crate::error::RequestError;
use crate::plan::bind::Datum;
use crate::plan::{Bind, Filter};
use crate::query::{CompareOp, IsTest};
use crate::schema::{CqlType, Relation, TypeKind};

/// Most alternatives while a filter is taken apart.
const MAX_TERMS: usize = 200;

/// What one alternative demands of columns. Without any it holds for every row.
pub(super) type Term = BTreeMap<usize, Demand>;

/// Both terms; `Ok(None)` when no row meets both.
fn both(one: &Term, two: &Term, relation: &Relation, work: &Work) -> Result<Option<Term>, RequestError> {
    work.spend(one.values().chain(two.values()).map(Demand::weight).sum())?;
    let mut all = one.clone();
    for (column, demand) in two {
        let before = all.remove(column);
        if let Some(before) = &before {
            work.spend(before.weight_with(demand))?;
        }
        let before = before.unwrap_or_default();
        match before.and(demand.clone()) {
            Ok(Some(demand)) => drop(all.insert(*column, demand)),
            Ok(None) => return Ok(None),
            Err(Incomparable) => {
                let name = &relation.columns[*column].name;
                return Err(refuse(
                    name,
                    format!(
                        "which of two bounds of '{name}' counts is not known before the database is asked"
                    ),
                    format!("give one condition on '{name}' for each end of its range"),
                ));
            }
        }
    }
    Ok(Some(all))
}

/// Whether no row can meet both.
///
/// # Errors
/// When it takes too long to find out.
pub(super) fn exclude_each_other(
    one: &Term,
    two: &Term,
    relation: &Relation,
    work: &Work,
) -> Result<bool, RequestError> {
    work.spend(one.iter().filter_map(|(column, demand)| Some(demand.weight_with(two.get(column)?))).sum())?;
    Ok(matches!(both(one, two, relation, &Work::default()), Ok(None)))
}

/// The alternatives of a filter; none when it holds for no row.
///
/// # Errors
/// What no CQL says, and what takes too long to find out.
pub(super) fn terms(relation: &Relation, filter: &Filter, work: &Work) -> Result<Vec<Term>, RequestError> {
    Reading { relation, work }.read(filter, true)
}

struct Reading<'a> {
    relation: &'a Relation,
    work: &'a Work,
}

impl Reading<'_> {
    /// The alternatives of `filter`, or of its opposite.
    fn read(&self, filter: &Filter, holds: bool) -> Result<Vec<Term>, RequestError> {
        match (filter, holds) {
            (Filter::Not(inner), holds) => self.read(inner, !holds),
            (Filter::And(all), true) | (Filter::Or(all), false) => self.all(all, holds),
            (Filter::Or(any), true) | (Filter::And(any), false) => self.any(any, holds),
            (Filter::Compare { column, op, value, .. }, holds) => self.compare(*column, *op, value, holds),
            (Filter::Is { column, test }, holds) => self.is(*column, *test, holds),
            (Filter::Contains { column, by, value }, holds) => self.contains(*column, *by, value, holds),
            (Filter::In { column, .. }, _) => Err(self.unheard_of(*column)),
        }
    }

    fn all(&self, all: &[Filter], holds: bool) -> Result<Vec<Term>, RequestError> {
        // What knows no alternative comes first: then lists are shortened once, and not once for every alternative.
        let (mut only, mut several) = (Some(Term::new()), Vec::new());
        for filter in all {
            let mut next = self.read(filter, holds)?;
            match (next.pop(), next.is_empty()) {
                (None, _) => only = None,
                (Some(one), true) => {
                    if let Some(before) = &only {
                        only = both(before, &one, self.relation, self.work)?;
                    }
                }
                (Some(last), false) => {
                    next.push(last);
                    several.push(next);
                }
            }
        }
        let mut terms = Vec::from_iter(only);
        for next in several {
            if terms.len() * next.len() > MAX_TERMS {
                return Err(too_many());
            }
            let mut product = Vec::with_capacity(terms.len() * next.len());
            for one in &terms {
                for two in &next {
                    product.extend(both(one, two, self.relation, self.work)?);
                }
            }
            terms = product;
        }
        Ok(terms)
    }

    fn any(&self, any: &[Filter], holds: bool) -> Result<Vec<Term>, RequestError> {
        let mut terms: Vec<Term> = Vec::new();
        // Values of one column become one list, however many they are.
        let mut lists: BTreeMap<usize, Vec<CqlValue>> = BTreeMap::new();
        for filter in any {
            if let Some((column, value)) = self.equal(filter, holds) {
                self.work.spend(value.weight())?;
                lists.entry(column).or_default().push(value.clone());
                continue;
            }
            for term in self.read(filter, holds)? {
                let mut of = term.iter();
                match (of.next(), of.next()) {
                    (Some((column, Demand { among: Some(members), holds, .. })), None)
                        if holds.is_empty() =>
                    {
                        self.work.spend(members.values().map(CqlValue::weight).sum())?;
                        lists.entry(*column).or_default().extend(members.values().cloned());
                    }
                    _ => terms.push(term),
                }
            }
            if terms.len() > MAX_TERMS {
                return Err(too_many());
            }
        }
        for (column, values) in lists {
            terms.extend(Members::of(values).map(|members| Term::from([(column, Demand::among(members))])));
        }
        self.united(terms)
    }

    /// The column and the value of a plain equality: a long list consists of them.
    fn equal<'f>(&self, filter: &'f Filter, holds: bool) -> Option<(usize, &'f CqlValue)> {
        match (filter, holds) {
            (Filter::Compare { column, op, value: Bind { datum: Datum::Cql(value), .. }, .. }, holds)
                if *op == (if holds { CompareOp::Eq } else { CompareOp::Neq }) =>
            {
                let plain = self.ty(*column).is_whole() && !value.holds_zero();
                plain.then_some((*column, value))
            }
            _ => None,
        }
    }

    /// Alternatives that differ in the values of one column become one.
    fn united(&self, mut terms: Vec<Term>) -> Result<Vec<Term>, RequestError> {
        if terms.iter().any(Term::is_empty) {
            return Ok(vec![Term::new()]);
        }
        let mut at = 0;
        while at < terms.len() {
            let mut found = None;
            for other in at + 1..terms.len() {
                if let Some(one) = self.union(&terms[at], &terms[other])? {
                    found = Some((other, one));
                    break;
                }
            }
            match found {
                Some((other, one)) => {
                    terms.remove(other);
                    terms[at] = one;
                }
                None => at += 1,
            }
        }
        Ok(terms)
    }

    fn union(&self, one: &Term, two: &Term) -> Result<Option<Term>, RequestError> {
        if one.len() != two.len() || !one.keys().eq(two.keys()) {
            return Ok(None);
        }
        self.work.spend(one.values().zip(two.values()).map(|(a, b)| a.weight_to_tell(b)).sum())?;
        let mut differing = one.iter().zip(two.values()).filter(|((_, a), b)| a != b);
        let Some(((column, a), b)) = differing.next() else { return Ok(Some(one.clone())) };
        if differing.next().is_some() || !a.holds.is_empty() || !b.holds.is_empty() {
            return Ok(None);
        }
        let (Some(members), Some(others)) = (&a.among, &b.among) else { return Ok(None) };
        self.work.spend((members.len() + others.len()) as u64)?;
        let mut all = one.clone();
        all.insert(*column, Demand::among(members.and_those_of(others)));
        Ok(Some(all))
    }

    fn ty(&self, column: usize) -> &CqlType {
        match &self.relation.columns[column].ty.kind {
            TypeKind::Cql(ty) => ty,
            // A relation of CQL has no other types.
            _ => &CqlType::Text,
        }
    }

    fn compare(
        &self,
        column: usize,
        op: CompareOp,
        value: &Bind,
        holds: bool,
    ) -> Result<Vec<Term>, RequestError> {
        let name = &self.relation.columns[column].name;
        let ty = self.ty(column);
        let op = match (op, holds) {
            (CompareOp::Like | CompareOp::Ilike, _) => {
                return Err(refuse(
                    name,
                    "the database has no patterns".to_owned(),
                    format!(
                        "compare '{name}' with whole values; for a prefix ask for gte the prefix and lt what comes \
                         after it, where '{name}' can be asked for a range"
                    ),
                ));
            }
            (op, true) => op,
            (CompareOp::Eq, false) => CompareOp::Neq,
            (CompareOp::Neq, false) => CompareOp::Eq,
            (CompareOp::Gt, false) => CompareOp::Lte,
            (CompareOp::Gte, false) => CompareOp::Lt,
            (CompareOp::Lt, false) => CompareOp::Gte,
            (CompareOp::Lte, false) => CompareOp::Gt,
        };
        let Datum::Cql(value) = &value.datum else { return Err(self.unheard_of(column)) };
        if !ty.is_whole() {
            return Err(refuse(
                name,
                format!("'{name}' is a {ty} that is not frozen, whose value cannot be compared as a whole"),
                "use `contains` for its elements".to_owned(),
            ));
        }
        if !matches!(op, CompareOp::Eq | CompareOp::Neq) && !ty.has_order() {
            return Err(refuse(
                name,
                format!("values of type {ty} have no order that the database can be asked for"),
                format!("compare '{name}' with eq or in"),
            ));
        }
        // 0 and -0 are one number, and two values that the database keeps apart: -0 comes first.
        let zeros = match value {
            CqlValue::Float(number) if *number == 0.0 => Some([CqlValue::Float(-0.0), CqlValue::Float(0.0)]),
            _ => None,
        };
        if zeros.is_none() && value.holds_zero() {
            return Err(refuse(
                name,
                format!("a zero inside a {ty} is one of two values to the database, 0 and -0"),
                "compare with values without a zero, or read the rows and compare them yourself".to_owned(),
            ));
        }
        let ends = zeros.clone().unwrap_or_else(|| [value.clone(), value.clone()]);
        let one = |demand: Demand| vec![Term::from([(column, demand)])];
        // Above, or from there; below, or up to there.
        let lower = |with: bool| {
            let edge = &ends[usize::from(!with)];
            Demand { lower: Some((edge.clone(), with)), ..Demand::default() }
        };
        let upper = |with: bool| {
            let edge = &ends[usize::from(with)];
            Demand { upper: Some((edge.clone(), with)), ..Demand::default() }
        };
        let equal = |value: CqlValue| Demand::among(Members::one(value));
        self.work.spend(value.weight())?;
        Ok(match op {
            CompareOp::Eq => one(match zeros.and_then(Members::of) {
                Some(both) => Demand::among(both),
                None => equal(value.clone()),
            }),
            CompareOp::Gt => one(lower(false)),
            CompareOp::Gte => one(lower(true)),
            CompareOp::Lt => one(upper(false)),
            CompareOp::Lte => one(upper(true)),
            CompareOp::Neq | CompareOp::Like | CompareOp::Ilike => match value {
                CqlValue::Bool(flag) => one(equal(CqlValue::Bool(!flag))),
                _ if ty.has_order() => [one(upper(false)), one(lower(false))].concat(),
                _ => {
                    return Err(refuse(
                        name,
                        format!("the database cannot be asked for what is not a given {ty}"),
                        "ask for the values that are wanted, with eq or in".to_owned(),
                    ));
                }
            },
        })
    }

    fn is(&self, column: usize, test: IsTest, holds: bool) -> Result<Vec<Term>, RequestError> {
        known::asked(self.relation, column)?;
        let name = &self.relation.columns[column].name;
        let of = |demand: Demand| vec![Term::from([(column, demand)])];
        let equal = |flag| Demand::among(Members::one(CqlValue::Bool(flag)));
        let null = match (test, holds) {
            (IsTest::Null | IsTest::Unknown, holds) => holds,
            (IsTest::NotNull, holds) => !holds,
            (IsTest::True, true) => return Ok(of(equal(true))),
            (IsTest::False, true) => return Ok(of(equal(false))),
            (IsTest::True | IsTest::False, false) => {
                return Err(refuse(
                    name,
                    "the opposite of a truth value holds for null too, which the database cannot be asked for"
                        .to_owned(),
                    format!("ask for '{name}' eq true or false"),
                ));
            }
        };
        if !self.relation.primary_key.contains(&column) {
            return Ok(of(Demand { null: Some(null), ..Demand::default() }));
        }
        // Every row has its whole key; only what a partition has once can be there without one.
        let table = self.relation.cql.as_ref();
        let statics = table.is_some_and(|t| !t.statics.is_empty() && !t.partition.contains(&column));
        match (null, statics) {
            (true, false) => Ok(Vec::new()),
            (false, false) => Ok(vec![Term::new()]),
            (null, true) => Ok(of(Demand { null: Some(null), ..Demand::default() })),
        }
    }

    fn contains(
        &self,
        column: usize,
        by: bool,
        value: &Bind,
        holds: bool,
    ) -> Result<Vec<Term>, RequestError> {
        let name = &self.relation.columns[column].name;
        if by || !holds {
            return Err(refuse(
                name,
                "the database can only be asked what a collection holds, not what it does not".to_owned(),
                "use `contains`, or read the rows and compare them yourself".to_owned(),
            ));
        }
        let holds: Vec<Test> = match &value.datum {
            Datum::Cql(CqlValue::List(elements) | CqlValue::Set(elements)) => {
                elements.iter().cloned().map(Test::Contains).collect()
            }
            Datum::Cql(CqlValue::Map(pairs)) => {
                pairs.iter().cloned().map(|(key, value)| Test::Entry(key, value)).collect()
            }
            _ => Vec::new(),
        };
        if matches!(&value.datum, Datum::Cql(value) if value.holds_zero()) {
            return Err(refuse(
                name,
                "a zero is one of two values to the database, 0 and -0".to_owned(),
                "read the rows and look for it yourself".to_owned(),
            ));
        }
        if holds.is_empty() {
            return Err(refuse(
                name,
                "every collection holds nothing, and the database cannot be asked for any that is not null"
                    .to_owned(),
                "name an element at least".to_owned(),
            ));
        }
        Ok(vec![Term::from([(column, Demand { holds, ..Demand::default() })])])
    }

    fn unheard_of(&self, column: usize) -> RequestError {
        let name = &self.relation.columns[column].name;
        refuse(
            name,
            format!("'{name}' cannot be compared in that way"),
            "compare it with eq or in".to_owned(),
        )
    }
}

pub(super) fn too_many() -> RequestError {
    refuse(
        "conditions",
        "the values of `in` and the alternatives of `or` and `not` would need too many reads".to_owned(),
        "ask for fewer of them, or send them as requests of their own".to_owned(),
    )
}
