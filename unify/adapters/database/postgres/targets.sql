-- What the catalog says of a table that is written. %s stands for its name in SQL.

-- name: target
SELECT json_build_object(
  'kind', c.relkind::text,
  'is_loadable', NOT pg_catalog.row_security_active(c.oid) AND NOT c.relhasrules,
  'columns', (
    SELECT json_agg(json_build_object(
      'name', a.attname,
      'is_nullable', NOT a.attnotnull AND NOT t.typnotnull,
      'has_default', a.atthasdef OR t.typdefault IS NOT NULL
        OR coalesce(to_jsonb(a) ->> 'attidentity', '') <> '',
      'is_generated', coalesce(to_jsonb(a) ->> 'attgenerated', '') <> ''
    ) ORDER BY a.attnum)
    FROM pg_catalog.pg_attribute AS a
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  ),
  'unique_keys', (
    SELECT coalesce(json_agg((
      SELECT json_agg(k.attname)
      FROM pg_catalog.pg_attribute AS k
      WHERE k.attrelid = i.indrelid AND k.attnum = ANY (i.indkey)
    )), '[]')
    FROM pg_catalog.pg_index AS i
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
      AND i.indpred IS NULL AND i.indexprs IS NULL
  )
)::text AS found
FROM pg_catalog.pg_class AS c
WHERE c.oid = %s::pg_catalog.regclass
