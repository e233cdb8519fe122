-- The database that is dumped: about :mb megabytes of plain dump, the same on every machine. No random(), only hashes of a
-- row's number. What makes the rows lives in the schema `made`, which is dropped at the end.
--
--   psql -v mb=855 -f data.sql

\set ON_ERROR_STOP on
SET client_min_messages = warning;

-- Rows of each table: its share of the megabytes, by the bytes that a row of it takes in a dump.
SELECT (:mb * 1000000.0 * 0.15 / 100)::bigint AS accounts,
       (:mb * 1000000.0 * 0.10 / 47)::bigint AS history,
       (:mb * 1000000.0 * 0.18 / 1333)::bigint AS articles,
       (:mb * 1000000.0 * 0.30 / 430)::bigint AS orders,
       (:mb * 1000000.0 * 0.18 / 197)::bigint AS events,
       (:mb * 1000000.0 * 0.09 / 3111)::bigint AS documents
\gset

CREATE SCHEMA made;

-- A number from 0 up, and one from 0 to 1, of a row's number and what it is for.
CREATE FUNCTION made.number(n bigint, what int) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT hashint8extended(n, what) & 9223372036854775807 $$;
CREATE FUNCTION made.part(n bigint, what int) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT (hashint8extended(n, what) & 9007199254740991) / 9007199254740992.0::float8 $$;

-- A vocabulary by falling frequency: the most frequent words of English, then made ones.
CREATE TABLE made.words AS
WITH common AS (SELECT rank::int, word FROM unnest(string_to_array('the of and to a in is that it was for on with as be by at this had not are but from or have an they '
    'which one you were all her she there would their we him been has when who will no more if out so up said what its about than '
    'into them can only other time new some could these two may first then do any like my now over such our man me even most made '
    'after also did many off before must well back through years where much your way down should because long each just state '
    'those people too mister how little good world make very year still see own work men day get here old life both between being '
    'under three never know same last another while us might great go come since against right came take used himself few house '
    'use place during high without again home around small however found school part once general upon every war until always '
    'away thought put both head think set hand end less water public nothing later system government order number group business '
    'payment customer delivery account service product invoice contract reference', ' ')) WITH ORDINALITY AS common (word, rank))
SELECT rank, word FROM common
UNION ALL
SELECT rank, (SELECT string_agg((ARRAY['b', 'c', 'd', 'f', 'g', 'l', 'm', 'n', 'p', 'r', 's', 't', 'v', 'st', 'tr', 'pl', 'ch', 'con', 'pre', ''])
                                    [1 + made.number(rank * 4 + syllable, 1) % 20]
                                || (ARRAY['a', 'e', 'i', 'o', 'u', 'ea', 'ou', 'io'])[1 + made.number(rank * 4 + syllable, 2) % 8]
                                || (ARRAY['', '', 'n', 'r', 's', 't', 'l', 'nd', 'ct', 'm'])[1 + made.number(rank * 4 + syllable, 3) % 10],
                                '' ORDER BY syllable)
              FROM generate_series(1, 1 + made.number(rank, 4) % 3) AS syllable)
             || (ARRAY['', '', '', 's', 'ed', 'ing', 'ly', 'tion', 'er', 'ment'])[1 + made.number(rank, 5) % 10]
FROM generate_series((SELECT count(*)::int + 1 FROM common), 20000) AS rank;
ALTER TABLE made.words ADD PRIMARY KEY (rank);
ANALYZE made.words;

-- A word in so many is the first, half as many the second, and so on, as in any language.
CREATE FUNCTION made.word(n bigint, what int) RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT word FROM made.words WHERE rank = floor(exp(made.part(n, what) * ln(20000.0::float8)))::int $$;

-- As pgbench has it after some use.
CREATE TABLE pgbench_accounts AS
SELECT aid::int, (1 + aid / 100000)::int AS bid,
       (CASE WHEN made.number(aid, 10) % 4 = 0 THEN 0 ELSE made.number(aid, 11) % 10000 - 5000 END)::int AS abalance, ''::char(84) AS filler
FROM generate_series(1, :accounts) AS aid;

CREATE TABLE pgbench_history AS
SELECT (1 + made.number(n, 12) % 100)::int AS tid, (1 + made.number(n, 13) % 10)::int AS bid,
       (1 + made.number(n, 14) % greatest(:accounts, 1))::int AS aid, (made.number(n, 15) % 10000 - 5000)::int AS delta,
       timestamp '2026-01-01' + n * interval '1.37 ms' AS mtime, NULL::char(22) AS filler
FROM generate_series(1, :history) AS n;

-- One look at the index a word: else the whole vocabulary is read for each article.
SET enable_hashjoin = off;
SET enable_mergejoin = off;
CREATE TABLE articles AS
SELECT id, made.word(id, 20) || ' ' || made.word(id, 21) || ' ' || made.word(id, 22) AS title,
       date '2020-01-01' + (made.number(id, 23) % 2000)::int AS written,
       (SELECT string_agg(word || CASE made.number(id * 512 + k, 24) % 14 WHEN 0 THEN '.' WHEN 1 THEN ',' ELSE '' END, ' ' ORDER BY k)
        FROM generate_series(1, 60 + made.number(id, 25) % 240) AS k
        JOIN made.words ON rank = floor(exp(made.part(id * 512 + k, 26) * ln(20000.0::float8)))::int) AS body
FROM generate_series(1, :articles) AS id;
RESET enable_hashjoin;
RESET enable_mergejoin;

CREATE TABLE orders AS
SELECT id, md5('order ' || id)::uuid AS token,
       -- A few customers order often.
       md5('customer ' || floor(exp(made.part(id, 30) * ln(200000.0::float8))))::uuid AS customer,
       timestamp '2024-01-01' + id * interval '97 s' + made.number(id, 31) % 90 * interval '1 s' AS placed,
       (ARRAY['paid', 'paid', 'paid', 'shipped', 'shipped', 'open', 'returned'])[1 + made.number(id, 32) % 7] AS state,
       (made.number(id, 33) % 30000 / 100.0)::numeric(10, 2) AS total,
       jsonb_build_object(
           'channel', (ARRAY['web', 'web', 'app', 'shop', 'phone'])[1 + made.number(id, 34) % 5],
           'gift', made.number(id, 35) % 20 = 0,
           'coupon', CASE WHEN made.number(id, 36) % 9 = 0 THEN upper(substr(md5('coupon ' || made.number(id, 37) % 500), 1, 8)) END,
           'address', jsonb_build_object(
               'name', initcap(made.word(id, 38) || ' ' || made.word(id, 39)),
               'street', initcap(made.word(made.number(id, 40) % 3000, 40)) || ' Street ' || 1 + made.number(id, 41) % 150,
               'zip', lpad((made.number(id, 42) % 90000 + 10000)::text, 5, '0'),
               'city', initcap(made.word(made.number(id, 43) % 400, 43)),
               'country', (ARRAY['DE', 'DE', 'DE', 'AT', 'CH', 'FR', 'NL'])[1 + made.number(id, 44) % 7]),
           'items', (SELECT jsonb_agg(jsonb_build_object(
                         'sku', 'SKU-' || lpad(floor(exp(made.part(id * 8 + k, 45) * ln(50000.0::float8)))::text, 6, '0'),
                         'quantity', 1 + made.number(id * 8 + k, 46) % 4,
                         'price', (made.number(id * 8 + k, 47) % 10000 / 100.0)::numeric(8, 2)) ORDER BY k)
                     FROM generate_series(1, 1 + made.number(id, 48) % 4) AS k)) AS details
FROM generate_series(1, :orders) AS id;

CREATE TABLE events AS
SELECT id, timestamp '2026-01-01' + id * interval '211 ms' + made.number(id, 50) % 200 * interval '1 ms' AS at,
       -- Sessions overlap: about eight events each.
       md5('session ' || (id / 64) * 8 + made.number(id, 51) % 8)::uuid AS session,
       (ARRAY['view', 'view', 'view', 'search', 'click', 'basket', 'login', 'order'])[1 + made.number(id, 52) % 8] AS kind,
       (ARRAY['/', '/search?q=', '/products/', '/products/', '/basket/', '/account/'])[1 + made.number(id, 53) % 6]
           || floor(exp(made.part(id, 54) * ln(50000.0::float8))) AS path,
       ('10.' || made.number(id, 55) % 256 || '.' || made.number(id, 56) % 256 || '.' || made.number(id, 57) % 256)::inet AS address,
       'Mozilla/5.0 (' || (ARRAY['X11; Linux x86_64', 'Windows NT 10.0; Win64; x64', 'Macintosh; Intel Mac OS X 10_15_7',
                                 'iPhone; CPU iPhone OS 18_1 like Mac OS X'])[1 + made.number(id, 58) % 4]
           || ') AppleWebKit/537.36 Chrome/' || 120 + made.number(id, 59) % 12 || '.0.0.0 Safari/537.36' AS agent,
       (exp(made.part(id, 60) * 8))::int AS milliseconds
FROM generate_series(1, :events) AS id;

-- Two of three are pictures, say, and no compressor finds anything in them but that hexadecimal is half air.
CREATE TABLE documents AS
SELECT id, made.word(id, 70) || '-' || id || (ARRAY['.png', '.pdf', '.txt'])[1 + id % 3] AS name,
       CASE id % 3 WHEN 2 THEN (SELECT convert_to(string_agg(made.word(id * 512 + k, 71), ' ' ORDER BY k), 'UTF8')
                                FROM generate_series(1, 40 + made.number(id, 72) % 200) AS k)
            ELSE (SELECT decode(string_agg(md5(id || ' ' || k), '' ORDER BY k), 'hex')
                  FROM generate_series(1, 16 + made.number(id, 73) % 200) AS k) END AS content
FROM generate_series(1, :documents) AS id;

DROP SCHEMA made CASCADE;
ALTER TABLE pgbench_accounts ADD PRIMARY KEY (aid);
ALTER TABLE articles ADD PRIMARY KEY (id);
ALTER TABLE orders ADD PRIMARY KEY (id);
ALTER TABLE events ADD PRIMARY KEY (id);
ALTER TABLE documents ADD PRIMARY KEY (id);
ANALYZE;
