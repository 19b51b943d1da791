// Statements by POST /query, as the user of a token. The token is kept in memory and in this tab's session only.

const KEY = "unify.token";
const TABLE = "application/vnd.unify.table+ndjson";
export const MAX_ROWS = 50000; // that the page keeps of one result

let token = sessionStorage.getItem(KEY) ?? "";

export const isSignedIn = () => token !== "";
export const isOwner = () => token.startsWith("session.");

export function signIn(value) {
  token = value;
  sessionStorage.setItem(KEY, value);
}

export function signOut() {
  token = "";
  sessionStorage.removeItem(KEY);
}

/** An error of the server: its status, and a message for people. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function send(path, options = {}) {
  const headers = { Authorization: `Bearer ${token}`, ...options.headers };
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server does not respond. Is unify serve, or unify ui, still running?");
  }
  if (response.ok) return response;
  let message = `${response.status} ${response.statusText}`;
  try {
    message = (await response.json()).error ?? message;
  } catch {
    // no body of ours: the status says what there is to say
  }
  throw new ApiError(response.status, message);
}

/** Exchange the ticket of unify ui for the token of a session. */
export async function exchange(ticket) {
  const response = await fetch("/session", { method: "POST", body: JSON.stringify({ ticket }), credentials: "omit" });
  const body = await response.json();
  if (!response.ok) throw new ApiError(response.status, body.error);
  signIn(body.token);
}

export async function health() {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch("/health", { headers, credentials: "omit" });
  return response.json();
}

/** Return {columns, rows, note, isCut}; every value is a text or null. Waits for loads; `onLoads` is told of them. */
export async function query(sql, { params, signal, onLoads, onStatement, isState = false } = {}) {
  const headers = { Accept: TABLE, "Content-Type": "application/json", Prefer: "wait=1" };
  if (isState && isOwner()) headers["X-Unify-Page"] = "state";
  let response = await send("/query", { method: "POST", headers, body: JSON.stringify({ sql, params }), signal });
  while (response.status === 202) {
    const running = await response.json();
    onStatement?.(running.id);
    onLoads?.(running.loads);
    response = await send(`/statements/${running.id}`, { headers: { Accept: TABLE, Prefer: "wait=1" }, signal });
  }
  return read(response);
}

export async function cancel(id) {
  try {
    await send(`/statements/${id}`, { method: "DELETE" });
  } catch (error) {
    if (error.status !== 404) throw error; // it has ended meanwhile
  }
}

async function read(response) {
  const note = response.headers.get("X-Unify-Note") ?? "";
  const number = response.headers.get("X-Unify-Statement");
  if (!(response.headers.get("Content-Type") ?? "").startsWith(TABLE)) {
    const { message } = await response.json();
    return { columns: [], rows: [], note, number, message, isCut: false };
  }
  const result = { columns: [], rows: [], note, number, isCut: false };
  for await (const line of lines(response.body)) {
    const value = JSON.parse(line);
    if (Array.isArray(value)) result.rows.push(value);
    else result.columns = value.columns;
    if (result.rows.length >= MAX_ROWS) {
      result.isCut = true;
      await response.body.cancel().catch(() => undefined);
      break;
    }
  }
  return result;
}

async function* lines(stream) {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
      const parts = rest.split("\n");
      rest = parts.pop();
      yield* parts.filter((part) => part !== "");
      if (done) break;
    }
  } finally {
    reader.releaseLock();
  }
}

/** Return the rows of a statement as objects. */
export async function records(sql, options) {
  const { columns, rows } = await query(sql, { isState: true, ...options });
  return rows.map((row) => Object.fromEntries(columns.map((column, index) => [column.name, row[index]])));
}
