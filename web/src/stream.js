// One stream of server-sent events for the whole page. Parts of the page say what they want to hear; the
// stream is opened for all of it, and anew when that changes. It is our own reading and not EventSource,
// which tells neither why a connection was refused nor when it will try again.
import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";

const BACK_OFF_MS = [500, 1000, 2000, 5000, 10000, 15000];
const SILENCE_MS = 45000; // the server says something each 15 s

export const connection = signal({ state: "connecting" }); // connecting, live, waiting {untilMs}, paused
export const paused = signal(false); // by hand

const listeners = new Map();
const wants = new Set();
let current = null; // {url, abort}
let lastId = null, attempts = 0, retry = null, settle = null;

// "open" is our own: the stream is there. What was asked for before may have missed what came in between.
export function on(event, listener) {
  if (!listeners.has(event)) listeners.set(event, new Set());
  listeners.get(event).add(listener);
  return () => listeners.get(event).delete(listener);
}

function url() {
  const events = new Set(), q = new URLSearchParams();
  let filter = {};
  for (const want of wants) {
    want.events.forEach((e) => events.add(e));
    filter = { ...filter, ...want.filter };
  }
  if (!events.size) return null;
  q.set("events", [...events].sort().join(","));
  for (const [key, value] of Object.entries(filter)) q.set(key, value);
  return `/api/v1/stream?${q}`;
}

function dispatch(event, id, data) {
  if (id !== null) lastId = id;
  if (!data) return;
  let value;
  try {
    value = JSON.parse(data);
  } catch {
    return;
  }
  listeners.get(event)?.forEach((listener) => listener(value));
}

// Takes text as it comes, and gives whole events.
export function parser(take) {
  let pending = "", event = "message", id = null, data = [];
  return (text) => {
    pending += text;
    const lines = pending.split(/\r\n|\n|\r(?!$)/);
    pending = lines.pop();
    for (const line of lines) {
      const at = line.indexOf(":"), field = at < 0 ? line : line.slice(0, at);
      const value = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
      if (line === "") {
        if (data.length || id !== null) take(event, id, data.join("\n"));
        [event, id, data] = ["message", null, []];
      } else if (field === "event") event = value;
      else if (field === "id") id = value;
      else if (field === "data") data.push(value);
    }
  };
}

async function read(wanted, abort) {
  let silence;
  const alive = () => {
    clearTimeout(silence);
    silence = setTimeout(() => abort.abort("silent"), SILENCE_MS);
  };
  try {
    alive();
    const answer = await fetch(wanted, {
      signal: abort.signal, cache: "no-store",
      headers: { Accept: "text/event-stream", ...(lastId === null ? {} : { "Last-Event-ID": lastId }) },
    });
    if (answer.status === 401) return "ended";
    if (!answer.ok) return "lost";
    connection.value = { state: "live" };
    attempts = 0;
    listeners.get("open")?.forEach((listener) => listener());
    const text = new TextDecoder(), reader = answer.body.getReader(), feed = parser(dispatch);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return "lost";
      alive();
      feed(text.decode(value, { stream: true }));
    }
  } catch {
    return "lost";
  } finally {
    clearTimeout(silence);
  }
}

function close() {
  clearTimeout(retry);
  const was = current;
  current = null;
  was?.abort.abort();
}

async function open(wanted) {
  close();
  const mine = { url: wanted, abort: new AbortController() };
  current = mine;
  if (connection.value.state !== "live") connection.value = { state: "connecting" };
  const how = await read(wanted, mine.abort);
  if (current !== mine) return;
  if (how === "ended") listeners.get("ended")?.forEach((listener) => listener());
  const pause = BACK_OFF_MS[Math.min(attempts++, BACK_OFF_MS.length - 1)] * (0.8 + 0.4 * Math.random());
  connection.value = { state: "waiting", untilMs: Date.now() + pause };
  retry = setTimeout(() => open(wanted), pause);
}

// Opens what is wanted now, if that is not what is open.
function update() {
  const wanted = url();
  if (document.hidden || paused.value || !wanted) {
    close();
    connection.value = { state: "paused" };
    return;
  }
  if (current?.url === wanted) return;
  if (current) lastId = null; // other events: theirs are other numbers
  open(wanted);
}

function later() {
  clearTimeout(settle);
  settle = setTimeout(update, 30);
}

export function reconnect() {
  attempts = 0;
  close();
  update();
}

export function pause(on_) {
  paused.value = on_;
  update();
}
document.addEventListener("visibilitychange", () => {
  clearTimeout(settle);
  update();
});

// handlers: {event: listener}. `filter` ({function, request}) holds for the whole stream.
export function useStream(handlers, filter = {}, extra = []) {
  const key = JSON.stringify([filter, extra]);
  useEffect(() => {
    const want = { events: [...Object.keys(handlers).filter((e) => e !== "gap"), ...extra], filter };
    const off = Object.entries(handlers).map(([event, listener]) => on(event, listener));
    wants.add(want);
    later();
    return () => {
      wants.delete(want);
      off.forEach((f) => f());
      later();
    };
  }, [key]);
}
