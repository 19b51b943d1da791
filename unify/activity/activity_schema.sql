-- The tables of activity.db, one section a schema version. A released section is never changed.
-- Moments are microseconds since 1970, UTC.

-- name: 1
CREATE TABLE statement (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    user         TEXT NOT NULL,
    application  TEXT NOT NULL,
    address      TEXT NOT NULL,
    protocol     TEXT NOT NULL,
    sql          TEXT NOT NULL,
    pid          INTEGER NOT NULL,
    state        TEXT NOT NULL DEFAULT 'running',
    rows         INTEGER NOT NULL DEFAULT 0,
    loads        INTEGER NOT NULL DEFAULT 0,
    error        TEXT NOT NULL DEFAULT '',
    cancel_asked INTEGER NOT NULL DEFAULT 0,
    started_at   INTEGER NOT NULL,
    finished_at  INTEGER
);
CREATE INDEX statement_running ON statement (id) WHERE finished_at IS NULL;
CREATE TABLE agent_call (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    agent     TEXT NOT NULL,
    tool      TEXT NOT NULL,
    statement TEXT NOT NULL,
    decision  TEXT NOT NULL,
    rows      INTEGER NOT NULL,
    calls     INTEGER NOT NULL,
    seconds   REAL NOT NULL,
    error     TEXT NOT NULL,
    at        INTEGER NOT NULL
);
