-- One column of every type people use, in four rows: everyday values, the
-- largest or strangest, the smallest or emptiest, and nothing at all.

CREATE TABLE type_samples (
    id                 integer PRIMARY KEY,
    about              text NOT NULL,
    int2_value         smallint,
    int4_value         integer,
    int8_value         bigint,
    numeric_value      numeric(38, 18),
    numeric_free       numeric,
    real_value         real,
    double_value       double precision,
    bool_value         boolean,
    text_value         text,
    varchar_value      varchar(80),
    char_value         char(8),
    uuid_value         uuid,
    date_value         date,
    time_value         time,
    timetz_value       timetz,
    timestamp_value    timestamp,
    timestamptz_value  timestamptz,
    interval_value     interval,
    bytea_value        bytea,
    json_value         json,
    jsonb_value        jsonb,
    text_array         text[],
    int_array          integer[],
    int_matrix         integer[][],
    enum_value         order_status,
    inet_value         inet,
    cidr_value         cidr,
    macaddr_value      macaddr,
    int4range_value    int4range,
    tstzrange_value    tstzrange,
    composite_value    postal_address,
    domain_value       email_address,
    money_value        money,
    bit_value          bit(8),
    varbit_value       varbit,
    point_value        point,
    tsvector_value     tsvector
);

INSERT INTO type_samples VALUES
(1, 'everyday values', 42, 70000, 5000000000, 1234.560000000000000000, 0.10, 3.5, 2.718281828459045, true,
 'Grüße aus Köln ☕', 'a varchar', 'char', '018f4e2a-7c3b-7d10-9a54-3f2b8c1d6e70',
 '2025-02-28', '13:37:42.123456', '13:37:42+02', '2025-02-28 13:37:42.123456', '2025-02-28 13:37:42.123456+01',
 '1 year 2 mons 3 days 04:05:06.789', '\xdeadbeef',
 '{"b": 1, "a": [1, 2.50, null], "b": 2}', '{"nested": {"list": [1, "two", false, null]}, "price": 19.90}',
 '{plain,"with, comma","with \"quotes\"",NULL}', '{1,2,NULL,4}', '{{1,2,3},{4,5,6}}',
 'shipped', '192.168.0.17/24', '10.1.0.0/16', '08:00:2b:01:02:03', '[1,10)', '["2025-01-01 00:00+00","2025-02-01 00:00+00")',
 ROW ('Via Roma 1, "Scala B"', '10121', 'Turin', 'IT'), 'ada@example.com', 1234.56::numeric::money, B'10100101', B'101',
 point(52.52, 13.405), to_tsvector('simple', 'The quick brown fox jumps over the lazy dog')),

(2, 'the largest and strangest', 32767, 2147483647, 9223372036854775807,
 99999999999999999999.999999999999999999, 'NaN', 'NaN', 'Infinity', true,
 E'tab\there, newline\nhere, quote "here", backslash \\ here, emoji 👩‍🚀', repeat('ÿ', 80), 'eight888',
 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'infinity', '24:00:00', '23:59:59.999999-15:59', 'infinity', 'infinity',
 '178000000 years', decode(repeat('00ff', 64), 'hex'),
 '{"large": 123456789012345678901234567890, "unicode": "\u00e9"}',
 '{"large": 123456789012345678901234567890, "exponent": 1e100}',
 '{"","NULL","{}","\\"}', '{2147483647}', '{{1},{2},{3}}',
 'refunded', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'fe80::/10', 'ff:ff:ff:ff:ff:ff', '(,)', '(,infinity]',
 ROW ('', NULL, '(brackets)', 'ZZ'), 'o''brien+tag@example.co.uk', 92233720368547758.07::numeric::money, B'11111111', repeat('1', 70)::varbit,
 '(1e300,-1e-300)', '''it''''s'':1A ''a:b'':2'::tsvector),

(3, 'the smallest and emptiest', -32768, -2147483648, -9223372036854775808,
 -99999999999999999999.999999999999999999, 1e-30, '-0'::real, '-Infinity', false,
 '', '', '', '00000000-0000-0000-0000-000000000000',
 '4713-01-01 BC', '00:00:00', '00:00:00+15:59', '4713-01-01 00:00:00 BC', '-infinity',
 '-1 days +00:00:00.000001', '', '[]', 'null', '{}', '{}', '{}', 'pending', '0.0.0.0', '0.0.0.0/0', '00:00:00:00:00:00',
 'empty', 'empty', ROW (NULL, NULL, NULL, NULL), 'a@b.c', (-92233720368547758.08)::numeric::money, B'00000000', B'', '(0,0)', '');

INSERT INTO type_samples (id, about) VALUES (4, 'nothing at all');

-- A server may be built without XML; then the column is left out.
DO $$
BEGIN
    ALTER TABLE type_samples ADD COLUMN xml_value xml;
    UPDATE type_samples SET xml_value = '<cup size="2"><!-- hot --><![CDATA[<coffee>]]></cup>'::xml WHERE id = 1;
EXCEPTION WHEN feature_not_supported THEN
    RAISE NOTICE 'this server has no XML support; type_samples.xml_value is left out';
END
$$;
