-- What the catalog of MySQL and MariaDB says of a table that is written. %s stands for a text.

-- name: table
SELECT t.table_type, coalesce(t.engine, ''), coalesce(e.transactions, 'NO')
FROM information_schema.tables AS t
LEFT JOIN information_schema.engines AS e ON e.engine = t.engine
WHERE t.table_schema = %s AND t.table_name = %s

-- name: columns
SELECT column_name, is_nullable, column_default, extra, data_type, column_type,
  character_maximum_length, character_octet_length, datetime_precision
FROM information_schema.columns
WHERE table_schema = %s AND table_name = %s
ORDER BY ordinal_position

-- name: keys
SELECT index_name, column_name
FROM information_schema.statistics
WHERE table_schema = %s AND table_name = %s AND non_unique = 0 AND sub_part IS NULL
ORDER BY index_name, seq_in_index
