-- The table of the measurements. Rows of one kind lie together, so that the database's part of a
-- page is small and steady, and what is measured is what stands in front of it.
CREATE TABLE events (
    id         bigint PRIMARY KEY,
    name       text NOT NULL,
    kind       text NOT NULL,
    amount     numeric(12,2) NOT NULL,
    payload    jsonb NOT NULL,
    created_at timestamptz NOT NULL
);

INSERT INTO events
SELECT i,
       'event number ' || i,
       'kind_' || lpad(((i - 1) * 100 / 500000)::text, 2, '0'),
       ((i * 7919) % 100000000) / 100.0,
       jsonb_build_object('user', i % 5000, 'tags', jsonb_build_array('a', 'b'), 'ok', i % 2 = 0),
       timestamptz '2024-01-01 00:00:00+00' + i * interval '61.000123 seconds'
FROM generate_series(1::bigint, 500000) AS i;

CREATE INDEX events_kind ON events (kind);

-- A little more than 1 GB as NDJSON. The rows are made while they are read; nothing is stored.
CREATE VIEW stream_rows AS
SELECT i AS id,
       'event number ' || i AS name,
       repeat('All work and no play. ', 18) AS note,
       (i % 1000000) / 100.0 AS amount,
       jsonb_build_object('user', i % 5000) AS payload,
       timestamptz '2024-01-01 00:00:00+00' + i * interval '1 second' AS created_at
FROM (SELECT generate_series(1, 2000000)::bigint AS i) AS numbers;

VACUUM ANALYZE events;
CHECKPOINT;
