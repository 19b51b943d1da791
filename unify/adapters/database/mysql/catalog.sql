-- Statements on the catalog of MySQL and MariaDB, by name. :name stands for a text literal.
-- The server finds one schema or table without opening the others only if its name is compared as it is.

-- name: schemas
SELECT CAST(schema_name AS CHAR) AS name
FROM information_schema.schemata
WHERE schema_name NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')
ORDER BY 1

-- name: tables
SELECT CAST(table_name AS CHAR) AS name, '' AS description
FROM information_schema.tables
WHERE table_schema = :schema
ORDER BY 1

-- name: find
SELECT CAST(table_schema AS CHAR) AS found_schema, CAST(table_name AS CHAR) AS name
FROM information_schema.tables
WHERE table_schema = :schema AND lower(table_name) = lower(:table)

-- name: table
SELECT CAST(table_rows AS SIGNED) AS row_count,
  CAST(IF(table_type = 'VIEW', '', table_comment) AS CHAR) AS description
FROM information_schema.tables
WHERE table_schema = :schema AND table_name = :table AND BINARY table_name = BINARY :table

-- name: columns
SELECT CAST(column_name AS CHAR) AS name,
  CAST(data_type AS CHAR) AS type,
  CAST(column_type AS CHAR) AS source_type,
  CAST(coalesce(numeric_precision, 0) AS SIGNED) AS width,
  CAST(coalesce(numeric_scale, 0) AS SIGNED) AS scale,
  CAST(coalesce(character_maximum_length, 0) AS CHAR) AS length,
  CAST(coalesce(collation_name, '') AS CHAR) AS collation_name,
  CAST(is_nullable AS CHAR) AS nullable,
  CAST(column_comment AS CHAR) AS description
FROM information_schema.columns
WHERE table_schema = :schema AND table_name = :table AND BINARY table_name = BINARY :table
ORDER BY ordinal_position

-- name: key
SELECT CAST(column_name AS CHAR) AS name
FROM information_schema.statistics
WHERE table_schema = :schema AND table_name = :table AND BINARY table_name = BINARY :table
  AND index_name = 'PRIMARY'
ORDER BY seq_in_index

-- name: session
SELECT CAST(version() AS CHAR) AS version,
  CAST(current_user() AS CHAR) AS role,
  CAST(@@read_only AS SIGNED) AS is_replica,
  CAST((
    EXISTS (SELECT 1 FROM information_schema.user_privileges WHERE privilege_type IN ('INSERT', 'UPDATE', 'DELETE'))
    OR EXISTS (SELECT 1 FROM information_schema.schema_privileges WHERE privilege_type IN ('INSERT', 'UPDATE', 'DELETE'))
    OR EXISTS (SELECT 1 FROM information_schema.table_privileges WHERE privilege_type IN ('INSERT', 'UPDATE', 'DELETE'))
  ) AS SIGNED) AS may_write

-- name: running
SELECT CAST(id AS SIGNED) AS id
FROM information_schema.processlist
WHERE info LIKE :pattern AND id <> connection_id()
