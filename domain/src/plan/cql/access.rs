//! Which reads answer a filter, by the keys and indexes of the table.
//!
//! A read may restrict the whole partition key by equality, then clustering columns from the left, the last one also
//! by a range; or columns with an index; or nothing at all. Anything else makes the database look at rows that it does
//! not return, and needs the leave of its owner.

use super::demand::Demand;
use super::members::Members;
use super::terms::{Term, exclude_each_other, terms, too_many};
use super::work::Work;
use super::{Restriction, Test, refuse};
use crate::error::RequestError;
use crate::plan::Filter;
use crate::schema::{CqlRules, CqlTable, CqlType, IndexKind, IndexTarget, Relation, TypeKind};

/// Most reads for one request.
const MAX_READS: usize = 10;

/// Most keys of one read, as the lists of its `IN` multiply.
const MAX_KEYS: usize = 100;

/// How a filter is answered.
#[derive(Debug, PartialEq)]
pub(super) struct Access {
    /// What each read asks for; none when no row can match.
    pub reads: Vec<Vec<Restriction>>,
    /// Whether rows are looked at that are not returned.
    pub filtering: bool,
    /// Whether an index is asked.
    pub indexed: bool,
    /// Whether no row can come twice.
    pub disjoint: bool,
    /// Columns with one value in every row, in a single read.
    pub fixed: Vec<usize>,
}

/// The reads that answer a filter.
///
/// # Errors
/// What CQL cannot say, and what needs a leave that is not given.
pub(super) fn access(
    relation: &Relation,
    table: &CqlTable,
    filter: &Filter,
    rules: CqlRules,
) -> Result<Access, RequestError> {
    let work = Work::default();
    let mut terms = terms(relation, filter, &work)?;
    for term in &terms {
        can_be_found(relation, table, term)?;
    }
    terms.retain_mut(|term| may_be_there(table, term));
    let (mut reads, mut filtering, mut indexed) = (Vec::new(), false, false);
    for term in &terms {
        let question = Question { relation, table, term };
        match question.way()? {
            Way::Key => reads.extend(portions(relation, term)?),
            Way::Index => {
                indexed = true;
                let keys = question.keys_answer();
                reads.extend(single_values(term, |column| {
                    !keys.contains(&column) || table.partition.contains(&column)
                })?);
            }
            Way::Filter(_) if rules.allow_filtering => {
                filtering = true;
                // The database may take an index to begin with, and then takes no list of partitions.
                let by_index = table.indexes.iter().any(|index| term.contains_key(&index.column));
                for term in single_values(term, |column| by_index && table.partition.contains(&column))? {
                    reads.extend(portions(relation, &term)?);
                }
            }
            Way::Filter(refusal) => return Err(refusal),
        }
    }
    if reads.len() > MAX_READS {
        return Err(too_many());
    }
    let pairs = (0..reads.len()).flat_map(|one| (one + 1..reads.len()).map(move |two| (one, two)));
    let mut disjoint = true;
    for (one, two) in pairs {
        disjoint = disjoint && exclude_each_other(&reads[one], &reads[two], relation, &work)?;
    }
    let fixed = match reads.as_slice() {
        [only] => {
            only.iter().filter(|(_, demand)| demand.single().is_some()).map(|(column, _)| *column).collect()
        }
        _ => Vec::new(),
    };
    let reads = reads.iter().map(|term| restrictions(relation, term)).collect();
    Ok(Access { reads, filtering, indexed, disjoint, fixed })
}

/// The restrictions of a term, those of the key first and in its order.
pub(super) fn restrictions(relation: &Relation, term: &Term) -> Vec<Restriction> {
    let keys = relation.primary_key.iter().filter_map(|column| term.get_key_value(column));
    let others = term.iter().filter(|(column, _)| !relation.primary_key.contains(column));
    keys.chain(others).flat_map(|(column, demand)| demand.restrictions(*column)).collect()
}

/// Checks that the database compares by value what it is asked for by value. The place of a row, and an index of the
/// older kind, it finds by the bytes, in which 7 and 7.0 differ.
pub(super) fn can_be_found(relation: &Relation, table: &CqlTable, term: &Term) -> Result<(), RequestError> {
    for (column, demand) in term {
        let TypeKind::Cql(ty) = &relation.columns[*column].ty.kind else { continue };
        let indexed =
            |index: &crate::schema::CqlIndex| index.column == *column && index.kind == IndexKind::Secondary;
        let key = table.partition.contains(column);
        let asked = demand.is_among() || !demand.holds.is_empty();
        if !asked || !holds_decimal(ty) || !(key || table.indexes.iter().any(indexed)) {
            continue;
        }
        let name = &relation.columns[*column].name;
        let what = if key { "a row's place" } else { "what the index knows" };
        return Err(refuse(
            name,
            format!(
                "the database finds {what} by the digits that '{name}' was written with: 7 is not 7.0 there"
            ),
            format!("ask through /gateway/query for '{name}' with the very digits"),
        ));
    }
    Ok(())
}

fn holds_decimal(ty: &CqlType) -> bool {
    match ty {
        CqlType::Decimal => true,
        CqlType::List { element, .. } | CqlType::Set { element, .. } | CqlType::Vector { element, .. } => {
            holds_decimal(element)
        }
        CqlType::Map { key, value, .. } => holds_decimal(key) || holds_decimal(value),
        CqlType::Tuple(parts) => parts.iter().any(holds_decimal),
        CqlType::Udt { fields, .. } => fields.iter().any(|(_, ty)| holds_decimal(ty)),
        _ => false,
    }
}

/// Whether any row can meet the term, without the keys that none has: a partition key of one column is never empty, and
/// the database will not be asked for such a one.
pub(super) fn may_be_there(table: &CqlTable, term: &mut Term) -> bool {
    let [column] = &*table.partition else { return true };
    let Some(Demand { among: among @ Some(_), .. }) = term.get_mut(column) else { return true };
    let Some(members) = among.take() else { return true };
    let Ok(kept) = members.that(|member| Ok::<_, std::convert::Infallible>(!member.is_empty()));
    *among = kept;
    among.is_some()
}

enum Way {
    Key,
    Index,
    Filter(RequestError),
}

struct Question<'a> {
    relation: &'a Relation,
    table: &'a CqlTable,
    term: &'a Term,
}

impl Question<'_> {
    fn way(&self) -> Result<Way, RequestError> {
        for (column, demand) in self.term {
            self.can_be_asked(*column, demand)?;
        }
        let answered = self.keys_answer();
        let mut loose: Vec<usize> = self.term.keys().copied().filter(|c| !answered.contains(c)).collect();
        if loose.is_empty() {
            return Ok(Way::Key);
        }
        let mut kinds = self.indexes(&loose);
        // An index takes no clustering column behind a range, unless it answers the range too.
        let range = answered.iter().find(|column| self.term[*column].is_range());
        let behind = |column: &usize| self.table.clustering.iter().any(|c| c.column == *column);
        if let Some(range) = range.filter(|_| one_read(&kinds) && loose.iter().any(behind)) {
            loose.push(*range);
            kinds = self.indexes(&loose);
        }
        if one_read(&kinds) {
            return Ok(Way::Index);
        }
        Ok(Way::Filter(self.needs_filtering(&loose, &kinds)))
    }

    fn indexes(&self, columns: &[usize]) -> Vec<Option<IndexKind>> {
        columns.iter().map(|column| self.index(*column, &self.term[column])).collect()
    }

    /// Columns whose restrictions the key answers: the whole partition key, then clustering columns from the left up
    /// to a range.
    fn keys_answer(&self) -> Vec<usize> {
        let among = |column: &usize| self.term.get(column).is_some_and(Demand::is_among);
        let mut answered: Vec<usize> = Vec::new();
        if self.table.partition.iter().all(among) {
            answered.extend(&*self.table.partition);
            for clustering in &self.table.clustering {
                match self.term.get(&clustering.column) {
                    Some(demand) if demand.is_among() => answered.push(clustering.column),
                    Some(demand) if demand.is_range() => {
                        answered.push(clustering.column);
                        break;
                    }
                    _ => break,
                }
            }
        }
        answered
    }

    fn can_be_asked(&self, column: usize, demand: &Demand) -> Result<(), RequestError> {
        let name = &self.relation.columns[column].name;
        if demand.null.is_some() {
            return Err(refuse(
                name,
                "the database cannot be asked whether a column is null".to_owned(),
                format!(
                    "leave the condition on '{name}' out and look at the rows, or write a value that stands for none"
                ),
            ));
        }
        let analyzed =
            |index: &crate::schema::CqlIndex| index.column == column && index.kind == IndexKind::Other;
        if !self.relation.primary_key.contains(&column) && self.table.indexes.iter().any(analyzed) {
            return Err(refuse(
                name,
                format!("the index on '{name}' may find other rows than those with an equal value"),
                format!("ask through /gateway/query for what the index on '{name}' finds"),
            ));
        }
        Ok(())
    }

    /// The index that answers a demand.
    fn index(&self, column: usize, demand: &Demand) -> Option<IndexKind> {
        let TypeKind::Cql(ty) = &self.relation.columns[column].ty.kind else { return None };
        let target = match demand.holds.as_slice() {
            [] if ty.is_compound() => IndexTarget::Full,
            [Test::Entry(..), ..] => IndexTarget::Entries,
            _ => IndexTarget::Values,
        };
        let answers = |kind: IndexKind| match kind {
            IndexKind::Secondary => !demand.is_range() && demand.holds.len() <= 1,
            IndexKind::Sai => !demand.is_range() || has_index_order(ty),
            IndexKind::Other => false,
        };
        if !demand.holds.is_empty() && demand.is_among() {
            return None;
        }
        let of = self.table.indexes.iter().filter(|index| index.column == column && index.target == target);
        let mut kinds: Vec<IndexKind> = of.map(|index| index.kind).filter(|kind| answers(*kind)).collect();
        // The storage-attached one goes together with others.
        kinds.sort_by_key(|kind| *kind != IndexKind::Sai);
        kinds.first().copied()
    }

    fn needs_filtering(&self, loose: &[usize], kinds: &[Option<IndexKind>]) -> RequestError {
        let name = |column: &usize| format!("'{}'", self.relation.columns[*column].name);
        let list =
            |columns: &mut dyn Iterator<Item = &usize>| columns.map(name).collect::<Vec<_>>().join(", ");
        let without: Vec<usize> =
            loose.iter().zip(kinds).filter(|(_, kind)| kind.is_none()).map(|(column, _)| *column).collect();
        let blamed = if without.is_empty() { loose } else { &without };
        let names = list(&mut blamed.iter());
        let reason = if without.is_empty() {
            format!("one index answers a read, and the conditions need several, on {names}")
        } else {
            format!(
                "the conditions on {names} are answered neither by the key of '{}' nor by an index, so that the \
                 database would look at rows that do not match",
                self.relation.name
            )
        };
        let mut clustering = self.table.clustering.iter().map(|clustering| &clustering.column);
        let order = match clustering.len() {
            0 => String::new(),
            _ => format!(", then {} from the left", list(&mut clustering)),
        };
        let fix = format!(
            "give {} by eq or in{order};{} or let the client's connection URI say allow_filtering=true",
            list(&mut self.table.partition.iter()),
            self.helpful_index(loose, &without, &list(&mut loose.iter())),
        );
        let field = blamed.first().map_or("conditions", |column| &*self.relation.columns[*column].name);
        refuse(field, reason, fix)
    }

    /// Which index would help, as a part of a sentence; nothing where none would. The conditions on `loose` are those
    /// that the key does not answer, and `without` those of them that no index answers.
    fn helpful_index(&self, loose: &[usize], without: &[usize], names: &str) -> String {
        // The older kind answers neither ranges nor together with another.
        let attached = loose.len() > 1 || loose.iter().any(|column| self.term[column].is_range());
        let helps = |column: &usize| {
            let ordered = match &self.relation.columns[*column].ty.kind {
                TypeKind::Cql(ty) => has_index_order(ty),
                _ => false,
            };
            let takes_one = *self.table.partition != [*column]
                && (!without.contains(column)
                    || self.table.indexes.iter().all(|index| index.column != *column));
            takes_one && (ordered || !self.term[column].is_range())
        };
        match (loose.iter().all(helps), attached) {
            (false, _) => String::new(),
            (true, true) => format!(" or put storage-attached indexes (SAI) on {names};"),
            (true, false) => format!(" or create an index on {names};"),
        }
    }
}

/// Whether these indexes answer one read together.
fn one_read(kinds: &[Option<IndexKind>]) -> bool {
    kinds.iter().all(|kind| *kind == Some(IndexKind::Sai)) || kinds == [Some(IndexKind::Secondary)]
}

/// Whether a storage-attached index answers ranges of the type.
fn has_index_order(ty: &CqlType) -> bool {
    match ty {
        CqlType::Int(_)
        | CqlType::Varint
        | CqlType::Decimal
        | CqlType::Float(_)
        | CqlType::TimeUuid
        | CqlType::Timestamp
        | CqlType::Date
        | CqlType::Time
        | CqlType::Inet => true,
        CqlType::Ascii
        | CqlType::Text
        | CqlType::Bool
        | CqlType::Uuid
        | CqlType::Duration
        | CqlType::Blob
        | CqlType::Counter
        | CqlType::List { .. }
        | CqlType::Set { .. }
        | CqlType::Map { .. }
        | CqlType::Tuple(_)
        | CqlType::Vector { .. }
        | CqlType::Udt { .. }
        | CqlType::Custom(_) => false,
    }
}

/// The term as several ones of at most [`MAX_KEYS`] keys each: the longest of its lists comes in portions.
fn portions(relation: &Relation, term: &Term) -> Result<Vec<Term>, RequestError> {
    let list = |column: &usize| Some((*column, term.get(column)?.among.as_ref()?));
    let lists: Vec<(usize, &Members)> = relation.primary_key.iter().filter_map(list).collect();
    let keys = lists.iter().map(|(_, members)| members.len()).fold(1, usize::saturating_mul);
    let Some((column, members)) = lists.iter().max_by_key(|(_, members)| members.len()) else {
        return Ok(vec![term.clone()]);
    };
    if keys <= MAX_KEYS {
        return Ok(vec![term.clone()]);
    }
    let size = MAX_KEYS / (keys / members.len());
    if size == 0 || members.len().div_ceil(size) > MAX_READS {
        let most = MAX_KEYS * MAX_READS;
        return Err(refuse(
            "conditions",
            format!(
                "the conditions name {keys} keys; one request may ask for {most}, in {MAX_READS} reads of {MAX_KEYS} at \
                 most"
            ),
            "send the keys in several requests".to_owned(),
        ));
    }
    let portion = |members: Members| {
        let mut one = term.clone();
        one.insert(*column, Demand::among(members));
        one
    };
    Ok(members.portions(size).map(portion).collect())
}

/// The term as several ones in which the columns that `which` names have one value each.
pub(super) fn single_values(term: &Term, which: impl Fn(usize) -> bool) -> Result<Vec<Term>, RequestError> {
    let mut terms = vec![term.clone()];
    for (column, demand) in term {
        let Some(members) = demand.among.as_ref().filter(|m| m.len() > 1 && which(*column)) else { continue };
        if terms.len() * members.len() > MAX_READS {
            return Err(too_many());
        }
        let with = |one: &Term, member: Members| {
            let mut one = one.clone();
            one.insert(*column, Demand::among(member));
            one
        };
        terms = terms
            .iter()
            .flat_map(|one| members.singles().map(|member| with(one, member)).collect::<Vec<_>>())
            .collect();
    }
    Ok(terms)
}
