-- What is quicker to do on full tables: keys, indexes, the view, comments, statistics.

-- Rows that were updated go back to their place, so that a plain SELECT shows them in order.
CLUSTER orders USING orders_pkey;
CLUSTER type_samples USING type_samples_pkey;

ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers (id);
ALTER TABLE order_items
    ADD FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE,
    ADD FOREIGN KEY (product_id) REFERENCES products (id);
ALTER TABLE events ADD FOREIGN KEY (customer_id) REFERENCES customers (id);

CREATE INDEX orders_customer_id_idx ON orders (customer_id);
CREATE INDEX orders_ordered_at_idx ON orders (ordered_at);
CREATE INDEX orders_open_idx ON orders (status) WHERE status IN ('pending', 'paid');
CREATE INDEX order_items_product_id_idx ON order_items (product_id);
CREATE INDEX products_category_idx ON products (category, price);
CREATE INDEX customers_tags_idx ON customers USING gin (tags);
CREATE INDEX events_occurred_at_idx ON events (occurred_at);
CREATE INDEX events_customer_id_idx ON events (customer_id, occurred_at);
CREATE INDEX events_name_idx ON events (name);

CREATE VIEW monthly_revenue AS
SELECT date_trunc('month', ordered_at)::date AS month,
       currency,
       count(*) AS orders,
       sum(total) AS revenue
FROM orders
WHERE status NOT IN ('cancelled', 'refunded')
GROUP BY 1, 2
ORDER BY 1, 2;

COMMENT ON TABLE customers IS 'People who have an account in the shop.';
COMMENT ON COLUMN customers.public_id IS 'The id that may be shown outside.';
COMMENT ON TABLE products IS 'What the shop sells, listed or not.';
COMMENT ON COLUMN products.price IS 'In EUR, without tax.';
COMMENT ON TABLE orders IS 'One row per checkout.';
COMMENT ON COLUMN orders.total IS 'The sum of the order''s items.';
COMMENT ON TABLE order_items IS 'The lines of an order, at the price of that day.';
COMMENT ON TABLE events IS 'What visitors do on the shop''s pages; customer_id is empty for those not signed in.';
COMMENT ON TABLE type_samples IS 'A value of every type, for trying out clients.';
COMMENT ON VIEW monthly_revenue IS 'Revenue per month and currency, without cancelled and refunded orders.';

-- The generator chose the ids itself; new rows go on after them.
SELECT setval(pg_get_serial_sequence('customers', 'id'), max(id)) FROM customers;
SELECT setval(pg_get_serial_sequence('products', 'id'), max(id)) FROM products;
SELECT setval(pg_get_serial_sequence('orders', 'id'), max(id)) FROM orders;
SELECT setval(pg_get_serial_sequence('events', 'id'), max(id)) FROM events;

ANALYZE customers, products, orders, order_items, events, type_samples;
