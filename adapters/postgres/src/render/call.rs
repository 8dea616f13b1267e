//! Calls of functions.

use athena_domain::plan::{CallPlan, RawPlan};

/// The statement of a call: a value a row, as JSON text, and whether the function returns a set. What kind of function
/// it is says the catalog, in the same statement; of several that share name and arguments it is taken that they are
/// alike. Names hold letters, digits and `_` only. `types` are those that the arguments are given as, where that is not
/// left to the database.
///
/// Columns of a record that the function does not name may be called alike; then the second gets a number.
pub(crate) fn call(plan: &CallPlan, types: Option<&[Box<str>]>) -> RawPlan {
    let (schema, function) = (&plan.schema, &plan.function);
    let mut arguments = String::new();
    let mut names = String::new();
    for (place, (name, _)) in plan.arguments.iter().enumerate() {
        let comma = if place > 0 { ", " } else { "" };
        let cast = types.and_then(|types| types.get(place)).map(|ty| format!("::{ty}")).unwrap_or_default();
        arguments.push_str(&format!("{comma}\"{name}\" => ${}{cast}", place + 1));
        names.push_str(&format!("{comma}'{name}'"));
    }
    let query = format!(
        "SELECT CASE WHEN k.nothing THEN NULL WHEN k.unnamed THEN (SELECT json_object_agg(CASE u.nth WHEN 1 THEN \
         u.key ELSE u.key || '_' || u.nth END, u.value ORDER BY u.place)::text FROM (SELECT e.key, e.value, e.place, \
         row_number() OVER (PARTITION BY e.key ORDER BY e.place) AS nth \
         FROM json_each(row_to_json(r) -> 'v') WITH ORDINALITY AS e(key, value, place)) u) \
         ELSE (row_to_json(r) -> 'v')::text END AS value, k.several \
         FROM (SELECT coalesce(bool_or(p.proretset), true) AS several, \
         coalesce(bool_and(p.prorettype = 'pg_catalog.void'::pg_catalog.regtype), false) AS nothing, \
         coalesce(bool_or(p.prorettype = 'pg_catalog.record'::pg_catalog.regtype AND p.proargmodes IS NULL), false) \
         AS unnamed \
         FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
         WHERE n.nspname = '{schema}' AND p.proname = '{function}' \
         AND coalesce(p.proargnames, '{{}}') @> ARRAY[{names}]::text[]) k, \
         (SELECT \"{schema}\".\"{function}\"({arguments}) AS v) r"
    );
    RawPlan {
        query: query.into(),
        params: Some(plan.arguments.iter().map(|(_, value)| value.clone()).collect()),
        read_only: plan.read_only,
        statements: 1,
        undoable: !plan.read_only,
        defines: false,
        opens_transaction: false,
        tells_columns: false,
    }
}
