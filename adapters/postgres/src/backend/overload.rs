//! Which of several functions of one name a call means. JSON tells a number from a text; the database, which is given
//! values of no type, takes them for texts wherever one of the functions does.

use athena_domain::plan::CallPlan;
use athena_domain::plan::bind::bind;
use athena_domain::query::Value;
use athena_domain::schema::{ColumnType, TypeKind};
use sqlx::postgres::PgConnection;

use super::raw::RawReading;
use super::rows::Fault;

/// A function that has the name: what it takes, by name and type, and how many of these may be left out at the end.
#[derive(sqlx::FromRow)]
struct Candidate {
    names: Vec<String>,
    types: Vec<i64>,
    defaults: i16,
}

const CANDIDATES: &str = "
    SELECT coalesce(i.names, '{}') AS names, coalesce(i.types, '{}') AS types, p.pronargdefaults AS defaults
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    CROSS JOIN LATERAL (
      SELECT array_agg(coalesce(p.proargnames[a.place], '') ORDER BY a.place) AS names,
             array_agg(a.ty::int8 ORDER BY a.place) AS types
      FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) WITH ORDINALITY AS a(ty, place)
      WHERE p.proargmodes IS NULL OR p.proargmodes[a.place] IN ('i', 'b', 'v')
    ) i
    WHERE n.nspname = $1 AND p.proname = $2 AND p.prokind = 'f'";

/// How well a value is one of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// Its JSON is of another kind, which the type reads.
    Read,
    /// Its JSON is of the kind that the type is.
    Own,
}

fn fit(value: &Value, ty: &ColumnType) -> Option<Fit> {
    bind(value, ty, "").ok()?;
    let own = match (value, &ty.base().kind) {
        (Value::Null, _) => true,
        (Value::Number(text), TypeKind::Int(_)) => {
            text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit())
        }
        (Value::Number(_), TypeKind::Float(_) | TypeKind::Numeric) => true,
        (Value::Bool(_), TypeKind::Bool) => true,
        (Value::Json(text), TypeKind::Array(_)) => text.starts_with('['),
        (Value::Json(text), TypeKind::Composite(_)) => text.starts_with('{'),
        (Value::Json(_), TypeKind::Json | TypeKind::Jsonb) => true,
        (Value::Text(_), TypeKind::Text) => true,
        _ => false,
    };
    Some(if own { Fit::Own } else { Fit::Read })
}

impl RawReading {
    /// The types of the arguments of the one function that the values fit better than those that the database
    /// `expected`; nothing where there is none, or more than one.
    pub(super) async fn overload(
        &self,
        connection: &mut PgConnection,
        call: &CallPlan,
        expected: &[u32],
    ) -> Result<Option<Vec<Box<str>>>, Fault> {
        let Some(catalog) = &self.catalog else { return Ok(None) };
        let fits = |types: &[u32]| -> Option<Vec<Fit>> {
            let fit_of = |((_, value), oid): (&(Box<str>, Value), &u32)| fit(value, catalog.types.get(oid)?);
            call.arguments.iter().zip(types).map(fit_of).collect()
        };
        let owned = |fits: &[Fit]| fits.iter().filter(|fit| **fit == Fit::Own).count();
        let least = fits(expected).map(|fits| owned(&fits));
        if least == Some(call.arguments.len()) || expected.len() != call.arguments.len() {
            return Ok(None);
        }
        let candidates: Vec<Candidate> = sqlx::query_as(CANDIDATES)
            .bind(&*call.schema)
            .bind(&*call.function)
            .persistent(false)
            .fetch_all(connection)
            .await
            .map_err(Fault::Driver)?;
        let mut best: Vec<(usize, Vec<u32>)> = Vec::new();
        for candidate in candidates {
            let Some(types) = candidate.types_of(call) else { continue };
            let Some(own) = fits(&types).map(|fits| owned(&fits)) else { continue };
            match best.first().map(|(most, _)| own.cmp(most)) {
                None | Some(std::cmp::Ordering::Greater) => best = vec![(own, types)],
                Some(std::cmp::Ordering::Equal) => best.push((own, types)),
                Some(std::cmp::Ordering::Less) => {}
            }
        }
        let [(own, types)] = &best[..] else { return Ok(None) };
        if least.is_some_and(|least| *own <= least) {
            return Ok(None);
        }
        let name = |oid: &u32| catalog.types.get(oid).map(|ty| ty.sql.as_ref().into());
        Ok(types.iter().map(name).collect())
    }
}

impl Candidate {
    /// The types that the call's arguments have here; nothing where it cannot be called with these names.
    fn types_of(&self, call: &CallPlan) -> Option<Vec<u32>> {
        let given = |name: &str| call.arguments.iter().any(|(argument, _)| &**argument == name);
        let needed = self.names.len().saturating_sub(usize::try_from(self.defaults).unwrap_or(0));
        if !self.names.iter().take(needed).all(|name| given(name)) {
            return None;
        }
        let type_of = |(name, _): &(Box<str>, Value)| {
            let place = self.names.iter().position(|known| **known == **name)?;
            u32::try_from(*self.types.get(place)?).ok()
        };
        call.arguments.iter().map(type_of).collect()
    }
}
