-- Statements of loads from PostgreSQL, by name. :name stands for a text literal.

-- name: activity
-- Before the snapshot is taken. A row that a transaction adds may have the time at which the transaction began:
-- no later cursor is safe. Transactions that cannot be seen: of other users without the right to see them, of the
-- primary server on a replica, and prepared ones.
SELECT
  pg_catalog.now()::text AS taken_at,
  least(pg_catalog.now(), pg_catalog.min(a.xact_start))::text AS oldest,
  pg_catalog.min(a.xact_start) IS NULL AS is_quiet,
  NOT pg_catalog.pg_is_in_recovery()
    AND coalesce(pg_catalog.bool_and(a.backend_type IS NOT NULL), true)
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_prepared_xacts AS p WHERE p.database = pg_catalog.current_database())
    AS sees_all
FROM pg_catalog.pg_stat_activity AS a
WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
  AND pg_catalog.left(a.application_name, pg_catalog.length(:application) + 1) IS DISTINCT FROM :application || ' '
  AND coalesce(a.backend_type, '') NOT IN ('autovacuum worker', 'walsender', 'parallel worker')

-- name: snapshot
SELECT pg_catalog.pg_export_snapshot() AS id,
  pg_catalog.txid_snapshot_xmin(pg_catalog.txid_current_snapshot()) AS oldest_id,
  pg_catalog.txid_snapshot_xmax(pg_catalog.txid_current_snapshot()) AS next_id

-- name: watch_client
-- A statement ends within a second if this process is gone; servers before PostgreSQL 14 do not look.
SELECT pg_catalog.set_config('client_connection_check_interval', '1000', true) AS value
FROM pg_catalog.pg_settings WHERE name = 'client_connection_check_interval'

-- name: extents
-- The tables whose rows a table has: itself, its partitions and heirs. One row without a size if they cannot be
-- read one by one: a view, a table with row security, a partition that this user may read by its table only.
WITH RECURSIVE tree AS (
  SELECT c.oid, c.relkind, c.relrowsecurity FROM pg_catalog.pg_class AS c WHERE c.oid = :table::regclass
  UNION
  SELECT c.oid, c.relkind, c.relrowsecurity
  FROM tree AS t
  JOIN pg_catalog.pg_inherits AS i ON i.inhparent = t.oid
  JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
), whole AS (
  SELECT pg_catalog.bool_and(t.relkind IN ('r', 'm', 'p')) AND (
    pg_catalog.count(*) = 1
    OR pg_catalog.bool_and(NOT t.relrowsecurity AND pg_catalog.has_table_privilege(t.oid, 'SELECT'))
  ) AS is_readable
  FROM tree AS t
)
SELECT pg_catalog.format('ONLY %s', t.oid::regclass) AS name,
  CASE WHEN w.is_readable THEN pg_catalog.pg_relation_size(t.oid) END AS main_bytes,
  CASE WHEN w.is_readable THEN pg_catalog.pg_table_size(t.oid) END AS all_bytes,
  pg_catalog.current_setting('block_size')::int8 AS page_bytes,
  pg_catalog.current_setting('server_version_num')::int8 >= 140000 AS has_range_scans
FROM tree AS t
CROSS JOIN whole AS w
WHERE CASE WHEN w.is_readable THEN t.relkind <> 'p' ELSE t.oid = :table::regclass END
ORDER BY t.oid
