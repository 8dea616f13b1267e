-- Logs that are written in batches, read by time and thrown away by age.

SET LOCAL search_path = public, pg_temp;
SET LOCAL client_min_messages = warning;

CREATE INDEX IF NOT EXISTS gateway_request_log_created_at_idx ON gateway_request_log (created_at);
CREATE INDEX IF NOT EXISTS gateway_request_log_client_created_at_idx
    ON gateway_request_log (client, created_at);
CREATE INDEX IF NOT EXISTS gateway_operation_log_created_at_idx ON gateway_operation_log (created_at);
CREATE INDEX IF NOT EXISTS gateway_operation_log_client_created_at_idx
    ON gateway_operation_log (client, created_at);
CREATE INDEX IF NOT EXISTS api_key_auth_log_created_at_idx ON api_key_auth_log (created_at);

-- Callers choose request ids: one that is used twice must not cost a row.
DO $$
DECLARE
    found record;
    chosen smallint[] := ARRAY(
        SELECT attnum FROM pg_attribute
        WHERE attrelid = to_regclass('api_key_auth_log') AND attname IN ('request_id', 'api_key_public_id')
        ORDER BY attnum
    );
BEGIN
    FOR found IN
        SELECT conname FROM pg_constraint
        WHERE conrelid = to_regclass('api_key_auth_log') AND contype = 'u'
          AND ARRAY(SELECT unnest(conkey) ORDER BY 1) = chosen
    LOOP
        EXECUTE format('ALTER TABLE api_key_auth_log DROP CONSTRAINT %I', found.conname);
    END LOOP;
    FOR found IN
        SELECT indexrelid::regclass AS name FROM pg_index
        WHERE indrelid = to_regclass('api_key_auth_log') AND indisunique
          AND ARRAY(SELECT unnest(indkey::smallint[]) ORDER BY 1) = chosen
    LOOP
        EXECUTE format('DROP INDEX %s', found.name);
    END LOOP;
END
$$;

-- A batch of log rows is written together with its id, so that one that is replayed is written once.
CREATE TABLE IF NOT EXISTS gateway_log_batches (
    batch_id uuid PRIMARY KEY,
    written_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS gateway_log_batches_written_at_idx ON gateway_log_batches (written_at);
