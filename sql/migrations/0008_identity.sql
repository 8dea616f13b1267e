-- Which database this is. The name stays with the data, also where it is moved: a gateway that has kept
-- records on disk gives them to no other.

SET LOCAL search_path = public, pg_temp;
SET LOCAL client_min_messages = warning;

CREATE TABLE IF NOT EXISTS athena_control_identity (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid()
);
INSERT INTO athena_control_identity
SELECT gen_random_uuid() WHERE NOT EXISTS (SELECT FROM athena_control_identity);
