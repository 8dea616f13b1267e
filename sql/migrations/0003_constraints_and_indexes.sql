-- Keys, checks, references and indexes of 2.9.0, each made unless the table has it, whatever its name.

SET LOCAL search_path = public, pg_temp;
SET LOCAL client_min_messages = warning;

-- Two undeleted clients of one name could stand in a table that never had the index below. The newest stays;
-- the others are marked as deleted and can be brought back under another name.
DO $$
DECLARE
    older record;
BEGIN
    IF to_regclass('athena_clients_client_name_lower_idx') IS NOT NULL THEN
        RETURN;
    END IF;
    FOR older IN
        SELECT id, client_name
        FROM (
            SELECT id, client_name, row_number() OVER (
                PARTITION BY lower(client_name) ORDER BY updated_at DESC, id DESC
            ) AS place
            FROM athena_clients
            WHERE deleted_at IS NULL
        ) AS clients
        WHERE place > 1
    LOOP
        UPDATE athena_clients SET deleted_at = now(), is_active = false WHERE id = older.id;
        RAISE WARNING 'athena_clients: row % (%) was marked as deleted, because a newer one has the same name',
            older.id, older.client_name;
    END LOOP;
END
$$;

-- The definitions are written as pg_get_constraintdef gives them, so that they can be compared.
DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT *
        FROM (VALUES
            ('api_keys', 'api_keys_pkey', 'PRIMARY KEY (id)'),
            ('api_keys', 'api_keys_api_keys_id_key', 'UNIQUE (api_keys_id)'),
            ('api_keys', 'api_keys_public_id_key', 'UNIQUE (public_id)'),
            ('api_key_rights', 'api_key_rights_pkey', 'PRIMARY KEY (id)'),
            ('api_key_rights', 'api_key_rights_api_key_rights_id_key', 'UNIQUE (api_key_rights_id)'),
            ('api_key_rights', 'api_key_rights_name_key', 'UNIQUE (name)'),
            ('api_key_right_grants', 'api_key_right_grants_pkey', 'PRIMARY KEY (api_key_id, right_id)'),
            ('api_key_right_grants', 'api_key_right_grants_api_key_right_grants_id_key',
                'UNIQUE (api_key_right_grants_id)'),
            ('api_key_right_grants', 'api_key_right_grants_api_key_id_fkey',
                'FOREIGN KEY (api_key_id) REFERENCES api_keys(id) ON DELETE CASCADE'),
            ('api_key_right_grants', 'api_key_right_grants_right_id_fkey',
                'FOREIGN KEY (right_id) REFERENCES api_key_rights(id) ON DELETE CASCADE'),
            ('api_key_config', 'api_key_config_pkey', 'PRIMARY KEY (id)'),
            ('api_key_config', 'api_key_config_api_key_config_id_key', 'UNIQUE (api_key_config_id)'),
            ('api_key_client_config', 'api_key_client_config_pkey', 'PRIMARY KEY (id)'),
            ('api_key_client_config', 'api_key_client_config_api_key_client_config_id_key',
                'UNIQUE (api_key_client_config_id)'),
            ('api_key_client_config', 'api_key_client_config_client_name_key', 'UNIQUE (client_name)'),
            ('api_key_auth_log', 'api_key_auth_log_pkey', 'PRIMARY KEY (id)'),
            ('api_key_auth_log', 'api_key_auth_log_api_key_auth_log_id_key', 'UNIQUE (api_key_auth_log_id)'),
            ('api_key_auth_log', 'api_key_auth_log_api_key_id_fkey',
                'FOREIGN KEY (api_key_id) REFERENCES api_keys(id) ON DELETE SET NULL'),
            ('athena_clients', 'athena_clients_athena_client_id_key', 'UNIQUE (athena_client_id)'),
            ('athena_clients', 'athena_clients_source_check',
                'CHECK ((source = ANY (ARRAY[''config''::text, ''database''::text, ''merged''::text])))'),
            ('athena_clients', 'athena_clients_uri_check',
                'CHECK (((pg_uri IS NOT NULL) OR (pg_uri_env_var IS NOT NULL) OR (config_uri_template IS NOT NULL)))'),
            ('client_statistics', 'client_statistics_client_name_key', 'UNIQUE (client_name)'),
            ('client_table_statistics', 'client_table_statistics_client_name_table_name_operation_key',
                'UNIQUE (client_name, table_name, operation)'),
            ('client_connections', 'client_connections_pkey', 'PRIMARY KEY (id)'),
            ('client_alert_queries', 'client_alert_queries_pkey', 'PRIMARY KEY (id)'),
            ('gateway_request_log', 'gateway_request_log_pkey', 'PRIMARY KEY (id)'),
            ('gateway_operation_log', 'gateway_operation_log_pkey', 'PRIMARY KEY (id)'),
            ('gateway_connection_registry_realtime', 'gateway_connection_registry_realtime_registry_key_key',
                'UNIQUE (registry_key)'),
            ('api_registry', 'api_registry_pkey', 'PRIMARY KEY (id)'),
            ('api_registry', 'api_registry_api_registry_id_key', 'UNIQUE (api_registry_id)'),
            ('backup_jobs', 'backup_jobs_pkey', 'PRIMARY KEY (id)'),
            ('backup_job_logs', 'backup_job_logs_pkey', 'PRIMARY KEY (id)'),
            ('backup_job_logs', 'backup_job_logs_job_id_fkey',
                'FOREIGN KEY (job_id) REFERENCES backup_jobs(id) ON DELETE CASCADE'),
            ('backup_job_logs', 'backup_job_logs_level_check',
                'CHECK ((level = ANY (ARRAY[''info''::text, ''warn''::text, ''error''::text])))'),
            ('backup_schedules', 'backup_schedules_pkey', 'PRIMARY KEY (id)'),
            ('backup_schedules', 'backup_schedules_frequency_check',
                'CHECK ((frequency = ANY (ARRAY[''hourly''::text, ''daily''::text, ''weekly''::text, ''monthly''::text])))'),
            ('backup_schedules', 'backup_schedules_day_of_week_check',
                'CHECK (((day_of_week >= 0) AND (day_of_week <= 6)))'),
            ('backup_schedules', 'backup_schedules_day_of_month_check',
                'CHECK (((day_of_month >= 1) AND (day_of_month <= 28)))'),
            ('backup_schedules', 'backup_schedules_last_job_id_fkey',
                'FOREIGN KEY (last_job_id) REFERENCES backup_jobs(id) ON DELETE SET NULL'),
            ('query_history', 'query_history_pkey', 'PRIMARY KEY (id)'),
            ('saved_queries', 'saved_queries_pkey', 'PRIMARY KEY (id)'),
            ('ui_request_log', 'ui_request_log_pkey', 'PRIMARY KEY (id)'),
            ('feedback', 'feedback_pkey', 'PRIMARY KEY (id)'),
            ('organization_requests', 'organization_requests_pkey', 'PRIMARY KEY (id)'),
            ('project_requests', 'project_requests_pkey', 'PRIMARY KEY (id)'),
            ('storage_profiles', 'storage_profiles_pkey', 'PRIMARY KEY (id)')
        ) AS list (relation, name, definition)
        WHERE NOT EXISTS (
            SELECT
            FROM pg_constraint AS present
            WHERE present.conrelid = to_regclass(list.relation)
              AND (pg_get_constraintdef(present.oid) = list.definition
                   -- A table has one primary key; an old one is not taken away.
                   OR (present.contype = 'p' AND list.definition LIKE 'PRIMARY KEY%'))
        )
    LOOP
        -- A check or reference of the same name that says something else is replaced.
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT IF EXISTS %I', wanted.relation, left(wanted.name, 63));
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I %s',
            wanted.relation, left(wanted.name, 63), wanted.definition);
    END LOOP;
END
$$;

CREATE INDEX IF NOT EXISTS api_keys_client_name_idx ON api_keys (client_name);
CREATE INDEX IF NOT EXISTS api_keys_expires_at_idx ON api_keys (expires_at);
CREATE INDEX IF NOT EXISTS api_key_right_grants_right_id_idx ON api_key_right_grants (right_id);
CREATE INDEX IF NOT EXISTS api_key_auth_log_api_key_id_idx ON api_key_auth_log (api_key_id);
CREATE INDEX IF NOT EXISTS api_key_auth_log_client_name_idx ON api_key_auth_log (client_name);
CREATE INDEX IF NOT EXISTS api_key_auth_log_time_idx ON api_key_auth_log ("time");

CREATE UNIQUE INDEX IF NOT EXISTS athena_clients_client_name_lower_idx
    ON athena_clients (lower(client_name)) WHERE deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS athena_clients_source_idx
    ON athena_clients (source) WHERE deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS athena_clients_active_frozen_idx
    ON athena_clients (is_active, is_frozen) WHERE deleted_at IS NULL;

CREATE INDEX IF NOT EXISTS client_table_statistics_client_name_idx ON client_table_statistics (client_name);
CREATE INDEX IF NOT EXISTS client_table_statistics_table_name_idx ON client_table_statistics (table_name);
CREATE INDEX IF NOT EXISTS client_connections_client_name_recorded_at_idx
    ON client_connections (client_name, recorded_at DESC);
CREATE INDEX IF NOT EXISTS client_connections_instance_id_idx ON client_connections (instance_id);

CREATE INDEX IF NOT EXISTS gateway_connection_registry_realtime_client_name_idx
    ON gateway_connection_registry_realtime (client_name);
CREATE INDEX IF NOT EXISTS gateway_connection_registry_realtime_last_seen_at_idx
    ON gateway_connection_registry_realtime (last_seen_at DESC);
CREATE INDEX IF NOT EXISTS gateway_connection_registry_realtime_ipv4_idx
    ON gateway_connection_registry_realtime (ipv4);
CREATE INDEX IF NOT EXISTS gateway_connection_registry_realtime_athena_url_idx
    ON gateway_connection_registry_realtime (athena_url);

CREATE INDEX IF NOT EXISTS api_registry_updated_at_idx ON api_registry (updated_at DESC);
CREATE INDEX IF NOT EXISTS backup_jobs_client_name_started_at_idx ON backup_jobs (client_name, started_at DESC);
CREATE INDEX IF NOT EXISTS backup_jobs_status_idx ON backup_jobs (status);
CREATE INDEX IF NOT EXISTS backup_job_logs_job_id_created_at_idx ON backup_job_logs (job_id, created_at);
CREATE INDEX IF NOT EXISTS backup_schedules_client_name_idx ON backup_schedules (client_name);
CREATE INDEX IF NOT EXISTS backup_schedules_enabled_idx ON backup_schedules (enabled) WHERE enabled;
