-- Sample data for the demo: a small shop, about 1 KB for each :orders row in all tables together.
-- psql -v orders=80000 -f sample.sql

CREATE ROLE backup LOGIN PASSWORD :'password';
GRANT pg_read_all_data TO backup;

CREATE TYPE order_state AS ENUM ('open', 'paid', 'shipped', 'returned');
CREATE DOMAIN email AS text CHECK (value ~ '^[^@]+@[^@]+$');

CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    email email UNIQUE,
    address jsonb,
    joined date NOT NULL
);
COMMENT ON TABLE customers IS 'Who bought — with "quotes", a tab	and a backslash \ in the comment';

-- A name that needs quotes, and no row in it.
CREATE TABLE "Größen & Farben" ("Größe" int PRIMARY KEY, "Farbe's name" text);

CREATE TABLE orders (
    id bigint NOT NULL,
    customer bigint NOT NULL REFERENCES customers,
    placed timestamptz NOT NULL,
    state order_state NOT NULL DEFAULT 'open',
    total numeric(12, 2) NOT NULL CHECK (total >= 0),
    note text,
    PRIMARY KEY (id, placed)
) PARTITION BY RANGE (placed);
CREATE TABLE orders_2025 PARTITION OF orders FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE orders_2026 PARTITION OF orders FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');

CREATE TABLE documents (
    id uuid PRIMARY KEY,
    order_id bigint NOT NULL,
    tags text[],
    valid tstzrange,
    content bytea
);

-- The same data in every run: no random(), only hashes of the row's number.
INSERT INTO customers (name, email, address, joined)
SELECT 'Kundin ' || i || CASE i % 4 WHEN 0 THEN ' Ñandú' WHEN 1 THEN ' 株式会社' ELSE '' END,
       'customer' || i || '@example.com',
       jsonb_build_object('street', md5(i::text), 'zip', i % 100000, 'lines', jsonb_build_array(i, NULL, true)),
       date '2020-01-01' + i % 2000
FROM generate_series(1, :orders / 4 + 1) AS i;

INSERT INTO orders (id, customer, placed, state, total, note)
SELECT i, 1 + i % (:orders / 4 + 1), timestamptz '2025-01-01 00:00:00Z' + i % 700 * interval '1 day',
       (enum_range(NULL::order_state))[1 + i % 4], i % 100000 / 7.0,
       CASE WHEN i % 3 > 0 THEN repeat(md5(i::text), 5) || E'\nsecond line\twith a tab' END
FROM generate_series(1, :orders) AS i;

INSERT INTO documents (id, order_id, tags, valid, content)
SELECT md5('document' || i)::uuid, i, ARRAY['tag ' || i % 10, NULL, 'ünïcode'],
       tstzrange(timestamptz '2025-01-01 00:00:00Z', timestamptz '2025-01-01 00:00:00Z' + i * interval '1 minute'),
       decode(repeat(md5(i::text) || md5('x' || i), 8), 'hex')
FROM generate_series(1, :orders) AS i;

CREATE INDEX ON orders (customer);
CREATE INDEX ON customers USING gin (address);
CREATE VIEW open_orders AS SELECT * FROM orders WHERE state = 'open';
CREATE MATERIALIZED VIEW totals AS SELECT customer, sum(total) AS total FROM orders GROUP BY customer;

CREATE FUNCTION order_count(bigint) RETURNS bigint LANGUAGE sql STABLE AS
$body$ SELECT count(*) FROM orders WHERE customer = $1 $body$;

CREATE FUNCTION keep_total() RETURNS trigger LANGUAGE plpgsql AS
$body$ BEGIN NEW.total := coalesce(NEW.total, 0); RETURN NEW; END $body$;
CREATE TRIGGER keep_total BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION keep_total();
