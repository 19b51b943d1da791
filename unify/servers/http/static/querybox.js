// The query box: a statement, its rows as a table, and charts of them.

import { cancel, MAX_ROWS, query } from "./api.js";
import { drawChart, KINDS, suggest } from "./charts.js";
import { h, show } from "./dom.js";
import { count, duration, plural } from "./format.js";
import { Grid, isNumeric, resultColumns } from "./grid.js";

const KEY = "unify.statement";
const isMac = navigator.platform.startsWith("Mac");

export class QueryBox {
  constructor({ tableNames }) {
    this.text = h("textarea", { id: "sql", spellcheck: "false", autocapitalize: "off", rows: "6", "aria-label": "Statement", placeholder: "select * from github.pulls limit 100", onkeydown: (event) => this.onKey(event), oninput: () => this.save() });
    this.text.value = sessionStorage.getItem(KEY) ?? "";
    this.run = h("button", { type: "button", class: "primary", onclick: () => this.start() }, "Run");
    this.stop = h("button", { type: "button", hidden: true, onclick: () => this.cancel() }, "Cancel");
    this.download = h("button", { type: "button", hidden: true, onclick: () => this.save_csv() }, "Download CSV");
    this.tables = h("select", { "aria-label": "Insert the name of a table", onchange: (event) => this.insert(event.target) });
    this.status = h("p", { class: "status", role: "status" });
    this.tabs = h("div", { class: "tabs", hidden: true });
    this.output = h("div", { class: "output" });
    this.setTables(tableNames);
    const keys = h("span", { class: "faint keys" }, h("kbd", {}, isMac ? "⌘" : "Ctrl"), " ", h("kbd", {}, "Enter"));
    this.element = h("div", { class: "querybox" }, h("div", { class: "editor" }, this.text), h("div", { class: "actions" }, this.run, this.stop, keys, this.tables, this.download, this.status), this.tabs, this.output);
    this.showEmpty();
  }

  setTables(names) {
    show(this.tables, h("option", { value: "" }, "Insert table …"), names.map((name) => h("option", {}, name)));
  }

  insert(select) {
    if (select.value) this.text.setRangeText(select.value, this.text.selectionStart, this.text.selectionEnd, "end");
    select.value = "";
    this.text.focus();
    this.save();
  }

  ask(sql) {
    this.text.value = sql;
    this.save();
    this.text.focus();
    this.start();
  }

  save() {
    sessionStorage.setItem(KEY, this.text.value.slice(0, 100000));
  }

  onKey(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.start();
    } else if (event.key === "Escape" && this.abort) {
      event.stopPropagation();
      this.cancel();
    }
  }

  async start() {
    const sql = this.text.value.trim().replace(/;\s*$/, "");
    if (!sql || this.abort) return;
    this.abort = new AbortController();
    this.statement = null;
    this.setBusy(true);
    show(this.status, "Running …");
    const began = performance.now();
    try {
      const onLoads = (loads) => show(this.status, loads.length ? loads.map((one) => `Loading ${one.table}: ${plural(one.rows, "row")}`).join("; ") : "Running …");
      const result = await query(sql, { signal: this.abort.signal, onLoads, onStatement: (id) => { this.statement = id; } });
      this.showResult(result, (performance.now() - began) / 1000);
    } catch (error) {
      this.tabs.hidden = true;
      show(this.status, "");
      const message = error.name === "AbortError" ? "Cancelled. Loads that the statement was waiting for go on." : error.message;
      show(this.output, h("div", { class: "failure", role: "alert" }, h("h2", {}, error.name === "AbortError" ? "Cancelled" : "The statement failed"), h("pre", {}, message)));
    } finally {
      this.abort = null;
      this.setBusy(false);
    }
  }

  async cancel() {
    const id = this.statement;
    this.abort?.abort();
    if (id) await cancel(id);
  }

  setBusy(isBusy) {
    this.run.disabled = isBusy;
    this.stop.hidden = !isBusy;
    this.element.classList.toggle("busy", isBusy);
  }

  showEmpty() {
    show(this.output, h("div", { class: "empty" }, h("h2", {}, "Ask in SQL"), h("p", {}, "One SELECT in DuckDB's SQL, across all connections. Tables that are not stored are loaded first."), h("p", {}, h("code", {}, "select state, count(*) as n from github.pulls group by all"))));
  }

  showResult(result, seconds) {
    this.result = result;
    const size = result.columns.length ? `${plural(result.rows.length, "row")} in ${duration(seconds)}` : result.message ?? "Done";
    show(this.status, [size, result.note].filter(Boolean).join(" · "), result.isCut && h("span", { class: "tag warn" }, `the first ${count(MAX_ROWS)} rows`));
    this.download.hidden = result.columns.length === 0;
    this.tabs.hidden = result.columns.length === 0;
    if (result.columns.length === 0) {
      show(this.output, h("div", { class: "empty" }, h("h2", {}, result.message ?? "Done")));
      return;
    }
    this.chart = suggest(result.columns);
    this.drawTabs("table");
    this.showTable();
  }

  drawTabs(selected) {
    const tab = (id, title, open) => h("button", { type: "button", class: "tab", "aria-pressed": String(id === selected), onclick: () => { this.drawTabs(id); open(); } }, title);
    show(this.tabs, tab("table", "Table", () => this.showTable()), this.chart && Object.entries(KINDS).map(([kind, title]) => tab(kind, title, () => { this.chart.kind = kind; this.showChart(); })), !this.chart && h("span", { class: "faint" }, "A chart needs a column of numbers, and another one."));
  }

  showTable() {
    const grid = new Grid({ columns: resultColumns(this.result.columns), rows: this.result.rows, label: "Result", empty: h("h2", {}, "No rows") });
    grid.element.classList.add("result");
    show(this.output, grid.element);
  }

  showChart() {
    const { columns } = this.result;
    const box = h("div", { class: "chart" });
    const note = h("p", { class: "faint" });
    const draw = () => show(note, drawChart(box, this.result, this.chart).join("; "));
    const options = (wanted) => columns.map((column, index) => (wanted(column) ? h("option", { value: String(index) }, column.name) : null));
    const x = h("select", { "aria-label": "Horizontal axis", onchange: () => { this.chart.x = Number(x.value); draw(); } }, options(() => true));
    const y = h("select", { "aria-label": "Values", onchange: () => { this.chart.ys = [Number(y.value)]; draw(); } }, options((column) => isNumeric(column.type)));
    x.value = String(this.chart.x);
    y.value = String(this.chart.ys[0]);
    show(this.output, h("div", { class: "axes" }, h("label", {}, "x ", x), h("label", {}, "y ", y), note), box);
    draw();
  }

  save_csv() {
    const cell = (value) => (value === null ? "" : /[",\r\n]/.test(value) || value === "" ? `"${value.replaceAll('"', '""')}"` : value);
    const lines = [this.result.columns.map((column) => cell(column.name)), ...this.result.rows.map((row) => row.map(cell))];
    const url = URL.createObjectURL(new Blob([lines.map((line) => `${line.join(",")}\r\n`).join("")], { type: "text/csv" }));
    h("a", { href: url, download: "result.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  }
}
