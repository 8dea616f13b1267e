-- What a key may reach, rotation, archiving, and `warn` beside off and enforce.

SET LOCAL search_path = public, pg_temp;
SET LOCAL client_min_messages = warning;

-- NULL is no restriction, in each of the first six.
ALTER TABLE api_keys
    ADD COLUMN IF NOT EXISTS clients text[],
    ADD COLUMN IF NOT EXISTS operations text[],
    ADD COLUMN IF NOT EXISTS tables text[],
    ADD COLUMN IF NOT EXISTS columns jsonb,
    ADD COLUMN IF NOT EXISTS row_filters jsonb,
    ADD COLUMN IF NOT EXISTS budget jsonb,
    ADD COLUMN IF NOT EXISTS archived_at timestamptz,
    -- The secret before the last rotation, which works until previous_valid_until.
    ADD COLUMN IF NOT EXISTS previous_key_salt text,
    ADD COLUMN IF NOT EXISTS previous_key_hash text,
    ADD COLUMN IF NOT EXISTS previous_valid_until timestamptz;

ALTER TABLE api_key_config ADD COLUMN IF NOT EXISTS mode text NOT NULL DEFAULT 'off';
ALTER TABLE api_key_client_config ADD COLUMN IF NOT EXISTS mode text NOT NULL DEFAULT 'off';

DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['api_key_config', 'api_key_client_config'] LOOP
        IF NOT EXISTS (
            SELECT FROM pg_constraint
            WHERE conrelid = to_regclass(relation) AND conname = relation || '_mode_check'
        ) THEN
            EXECUTE format(
                'ALTER TABLE %I ADD CONSTRAINT %I CHECK (mode = ANY (ARRAY[''off''::text, ''warn''::text, ''enforce''::text]))',
                relation, relation || '_mode_check'
            );
        END IF;
    END LOOP;
END
$$;

-- Tools of 2.9.0 write enforce_api_keys alone; whoever writes mode is right. An insert cannot tell a default
-- from a choice: true with `off` comes from an old tool and means enforce.
CREATE OR REPLACE FUNCTION athena_policy_in_step() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.enforce_api_keys AND NEW.mode = 'off' THEN
            NEW.mode := 'enforce';
        END IF;
    ELSIF NEW.mode IS NOT DISTINCT FROM OLD.mode
        AND NEW.enforce_api_keys IS DISTINCT FROM OLD.enforce_api_keys THEN
        NEW.mode := CASE WHEN NEW.enforce_api_keys THEN 'enforce' ELSE 'off' END;
    END IF;
    NEW.enforce_api_keys := NEW.mode = 'enforce';
    RETURN NEW;
END
$$;

DO $$
DECLARE
    relation text;
BEGIN
    -- Rows from before there was a mode. Nothing is written where there is nothing to do: a statement counts
    -- as a change of the policy (0006).
    IF EXISTS (SELECT FROM api_key_config WHERE enforce_api_keys AND mode = 'off') THEN
        UPDATE api_key_config SET mode = 'enforce' WHERE enforce_api_keys AND mode = 'off';
    END IF;
    IF EXISTS (SELECT FROM api_key_client_config WHERE enforce_api_keys AND mode = 'off') THEN
        UPDATE api_key_client_config SET mode = 'enforce' WHERE enforce_api_keys AND mode = 'off';
    END IF;
    FOREACH relation IN ARRAY ARRAY['api_key_config', 'api_key_client_config'] LOOP
        IF NOT EXISTS (
            SELECT FROM pg_trigger
            WHERE tgrelid = to_regclass(relation) AND tgname = 'athena_policy_in_step'
        ) THEN
            EXECUTE format(
                'CREATE TRIGGER athena_policy_in_step BEFORE INSERT OR UPDATE ON %I
                 FOR EACH ROW EXECUTE FUNCTION athena_policy_in_step()',
                relation
            );
        END IF;
    END LOOP;
END
$$;

-- Names of clients are compared trimmed and in lower case. Where 2.9.0 kept rows of its own for `demo` and
-- `DEMO`, one has to speak for both: the newest that enforces, else the newest, so that no migration opens
-- what was closed. The others move here as they were.
CREATE TABLE IF NOT EXISTS api_key_client_config_superseded (
    id bigint PRIMARY KEY,
    api_key_client_config_id uuid NOT NULL,
    client_name text NOT NULL,
    enforce_api_keys boolean NOT NULL,
    mode text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    superseded_at timestamptz NOT NULL DEFAULT now()
);

DO $$
DECLARE
    older record;
BEGIN
    FOR older IN
        SELECT *
        FROM (
            SELECT *, row_number() OVER (
                PARTITION BY lower(btrim(client_name))
                ORDER BY enforce_api_keys DESC, updated_at DESC, id DESC
            ) AS place
            FROM api_key_client_config
        ) AS rows_of_a_client
        WHERE place > 1
    LOOP
        INSERT INTO api_key_client_config_superseded
            (id, api_key_client_config_id, client_name, enforce_api_keys, mode, created_at, updated_at)
        VALUES
            (older.id, older.api_key_client_config_id, older.client_name, older.enforce_api_keys, older.mode,
             older.created_at, older.updated_at)
        ON CONFLICT (id) DO NOTHING;
        DELETE FROM api_key_client_config WHERE id = older.id;
        RAISE WARNING 'api_key_client_config: the row of % moved to api_key_client_config_superseded: another row has the same name but for its case',
            quote_literal(older.client_name);
    END LOOP;
END
$$;

CREATE UNIQUE INDEX IF NOT EXISTS api_key_client_config_client_name_folded_idx
    ON api_key_client_config (lower(btrim(client_name)));

-- The global policy, and rights that every installation can grant at once.
DO $$
DECLARE
    seed record;
BEGIN
    IF NOT EXISTS (
        SELECT FROM api_key_config WHERE api_key_config_id = '00000000-0000-0000-0000-000000000000'
    ) THEN
        INSERT INTO api_key_config (api_key_config_id) VALUES ('00000000-0000-0000-0000-000000000000');
    END IF;
    FOR seed IN
        SELECT *
        FROM (VALUES
            ('*', 'Everything'),
            ('gateway.*', 'Every operation on every table; not management'),
            ('gateway.access', 'Routes that need no right of their own'),
            ('gateway.read', 'Reading every table'),
            ('gateway.write', 'Inserting into and updating every table'),
            ('gateway.delete', 'Deleting from every table'),
            ('gateway.query', 'SQL of the caller''s own'),
            ('management.*', 'Creating, changing and dropping tables, columns, indexes and extensions'),
            ('schema.read', 'Reading which tables and columns there are')
        ) AS list (name, description)
        WHERE NOT EXISTS (SELECT FROM api_key_rights AS present WHERE present.name = list.name)
    LOOP
        INSERT INTO api_key_rights (name, description) VALUES (seed.name, seed.description);
    END LOOP;
END
$$;
