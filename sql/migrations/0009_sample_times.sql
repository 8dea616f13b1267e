-- Samples of pools are thrown away by age.

SET LOCAL search_path = public, pg_temp;
SET LOCAL client_min_messages = warning;

CREATE INDEX IF NOT EXISTS client_connections_recorded_at_idx ON client_connections (recorded_at);
