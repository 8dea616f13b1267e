DROP TABLE IF EXISTS contract_items, contract_places;
-- The collation is part of the contract: text is ordered by code point.
CREATE TABLE contract_items (
    id bigint PRIMARY KEY,
    name text COLLATE "C",
    qty integer,
    price numeric(12,2),
    tags text[],
    meta jsonb,
    active boolean DEFAULT true,
    born date,
    seen timestamptz,
    CONSTRAINT contract_items_name_key UNIQUE (name)
);
CREATE TABLE contract_places (
    land text COLLATE "C",
    town text COLLATE "C",
    people bigint NOT NULL DEFAULT 0,
    note text,
    PRIMARY KEY (land, town)
);
