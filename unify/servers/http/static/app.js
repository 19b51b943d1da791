// The frame of the page: sign-in, sections, the panel of details, keys, and reading again what is shown.

import { ApiError, exchange, health, isOwner, isSignedIn, records, signIn, signOut } from "./api.js";
import { DETAILS } from "./details.js";
import { h, icon, show } from "./dom.js";
import { plural } from "./format.js";
import { Grid } from "./grid.js";
import { QueryBox } from "./querybox.js";
import { isOverdue, VIEWS } from "./views.js";

const REFRESH_MS = 10000;
const SECTIONS = [...Object.keys(VIEWS), "query"];
const TITLES = { ...Object.fromEntries(Object.entries(VIEWS).map(([id, view]) => [id, view.title])), query: "Query" };
const root = document.getElementById("app");
const ui = { section: "", rows: {}, box: null, grid: null, timer: 0, visit: 0 };

async function start() {
  setTheme(localStorage.getItem("unify.theme") ?? "");
  const ticket = /^#ticket=([\w-]+)$/.exec(location.hash)?.[1];
  if (ticket) {
    history.replaceState(null, "", "/"); // the address can be copied without it
    try {
      await exchange(ticket);
    } catch (error) {
      if (!isSignedIn()) return showSignIn(error.message);
    }
  }
  if (!isSignedIn()) return showSignIn("");
  return showFrame();
}

function showSignIn(message) {
  clearTimeout(ui.timer);
  const input = h("input", { id: "token", type: "password", autocomplete: "off", placeholder: "unify.NAME.…", "aria-describedby": "signin-help" });
  const problem = h("p", { class: "badtext", role: "alert" }, message);
  const submit = async (event) => {
    event.preventDefault();
    signIn(input.value.trim());
    try {
      await records("select 1 as one");
      showFrame();
    } catch (error) {
      signOut();
      show(problem, error.status === 401 ? "This token is not valid." : error.message);
      input.select();
    }
  };
  const help = h("p", { id: "signin-help", class: "faint" }, "The token of a user: ", h("code", {}, "unify user add NAME"), ". On this machine ", h("code", {}, "unify ui"), " opens the page without one. It is kept in this tab only.");
  show(root, h("main", { class: "signin", id: "main" }, h("form", { onsubmit: submit }, h("div", { class: "brand big" }, h("img", { src: "/static/icon.svg", alt: "", width: "36", height: "36" }), "Unify"), h("label", { for: "token" }, "Token"), input, problem, h("button", { class: "primary", type: "submit" }, "Sign in"), help)));
  input.focus();
}

function showFrame() {
  const link = (id, index) => h("li", {}, h("a", { href: `#/${id}`, "data-section": id }, icon(id), h("span", {}, TITLES[id]), h("kbd", { "aria-hidden": "true" }, String(index + 1))));
  ui.nav = h("ul", {}, SECTIONS.map(link));
  ui.health = h("div", { class: "health", role: "status" });
  ui.title = h("h1", { tabindex: "-1" });
  ui.hint = h("p", { class: "hint" });
  ui.filter = h("input", { type: "search", placeholder: "Filter …", "aria-label": "Filter the rows", oninput: () => ui.grid?.setFilter(ui.filter.value) });
  ui.alert = h("div", { class: "alert", role: "alert", hidden: true });
  ui.content = h("div", { class: "content" });
  ui.panel = h("aside", { class: "panel", hidden: true, tabindex: "-1", "aria-label": "Details" });
  const tools = h("div", { class: "tools" }, button("theme", "Change between light and dark", changeTheme), button("keys", "Keys", showKeys), button("out", "Sign out", () => { signOut(); showSignIn("You are signed out."); }));
  const sidebar = h("header", { class: "sidebar" }, h("div", { class: "brand" }, h("img", { src: "/static/icon.svg", alt: "", width: "26", height: "26" }), "Unify"), h("nav", { "aria-label": "Sections" }, ui.nav), ui.health, tools);
  ui.keys = h("dialog", { "aria-label": "Keys" });
  show(root, sidebar, h("main", { id: "main" }, h("div", { class: "top" }, h("div", {}, ui.title, ui.hint), ui.filter), ui.alert, h("div", { class: "split" }, ui.content, ui.panel)), ui.keys);
  openSection();
}

function button(name, title, onclick) {
  return h("button", { type: "button", class: "iconbutton", title, "aria-label": title, onclick }, icon(name));
}

function openSection() {
  if (!isSignedIn() || !ui.nav) return;
  const wanted = location.hash.slice(2);
  const section = SECTIONS.includes(wanted) ? wanted : "tables";
  for (const link of ui.nav.querySelectorAll("a")) {
    if (link.dataset.section === section) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  ui.section = section;
  ui.visit += 1;
  ui.grid = null;
  ui.filter.value = "";
  ui.filter.hidden = section === "query";
  ui.title.textContent = TITLES[section];
  ui.hint.textContent = section === "query" ? "SQL over all connections, with charts" : VIEWS[section].hint;
  document.title = `${TITLES[section]} – Unify`;
  closePanel();
  setAlert("");
  if (section === "query") openQuery();
  else {
    show(ui.content, h("div", { class: "loading", role: "status" }, "Reading …"));
    if (ui.rows[section]) drawRows(section, ui.rows[section]);
  }
  refresh();
}

function openQuery() {
  const names = (ui.rows.tables ?? []).map((row) => (row.schema === "main" ? row.table : `${row.schema}.${row.table}`));
  ui.box ??= new QueryBox({ tableNames: names });
  ui.box.setTables(names);
  show(ui.content, ui.box.element);
  ui.box.text.focus();
}

async function refresh() {
  clearTimeout(ui.timer);
  const { section, visit } = ui;
  try {
    readHealth();
    if (section === "query" && !ui.rows.tables) {
      ui.rows.tables = await records(VIEWS.tables.sql);
      if (ui.section === "query") openQuery();
    } else if (section !== "query") {
      const rows = VIEWS[section].ownerOnly && !isOwner() ? null : await records(VIEWS[section].sql);
      ui.rows[section] = rows;
      if (visit === ui.visit) drawRows(section, rows);
    }
    if (visit === ui.visit) setAlert("");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401) {
      signOut();
      return showSignIn("The session has ended. Sign in again.");
    }
    if (visit === ui.visit) {
      setAlert(error.message);
      if (!ui.grid && section !== "query") show(ui.content);
    }
  }
  if (visit === ui.visit) ui.timer = setTimeout(() => (document.hidden ? undefined : refresh()), REFRESH_MS);
  return undefined;
}

function drawRows(section, rows) {
  const view = VIEWS[section];
  if (rows === null) {
    show(ui.content, h("div", { class: "empty" }, h("h2", {}, "Only the owner of the home sees this"), h("p", {}, "Statements of other users are private. On the machine of the home, ", h("code", {}, "unify ui"), " signs in its owner.")));
    return;
  }
  if (ui.grid) {
    ui.grid.update(rows);
  } else {
    ui.grid = new Grid({ ...view, rows, label: view.title, onOpen: view.detail && ((row) => openPanel(view.detail, row)) });
    show(ui.content, h("div", { class: "summaries" }), ui.grid.element);
  }
  const summaries = ui.content.querySelector(".summaries");
  if (summaries) show(summaries, summarize(section, rows));
}

/** Return the figures above the rows: what somebody who opens the page wants to know first. */
function summarize(section, rows) {
  const figure = (number, word, kind, filter) => h("button", { type: "button", class: `figure ${number ? kind : ""}`, onclick: () => { ui.filter.value = filter; ui.grid.setFilter(filter); } }, h("strong", {}, String(number)), ` ${word}`);
  const number = (wanted) => rows.filter(wanted).length;
  if (section === "tables" && rows.length) {
    return [figure(number((row) => row.loaded_at !== null), "stored", "good", ""), figure(number((row) => ["loading", "queued"].includes(row.state)), "loading", "busy", "loading"), figure(number((row) => row.state === "failed"), "failed", "bad", "failed"), figure(number(isOverdue), "overdue", "warn", "overdue")];
  }
  if (section === "loads" && rows.length) {
    const failing = (ui.rows.loads ?? []).filter((row, index, all) => all.findIndex((one) => one.schema === row.schema && one.table === row.table) === index && (row.state === "failed" || row.status === "failed"));
    return failing.slice(0, 3).map((row) => h("button", { type: "button", class: "cause", onclick: () => openPanel("load", row) }, h("strong", {}, `${row.schema}.${row.table}`), h("span", {}, (row.error ?? "failed").split("\n")[0])));
  }
  return [];
}

async function openPanel(kind, row) {
  const [title, content] = DETAILS[kind];
  const visit = (ui.opened = (ui.opened ?? 0) + 1);
  const body = h("div", { class: "body" }, h("p", { class: "loading" }, "Reading …"));
  ui.panel.hidden = false;
  show(ui.panel, h("div", { class: "panelhead" }, h("h2", {}, title(row)), button("close", "Close (Escape)", closePanel)), body);
  const tools = { ask: (sql) => { location.hash = "#/query"; setTimeout(() => ui.box.ask(sql)); }, refresh, open: openPanel, mayReadRuns: isOwner() };
  try {
    const parts = await content(row, tools);
    if (visit === ui.opened) show(body, parts);
  } catch (error) {
    if (visit === ui.opened) show(body, h("p", { class: "badtext", role: "alert" }, error.message));
  }
}

function closePanel() {
  if (ui.panel.hidden) return;
  ui.opened += 1;
  ui.panel.hidden = true;
  ui.grid?.scroller.focus();
}

async function readHealth() {
  try {
    const home = await health();
    const isGood = home.status === "ok";
    const daemon = home.daemon === "running" ? "Daemon running" : "Daemon not running";
    show(ui.health, h("span", { class: `pill ${isGood ? "good" : "warn"}` }, h("i", { "aria-hidden": "true" }), daemon), h("p", { class: "faint" }, (home.reasons ?? []).join("; ") || plural(home.tables?.stored ?? 0, "stored table")));
  } catch {
    show(ui.health, h("span", { class: "pill bad" }, h("i"), "No connection"));
  }
}

function setAlert(message) {
  ui.alert.hidden = message === "";
  show(ui.alert, message, message && h("button", { type: "button", onclick: refresh }, "Try again"));
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

function changeTheme() {
  const isDark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const theme = isDark ? "light" : "dark";
  localStorage.setItem("unify.theme", theme);
  setTheme(theme);
}

function showKeys() {
  const row = (keys, meaning) => h("div", {}, h("dt", {}, keys.map((key) => h("kbd", {}, key))), h("dd", {}, meaning));
  show(ui.keys, h("h2", {}, "Keys"), h("dl", { class: "keylist" }, row(["1", "–", "9"], "open a section"), row(["/"], "filter the rows, or edit the statement"), row(["↑", "↓", "Enter"], "select a row and open it"), row(["Esc"], "close the panel, or cancel the statement"), row(["Ctrl", "Enter"], "run the statement"), row(["r"], "read again"), row(["?"], "this list")), h("form", { method: "dialog" }, h("button", { class: "primary" }, "Close")));
  ui.keys.showModal();
}

document.addEventListener("keydown", (event) => {
  if (!isSignedIn() || !ui.nav || event.ctrlKey || event.metaKey || event.altKey) return;
  const isTyping = event.target.matches?.("input, textarea, select");
  if (event.key === "Escape") {
    if (isTyping && event.target === ui.filter && ui.filter.value) { ui.filter.value = ""; ui.grid?.setFilter(""); } else closePanel();
    return;
  }
  if (isTyping || ui.keys.open) return;
  const number = Number(event.key);
  if (number >= 1 && number <= SECTIONS.length) location.hash = `#/${SECTIONS[number - 1]}`;
  else if (event.key === "/") (ui.section === "query" ? ui.box.text : ui.filter).focus();
  else if (event.key === "r") refresh();
  else if (event.key === "?") showKeys();
  else return;
  event.preventDefault();
});
window.addEventListener("hashchange", openSection);
document.addEventListener("visibilitychange", () => { if (!document.hidden && ui.nav && isSignedIn()) refresh(); });
start();
