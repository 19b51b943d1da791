// Elements built from data. Text is only ever set as text, so no value of a row can become markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value === "boolean") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** Return an HTML element: h("p", {class: "note"}, "text", child). */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Return an SVG element. */
export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Replace the children of an element. */
export function show(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

export function icon(name) {
  const path = ICONS[name];
  return s("svg", { class: "icon", viewBox: "0 0 20 20", "aria-hidden": "true" }, s("path", { d: path }));
}

const ICONS = {
  tables: "M3 5h14v10H3zM3 9h14M8 5v10",
  loads: "M10 3v9M6 9l4 4 4-4M4 16h12",
  requests: "M3 7h12l-3-3M17 13H5l3 3",
  schedules: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14M10 6v4l3 2",
  writes: "M4 16l1-4 8-8 3 3-8 8zM11 6l3 3",
  syncs: "M4 10a6 6 0 0 1 10-4l2 2M16 4v4h-4M16 10a6 6 0 0 1-10 4l-2-2M4 16v-4h4",
  lineage: "M5 4v12M5 10h10M15 10l-3-3M15 10l-3 3",
  clients: "M10 10a3 3 0 1 0 0-6 3 3 0 0 0 0 6M4 17c0-3 3-4 6-4s6 1 6 4",
  query: "M4 5l4 5-4 5M10 15h6",
  close: "M5 5l10 10M15 5L5 15",
  theme: "M10 3a7 7 0 1 0 7 7 5 5 0 0 1-7-7",
  keys: "M3 6h14v8H3zM6 9h.01M9 9h.01M12 9h.01M6 12h8",
  out: "M8 4H4v12h4M12 7l3 3-3 3M15 10H8",
};
