-- The statements of activity.db, by name.

-- name: begin
INSERT INTO statement (user, application, address, protocol, sql, pid, started_at)
VALUES (:user, :application, :address, :protocol, :sql, :pid, :now)
RETURNING id;

-- name: end
UPDATE statement SET state = :state, rows = :rows, loads = :loads, error = :error, finished_at = :now
WHERE id = :id;

-- name: forget_statements
DELETE FROM statement WHERE id <= (SELECT max(id) FROM statement) - :kept AND finished_at IS NOT NULL;

-- name: end_lost
UPDATE statement SET state = 'lost', finished_at = :now WHERE finished_at IS NULL AND pid = :pid;

-- name: recent
SELECT * FROM statement ORDER BY id DESC LIMIT :count;

-- name: running
SELECT * FROM statement WHERE finished_at IS NULL ORDER BY id;

-- name: ask_cancel
UPDATE statement SET cancel_asked = 1 WHERE id = :id AND finished_at IS NULL RETURNING *;

-- name: cancel_asked
SELECT id FROM statement WHERE finished_at IS NULL AND cancel_asked = 1 AND pid = :pid;

-- name: add_call
INSERT INTO agent_call (agent, tool, statement, decision, rows, calls, seconds, error, at)
VALUES (:agent, :tool, :statement, :decision, :rows, :calls, :seconds, :error, :at);

-- name: forget_calls
DELETE FROM agent_call WHERE id <= (SELECT max(id) FROM agent_call) - :kept;

-- name: recent_calls
SELECT * FROM agent_call ORDER BY id DESC LIMIT :count;
