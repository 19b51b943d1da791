// The panel at the right: one table, load, schedule, write, sync or statement.

import { query, records } from "./api.js";
import { h, show } from "./dom.js";
import { ago, bytes, count, duration, moment } from "./format.js";
import { fullName, isOverdue, loadState, pill } from "./views.js";

const quote = (name) => `"${name.replaceAll('"', '""')}"`;
const VIA = { parents: "requested for each of its rows", view: "as a view", sync: "through a sync" };
const facts = (pairs) => h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
const section = (title, ...content) => h("section", {}, h("h3", {}, title), ...content);
const trouble = (text) => text && h("pre", { class: "trouble" }, text);

function list(rows, columns, empty) {
  if (rows.length === 0) return h("p", { class: "faint" }, empty);
  const cells = (row) => columns.map(([, write, kind]) => h("td", { class: kind }, write(row) ?? ""));
  return h("table", { class: "small" }, h("thead", {}, h("tr", {}, columns.map(([title, , kind]) => h("th", { scope: "col", class: kind }, title)))), h("tbody", {}, rows.map((row) => h("tr", {}, cells(row)))));
}

async function tableDetail(row, { ask, refresh, open }) {
  const params = { s: row.schema, t: row.table };
  const [[now], columns, loads, reads, readBy] = await Promise.all([
    records(`select kind, state, rows, epoch_ms(loaded_at) as loaded_at, description, error from unify.tables where schema = :s and "table" = :t`, { params }),
    records(`select "column", type, description from unify.columns where schema = :s and "table" = :t order by position`, { params }),
    records(`select job, action, status, rows_written, requests, seconds, epoch_ms(finished_at) as "at", error from unify.loads where connection = :s and "table" = :t order by finished_at desc limit 8`, { params }),
    records(`select distinct reads_schema as schema, reads_table as "table", via from unify.lineage where schema = :s and "table" = :t order by all`, { params }),
    records(`select distinct schema, "table", via from unify.lineage where reads_schema = :s and reads_table = :t order by all`, { params }),
  ]);
  const name = row.schema === "main" ? quote(row.table) : `${quote(row.schema)}.${quote(row.table)}`;
  const status = h("p", { class: "status", role: "status" });
  const load = async (verb) => {
    show(status, "Queued …");
    try {
      const done = await query(`${verb} table ${name}`, { onLoads: (all) => show(status, all.map((one) => `${one.table}: ${count(one.rows)} rows, ${one.state}`).join("; ") || "Queued …") });
      show(status, done.message ?? done.note ?? "Done");
      refresh();
    } catch (error) {
      show(status, h("span", { class: "badtext" }, error.message));
    }
  };
  const isStored = now?.rows !== null && now?.rows !== undefined;
  const links = (rows) => (rows.length === 0 ? h("p", { class: "faint" }, "No table") : h("ul", { class: "links" }, rows.map((one) => h("li", {}, h("button", { type: "button", class: "link", onclick: () => open("table", one) }, fullName(one)), h("span", { class: "faint" }, ` ${VIA[one.via] ?? one.via}`)))));
  const canLoad = now && !["view", "system", "table"].includes(now.kind);
  return [
    h("p", { class: "faint" }, now?.description ?? ""),
    h("div", { class: "actions" }, h("button", { type: "button", class: "primary", onclick: () => ask(`select *\nfrom ${row.schema === "main" ? row.table : fullName(row)}\nlimit 100`) }, "Query"), canLoad && h("button", { type: "button", onclick: () => load(isStored ? "refresh" : "load") }, isStored ? "Refresh" : "Load"), status),
    facts([["State", now && pill(now.state)], ["Kind", now?.kind], ["Rows", count(now?.rows)], ["Loaded", now?.loaded_at && `${ago(now.loaded_at)} (${moment(now.loaded_at)})`], ["Freshness", isOverdue({ next_at: null, ...row, loaded_at: now?.loaded_at ?? null }) ? "overdue" : ""]]),
    trouble(now?.error),
    section("Reads from", links(reads)),
    section("Used by", links(readBy)),
    section("Recent loads", list(loads, [["Job", (one) => one.job, "number"], ["State", (one) => pill(one.status)], ["When", (one) => ago(one.at)], ["Rows", (one) => count(one.rows_written), "number"], ["Took", (one) => duration(one.seconds), "number"]], "It was not loaded yet.")),
    section(`Columns${columns.length ? ` (${columns.length})` : ""}`, list(columns, [["Name", (one) => one.column, "name"], ["Type", (one) => one.type ?? "known after the first load", "mono"], ["Description", (one) => one.description, "faint"]], "Known after the first load.")),
  ];
}

async function loadDetail(row, { open }) {
  const params = { job: Number(row.job) };
  const [requests, discarded] = await Promise.all([
    records(`select epoch_ms("at") as "at", method, address, status, milliseconds, error from unify.requests where job = :job order by "at" desc limit 50`, { params }),
    records(`select "column", value, reason from unify.discarded where job = :job limit 50`, { params }),
  ]);
  return [
    h("p", {}, h("button", { type: "button", class: "link", onclick: () => open("table", row) }, fullName(row)), ` — ${row.action}, attempt ${row.attempt}`),
    facts([["State", pill(loadState(row))], ["When", `${ago(row.at)} (${moment(row.at)})`], ["Took", duration(row.seconds)], ["Rows read", count(row.rows_read)], ["Rows written", count(row.rows_written)], ["Rows discarded", Number(row.rows_discarded) ? count(row.rows_discarded) : ""], ["Requests", count(row.requests)], ["Size", bytes(row.bytes)]]),
    row.error && section("Why", trouble(row.error)),
    discarded.length > 0 && section("Discarded rows", list(discarded, [["Column", (one) => one.column, "name"], ["Value", (one) => one.value, "mono"], ["Reason", (one) => one.reason]], "")),
    section("Requests", list(requests, [["When", (one) => ago(one.at)], ["Status", (one) => one.status ?? "none", "number"], ["Took", (one) => (one.milliseconds === null ? "" : duration(one.milliseconds / 1000)), "number"], ["Address", (one) => `${one.method} ${one.address}${one.error ? ` — ${one.error}` : ""}`, "mono"]], "None of the last seven days.")),
  ];
}

async function scheduleDetail(row, { mayReadRuns }) {
  const runs = mayReadRuns && row.kind !== "table" ? await records(`select run, status, epoch_ms(started_at) as "at", epoch(ended_at - started_at) as seconds, output, error from unify.script_runs where name = :name order by run desc limit 20`, { params: { name: row.name } }) : [];
  return [
    facts([["Kind", row.kind], ["Interval", row.every_s === null ? "once" : `every ${duration(row.every_s).replace(".0", "")}`], ["Starting", row.starting], ["Next", row.next_at && `${ago(row.next_at)} (${moment(row.next_at)})`], ["Last", row.last_at && `${ago(row.last_at)} (${moment(row.last_at)})`], ["File", row.script]]),
    row.kind !== "table" && !mayReadRuns && h("p", { class: "faint" }, "The owner of the home sees the runs: unify ui."),
    ...runs.map((one) => section(`Run ${one.run}`, h("p", {}, pill(one.status), ` ${ago(one.at)}, ${duration(one.seconds)}`), trouble(one.error), one.output && h("pre", {}, one.output))),
  ];
}

async function writeDetail(row, { mayReadRuns }) {
  const rows = mayReadRuns ? await records(`select row, cast(key as varchar) as key, action, state, status, message from unify.write_rows where write = :write order by state = 'created', row limit 100`, { params: { write: Number(row.id) } }) : [];
  return [
    facts([["Table", fullName(row)], ["Mode", row.mode], ["State", pill(row.state)], ["Rows", count(row.rows)], ["Requests", count(row.requests)], ["Asked by", row.asked_by], ["Approved by", row.approved_by], ["When", `${ago(row.at)} (${moment(row.at)})`]]),
    row.state === "planned" && h("p", { class: "faint" }, `approve write ${row.id} in a shell sends it; cancel write ${row.id} drops it.`),
    trouble(row.error),
    rows.length > 0 && section("Rows", list(rows, [["Row", (one) => one.row, "number"], ["Key", (one) => one.key, "mono"], ["State", (one) => pill(one.state)], ["Status", (one) => one.status, "number"], ["Message", (one) => one.message]], "")),
  ];
}

async function syncDetail(row) {
  const runs = await records(`select id, status, reason, read, written, failed, epoch_ms(started_at) as "at" from unify.sync_runs where sync = :name order by id desc limit 20`, { params: { name: row.name } });
  return [
    facts([["Into", fullName(row)], ["Mode", row.mode], ["Key", row.key], ["Last run", row.last_status && pill(row.last_status)]]),
    section("Rows of", h("pre", {}, row.source)),
    section("Runs", list(runs, [["Run", (one) => one.id, "number"], ["State", (one) => pill(one.status)], ["When", (one) => ago(one.at)], ["Read", (one) => count(one.read), "number"], ["Written", (one) => count(one.written), "number"], ["Failed", (one) => count(one.failed), "number"], ["Reason", (one) => one.reason]], "It has not run yet.")),
  ];
}

async function statementDetail(row, { ask }) {
  return [
    facts([["User", row.user], ["State", pill(row.state)], ["Application", row.application], ["Address", row.address], ["Protocol", row.protocol], ["Began", `${ago(row.at)} (${moment(row.at)})`], ["Took", duration(row.seconds)], ["Rows", count(row.rows)]]),
    h("pre", {}, row.statement),
    trouble(row.error),
    h("div", { class: "actions" }, h("button", { type: "button", onclick: () => ask(row.statement) }, "Open in the query box")),
  ];
}

/** kind → [title(row), content(row, tools)] */
export const DETAILS = {
  table: [fullName, tableDetail],
  load: [(row) => `Load ${row.job}`, loadDetail],
  schedule: [(row) => row.name, scheduleDetail],
  write: [(row) => `Write ${row.id}`, writeDetail],
  sync: [(row) => row.name, syncDetail],
  statement: [(row) => `Statement ${row.id}`, statementDetail],
};
