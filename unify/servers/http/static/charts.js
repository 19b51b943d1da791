// Charts of a result as SVG: lines, areas, bars, points; axes with round ticks, a legend, values under the pointer.

import { h, s, show } from "./dom.js";
import { isNumeric, isTemporal } from "./grid.js";

export const KINDS = { line: "Line", area: "Area", bar: "Bar", scatter: "Scatter" };
export const MAX_POINTS = 5000; // of a series; more points than pixels show nothing
const MAX_BARS = 60;
const MAX_SERIES = 8;
const MARGIN = { top: 16, right: 16, bottom: 44, left: 64 };

/** Return the chart that fits a result: {kind, x, ys}, or null if it has no numbers. */
export function suggest(columns) {
  const ys = columns.map((column, index) => (isNumeric(column.type) ? index : -1)).filter((index) => index >= 0);
  const time = columns.findIndex((column) => isTemporal(column.type));
  const text = columns.findIndex((column) => !isNumeric(column.type) && !isTemporal(column.type));
  if (ys.length === 0) return null;
  if (time >= 0) return { kind: "line", x: time, ys: ys.slice(0, 3) };
  if (text >= 0) return { kind: "bar", x: text, ys: ys.slice(0, 1) };
  return ys.length > 1 ? { kind: "scatter", x: ys[0], ys: [ys[1]] } : null;
}

/** Draw a chart into an element, and again when its width changes. Returns notes on what is left out. */
export function drawChart(element, result, { kind, x, ys }) {
  const data = prepare(result, kind, x, ys.slice(0, MAX_SERIES));
  const tip = h("div", { class: "tip", role: "status", hidden: true });
  const holder = h("div", { class: "plot" });
  const legend = h("ul", { class: "legend" }, data.series.map((one, index) => h("li", { class: `s${index}` }, one.name)));
  show(element, legend, holder, tip);
  const draw = () => show(holder, plot(data, kind, Math.max(320, holder.clientWidth), tip));
  new ResizeObserver(draw).observe(holder);
  draw();
  return data.notes;
}

function prepare({ columns, rows }, kind, x, ys) {
  const column = columns[x];
  const isCategory = kind === "bar" || !(isNumeric(column.type) || isTemporal(column.type));
  const position = isTemporal(column.type) ? parseTime : Number;
  const notes = [];
  const limit = kind === "bar" ? MAX_BARS : MAX_POINTS;
  let used = rows.filter((row) => row[x] !== null || isCategory);
  if (used.length > limit) {
    notes.push(`the first ${limit.toLocaleString("en-US")} of ${used.length.toLocaleString("en-US")} rows`);
    used = used.slice(0, limit);
  }
  if (!isCategory) used = used.map((row) => [position(row[x]), row]).filter(([at]) => Number.isFinite(at)).sort((a, b) => a[0] - b[0]).map(([, row]) => row);
  const labels = used.map((row) => row[x] ?? "null");
  const xs = used.map((row, index) => (isCategory ? index : position(row[x])));
  const series = ys.map((y) => ({
    name: columns[y].name,
    points: used.map((row, index) => ({ x: xs[index], y: row[y] === null ? null : Number(row[y]), label: labels[index], text: row[y] })).filter((point) => point.y === null || Number.isFinite(point.y)),
  }));
  return { series, labels, xs, isCategory, isTime: !isCategory && isTemporal(column.type), xName: column.name, notes };
}

/** Return the milliseconds of DuckDB's text of a date or timestamp; one without a zone is local time. */
function parseTime(text) {
  const parts = /^(\d{4,})-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d)(\.\d+)?)?([+-]\d\d(?::\d\d)?)?$/.exec(text);
  if (!parts) return NaN;
  if (!parts[4]) return new Date(Number(parts[1]), parts[2] - 1, Number(parts[3])).getTime();
  const zone = parts[8] ? (parts[8].length === 3 ? `${parts[8]}:00` : parts[8]) : "";
  return Date.parse(`${parts[1]}-${parts[2]}-${parts[3]}T${parts[4]}:${parts[5]}:${parts[6]}${(parts[7] ?? "").slice(0, 4)}${zone}`);
}

function plot(data, kind, width, tip) {
  const height = 340;
  const inner = { width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
  const values = data.series.flatMap((one) => one.points.map((point) => point.y)).filter((value) => value !== null);
  const needsZero = kind !== "scatter" && kind !== "line";
  const [low, high] = extent(values, needsZero);
  const yTicks = ticks(low, high, 5);
  const y = scale(Math.min(low, yTicks[0]), Math.max(high, yTicks.at(-1)), inner.height, 0);
  const n = data.labels.length;
  const [first, last] = data.isCategory ? [-0.5, n - 0.5] : extent(data.xs, false);
  const x = scale(first, last, 0, inner.width);
  const frame = s("g", { transform: `translate(${MARGIN.left},${MARGIN.top})` });
  for (const tick of yTicks) {
    frame.append(s("line", { class: tick === 0 ? "axis" : "gridline", x1: 0, x2: inner.width, y1: y(tick), y2: y(tick) }));
    frame.append(s("text", { class: "tick", x: -8, y: y(tick) + 4, "text-anchor": "end" }, short(tick)));
  }
  drawXAxis(frame, data, x, inner, first, last);
  data.series.forEach((one, index) => drawSeries(frame, one, index, { kind, x, y, inner, data, low: Math.max(0, Math.min(low, yTicks[0])) }));
  const cross = s("line", { class: "cross", y1: 0, y2: inner.height, visibility: "hidden" });
  frame.append(cross);
  const title = `${data.series.map((one) => one.name).join(", ")} by ${data.xName}`;
  const picture = s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": title }, frame);
  picture.addEventListener("pointermove", (event) => point(event, { picture, data, x, cross, tip }));
  picture.addEventListener("pointerleave", () => { tip.hidden = true; cross.setAttribute("visibility", "hidden"); });
  return picture;
}

function drawSeries(frame, one, index, { kind, x, y, inner, data, low }) {
  const points = one.points.filter((point) => point.y !== null);
  const group = s("g", { class: `series s${index}` });
  if (kind === "bar") {
    const step = inner.width / Math.max(1, data.labels.length);
    const wide = Math.max(1, (step * 0.74) / data.series.length);
    for (const point of points) {
      const left = x(point.x) - (wide * data.series.length) / 2 + wide * index;
      const top = Math.min(y(point.y), y(0));
      group.append(s("rect", { x: left, y: top, width: wide, height: Math.max(1, Math.abs(y(point.y) - y(0))), rx: Math.min(3, wide / 4) }));
    }
  } else if (kind === "scatter") {
    for (const point of points) group.append(s("circle", { cx: x(point.x), cy: y(point.y), r: 3.5 }));
  } else {
    const line = points.map((point, at) => `${at ? "L" : "M"}${x(point.x).toFixed(1)} ${y(point.y).toFixed(1)}`).join("");
    if (kind === "area" && points.length) group.append(s("path", { class: "area", d: `${line}L${x(points.at(-1).x)} ${y(low)}L${x(points[0].x)} ${y(low)}Z` }));
    group.append(s("path", { class: "line", d: line }));
    if (points.length <= 60) for (const point of points) group.append(s("circle", { cx: x(point.x), cy: y(point.y), r: 2.6 }));
  }
  frame.append(group);
}

function drawXAxis(frame, data, x, inner, first, last) {
  const label = (at, text) => {
    const cut = text.length > 18 ? `${text.slice(0, 17)}…` : text;
    frame.append(s("text", { class: "tick", x: at, y: inner.height + 20, "text-anchor": "middle" }, cut));
  };
  if (data.isCategory) {
    const longest = Math.min(18, Math.max(1, ...data.labels.map((text) => text.length)));
    const every = Math.max(1, Math.ceil((data.labels.length * (longest * 7 + 14)) / inner.width));
    data.labels.forEach((text, index) => index % every === 0 && label(x(index), text));
  } else if (data.isTime) {
    for (const [at, text] of timeTicks(first, last, Math.max(2, Math.floor(inner.width / 110)))) label(x(at), text);
  } else {
    for (const tick of ticks(first, last, Math.max(2, Math.floor(inner.width / 90)))) if (tick >= first && tick <= last) label(x(tick), short(tick));
  }
  frame.append(s("text", { class: "axistitle", x: inner.width / 2, y: inner.height + 40, "text-anchor": "middle" }, data.xName));
}

function point(event, { picture, data, x, cross, tip }) {
  const box = picture.getBoundingClientRect();
  const at = ((event.clientX - box.left) * picture.viewBox.baseVal.width) / box.width - MARGIN.left;
  if (data.xs.length === 0) return;
  const nearest = data.xs.reduce((best, value, index) => (Math.abs(x(value) - at) < Math.abs(x(data.xs[best]) - at) ? index : best), 0);
  const place = x(data.xs[nearest]);
  cross.setAttribute("x1", place);
  cross.setAttribute("x2", place);
  cross.setAttribute("visibility", "visible");
  const values = data.series.map((one) => [one.name, one.points.find((each) => each.x === data.xs[nearest])?.text ?? "null"]);
  show(tip, h("strong", {}, data.labels[nearest]), values.map(([name, text], index) => h("span", { class: `s${index}` }, `${name}: ${text}`)));
  tip.hidden = false;
  const isRight = place > (picture.viewBox.baseVal.width - MARGIN.left) / 2;
  tip.style.left = isRight ? "auto" : `${place + MARGIN.left + 14}px`;
  tip.style.right = isRight ? `${box.width - place - MARGIN.left + 14}px` : "auto";
}

function extent(values, needsZero) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) [low, high] = [0, 1];
  if (needsZero) [low, high] = [Math.min(0, low), Math.max(0, high)];
  return low === high ? [low - (low ? Math.abs(low) * 0.1 : 1), high + (high ? Math.abs(high) * 0.1 : 1)] : [low, high];
}

const scale = (low, high, from, to) => (value) => from + ((value - low) / (high - low)) * (to - from);

function ticks(low, high, wanted) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  const found = [];
  for (let index = Math.floor(low / step); index * step <= high + step * 0.999; index += 1) found.push(Number((index * step).toPrecision(12)));
  return found;
}

const DAY = 864e5;
const MONTH = 30.44 * DAY;
const STEPS = [1e3, 5e3, 15e3, 6e4, 3e5, 9e5, 36e5, 108e5, 216e5, DAY, 2 * DAY, 7 * DAY]; // below a month
const MONTHS = [1, 3, 6, 12, 24, 60, 120, 600];

function timeTicks(first, last, wanted) {
  const pad = (number) => String(number).padStart(2, "0");
  const month = (date) => `${date.getFullYear()}-${pad(date.getMonth() + 1)}`;
  const found = [];
  const step = STEPS.find((one) => (last - first) / one <= wanted);
  if (step === undefined) {
    const months = MONTHS.find((one) => (last - first) / (one * MONTH) <= wanted) ?? 1200;
    const from = new Date(first);
    const start = Math.ceil((from.getFullYear() * 12 + from.getMonth()) / months) * months;
    for (let at = start; ; at += months) {
      const date = new Date(Math.floor(at / 12), at % 12, 1);
      if (date.getTime() > last) return found;
      if (date.getTime() >= first) found.push([date.getTime(), months < 12 ? month(date) : String(date.getFullYear())]);
    }
  }
  const offset = new Date(first).getTimezoneOffset() * 6e4;
  for (let at = Math.ceil((first - offset) / step) * step + offset; at <= last; at += step) {
    const date = new Date(at);
    const clock = `${pad(date.getHours())}:${pad(date.getMinutes())}${step < 6e4 ? `:${pad(date.getSeconds())}` : ""}`;
    found.push([at, step < DAY ? clock : `${month(date)}-${pad(date.getDate())}`]);
  }
  return found;
}

function short(value) {
  const size = Math.abs(value);
  for (const [limit, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k"]]) if (size >= limit) return `${Number((value / (limit === 1e4 ? 1e3 : limit)).toPrecision(3))} ${unit}`;
  return String(Number(value.toPrecision(6)));
}
