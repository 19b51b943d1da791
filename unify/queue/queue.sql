-- The statements of the queue, by name. Changes of an attempt are fenced by (id, attempt): an attempt that
-- was given up changes nothing.

-- name: insert
INSERT INTO job (uid, tenant, action, connection, table_name, origin, priority, state, created_at, start_at)
VALUES (:uid, :tenant, :action, :connection, :table_name, :origin, :priority, 'queued', :now, :start_at)
RETURNING *;

-- name: active_of
SELECT * FROM job
WHERE tenant = :tenant AND connection = :connection AND table_name = :table_name AND action = :action
  AND state IN ('queued', 'running', 'publishing');

-- name: done_since
-- The last load of the table that succeeded since :seen_at.
SELECT * FROM job
WHERE finished_at >= :seen_at AND state = 'done'
  AND tenant = :tenant AND connection = :connection AND table_name = :table_name
ORDER BY finished_at DESC
LIMIT 1;

-- name: join
-- An active job is requested again: the more urgent priority counts, and a requested cancellation is
-- withdrawn. A start postponed after a failure stays postponed.
UPDATE job
SET priority = min(priority, :priority),
    cancel_asked = 0,
    start_at = CASE WHEN attempt = 0 THEN min(start_at, :start_at) ELSE start_at END
WHERE id = :id
RETURNING *;

-- name: claim
-- The most urgent job of the connection with the fewest running, then the oldest.
WITH busy AS (
    SELECT tenant, connection, count(*) AS running
    FROM job WHERE state IN ('running', 'publishing')
    GROUP BY tenant, connection
)
UPDATE job
SET state = 'running', attempt = attempt + 1, epoch = :epoch, boot = :boot, started_at = :now,
    waits_for = NULL
WHERE id = (
    SELECT ready.id
    FROM job AS ready
    LEFT JOIN busy ON busy.tenant = ready.tenant AND busy.connection = ready.connection
    LEFT JOIN job AS awaited ON awaited.id = ready.waits_for
    WHERE ready.state = 'queued'
      AND ready.start_at <= :now
      AND (awaited.id IS NULL OR awaited.state = 'done')
      AND NOT EXISTS (
          SELECT 1 FROM job AS other
          WHERE other.tenant = ready.tenant AND other.connection = ready.connection
            AND other.table_name = ready.table_name AND other.state IN ('running', 'publishing')
      )
      AND instr(:later, char(10, 10) || ready.tenant || char(10) || ready.connection || char(10)
                        || ready.table_name || char(10, 10)) = 0
      AND NOT EXISTS (
          SELECT 1 FROM pause
          WHERE pause.tenant = ready.tenant AND pause.connection = ready.connection
            AND pause.table_name IN ('', ready.table_name)
      )
    ORDER BY ready.priority, coalesce(busy.running, 0), ready.created_at, ready.id
    LIMIT 1
)
RETURNING *;

-- name: next_start
SELECT min(start_at) FROM job WHERE state = 'queued' AND start_at > :now;

-- name: get
SELECT * FROM job WHERE id = :id;

-- name: active
SELECT * FROM job WHERE state IN ('queued', 'running', 'publishing') ORDER BY priority, created_at, id;

-- name: next_active
SELECT * FROM job WHERE state IN ('queued', 'running', 'publishing')
ORDER BY state = 'queued', priority, id LIMIT :count;

-- name: count_active
SELECT count(*) FROM job WHERE state IN ('queued', 'running', 'publishing');

-- name: recent
SELECT * FROM job ORDER BY id DESC LIMIT :count;

-- name: holds
SELECT 1 FROM job WHERE id = :id AND attempt = :attempt AND state IN ('running', 'publishing');

-- name: publishing
UPDATE job SET state = 'publishing'
WHERE id = :id AND attempt = :attempt AND state = 'running' AND cancel_asked = 0
RETURNING *;

-- name: finish
UPDATE job
SET state = :state, error = :error, finished_at = :now, cancel_asked = 0, waits_for = NULL,
    failures = failures + (:state IN ('failed', 'dead')), held = '',
    unrecorded = :state IN ('failed', 'dead')
WHERE id = :id AND attempt = :attempt AND state IN ('running', 'publishing')
RETURNING *;

-- name: hold
UPDATE job SET held = 'held' WHERE id = :id AND state = 'failed' AND held = '' RETURNING *;

-- name: held
SELECT * FROM job WHERE held = 'held' AND state = 'failed' ORDER BY id;

-- name: held_of
SELECT * FROM job
WHERE tenant = :tenant AND connection = :connection AND table_name = :table_name
  AND held = 'held' AND state = 'failed'
  AND NOT EXISTS (
      SELECT 1 FROM job AS later
      WHERE later.tenant = job.tenant AND later.connection = job.connection
        AND later.table_name = job.table_name AND later.id > job.id AND later.state = 'done'
  )
ORDER BY id DESC LIMIT 1;

-- name: held_versions
SELECT * FROM job
WHERE tenant = :tenant AND connection = :connection AND table_name = :table_name
  AND held = 'held' AND state = 'failed' AND id <> :id
ORDER BY id;

-- name: accept
UPDATE job SET state = 'publishing', held = 'accepted', error = '', finished_at = NULL
WHERE id = :id AND held = 'held' AND state = 'failed'
RETURNING *;

-- name: accepted
SELECT * FROM job WHERE held = 'accepted' AND state = 'publishing' ORDER BY id;

-- name: release_held
-- Older versions that a newer one replaces.
UPDATE job SET held = ''
WHERE tenant = :tenant AND connection = :connection AND table_name = :table_name
  AND held = 'held' AND state = 'failed' AND id <> :id;

-- name: requeue
-- What is read again is another version than the accepted one.
UPDATE job
SET state = 'queued', start_at = :start_at, error = :error, held = '',
    failures = CASE WHEN :progressed THEN 0 ELSE failures + :failed END,
    crashes = CASE WHEN :progressed THEN 0 ELSE crashes + :crashed END,
    deaths = CASE WHEN :progressed THEN 0 ELSE deaths + :died END
WHERE id = :id AND attempt = :attempt AND state IN ('running', 'publishing')
RETURNING *;

-- name: wait_for
UPDATE job
SET state = 'queued', waits_for = :parent
WHERE id = :id AND attempt = :attempt AND state = 'running'
RETURNING *;

-- name: broken_waiters
SELECT waiter.*, awaited.connection || '.' || awaited.table_name AS awaited_name,
       awaited.state AS awaited_state, awaited.error AS awaited_error
FROM job AS waiter JOIN job AS awaited ON awaited.id = waiter.waits_for
WHERE waiter.state = 'queued' AND awaited.state IN ('failed', 'cancelled', 'dead');

-- name: end_queued
UPDATE job
SET state = :state, error = :error, finished_at = :now, waits_for = NULL, cancel_asked = 0
WHERE id = :id AND state = 'queued'
RETURNING *;

-- name: ask_cancel
UPDATE job SET cancel_asked = 1 WHERE id = :id AND state IN ('running', 'publishing') RETURNING *;

-- name: retry
UPDATE job
SET state = 'queued', uid = :uid, failures = 0, crashes = 0, deaths = 0, unrecorded = 0, error = '', held = '', start_at = :now,
    finished_at = NULL,
    cancel_asked = 0, priority = min(priority, :priority)
WHERE id = :id AND state IN ('failed', 'dead', 'cancelled')
RETURNING *;

-- name: unrecorded
SELECT * FROM job WHERE unrecorded AND state IN ('failed', 'dead') ORDER BY id;

-- name: recorded
UPDATE job SET unrecorded = 0 WHERE id = :id AND uid = :uid AND unrecorded RETURNING *;

-- name: orphans
SELECT * FROM job WHERE state IN ('running', 'publishing') AND epoch < :epoch ORDER BY id;

-- name: new_epoch
UPDATE counter SET value = value + 1 WHERE name = 'epoch' RETURNING value;

-- name: forget
DELETE FROM job
WHERE finished_at < :before AND id NOT IN (SELECT id FROM job ORDER BY id DESC LIMIT :keep)
  AND id NOT IN (SELECT waits_for FROM job WHERE waits_for IS NOT NULL AND state = 'queued');

-- name: put_schedule
INSERT INTO schedule (tenant, connection, table_name, origin, every_s, next_at, starting, zone, first)
VALUES (:tenant, :connection, :table_name, :origin, :every_s, :next_at, :starting, :zone, :first)
ON CONFLICT (tenant, connection, table_name) DO UPDATE
SET origin = excluded.origin, every_s = excluded.every_s, next_at = excluded.next_at,
    starting = excluded.starting, zone = excluded.zone, first = excluded.first
RETURNING *;

-- name: drop_schedule
DELETE FROM schedule
WHERE tenant = :tenant AND connection = :connection AND table_name = :table_name
RETURNING *;

-- name: schedules
SELECT * FROM schedule ORDER BY tenant, connection, table_name;

-- name: due_schedules
-- Due, or set by a clock ahead of this one: its last run is in the future, or it is due later than its
-- interval from now. The first time of one that starts at a time of day may be further ahead.
-- A paused schedule is due once it is resumed.
SELECT * FROM schedule
WHERE every_s IS NOT NULL
  AND NOT EXISTS (
      SELECT 1 FROM pause
      WHERE pause.tenant = schedule.tenant AND pause.connection = schedule.connection
        AND pause.table_name IN ('', schedule.table_name)
  )
  AND (next_at <= :now OR last_at > :now
       OR (next_at > :now + every_s * 1000000 AND starting IN ('', 'as configured')))
ORDER BY next_at, tenant, connection, table_name;

-- name: move_schedule
UPDATE schedule SET next_at = :next_at, last_at = :last_at
WHERE tenant = :tenant AND connection = :connection AND table_name = :table_name;

-- name: next_due
SELECT min(next_at) FROM schedule
WHERE every_s IS NOT NULL
  AND NOT EXISTS (
      SELECT 1 FROM pause
      WHERE pause.tenant = schedule.tenant AND pause.connection = schedule.connection
        AND pause.table_name IN ('', schedule.table_name)
  );

-- name: put_pause
-- No row is returned if the pause exists.
INSERT INTO pause (tenant, connection, table_name, paused_at)
VALUES (:tenant, :connection, :table_name, :now)
ON CONFLICT DO NOTHING
RETURNING *;

-- name: drop_pause
DELETE FROM pause WHERE tenant = :tenant AND connection = :connection AND table_name = :table_name
RETURNING *;

-- name: pauses
SELECT * FROM pause WHERE tenant = :tenant ORDER BY connection, table_name;

-- name: all_pauses
SELECT * FROM pause ORDER BY tenant, connection, table_name;

-- name: ended_unsuccessfully
-- Jobs that failed or were given up, of tables that have no later job, oldest first. Held versions wait for
-- a decision.
SELECT * FROM job
WHERE tenant = :tenant AND state IN ('failed', 'dead') AND held = ''
  AND NOT EXISTS (
      SELECT 1 FROM job AS later
      WHERE later.tenant = job.tenant AND later.connection = job.connection
        AND later.table_name = job.table_name AND later.id > job.id
  )
ORDER BY id;

-- name: put_script
-- One schedule a file: setting it again replaces it.
INSERT INTO script (tenant, name, path, folder, origin, every_s, next_at, starting, zone, first, statement,
                    after_connection, after_table, variable, on_demand)
VALUES (:tenant, :name, :path, :folder, :origin, :every_s, :next_at, :starting, :zone, :first, :statement,
        :after_connection, :after_table, :variable, :on_demand)
ON CONFLICT (tenant, path) DO UPDATE
SET folder = excluded.folder, origin = excluded.origin, every_s = excluded.every_s,
    next_at = excluded.next_at, starting = excluded.starting, zone = excluded.zone, first = excluded.first,
    statement = excluded.statement, after_connection = excluded.after_connection,
    after_table = excluded.after_table, variable = excluded.variable, on_demand = excluded.on_demand
RETURNING *;

-- name: drop_script
DELETE FROM script WHERE tenant = :tenant AND name = :name RETURNING *;

-- name: drop_done_script
DELETE FROM script
WHERE tenant = :tenant AND name = :name AND every_s IS NULL AND next_at IS NULL AND after_table = ''
  AND NOT on_demand;

-- name: trigger_scripts
UPDATE script SET next_at = :now
WHERE tenant = :tenant AND after_connection = :connection AND after_table = :table_name
RETURNING *;

-- name: trigger_script
UPDATE script SET next_at = min(coalesce(next_at, :at), :at) WHERE tenant = :tenant AND name = :name
RETURNING *;

-- name: scripts
SELECT * FROM script ORDER BY tenant, name;

-- name: due_scripts
-- As due_schedules; a script that runs once is never set by another clock.
SELECT * FROM script
WHERE next_at <= :now
   OR (every_s IS NOT NULL
       AND (last_at > :now OR (next_at > :now + every_s * 1000000 AND starting = '')))
ORDER BY next_at, tenant, name;

-- name: move_script
UPDATE script SET next_at = :next_at, last_at = :last_at WHERE tenant = :tenant AND name = :name;

-- name: next_script
SELECT min(next_at) FROM script WHERE next_at > :now;

-- name: script_going
SELECT * FROM script_run WHERE tenant = :tenant AND name = :name AND status = 'running';

-- name: begin_run
INSERT INTO script_run (tenant, name, path, status, epoch, due_at, started_at)
VALUES (:tenant, :name, :path, 'running', :epoch, :due_at, :now)
RETURNING *;

-- name: end_run
UPDATE script_run
SET status = :status, exit_status = :exit_status, output = :output, ended_at = :now,
    error = CASE WHEN :status = 'success' THEN :error ELSE trim(error || char(10) || :error, char(10)) END
WHERE id = :id AND status = 'running'
RETURNING *;

-- name: remark_run
UPDATE script_run SET error = :error WHERE id = :id AND status = 'running';

-- name: orphaned_runs
SELECT * FROM script_run WHERE status = 'running' AND epoch < :epoch ORDER BY id;

-- name: script_runs
SELECT * FROM script_run ORDER BY id;

-- name: last_runs
SELECT * FROM script_run WHERE id IN (SELECT max(id) FROM script_run GROUP BY tenant, name) ORDER BY id;

-- name: forget_runs
DELETE FROM script_run
WHERE tenant = :tenant AND name = :name AND status <> 'running'
  AND (ended_at < :before
       OR id NOT IN (SELECT id FROM script_run WHERE tenant = :tenant AND name = :name
                     ORDER BY id DESC LIMIT :keep));

-- name: put_sync
INSERT INTO sync (tenant, name, definition, cursor) VALUES (:tenant, :name, :definition, :cursor)
ON CONFLICT (tenant, name) DO UPDATE SET definition = excluded.definition, cursor = excluded.cursor
RETURNING *;

-- name: drop_sync
DELETE FROM sync WHERE tenant = :tenant AND name = :name RETURNING *;

-- name: syncs
SELECT * FROM sync ORDER BY tenant, name;

-- name: move_sync
UPDATE sync SET cursor = :cursor WHERE tenant = :tenant AND name = :name AND definition = :definition;

-- name: running_syncs
SELECT * FROM sync_run WHERE tenant = :tenant AND name = :name AND status = 'running' ORDER BY id;

-- name: last_sync_run
SELECT * FROM sync_run WHERE tenant = :tenant AND name = :name AND status <> 'running'
ORDER BY id DESC LIMIT 1;

-- name: resolve_syncs
UPDATE sync_run SET is_unknown = 0 WHERE tenant = :tenant AND name = :name AND is_unknown;

-- name: begin_sync
INSERT INTO sync_run (tenant, name, status, pid, started_at)
VALUES (:tenant, :name, 'running', :pid, :now)
RETURNING *;

-- name: end_sync
UPDATE sync_run
SET status = :status, reason = :reason, read = :read, filtered = :filtered, formatted = :formatted,
    written = :written, failed = :failed, write = :write, cursor = :cursor, callback = :callback,
    is_unknown = :is_unknown, ended_at = :now
WHERE id = :id
RETURNING *;

-- name: note_callback
UPDATE sync_run SET callback = :callback WHERE id = :id;

-- name: sync_runs
SELECT * FROM sync_run WHERE tenant = :tenant ORDER BY id;

-- name: forget_syncs
DELETE FROM sync_run
WHERE tenant = :tenant AND name = :name AND status <> 'running'
  AND (ended_at < :before
       OR id NOT IN (SELECT id FROM sync_run WHERE tenant = :tenant AND name = :name
                     ORDER BY id DESC LIMIT :keep));

-- name: put_watch
INSERT INTO watch (tenant, name, uid, definition, version, sequence, snapshot, rows, result_of,
                   looked_at, changed_at)
VALUES (:tenant, :name, :uid, :definition, :version, :sequence, :snapshot, :rows, :result_of,
        :looked_at, :changed_at)
ON CONFLICT (tenant, name) DO UPDATE
SET uid = excluded.uid, definition = excluded.definition, version = excluded.version,
    sequence = excluded.sequence, snapshot = excluded.snapshot, rows = excluded.rows,
    result_of = excluded.result_of,
    looked_at = excluded.looked_at, changed_at = excluded.changed_at
RETURNING *;

-- name: drop_watch
DELETE FROM watch WHERE tenant = :tenant AND name = :name RETURNING *;

-- name: watches
SELECT * FROM watch ORDER BY tenant, name;

-- name: move_watch
-- Of another watch with the name, nothing is changed.
UPDATE watch
SET version = :version, sequence = :sequence, rows = :rows, result_of = :result_of, looked_at = :now,
    changed_at = CASE WHEN version = :version THEN changed_at ELSE :now END
WHERE uid = :uid
RETURNING *;

-- name: seen_watch
UPDATE watch SET snapshot = :snapshot WHERE uid = :uid AND snapshot < :snapshot;

-- name: put_delivery
INSERT INTO delivery (uid, sequence, tenant, name, target, state, version, inserted, updated, deleted, note,
                      created_at, next_at)
VALUES (:uid, :sequence, :tenant, :name, :target, 'pending', :version, :inserted, :updated, :deleted, :note,
        :now, :now);

-- name: pending_deliveries
SELECT * FROM delivery WHERE uid = :uid AND state = 'pending' ORDER BY sequence;

-- name: deliveries
SELECT * FROM delivery WHERE tenant = :tenant ORDER BY created_at, name, sequence;

-- name: end_delivery
UPDATE delivery
SET state = :state, attempts = attempts + 1, next_at = :next_at, error = :error,
    delivered_at = CASE WHEN :state = 'delivered' THEN :now END
WHERE uid = :uid AND sequence = :sequence;

-- name: drop_deliveries
DELETE FROM delivery WHERE uid = :uid AND state = 'pending';

-- name: forget_deliveries
DELETE FROM delivery
WHERE tenant = :tenant AND name = :name AND state <> 'pending'
  AND (created_at < :before
       OR (uid, sequence) NOT IN (SELECT uid, sequence FROM delivery WHERE tenant = :tenant AND name = :name
                                  ORDER BY created_at DESC, sequence DESC LIMIT :keep));

-- name: count_jobs
-- Of the active states: the partial indexes count them without reading the ended jobs.
SELECT 'queued' AS state, count(*) AS jobs FROM job WHERE state = 'queued'
UNION ALL
SELECT state, count(*) FROM job WHERE state IN ('running', 'publishing') GROUP BY state;

-- name: oldest_ready
SELECT min(max(created_at, start_at)) FROM job WHERE state = 'queued' AND start_at <= :now;

-- name: last_ended
-- The last job of each table that ended since :since; the other columns are those of the row with the maximum.
SELECT id, connection, table_name, state, max(finished_at) AS finished_at
FROM job WHERE finished_at >= :since AND tenant = :tenant
GROUP BY connection, table_name;

-- name: held_since
SELECT id, connection, table_name FROM job
WHERE finished_at >= :since AND tenant = :tenant AND held = 'held' AND state = 'failed';

-- name: still_held
SELECT id FROM job
WHERE id IN (SELECT value FROM json_each(:ids)) AND held = 'held' AND state = 'failed';

-- name: still_failed
SELECT id FROM job
WHERE id IN (SELECT value FROM json_each(:ids)) AND state IN ('failed', 'dead');

-- name: intervals
SELECT connection, table_name, every_s FROM schedule WHERE tenant = :tenant AND every_s IS NOT NULL;

-- name: script_results
-- The scheduled scripts, each with its last ended run, without output.
SELECT script.name, script.every_s, script.next_at, run.status, run.started_at, run.ended_at,
       EXISTS (SELECT 1 FROM script_run AS going WHERE going.tenant = script.tenant
               AND going.name = script.name AND going.status = 'running') AS is_running
FROM script LEFT JOIN script_run AS run
  ON run.id = (SELECT max(id) FROM script_run AS ended WHERE ended.tenant = script.tenant
               AND ended.name = script.name AND ended.status <> 'running')
WHERE script.tenant = :tenant
ORDER BY script.name;
