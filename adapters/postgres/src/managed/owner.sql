-- Makes the role of `athena.owner` the owner of this database and of everything in it that belongs to the superuser.
-- Runs at every start: what is done already is left alone.
DO $$
DECLARE
    owner text := current_setting('athena.owner');
    change text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = owner) THEN
        EXECUTE format('CREATE ROLE %I LOGIN', owner);
    ELSIF EXISTS (SELECT FROM pg_roles WHERE rolname = owner AND (rolsuper OR rolcreaterole)) THEN
        EXECUTE format('ALTER ROLE %I NOSUPERUSER NOCREATEROLE', owner);
    END IF;
    EXECUTE format('ALTER DATABASE %I OWNER TO %I', current_database(), owner);
    FOR change IN
        WITH spaces AS (
            SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
        ), members AS (
            SELECT objid FROM pg_depend WHERE deptype = 'e'
        )
        SELECT format('ALTER SCHEMA %I OWNER TO %I', nspname, owner) FROM spaces
        UNION ALL
        -- A sequence of a column follows its table.
        SELECT format('ALTER TABLE %s OWNER TO %I', c.oid::regclass, owner)
        FROM pg_class c JOIN spaces ON spaces.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relowner = 'postgres'::regrole
          AND c.oid NOT IN (SELECT objid FROM members)
          AND NOT (c.relkind = 'S'
                   AND EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i')))
        UNION ALL
        SELECT format('ALTER TYPE %s OWNER TO %I', t.oid::regtype, owner)
        FROM pg_type t JOIN spaces ON spaces.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
        WHERE (t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c') AND t.typowner = 'postgres'::regrole
          AND t.oid NOT IN (SELECT objid FROM members)
        UNION ALL
        SELECT format('ALTER ROUTINE %s OWNER TO %I', p.oid::regprocedure, owner)
        FROM pg_proc p JOIN spaces ON spaces.oid = p.pronamespace
        WHERE p.proowner = 'postgres'::regrole AND p.oid NOT IN (SELECT objid FROM members)
    LOOP
        EXECUTE change;
    END LOOP;
END
$$
