//! Which relations are read or written through others: views, rules, partitions, inheritance, foreign tables.

use athena_domain::access::Link;
use sqlx::PgConnection;

/// A relation and what it leads to, each by schema and name.
type LinkRow = (String, String, Option<String>, Option<String>);

/// What no catalog tells leads to null: a foreign table is wherever its server is; a function may do anything; the
/// system's own relations show what stands in tables (`pg_stats`); some functions of the system run or read what a text
/// or a name says. Dependencies on what came with the server are not kept in `pg_depend`, so those are looked for in the
/// rule itself. Rows of a partition or of an heir are rows of the relation above it, and the other way round.
const LINKS: &str = r"
    WITH own AS (
        SELECT c.oid, c.relkind, n.nspname::text AS schema, c.relname::text AS name
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    ), rules AS (
        SELECT r.oid, r.ev_class, r.ev_action::text || r.ev_qual::text AS body
        FROM pg_rewrite r JOIN own ON own.oid = r.ev_class
    ), telling AS (
        SELECT string_agg(p.oid::text, '|') AS oids FROM pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace
          AND (p.proname ~ '^(query|table|schema|database|cursor)_to_xml' OR p.proname ~ '^pg_(read|ls)_'
               OR p.proname IN ('ts_stat', 'ts_rewrite', 'lo_get', 'loread', 'pg_stat_get_activity'))
    ), links AS (
        SELECT r.ev_class AS source, d.refobjid AS target
        FROM rules r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
        UNION
        SELECT r.ev_class, NULL
        FROM rules r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        WHERE d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
        UNION
        -- Numbers below 16384 are of what came with the server.
        SELECT r.ev_class, NULL
        FROM rules r CROSS JOIN LATERAL regexp_matches(r.body, ':relid (\d+)', 'g') AS found
        WHERE found[1]::oid BETWEEN 1 AND 16383
        UNION
        SELECT r.ev_class, NULL FROM rules r, telling
        WHERE r.body ~ (':(funcid|opfuncid) (' || telling.oids || ')\M')
        UNION
        SELECT i.inhparent, i.inhrelid FROM pg_inherits i
        UNION
        SELECT i.inhrelid, i.inhparent FROM pg_inherits i
        UNION
        SELECT own.oid, NULL FROM own WHERE own.relkind = 'f'
    )
    SELECT source.schema, source.name, target.schema, target.name
    FROM links
    JOIN own AS source ON source.oid = links.source
    LEFT JOIN own AS target ON target.oid = links.target";

/// Reads every link between relations that are not the system's.
///
/// # Errors
/// What the driver says.
pub(super) async fn read(conn: &mut PgConnection) -> Result<Vec<Link>, sqlx::Error> {
    let rows: Vec<LinkRow> = sqlx::query_as(LINKS).persistent(false).fetch_all(conn).await?;
    let link = |(schema, name, to_schema, to_name): LinkRow| Link {
        from: (schema.into(), name.into()),
        to: to_schema.zip(to_name).map(|(schema, name)| (schema.into(), name.into())),
    };
    Ok(rows.into_iter().map(link).collect())
}
