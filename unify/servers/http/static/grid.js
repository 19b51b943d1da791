// A table of any number of rows: sorted, filtered, operated by keys. Only the visible rows are in the document.

import { h, show } from "./dom.js";
import { plural } from "./format.js";

const ROW_PX = 36;
const OVERSCAN = 12;
const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/**
 * columns: [{name, title, class, text(row), cell(row), value(row), width}]; rows: any values.
 * onOpen(row): a row was chosen. empty: what is shown without rows. key(row): keeps the selection.
 */
export class Grid {
  constructor({ columns, rows, label, onOpen, empty, key, sort }) {
    Object.assign(this, { columns, onOpen, empty, key: key ?? ((row) => row) });
    this.all = rows;
    this.filter = "";
    this.sort = sort ?? null;
    this.selected = null;
    this.head = h("thead");
    this.body = h("tbody");
    this.table = h("table", { class: "grid", "aria-label": label }, this.head, this.body);
    this.scroller = h(
      "div",
      { class: "scroller", tabindex: "0", onscroll: () => this.draw(), onkeydown: (event) => this.onKey(event) },
      this.table,
    );
    this.foot = h("p", { class: "foot", role: "status" });
    this.blank = h("div", { class: "empty" });
    this.element = h("div", { class: "gridbox" }, this.scroller, this.blank, this.foot);
    new ResizeObserver(() => this.draw()).observe(this.scroller);
    this.drawHead();
    this.update(rows);
  }

  /** Show other rows; filter, order, selection and position stay. */
  update(rows) {
    this.all = rows;
    this.arrange();
  }

  setFilter(text) {
    this.filter = text.trim().toLowerCase();
    this.arrange();
  }

  arrange() {
    const words = this.filter.split(/\s+/).filter(Boolean);
    const matches = (row) => {
      const text = this.columns.map((column) => column.text(row) ?? "").join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    };
    this.rows = words.length ? this.all.filter(matches) : this.all.slice();
    if (this.sort) {
      const column = this.columns[this.sort.index];
      const value = column.value ?? column.text;
      const sign = this.sort.isDown ? -1 : 1;
      this.rows.sort((a, b) => sign * compare(value(a), value(b)));
    }
    const isEmpty = this.rows.length === 0;
    this.scroller.hidden = isEmpty;
    this.blank.hidden = !isEmpty;
    if (isEmpty) show(this.blank, this.all.length ? [h("h2", {}, "No row matches"), h("p", {}, `Nothing contains “${this.filter}”.`)] : this.empty ?? h("h2", {}, "No rows"));
    const shown = words.length ? `${plural(this.rows.length, "row")} of ${this.all.length}` : plural(this.rows.length, "row");
    this.foot.textContent = isEmpty ? "" : shown;
    this.draw(true);
  }

  drawHead() {
    const cells = this.columns.map((column, index) => {
      const isSorted = this.sort?.index === index;
      const direction = this.sort?.isDown ? "descending" : "ascending";
      const button = h("button", { type: "button", onclick: () => this.sortBy(index) }, column.title, h("span", { class: "arrow", "aria-hidden": "true" }, isSorted ? (this.sort.isDown ? "↓" : "↑") : ""));
      return h("th", { scope: "col", class: column.class, "aria-sort": isSorted ? direction : "none" }, button, column.type && h("span", { class: "type" }, column.type));
    });
    show(this.head, h("tr", {}, cells));
  }

  sortBy(index) {
    const isSame = this.sort?.index === index;
    this.sort = isSame && this.sort.isDown ? null : { index, isDown: isSame };
    this.drawHead();
    this.arrange();
  }

  draw(isForced = false) {
    if (this.scroller.hidden) return;
    const height = this.scroller.clientHeight || 600;
    const top = Math.max(0, Math.floor(this.scroller.scrollTop / ROW_PX) - OVERSCAN);
    const end = Math.min(this.rows.length, top + Math.ceil(height / ROW_PX) + 2 * OVERSCAN);
    if (!isForced && this.top === top && this.end === end) return;
    Object.assign(this, { top, end });
    const spacer = (count) => {
      const row = h("tr", { class: "spacer", "aria-hidden": "true" }, h("td", { colspan: String(this.columns.length) }));
      row.firstChild.style.height = `${count * ROW_PX}px`;
      return count > 0 && row;
    };
    const rows = this.rows.slice(top, end).map((row, index) => this.drawRow(row, top + index));
    show(this.body, spacer(top), rows, spacer(this.rows.length - end));
    this.table.setAttribute("aria-rowcount", String(this.rows.length));
  }

  drawRow(row, index) {
    const cells = this.columns.map((column) => {
      const text = column.text(row);
      const content = column.cell ? column.cell(row) : text === null ? h("span", { class: "null" }, "null") : text;
      return h("td", { class: column.class, title: text ?? undefined }, content);
    });
    const isSelected = this.selected !== null && this.key(row) === this.selected;
    const open = this.onOpen && (() => { this.select(index); this.onOpen(row); });
    return h("tr", { class: [this.onOpen ? "opens" : "", isSelected ? "selected" : ""].join(" ").trim() || undefined, "aria-rowindex": String(index + 1), "aria-selected": this.onOpen ? String(isSelected) : undefined, onclick: open }, cells);
  }

  select(index) {
    const row = this.rows[index];
    if (row === undefined) return;
    this.selected = this.key(row);
    this.index = index;
    const top = index * ROW_PX;
    const bottom = top + 2 * ROW_PX;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (bottom > this.scroller.scrollTop + this.scroller.clientHeight) this.scroller.scrollTop = bottom - this.scroller.clientHeight;
    this.draw(true);
  }

  onKey(event) {
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / ROW_PX) - 2);
    const now = this.rows.findIndex((row) => this.key(row) === this.selected);
    const targets = { ArrowDown: now + 1, ArrowUp: now - 1, PageDown: now + page, PageUp: now - page, Home: 0, End: this.rows.length - 1 };
    if (event.target !== this.scroller || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key in targets) {
      event.preventDefault();
      this.select(Math.min(this.rows.length - 1, Math.max(0, targets[event.key])));
    } else if (event.key === "Enter" && now >= 0 && this.onOpen) {
      event.preventDefault();
      this.onOpen(this.rows[now]);
    }
  }
}

function compare(a, b) {
  const isMissing = (value) => value === null || value === undefined || value === "";
  if (isMissing(a) || isMissing(b)) return Number(isMissing(a)) - Number(isMissing(b));
  if (typeof a === "number" && typeof b === "number") return a - b;
  return collator.compare(String(a), String(b));
}

const NUMERIC = /^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|UINTEGER|FLOAT|DOUBLE|DECIMAL.*|BIGNUM)$/;
export const isNumeric = (type) => NUMERIC.test(type);
export const isTemporal = (type) => /^(DATE|TIMESTAMP)/.test(type);

/** Return the columns of a grid for a result of /query, whose rows are lists of texts. */
export function resultColumns(columns) {
  return columns.map((column, index) => ({
    title: column.name,
    type: column.type.length > 24 ? `${column.type.slice(0, 23)}…` : column.type,
    class: isNumeric(column.type) ? "number" : "",
    text: (row) => row[index],
    value: isNumeric(column.type) ? (row) => (row[index] === null ? null : Number(row[index])) : (row) => row[index],
  }));
}
