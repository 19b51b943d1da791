// The sections of the page: the statement of each, its columns, and what its rows open.

import { h } from "./dom.js";
import { ago, bytes, count, duration, moment } from "./format.js";

const GOOD = ["stored", "success", "done", "live", "view", "ok", "table", "approved", "sent"];
const BAD = ["failed", "broken", "fatal", "unknown", "rejected"];
const BUSY = ["loading", "queued", "running", "publishing", "sending"];

/** Return a state as a dot with its word. */
export function pill(state) {
  const kind = GOOD.includes(state) ? "good" : BAD.includes(state) ? "bad" : BUSY.includes(state) ? "busy" : state === "partial" || state === "overdue" || state === "held back" || state === "paused" ? "warn" : "idle";
  return h("span", { class: `pill ${kind}` }, h("i", { "aria-hidden": "true" }), state ?? "");
}

const time = (name, title) => ({ title, text: (row) => ago(row[name]), value: (row) => Number(row[name] ?? 0), cell: (row) => h("time", { title: moment(row[name]) }, ago(row[name])) });
const number = (name, title, write = count) => ({ title, class: "number", text: (row) => write(row[name]), value: (row) => (row[name] === null ? null : Number(row[name])) });
const text = (name, title, extra = {}) => ({ title, text: (row) => row[name] ?? "", ...extra });
const state = (name, title = "State") => ({ title, text: (row) => row[name] ?? "", cell: (row) => row[name] && pill(row[name]) });
const error = (name = "error") => ({ title: "Reason", class: "reason", text: (row) => (row[name] ?? "").split("\n")[0] });
const tableName = (schema, table, title = "Table") => ({ title, class: "name", text: (row) => (row[table] ? `${row[schema] === "main" ? "" : `${row[schema]}.`}${row[table]}` : "") });

export const fullName = (row) => (row.schema === "main" ? row.table : `${row.schema}.${row.table}`);
export const isOverdue = (row) => row.next_at !== null && Number(row.next_at) < Date.now() - 60000 && row.loaded_at !== null;

const TABLES = `select t.schema, t."table", t.kind, t.state, t.rows, epoch_ms(t.loaded_at) as loaded_at, t.description,
  t.error, epoch_ms(s.next_at) as next_at, epoch(s.every) as every_s
  from unify.tables t left join unify.schedules s on s.connection = t.schema and s."table" = t."table"
  where t.kind <> 'system' order by t.state <> 'failed', t.loaded_at is null and t.kind <> 'table', t.schema, t."table"`;

const LOADS = `select j.job, j.connection as schema, j."table", j.action, j.state, j.attempt,
  epoch_ms(coalesce(j.finished_at, j.started_at, j.created_at)) as "at", l.status, l.rows_read, l.rows_written,
  l.rows_discarded, l.requests, l.bytes, l.seconds, coalesce(j.error, l.error, l.reason) as error
  from unify.jobs j left join unify.loads l on l.uid = j.uid order by j.job desc limit 2000`;

const REQUESTS = `select epoch_ms(r."at") as "at", r.method, r.address, r.status, r.milliseconds, r.bytes, r.job, r.error,
  j.connection as schema, j."table" from unify.requests r left join unify.jobs j on j.job = r.job order by r."at" desc limit 2000`;

const freshness = {
  title: "Freshness",
  text: (row) => (row.loaded_at === null ? "" : ago(row.loaded_at)),
  value: (row) => (row.loaded_at === null ? null : -Number(row.loaded_at)),
  cell: (row) => {
    if (row.loaded_at === null) return h("span", { class: "faint" }, row.kind === "live" ? "asked when queried" : "—");
    return h("span", { title: moment(row.loaded_at) }, ago(row.loaded_at), isOverdue(row) && h("span", { class: "tag warn" }, "overdue"));
  },
};

const every = { title: "Refresh", text: (row) => (row.every_s === null ? "" : `every ${duration(row.every_s).replace(".0", "")}`), value: (row) => (row.every_s === null ? null : Number(row.every_s)) };

const empty = (title, ...lines) => [h("h2", {}, title), ...lines.map((line) => h("p", {}, line))];
const code = (value) => h("code", {}, value);

/** id → {title, sql, columns, empty, key, detail, ownerOnly, hint} */
export const VIEWS = {
  tables: {
    title: "Tables", hint: "What can be queried, and how fresh it is", sql: TABLES,
    columns: [{ ...tableName("schema", "table"), text: fullName }, state("state"), number("rows", "Rows"), freshness, every, { title: "Description", class: "wide faint", text: (row) => (row.error ?? row.description ?? "").split("\n")[0], cell: (row) => h("span", { class: row.error ? "badtext" : "" }, (row.error ?? row.description ?? "").split("\n")[0]) }],
    key: fullName, detail: "table",
    empty: empty("No tables yet", ["Connect an account: ", code("unify -c \"connect github\""), ", or try ", code("unify demo"), "."]),
  },
  loads: {
    title: "Loads", hint: "What was fetched, and why it failed", sql: LOADS,
    columns: [number("job", "Job"), tableName("schema", "table"), text("action", "Action"), { title: "State", text: (row) => loadState(row), cell: (row) => pill(loadState(row)) }, time("at", "When"), number("seconds", "Took", duration), number("rows_written", "Rows"), number("requests", "Requests"), number("bytes", "Size", bytes), error()],
    key: (row) => row.job, detail: "load",
    empty: empty("Nothing was loaded yet", "A table is loaded by the first query on it."),
  },
  requests: {
    title: "Requests", hint: "The last requests to APIs, without secrets", sql: REQUESTS,
    columns: [time("at", "When"), text("method", "Method"), { title: "Status", class: "number", text: (row) => row.status ?? "", cell: (row) => h("span", { class: Number(row.status ?? 599) >= 400 ? "badtext" : "" }, row.status ?? "none") }, number("milliseconds", "Took", (value) => (value === null ? "" : duration(value / 1000))), number("bytes", "Size", bytes), number("job", "Job", (value) => value ?? ""), { title: "Address", class: "wide mono", text: (row) => row.address ?? "" }, error()],
    empty: empty("No requests in the last seven days", "Requests of loads and live tables are listed here."),
  },
  schedules: {
    title: "Schedules", hint: "What runs by itself", sql: `select name, kind, script, epoch(every) as every_s, starting, epoch_ms(next_at) as next_at, epoch_ms(last_at) as last_at, last_status, origin from unify.schedules order by next_at`,
    columns: [text("name", "Name", { class: "name" }), text("kind", "Kind"), every, text("starting", "Starting"), time("next_at", "Next"), time("last_at", "Last"), state("last_status", "Last run"), text("origin", "Set by"), text("script", "File", { class: "wide mono" })],
    key: (row) => row.name, detail: "schedule",
    empty: empty("Nothing is scheduled", [code("refresh table github.pulls every 15 minutes"), " or ", code("run 'report.sql' every 1 day"), " schedules a table or a script."]),
  },
  writes: {
    title: "Writes", hint: "Rows sent to systems, and what became of them", sql: `select id, connection as schema, "table", mode, state, rows, requests, created, updated, deleted, unchanged, rejected, unknown, asked_by, approved_by, epoch_ms(coalesce(finished_at, started_at, planned_at)) as "at", error from unify.writes order by id desc limit 2000`,
    columns: [number("id", "Write"), tableName("schema", "table"), text("mode", "Mode"), state("state"), time("at", "When"), number("rows", "Rows"), number("created", "Created"), number("updated", "Updated"), number("deleted", "Deleted"), number("rejected", "Rejected"), number("unknown", "Unknown"), text("asked_by", "Asked by"), text("approved_by", "Approved by"), error()],
    key: (row) => row.id, detail: "write",
    empty: empty("Nothing was written in the last 30 days", ["Writes such as ", code("insert into github.issues …"), " are planned, approved and then sent."]),
  },
  syncs: {
    title: "Syncs", hint: "SELECTs that are written to systems again and again", sql: `select name, connection as schema, "table", mode, key, epoch(every) as every_s, after_load_of, last_status, epoch_ms(last_run_at) as last_at, source from unify.syncs order by name`,
    columns: [text("name", "Name", { class: "name" }), tableName("schema", "table", "Into"), text("mode", "Mode"), text("key", "Key"), every, text("after_load_of", "After load of"), state("last_status", "Last run"), time("last_at", "When"), text("source", "Rows of", { class: "wide mono" })],
    key: (row) => row.name, detail: "sync",
    empty: empty("There are no syncs", [code("create sync NAME as upsert into S.T by KEY select …"), " creates one."]),
  },
  lineage: {
    title: "Lineage", hint: "What a table reads, and what reads it", sql: `select schema, "table", string_agg(distinct case when reads_schema = 'main' then reads_table else reads_schema || '.' || reads_table end, ', ' order by 1) as reads, string_agg(distinct via, ', ') as via, string_agg(distinct sync, ', ') as sync from unify.lineage group by all order by schema, "table"`,
    columns: [{ ...tableName("schema", "table"), text: fullName }, text("reads", "Reads", { class: "wide" }), { title: "How", text: (row) => ({ parents: "requested for each row" })[row.via] ?? row.via }, text("sync", "Sync")],
    key: fullName, detail: "table",
    empty: empty("No table reads another one", "Views, tables that are requested for each row of another one, and syncs are listed here."),
  },
  clients: {
    title: "Clients", hint: "Statements of programs and agents: running, then ended", ownerOnly: true, sql: `select id, "user", application, address, protocol, statement, state, rows, loads, seconds, epoch_ms(started_at) as "at", error from unify.statements order by state <> 'running', id desc limit 2000`,
    columns: [number("id", "Id"), text("user", "User", { class: "name" }), state("state"), time("at", "Began"), number("seconds", "Took", duration), number("rows", "Rows"), number("loads", "Loads"), text("protocol", "Protocol"), text("application", "Application"), text("statement", "Statement", { class: "wide mono" }), error()],
    key: (row) => row.id, detail: "statement",
    empty: empty("No client has sent a statement", ["Programs connect through ", code("unify serve"), ", agents through ", code("unify mcp"), "."]),
  },
};

export const loadState = (row) => (["queued", "running", "publishing", "cancelled"].includes(row.state) ? row.state : row.status ?? row.state);
