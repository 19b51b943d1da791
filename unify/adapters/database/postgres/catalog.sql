-- Statements on PostgreSQL's catalog, by name. :name stands for a text literal.

-- name: schemas
SELECT nspname::text AS name
FROM pg_catalog.pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
  AND pg_catalog.has_schema_privilege(oid, 'USAGE')
ORDER BY nspname

-- name: tables
-- Partitions are read through their table; they can be named all the same.
SELECT n.nspname::text AS schema, c.relname::text AS name, coalesce(d.description, '') AS description
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_description AS d
  ON d.objoid = c.oid AND d.objsubid = 0 AND d.classoid = 'pg_catalog.pg_class'::regclass
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
  AND pg_catalog.has_any_column_privilege(c.oid, 'SELECT')
ORDER BY 1, 2

-- name: type_fields
-- What is known of the type of a, a row of pg_attribute or the like. The type of a domain is its base type.
'is_domain', a.atttypid <> base.type,
'is_built_in', s.nspname = 'pg_catalog',
'type', t.typname,
'type_kind', t.typtype,
'modifier', base.modifier,
'dimensions', base.dimensions,
'is_array', t.typcategory = 'A' AND t.typelem <> 0 AND t.typlen = -1 AND e.typarray = t.oid,
'element', CASE WHEN es.nspname = 'pg_catalog' THEN e.typname ELSE '' END,
'is_deterministic', coalesce(to_jsonb(l) ->> 'collisdeterministic', 'true') = 'true',
'labels', CASE WHEN t.typtype = 'e' THEN (
  SELECT json_agg(label.enumlabel) FROM pg_catalog.pg_enum AS label WHERE label.enumtypid = t.oid
) END

-- name: type_joins
CROSS JOIN LATERAL (
  WITH RECURSIVE resolved(type, modifier, dimensions, step) AS (
    SELECT a.atttypid, a.atttypmod, a.attndims, 0
    UNION ALL
    SELECT d.typbasetype, CASE WHEN d.typtypmod >= 0 THEN d.typtypmod ELSE r.modifier END,
      greatest(r.dimensions, d.typndims), r.step + 1
    FROM resolved AS r
    JOIN pg_catalog.pg_type AS d ON d.oid = r.type AND d.typtype = 'd'
  )
  SELECT type, modifier, dimensions FROM resolved ORDER BY step DESC LIMIT 1
) AS base
JOIN pg_catalog.pg_type AS t ON t.oid = base.type
JOIN pg_catalog.pg_namespace AS s ON s.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_type AS e ON e.oid = t.typelem
LEFT JOIN pg_catalog.pg_namespace AS es ON es.oid = e.typnamespace
LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = a.attcollation

-- name: version
-- A text that is another one after each change of the table c: of its columns, indexes, descriptions and rows, and of
-- what this user may read. NULL if it has types that are not built in, which can change on their own.
(
  SELECT CASE WHEN pg_catalog.bool_and(a.atttypid < 16384) THEN pg_catalog.concat_ws(' ',
    c.oid, c.xmin, c.reltuples, pg_catalog.current_setting('lc_monetary'),
    pg_catalog.string_agg(pg_catalog.concat_ws(',',
      a.attnum, a.xmin, pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')), ' ' ORDER BY a.attnum),
    'indexes', (
      SELECT pg_catalog.string_agg(pg_catalog.concat_ws(',', i.indexrelid, i.xmin), ' ' ORDER BY i.indexrelid)
      FROM pg_catalog.pg_index AS i WHERE i.indrelid = c.oid
    ),
    'descriptions', (
      SELECT pg_catalog.string_agg(pg_catalog.concat_ws(',', d.objsubid, d.xmin), ' ' ORDER BY d.objsubid)
      FROM pg_catalog.pg_description AS d
      WHERE d.objoid = c.oid AND d.classoid = 'pg_catalog.pg_class'::regclass
    )) END
  FROM pg_catalog.pg_attribute AS a
  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
)

-- name: table_version
SELECT {version} AS version
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname = :schema AND c.relname = :table
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')

-- name: table_json
-- A table as one JSON object.
SELECT json_build_object(
  'version', coalesce({version}, ''),
  'schema', n.nspname,
  'name', c.relname,
  'rows', CASE WHEN c.relkind IN ('r', 'm', 'p') AND c.reltuples >= 0 THEN c.reltuples::int8 END,
  'description', coalesce(pg_catalog.obj_description(c.oid, 'pg_class'), ''),
  'money_scale', scale('0'::money::numeric),
  'is_utf8', pg_catalog.current_setting('server_encoding') = 'UTF8',
  'key', (
    SELECT coalesce(json_agg(k.attname ORDER BY array_position(i.indkey::int2[], k.attnum)), '[]')
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_attribute AS k ON k.attrelid = i.indrelid AND k.attnum = ANY (i.indkey)
    WHERE i.indrelid = c.oid AND i.indisprimary
  ),
  'columns', (
    SELECT coalesce(json_agg(json_build_object(
      'name', a.attname,
      'source_type', pg_catalog.format_type(a.atttypid, a.atttypmod),
      'description', coalesce(pg_catalog.col_description(a.attrelid, a.attnum), ''),
      'not_null', a.attnotnull,
      'is_indexed', EXISTS (
        SELECT FROM pg_catalog.pg_index AS i
        JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
        JOIN pg_catalog.pg_am AS m ON m.oid = x.relam AND m.amname = 'btree'
        WHERE i.indrelid = c.oid AND i.indkey[0] = a.attnum AND i.indoption[0] IN (0, 3)
          AND i.indisvalid AND i.indpred IS NULL
      ),
      'distinct', (
        SELECT pg_catalog.max(st.n_distinct) FROM pg_catalog.pg_stats AS st
        WHERE st.schemaname = n.nspname AND st.tablename = c.relname AND st.attname = a.attname
      ),
      {type_fields}
    ) ORDER BY a.attnum), '[]')
    FROM pg_catalog.pg_attribute AS a
    {type_joins}
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')
  )
)::text AS found

-- name: table
-- The table of exactly that name, which an index finds.
{table_json}
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname = :schema AND c.relname = :table
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')

-- name: similar_tables
-- Each table of that name in any case.
{table_json}
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND lower(n.nspname) = lower(:schema) AND lower(c.relname) = lower(:table)
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')

-- name: types
-- The columns of a result, given as a JSON list of objects with name, type (an oid) and modifier.
SELECT json_build_object(
  'schema', '', 'name', '', 'rows', NULL, 'description', '', 'key', '[]'::json,
  'money_scale', scale('0'::money::numeric),
  'is_utf8', pg_catalog.current_setting('server_encoding') = 'UTF8',
  'columns', (
    SELECT json_agg(json_build_object(
      'name', a.attname,
      'source_type', pg_catalog.format_type(a.atttypid, a.atttypmod),
      'description', '',
      {type_fields}
    ) ORDER BY a.attnum)
    FROM (
      SELECT value ->> 'name' AS attname, (value ->> 'type')::oid AS atttypid,
        (value ->> 'modifier')::int4 AS atttypmod, 0 AS attndims, 0::oid AS attcollation, number AS attnum
      FROM json_array_elements(:columns::json) WITH ORDINALITY AS u(value, number)
    ) AS a
    {type_joins}
  )
)::text AS found

-- name: session
SELECT pg_catalog.current_setting('server_version') AS version,
  current_user::text AS role,
  pg_catalog.current_database()::text AS database,
  pg_catalog.pg_is_in_recovery() AS is_replica,
  coalesce((SELECT s.version FROM pg_catalog.pg_stat_ssl AS s WHERE s.pid = pg_catalog.pg_backend_pid() AND s.ssl), '')
    AS tls,
  EXISTS (
    SELECT FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND pg_catalog.has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
  ) AS may_write

-- name: cancel
SELECT pg_catalog.count(pg_catalog.pg_cancel_backend(pid)) AS cancelled
FROM pg_catalog.pg_stat_activity
WHERE application_name = :application AND state = 'active' AND pid <> pg_catalog.pg_backend_pid()
