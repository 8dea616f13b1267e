-- The rows, made by arithmetic: the same on every load but for the dates, which
-- end at the hour of loading. A multiplication by a large odd number, modulo a
-- prime, stands in for chance.

INSERT INTO customers (id, public_id, name, email, address, tags, preferences, is_active, created_at)
SELECT n,
       md5('customer ' || n)::uuid,
       first || ' ' || last,
       lower(translate(first || '.' || last, 'éöüłñøïåáíć ''', 'eoulnoiaaic')) || n || '@example.com',
       ROW ((ARRAY ['Harbour Street', 'Rue des Lilas', 'Lindenallee', 'Via Roma', 'Calle Mayor', 'Kerkstraat'])[1 + r % 6]
                || ' ' || 1 + r % 140,
            lpad((10000 + r * 37 % 89999)::text, 5, '0'),
            city, country)::postal_address,
       CASE WHEN r % 10 = 0 THEN '{vip,newsletter}' WHEN r % 3 = 0 THEN '{newsletter}' ELSE '{}' END::text[],
       jsonb_build_object(
           'language', (ARRAY ['en', 'fr', 'de', 'it', 'es', 'nl'])[1 + r % 6],
           'roast', (ARRAY ['light', 'medium', 'dark'])[1 + r % 3],
           'channels', jsonb_build_object('email', r % 2 = 0, 'sms', r % 7 = 0)),
       r % 25 <> 0,
       date_trunc('hour', now()) - make_interval(days => 365 + r % 700, mins => r % 1440)
FROM (SELECT n,
             n * 7919 % 100003 AS r,
             (ARRAY ['Amélie', 'Björn', 'Chloé', 'Dilan', 'Elena', 'Farid', 'Grace', 'Hiro', 'Ines', 'Jonas', 'Kasia',
                 'Liam', 'Maya', 'Noor', 'Olga', 'Pablo', 'Quinn', 'Rosa', 'Søren', 'Tariq'])[1 + n % 20] AS first,
             (ARRAY ['Andersen', 'Bauer', 'Costa', 'Dubois', 'Eriksson', 'Fischer', 'García', 'Hughes', 'Ito', 'Jansen',
                 'Kowalski', 'Lambert', 'Müller', 'Novak', 'O''Brien', 'Petrović', 'Rossi'])[1 + n * 5 % 17] AS last,
             (ARRAY ['Lisbon', 'Lyon', 'Berlin', 'Turin', 'Seville', 'Utrecht', 'Kraków', 'Malmö'])[1 + n % 8] AS city,
             (ARRAY ['PT', 'FR', 'DE', 'IT', 'ES', 'NL', 'PL', 'SE'])[1 + n % 8] AS country
      FROM generate_series(1, 2000) AS n) AS drawn;

INSERT INTO products (id, sku, name, category, description, price, weight_grams, stock, attributes, is_listed, created_at)
SELECT n,
       upper(left(kind, 3)) || '-' || lpad(n::text, 4, '0'),
       maker || ' ' || kind,
       (ARRAY ['brewing', 'grinding', 'beans', 'cups', 'brewing', 'care'])[1 + n % 6],
       CASE WHEN n % 9 <> 0 THEN 'A ' || lower(kind) || ' by ' || maker || ', made for every day.' END,
       (4.90 + n * 6151 % 24000 / 100.0)::numeric(10, 2),
       CASE WHEN n % 11 <> 0 THEN 80 + n * 977 % 4000 END,
       n * 131 % 400,
       jsonb_build_object('colour', (ARRAY ['black', 'white', 'copper', 'sage'])[1 + n % 4], 'warranty_years', n % 4,
                          'dimensions_cm', jsonb_build_array(5 + n % 30, 5 + n % 17, 8 + n % 25)),
       n % 17 <> 0,
       date_trunc('hour', now()) - make_interval(days => 380 + n)
FROM (SELECT n,
             (ARRAY ['Kettle', 'Grinder', 'House Blend', 'Mug', 'Dripper', 'Descaler'])[1 + n % 6] AS kind,
             (ARRAY ['Arcadia', 'Bruno', 'Cumulus', 'Delphi', 'Ember', 'Fjord', 'Granite', 'Helios', 'Ithaca', 'Juno',
                 'Kite', 'Lumen', 'Meridian', 'Nimbus', 'Orbit', 'Pallas', 'Quarry', 'Rook', 'Saga', 'Tern'])[1 + n / 6] AS maker
      FROM generate_series(1, 119) AS n) AS drawn;

-- More orders towards the present: the power of an even step leans to zero minutes ago.
INSERT INTO orders (id, customer_id, status, currency, note, ordered_at, shipped_at)
SELECT n, 1 + r % 2000, status, CASE WHEN r % 12 = 0 THEN 'SEK' WHEN r % 9 = 0 THEN 'PLN' ELSE 'EUR' END,
       CASE WHEN r % 20 = 0 THEN 'Please leave with the neighbour.' WHEN r % 33 = 0 THEN 'Gift – no invoice in the box 🎁' END,
       ordered_at,
       CASE WHEN status IN ('shipped', 'delivered', 'refunded') THEN ordered_at + make_interval(hours => 4 + r % 20) END
FROM (SELECT n, r, ordered_at,
             CASE WHEN r % 19 = 0 THEN 'cancelled'
                  WHEN r % 37 = 0 THEN 'refunded'
                  WHEN ordered_at > now() - interval '1 day' THEN 'pending'
                  WHEN ordered_at > now() - interval '2 days' THEN 'paid'
                  WHEN ordered_at > now() - interval '6 days' THEN 'shipped'
                  ELSE 'delivered' END::order_status AS status
      FROM (SELECT n, (n::bigint * 48271 % 100003)::integer AS r,
                   date_trunc('hour', now())
                       - make_interval(mins => (524160 * ((12001 - n) / 12000::float8) ^ 1.3)::integer) AS ordered_at
            FROM generate_series(1, 12000) AS n) AS timed) AS drawn;

INSERT INTO order_items (order_id, line, product_id, quantity, unit_price)
SELECT drawn.order_id, drawn.line, products.id, 1 + r % 3, products.price
FROM (SELECT orders.id AS order_id, line, ((orders.id * 31 + line * 7907) * 6151 % 100003)::integer AS r
      FROM orders CROSS JOIN LATERAL generate_series(1, 1 + (orders.id * 13 % 4)::integer) AS line) AS drawn
JOIN products ON products.id = 1 + r % 119;

UPDATE orders SET total = sums.total
FROM (SELECT order_id, sum(quantity * unit_price) AS total FROM order_items GROUP BY order_id) AS sums
WHERE sums.order_id = orders.id;

-- 125,000 events over the last year, four to a session, busier by day than by
-- night, and fewer at every step on the way to a purchase.
INSERT INTO events (id, occurred_at, name, customer_id, session_id, page, duration_ms, properties)
SELECT n,
       date_trunc('hour', now())
           - make_interval(secs => (125000 - n) * 252.288::float8 + 7200 * (1 + sin(n / 54.5))),
       name,
       CASE WHEN session % 3 <> 0 THEN 1 + session % 2000 END,
       md5('session ' || session)::uuid,
       CASE name
           WHEN 'page_view' THEN (ARRAY ['/', '/products', '/about', '/journal/water', '/journal/grind-size'])[1 + r % 5]
           WHEN 'search' THEN '/search'
           WHEN 'remove_from_cart' THEN '/cart'
           WHEN 'checkout_started' THEN '/checkout'
           WHEN 'purchase' THEN '/checkout/done'
           ELSE '/products/' || 1 + r % 119 END,
       CASE WHEN r % 13 <> 0 THEN 40 + r * 7 % 4699 END,
       CASE name
           WHEN 'search' THEN '{"query": "burr grinder", "results": 12}'
           WHEN 'product_view' THEN '{"source": "recommendation", "position": 3}'
           WHEN 'purchase' THEN '{"coupon": null, "payment": {"method": "card", "3ds": true}}'
           WHEN 'page_view' THEN '{"device": "mobile", "referrer": "newsletter"}'
           ELSE '{"device": "desktop"}' END::jsonb
FROM (SELECT n, session, r,
             CASE WHEN r % 100 < 46 THEN 'page_view'
                  WHEN r % 100 < 73 THEN 'product_view'
                  WHEN r % 100 < 84 THEN 'search'
                  WHEN r % 100 < 93 THEN 'add_to_cart'
                  WHEN r % 100 < 95 THEN 'remove_from_cart'
                  WHEN r % 100 < 98 THEN 'checkout_started'
                  ELSE 'purchase' END AS name
      FROM (SELECT n, n / 4 AS session, (n::bigint * 48271 % 100003)::integer AS r
            FROM generate_series(1, 125000) AS n) AS numbered) AS drawn;
