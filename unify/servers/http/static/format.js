// Texts for people: counts, ages, sizes, durations.

const NUMBER = new Intl.NumberFormat("en-US");

export const count = (value) => (value === null || value === undefined || value === "" ? "" : NUMBER.format(value));

export function plural(number, word) {
  return `${count(number)} ${word}${Number(number) === 1 ? "" : "s"}`;
}

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** Return "12 min" of a number of seconds; the largest unit alone, two below ten of it. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || seconds === "" || Number.isNaN(Number(seconds))) return "";
  const value = Math.abs(Number(seconds));
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 10) return `${value.toFixed(1)} s`;
  const index = UNITS.findIndex(([, size]) => value >= size);
  const [unit, size] = UNITS[index];
  const whole = Math.floor(value / size);
  const rest = UNITS[index + 1] && whole < 3 ? Math.floor((value % size) / UNITS[index + 1][1]) : 0;
  return `${whole} ${unit}${rest ? ` ${rest} ${UNITS[index + 1][0]}` : ""}`;
}

/** Return "12 min ago" or "in 3 h" of a moment in milliseconds. */
export function ago(milliseconds, now = Date.now()) {
  if (milliseconds === null || milliseconds === undefined || milliseconds === "") return "";
  const seconds = (now - Number(milliseconds)) / 1000;
  if (Math.abs(seconds) < 2) return "now";
  const text = duration(Math.max(1, Math.round(Math.abs(seconds))));
  return seconds > 0 ? `${text.replace(".0", "")} ago` : `in ${text.replace(".0", "")}`;
}

export function moment(milliseconds) {
  if (milliseconds === null || milliseconds === undefined || milliseconds === "") return "";
  const pad = (number) => String(number).padStart(2, "0");
  const at = new Date(Number(milliseconds));
  const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  return `${day} ${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}

export function bytes(value) {
  if (value === null || value === undefined || value === "") return "";
  let size = Number(value);
  for (const unit of ["B", "kB", "MB", "GB", "TB"]) {
    if (size < 1000 || unit === "TB") return `${size < 10 && unit !== "B" ? size.toFixed(1) : Math.round(size)} ${unit}`;
    size /= 1000;
  }
  return "";
}
