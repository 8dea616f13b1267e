-- Every gateway keeps keys, policy and clients in memory. A change counts a version up in the same
-- transaction and notifies, also when it was made by hand.

SET LOCAL search_path = public, pg_temp;
SET LOCAL client_min_messages = warning;

CREATE TABLE IF NOT EXISTS athena_control_version (
    area text PRIMARY KEY,
    version bigint NOT NULL
);
INSERT INTO athena_control_version (area, version) VALUES ('clients', 1), ('keys', 1)
ON CONFLICT (area) DO NOTHING;

-- Runs as its owner: whoever may change a key must not be able to leave the version behind.
CREATE OR REPLACE FUNCTION athena_control_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.athena_control_version AS counted (area, version) VALUES (TG_ARGV[0], 1)
    ON CONFLICT (area) DO UPDATE SET version = counted.version + 1;
    PERFORM pg_notify('athena_control', TG_ARGV[0]);
    RETURN NULL;
END
$$;

-- Before the statement, because the row of the version is then locked before any row of the table: two
-- changes wait for each other instead of locking each other out. Columns that a running gateway writes by
-- itself (last_used_at, last_seen_at, updated_at) are not listed, and neither are those that nobody keeps.
DO $$
DECLARE
    watched record;
BEGIN
    FOR watched IN
        SELECT * FROM (VALUES
            ('api_keys', 'keys', 'id, api_keys_id, public_id, name, description, client_name, key_salt, key_hash, expires_at,
              is_active, clients, operations, tables, columns, row_filters, budget, archived_at,
              previous_key_salt, previous_key_hash, previous_valid_until'),
            ('api_key_rights', 'keys', 'id, name, description'),
            ('api_key_right_grants', 'keys', 'api_key_id, right_id'),
            ('api_key_config', 'keys', 'api_key_config_id, enforce_api_keys, mode'),
            ('api_key_client_config', 'keys', 'client_name, enforce_api_keys, mode'),
            ('athena_clients', 'clients', 'client_name, athena_client_id, description, pg_uri, pg_uri_env_var,
              config_uri_template, source, is_active, is_frozen, metadata, deleted_at')
        ) AS list (relation, area, columns)
    LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS athena_control_changed ON %I', watched.relation);
        EXECUTE format('DROP TRIGGER IF EXISTS athena_control_updated ON %I', watched.relation);
        EXECUTE format(
            'CREATE TRIGGER athena_control_changed BEFORE INSERT OR DELETE OR TRUNCATE ON %I
             FOR EACH STATEMENT EXECUTE FUNCTION athena_control_changed(%L)',
            watched.relation, watched.area
        );
        EXECUTE format(
            'CREATE TRIGGER athena_control_updated BEFORE UPDATE OF %s ON %I
             FOR EACH STATEMENT EXECUTE FUNCTION athena_control_changed(%L)',
            watched.columns, watched.relation, watched.area
        );
    END LOOP;
END
$$;
