-- The statements of writes.db, by name. What a worker changes is fenced by the attempt of the write: one
-- that was given up changes nothing.

-- name: insert
INSERT INTO write (uid, tenant, connection, table_name, mode, origin, state, name, rows, requested_by, undo_of,
                   refreshes, target, baseline, is_matched, created_at)
VALUES (:uid, :tenant, :connection, :table_name, :mode, :origin, 'planned', :name, 0, :requested_by, :undo_of,
        :refreshes, :target, :baseline, :is_matched, :now)
RETURNING *;

-- name: insert_row
INSERT INTO write_row (write, number, action, vals, key, before, identity, content, leaves)
VALUES (:write, :number, :action, :vals, :key, :before, :identity, :content, :leaves);

-- name: seal
UPDATE write SET rows = :rows, digest = :digest WHERE id = :id RETURNING *;

-- name: insert_ended
INSERT INTO write (uid, tenant, connection, table_name, mode, origin, state, rows, requested_by, error, counts,
                   created_at, started_at, finished_at)
VALUES (:uid, :tenant, :connection, :table_name, :mode, :origin, :state, :rows, :requested_by, :error, :counts,
        :started, :started, :now)
RETURNING *;

-- name: own_counts
SELECT counts FROM write WHERE id = :write AND counts <> '';

-- name: get
SELECT * FROM write WHERE id = :id;

-- name: recent
SELECT * FROM write WHERE tenant = :tenant ORDER BY id DESC LIMIT :count;

-- name: rows
SELECT * FROM write_row WHERE write = :write ORDER BY number;

-- name: all_rows
SELECT write_row.* FROM write_row JOIN write ON write.id = write_row.write
WHERE write.tenant = :tenant ORDER BY write, number;

-- name: counts
SELECT state, count(*) AS rows FROM write_row WHERE write = :write GROUP BY state;

-- name: approve
UPDATE write SET state = 'approved', approved_by = :by, approved_at = :now
WHERE id = :id AND state = 'planned'
RETURNING *;

-- name: cancel_waiting
UPDATE write SET state = 'cancelled', finished_at = :now
WHERE id = :id AND (state IN ('planned', 'approved'))
RETURNING *;

-- name: ask_cancel
UPDATE write SET cancel_asked = 1 WHERE id = :id AND state = 'running' RETURNING *;

-- name: next_open
SELECT * FROM write
WHERE tenant = :tenant AND connection = :connection AND table_name = :table_name
  AND state IN ('approved', 'running')
ORDER BY id LIMIT 1;

-- name: open_before
SELECT * FROM write
WHERE tenant = :tenant AND connection = :connection AND table_name = :table_name
  AND (state = 'running' OR (state = 'approved' AND approved_at <= :before))
ORDER BY id;

-- name: fail
UPDATE write SET state = 'failed', error = :error, finished_at = :now, cancel_asked = 0
WHERE id = :id AND state IN ('approved', 'running');

-- name: open_tables
SELECT DISTINCT tenant, connection, table_name, origin FROM write WHERE state IN ('approved', 'running');

-- name: start
UPDATE write
SET state = 'running', attempt = attempt + 1, started_at = coalesce(started_at, :now)
WHERE id = :id AND state IN ('approved', 'running')
RETURNING *;

-- name: holds
SELECT cancel_asked FROM write WHERE id = :id AND attempt = :attempt AND state = 'running';

-- name: planned_rows
SELECT * FROM write_row WHERE write = :write AND state = 'planned' ORDER BY number LIMIT :count;

-- name: sent_rows
SELECT * FROM write_row WHERE write = :write AND state = 'sent' ORDER BY number;

-- name: send
-- A row that is sent again keeps the time of the first request: the life of its key began then.
UPDATE write_row
SET sent_at = CASE WHEN state = 'sent' THEN sent_at ELSE :now END,
    state = 'sent', batch = :batch, attempts = attempts + 1
WHERE write = :write AND number = :number AND state IN ('planned', 'sent');

-- name: count_request
UPDATE write SET requests = requests + 1 WHERE id = :id;

-- name: insert_request
INSERT INTO request (write, at) VALUES (:id, :now);

-- name: settle
UPDATE write_row
SET state = :state, status = :status, created = :created, message = :message, settled_at = :now
WHERE write = :write AND number = :number AND state = 'sent';

-- name: release
UPDATE write_row SET state = 'planned' WHERE write = :write AND number = :number AND state = 'sent';

-- name: end_rows
UPDATE write_row SET state = 'not sent', settled_at = :now WHERE write = :write AND state = 'planned';

-- name: forget_sent
UPDATE write_row SET state = 'unknown', settled_at = :now, message = 'the write ended before its response was known'
WHERE write = :write AND state = 'sent';

-- name: finish
UPDATE write SET state = :state, error = :error, finished_at = :now, cancel_asked = 0
WHERE id = :id AND attempt = :attempt AND state = 'running'
RETURNING *;

-- name: reset_rows
-- Rows that a later write of the same name has written stay as they are.
UPDATE write_row SET state = 'planned', batch = NULL, settled_at = NULL, message = '', status = NULL
WHERE write = :write AND state = :state
  AND NOT EXISTS (SELECT 1 FROM write JOIN written_row USING (tenant, connection, table_name, name)
                  WHERE write.id = :write AND identity = write_row.identity AND is_known
                    AND written_row.write > write.id);

-- name: reopen
UPDATE write SET state = 'approved', approved_by = :by, approved_at = :now, finished_at = NULL, error = '',
                 target = :target
WHERE id = :id AND state IN ('done', 'failed', 'cancelled') AND approved_at IS NOT NULL
RETURNING *;

-- name: baseline
-- Changes with each write of the table, or of the name, that is approved, started or ended.
SELECT count(*) || '/' || coalesce(sum(attempt), 0) || '/' || count(finished_at) AS baseline
FROM write
WHERE tenant = :tenant AND connection = :connection AND table_name = :table_name AND approved_at IS NOT NULL
  AND ((:name <> '' AND name = :name)
       OR (:is_matched AND EXISTS (SELECT 1 FROM write_row WHERE write_row.write = write.id AND action <> 'update')));

-- name: last_sent
SELECT max(coalesce(finished_at, :now)) AS at FROM write
WHERE tenant = :tenant AND connection = :connection AND table_name = :table_name AND attempt > 0;

-- name: changed_stored
SELECT 1 FROM write JOIN write_row ON write_row.write = write.id
WHERE tenant = :tenant AND connection = :connection AND table_name = :table_name AND refreshes
  AND coalesce(finished_at, :now) >= :since AND write_row.attempts > 0
LIMIT 1;

-- name: written_options
SELECT DISTINCT options FROM written_row
WHERE tenant = :tenant AND connection = :connection AND table_name = :table_name AND name = :name
  AND options <> '';

-- name: same_created
-- Rows for which the API has returned the same: of this write, and of others if their values are the same, too,
-- because an API may use an id again.
SELECT 1 FROM write_row JOIN write ON write.id = write_row.write
WHERE tenant = :tenant AND connection = :connection AND table_name = :table_name AND created = :created
  AND write_row.state = 'created' AND NOT (write_row.write = :write AND number = :number)
  AND (write_row.write = :write
       OR vals = (SELECT own.vals FROM write_row AS own WHERE own.write = :write AND own.number = :number))
LIMIT 1;

-- name: taken_back
-- Rows of a write that another one has taken back, unless that one was taken back, too.
SELECT number FROM write_row JOIN write ON write.id = write_row.write
WHERE undo_of = :id AND write_row.state IN ('created', 'updated', 'deleted', 'unchanged')
  AND NOT EXISTS (SELECT 1 FROM write_row AS later JOIN write AS undo ON undo.id = later.write
                  WHERE undo.undo_of = write.id AND later.number = write_row.number
                    AND later.state IN ('created', 'updated', 'deleted', 'unchanged'));

-- name: forget_values
UPDATE write_row SET vals = json_remove(vals, :path) WHERE write = :write AND number = :number;

-- name: settled_since
SELECT 1 FROM write_row JOIN write ON write.id = write_row.write
WHERE tenant = :tenant AND connection = :connection AND table_name = :table_name
  AND write.state IN ('approved', 'running') AND settled_at > :since
LIMIT 1;

-- name: requests_since
SELECT count(*) AS requests, min(at) AS first_at
FROM request JOIN write ON write.id = request.write
WHERE tenant = :tenant AND connection = :connection AND table_name = :table_name AND at > :since AND at <= :now;

-- name: active_of_name
SELECT * FROM write
WHERE tenant = :tenant AND connection = :connection AND table_name = :table_name AND name = :name
  AND state IN ('approved', 'running');

-- name: replace_planned
UPDATE write SET state = 'cancelled', error = 'replaced by a newer plan of the same name', finished_at = :now
WHERE tenant = :tenant AND connection = :connection AND table_name = :table_name AND name = :name
  AND state = 'planned'
RETURNING *;

-- name: written_rows
SELECT * FROM written_row
WHERE tenant = :tenant AND connection = :connection AND table_name = :table_name AND name = :name;

-- name: tracked_rows
-- Of the rows with these numbers, those that their write tracks.
SELECT write_row.*, write.tenant, write.connection, write.table_name, write.name
FROM write_row JOIN write ON write.id = write_row.write
WHERE write_row.write = :write AND number = :number AND identity <> '';

-- name: put_written
INSERT OR REPLACE INTO written_row
    (tenant, connection, table_name, name, identity, vals, key, content, write, is_known, options)
VALUES (:tenant, :connection, :table_name, :name, :identity, :vals, :key, :content, :write, 1, :options);

-- name: drop_written
DELETE FROM written_row
WHERE tenant = :tenant AND connection = :connection AND table_name = :table_name AND name = :name
  AND identity = :identity;

-- name: put_unknown
-- Inserts of which nobody knows: a later export must not repeat them.
INSERT OR REPLACE INTO written_row
    (tenant, connection, table_name, name, identity, vals, key, content, write, is_known)
SELECT tenant, connection, table_name, name, identity, vals, key, content, write.id, 0
FROM write_row JOIN write ON write.id = write_row.write
WHERE write_row.write = :write AND write_row.state = 'unknown' AND action = 'insert' AND identity <> '';

-- name: drop_retried
-- Rows that are planned again are no longer unknown.
DELETE FROM written_row WHERE write = :write AND is_known = 0;

-- name: forget_name
DELETE FROM written_row WHERE tenant = :tenant AND name = :name;

-- name: old_writes
SELECT id FROM write
WHERE coalesce(finished_at, created_at) < :before AND state IN ('planned', 'done', 'failed', 'cancelled');

-- name: delete_rows
DELETE FROM write_row WHERE write = :id;

-- name: delete_requests
DELETE FROM request WHERE write = :id;

-- name: delete
DELETE FROM write WHERE id = :id;

-- name: cancel_planned
-- Else the original and the copy could both send them.
UPDATE write SET state = 'cancelled', error = 'planned before this copy was made; plan it again'
WHERE state = 'planned';

-- name: forget_open_rows
UPDATE write_row SET state = 'unknown', message = 'sent when this copy was made' WHERE state = 'sent';

-- name: put_unknown_rows
-- The same, of every write in a copy.
INSERT OR REPLACE INTO written_row
    (tenant, connection, table_name, name, identity, vals, key, content, write, is_known)
SELECT tenant, connection, table_name, name, identity, vals, key, content, write.id, 0
FROM write_row JOIN write ON write.id = write_row.write
WHERE write_row.state = 'sent' AND action = 'insert' AND identity <> '';

-- name: end_open_rows
UPDATE write_row SET state = 'not sent' WHERE state = 'planned';

-- name: cancel_open
UPDATE write SET state = 'cancelled', error = 'under way when this copy was made',
                 finished_at = coalesce(finished_at, approved_at)
WHERE state IN ('approved', 'running');

-- name: note_change
INSERT OR REPLACE INTO changed_table (name, changed_at) VALUES (:name, :now);

-- name: change
SELECT changed_at FROM changed_table WHERE name = :name;
