// A stand-in for mayfly's admin listener, for work on the dashboard: invented functions, moving numbers.
//   web/build.py --watch /tmp/ui & node web/dev/mock.mjs /tmp/ui 8099
import { createServer } from "node:http";
import { readFileSync, existsSync } from "node:fs";

const [dir, port = "8099"] = process.argv.slice(2);
const QUIET = process.env.MOCK_QUIET === "1"; // nothing was ever asked for
const MEGA = 2 ** 20, cpus = 4, workersMax = 1000;
const functions = [
  ["api/hello", "python", 42, 9, 0.002, 14], ["orders", "python", 18, 35, 0.03, 31], ["thumbnail", "exec", 6, 420, 0.01, 88],
  ["render", "node", 11, 120, 0.004, 64], ["sums/primes", "native", 25, 2.5, 0, 3], ["nightly-report", "ruby", 0.15, 2600, 0.12, 140],
].map(([name, runtime, rate, ms, bad, mb]) => ({ name, runtime, rate, ms, bad, mb, version: hex(16) }));
const records = [], lines = [], running = new Map(), subscribers = new Set();
let nextLine = 1, nextPid = 2000;
const now = () => Date.now() * 1000;

function hex(n) { return Array.from({ length: n }, () => "0123456789abcdef"[Math.floor(Math.random() * 16)]).join(""); }
function uuid(us) {
  const t = Math.floor(us / 1000).toString(16).padStart(12, "0");
  return `${t.slice(0, 8)}-${t.slice(8)}-7${hex(3)}-a${hex(3)}-${hex(12)}`;
}
const around = (x) => x * Math.exp(0.5 * (Math.random() + Math.random() + Math.random() - 1.5) * 2);

function begin(f, at = now()) {
  const cold = Math.random() < 0.004, ns = around(f.ms) * 1e6, r = Math.random();
  const outcome = r < f.bad ? ["error", "error", "timeout", "crash"][Math.floor(Math.random() * 4)] : r < f.bad + 0.003 ? "throttled" : "ok";
  const record = {
    request_id: uuid(at), function: f.name, version: f.version, method: "GET", path: `/${f.name}`, start_us: at,
    error: { error: "KeyError: 'item'", timeout: "took longer than the 3 s of its timeout", crash: "the worker died by signal 11 (SIGSEGV)", throttled: "concurrency 20 is used up" }[outcome] ?? "",
    stack: outcome === "error" ? `Traceback (most recent call last):\n  File "/var/task/${f.name}.py", line 12, in handler\n    item = event["item"]\n           ~~~~~^^^^^^^^\nKeyError: 'item'` : "",
    trigger: Math.random() < 0.9 ? "http" : "invoke", outcome, status: { ok: 200, error: 500, timeout: 504, crash: 502, throttled: 429 }[outcome],
    cold: +cold, pid: outcome === "throttled" ? 0 : nextPid++, exit_status: 0, wait_ns: Math.round(around(90e3)), init_ns: cold ? 45e6 : 0,
    run_ns: outcome === "throttled" ? 0 : Math.round(ns), total_ns: 0, user_us: Math.round(ns / 1000 * 0.4), system_us: Math.round(ns / 1000 * 0.08), memory_peak_bytes: Math.round(around(f.mb) * MEGA),
    memory_own_bytes: Math.round(around(f.mb * 0.1) * MEGA), minor_faults: 310, major_faults: 0, voluntary_switches: 4, involuntary_switches: 1,
    bytes_in: 120, bytes_out: 860, log_lines: 1, log_dropped: 0, limit: outcome === "throttled" ? "concurrency" : "", limit_used: 20, limit_max: 20,
  };
  record.total_ns = record.wait_ns + record.init_ns + record.run_ns;
  return record;
}
function end(r) {
  records.push(r);
  if (records.length > 6000) records.shift();
  const line = (text, stream = "stdout") => ({ id: nextLine++, time_us: r.start_us + r.total_ns / 1000, function: r.function, version: r.version, request_id: r.request_id, stream, text });
  const more = [Math.random() < 0.4 ? { ...line(`{"level":"info","msg":"served","customer":${Math.floor(Math.random() * 900)}}`), fields: { level: "info", msg: "served", customer: 17 } } : line(`${r.method} ${r.path} for customer ${Math.floor(Math.random() * 900)}`)];
  if (r.outcome === "error") more.push(line(r.stack.split("\n").at(-1), "stderr"));
  lines.push(...more);
  if (lines.length > 9000) lines.splice(0, 3000);
  for (const s of subscribers) if (!s.function || s.function === r.function) { s.records.push(r); s.lines.push(...more); }
}
if (!QUIET) for (let t = Date.now() - 3600e3; t < Date.now(); t += 700) { const f = functions[Math.floor(Math.random() * 6)]; end(begin(f, t * 1000)); }
if (!QUIET) setInterval(() => {
  const wave = 0.65 + 0.35 * Math.sin(Date.now() / 9000);
  for (const f of functions) {
    for (let n = f.rate * wave * 0.05; n > 0 && (n >= 1 || Math.random() < n); n--) {
      const r = begin(f);
      if (!r.pid) { end(r); continue; }
      running.set(r.request_id, r);
      setTimeout(() => { running.delete(r.request_id); end(r); }, r.total_ns / 1e6);
    }
  }
}, 50);

const quantile = (xs, q) => xs.length ? xs[Math.min(xs.length - 1, Math.floor(q * xs.length))] : null;
function summary(rs, seconds) {
  const total = rs.map((r) => r.total_ns / 1000).sort((a, b) => a - b), failed = rs.filter((r) => r.outcome !== "ok").length;
  return { rate: rs.length / seconds, error_rate: failed / seconds, p50_us: quantile(total, 0.5), p90_us: quantile(total, 0.9), p99_us: quantile(total, 0.99), cold: rs.filter((r) => r.cold).length, cold_rate: rs.filter((r) => r.cold).length / seconds };
}
const processes = () => [
  ...functions.flatMap((f) => QUIET ? [] : [{ kind: "zygote", function: f.name, version: f.version, pid: 900 + functions.indexOf(f), age_ms: 600000, state: "warm", request_id: "" },
    ...Array.from({ length: 3 }, (_, i) => ({ kind: "standby", function: f.name, version: f.version, pid: 1000 + functions.indexOf(f) * 10 + i, age_ms: 900, state: "ready", request_id: "" }))]),
  ...[...running.values()].map((r) => ({ kind: "worker", function: r.function, version: r.version, pid: r.pid, age_ms: (now() - r.start_us) / 1000, state: "running", request_id: r.request_id })),
];
function live() {
  const recent = records.slice(-2000).filter((r) => r.start_us > now() - 10e6);
  return {
    time_us: now(), machine: { cpus, cpu_percent: QUIET ? 3 : 130 + 40 * Math.sin(Date.now() / 9000), memory_bytes: 16 * 2 ** 30, memory_used_bytes: 4.4 * 2 ** 30 }, ...summary(recent, 10),
    workers: running.size, workers_max: workersMax, queued: QUIET ? 0 : Math.floor(Math.random() * 3), omitted: 0, processes: processes(),
    functions: functions.map((f) => ({
      name: f.name, version: f.version, state: QUIET ? "cold" : "warm", standbys: QUIET ? 0 : 3, busy: [...running.values()].filter((r) => r.function === f.name).length, queued: f.name === "thumbnail" && !QUIET ? 2 : 0,
      oldest_queued_ms: f.name === "thumbnail" ? 140 : 0, ...summary(recent.filter((r) => r.function === f.name), 10), cpu_percent: QUIET ? 0 : f.rate * f.ms * 0.04, memory_bytes: QUIET ? 0 : f.mb * 3 * MEGA,
    })),
  };
}
function series(q) {
  const step = +(q.get("step") ?? 60) * 1e6, until = +(q.get("until") ?? now()), since = Math.floor(+(q.get("since") ?? until - 3600e6) / step) * step, points = [];
  for (let t = since; t < until && !QUIET; t += step) {
    const chosen = functions.filter((f) => !q.get("function") || f.name === q.get("function")), rate = chosen.reduce((a, f) => a + f.rate, 0), ms = chosen.reduce((a, f) => a + f.ms, 0) / Math.max(1, chosen.length);
    const day = 0.65 + 0.3 * Math.sin(t / 4e8) + 0.05 * Math.random(), seconds = Math.min(step, until - t) / 1e6, count = Math.round(rate * day * seconds), errors = Math.round(count * 0.02 * Math.random()), timeouts = Math.round(errors / 5);
    const p = (x) => Math.round(ms * x * (0.9 + 0.2 * Math.random()) * 1000), buckets = [];
    for (let k = 0; k < 24; k++) { const low = ms * 1000 * 2 ** ((k - 12) / 3), n = Math.round(count * Math.exp(-((k - 11 - 1.5 * Math.sin(t / 9e8)) ** 2) / 12) / 6); if (n) buckets.push([Math.round(low), Math.round(low * 2 ** (1 / 3)), n]); }
    points.push({ start_us: t, count, errors, throttled: 0, timeouts, cold: Math.round(count * 0.003), p50_us: p(1), p90_us: p(1.7), p99_us: p(3.1), p999_us: p(5), wait_p50_us: 90, init_p50_us: 45000,
      user_us: count * ms * 400, system_us: count * ms * 80, gb_us: count * ms * 125, memory_peak_bytes: Math.round((60 + 12 * Math.sin(t / 3e8)) * MEGA), outcomes: { ok: count - errors, error: errors - timeouts, timeout: timeouts }, buckets });
  }
  return { points };
}
function usage(q) {
  const by = q.get("by") ?? "function", keys = by === "day" ? Array.from({ length: 14 }, (_, i) => new Date(Date.now() - i * 864e5).toISOString().slice(0, 10)) : functions.map((f) => f.name);
  return { since_us: now() - 14 * 864e8, until_us: now(), rows: QUIET ? [] : keys.map((key, i) => { const f = functions[i % 6], n = Math.round(f.rate * 86400); return { key, [by]: key, function: f.name, version: f.version, day: key, invocations: n, errors: Math.round(n * f.bad), run_us: n * f.ms * 1000, user_us: n * f.ms * 400, system_us: n * f.ms * 80, gb_us: n * f.ms * 125, bytes_in: n * 200, bytes_out: n * 900 }; }) };
}
const detail = (f) => ({ name: f.name, version: f.version, runtime: f.runtime, handler: `${f.name}.handler`, isolation: "request", routes: [`/${f.name}`], timeout_ms: 3000, memory_bytes: 256 * MEGA, concurrency: 20, queue_timeout_ms: 5000, network: "none", broken: false, error: "", about: ["python3 3.11 with requirements.txt (4 packages)"], env: ["GREETING", "DB_PASSWORD"], versions: [{ version: f.version, first_us: now() - 36e8, last_us: now(), invocations: 42210 }, { version: hex(16), first_us: now() - 9e10, last_us: now() - 36e8, invocations: 310422 }] });
function find(q) {
  let found = records.filter((r) => (!q.get("function") || r.function === q.get("function")) && (!q.get("outcome") || r.outcome === q.get("outcome")) && (!q.get("failed") || r.outcome !== "ok") && (!q.get("trigger") || r.trigger === q.get("trigger"))
    && r.total_ns / 1000 >= +(q.get("min_us") ?? 0) && r.start_us >= +(q.get("since") ?? 0)).reverse();
  if (q.get("order") === "duration") found.sort((a, b) => b.total_ns - a.total_ns);
  const from = +(q.get("cursor") ?? 0), limit = +(q.get("limit") ?? 100);
  return { records: found.slice(from, from + limit), next: from + limit < found.length ? String(from + limit) : null };
}
const findLines = (q) => ({ lines: lines.filter((l) => (!q.get("function") || l.function === q.get("function")) && (!q.get("request") || l.request_id === q.get("request")) && (!q.get("grep") || l.text.includes(q.get("grep")))).slice(-(q.get("limit") ?? 100)), next: null });
let tokens = [{ name: "ci", created_us: now() - 9e10, used_us: now() - 6e7 }];
const saved = new Map();
const api = {
  "GET functions": () => ({ functions: functions.map(detail), next: null }),
  "GET functions/:": (_, __, [name]) => { const f = functions.find((x) => x.name === name); return f && detail(f); },
  "GET records": find, "GET records/:": (_, __, [id]) => running.get(id) ?? records.find((r) => r.request_id === id),
  "GET logs": findLines, "GET series": series, "GET usage": usage, "GET live": live,
  "GET traces/:": (_, __, [id]) => { const record = records.find((r) => r.request_id === id); return record && { record, logs: lines.filter((l) => l.request_id === id), traceparent: `00-${hex(32)}-${hex(16)}-01` }; },
  "GET version": () => ({ version: "0.1.0" }),
  "GET system": () => ({ version: "0.1.0", url: "http://127.0.0.1:8080", started_us: now() - 36e8, cpus, memory_bytes: 16 * 2 ** 30, store: { status: "ok", detail: "", bytes: 48 * MEGA, records: records.length, log_lines: lines.length, oldest_us: now() - 9e11, retention: { days: 30, records: 1000000, bytes: 2 ** 30 } }, losses: QUIET ? [] : [{ time_us: now() - 8e9, what: "records", n: 14, why: "the disk was full" }] }),
  "GET tokens": () => ({ tokens, next: null }), "POST tokens": (_, body) => { tokens.push({ name: body.name, created_us: now() }); return { name: body.name, token: `mf_${hex(40)}` }; },
  "DELETE tokens/:": (_, __, [name]) => { tokens = tokens.filter((t) => t.name !== name); return {}; },
  "GET functions/:/events": (_, __, [name]) => ({ events: saved.get(name) ?? [], next: null }),
  "PUT functions/:/events/:": (_, body, [name, event]) => { saved.set(name, [...(saved.get(name) ?? []).filter((e) => e.name !== event), { ...body, name: event }]); return {}; },
  "DELETE functions/:/events/:": (_, __, [name, event]) => { saved.set(name, (saved.get(name) ?? []).filter((e) => e.name !== event)); return {}; },
  "POST records/:/replay": () => ({ original: { status: 200, headers: {}, body: "3" }, again: { status: 200, headers: {}, body: "4", request_id: records.at(-1).request_id }, same: false, differences: [{ where: "body", before: "3", after: "4" }] }),
};
function events(req, res, q) {
  const kinds = (q.get("events") ?? "").split(","), s = { function: q.get("function"), records: [], lines: [] };
  subscribers.add(s);
  res.writeHead(200, { "Content-Type": "text/event-stream" });
  const send = (event, data) => res.write(`event: ${event}\nid: ${nextLine}\ndata: ${JSON.stringify(data)}\n\n`);
  const timers = [setInterval(() => kinds.includes("workers") && send("workers", { time_us: now(), processes: processes(), omitted: 0 }), 200),
    setInterval(() => kinds.includes("live") && send("live", live()), 1000),
    setInterval(() => { if (kinds.includes("record") && s.records.length) send("record", { records: s.records.splice(0, 200), omitted: 0 }); if (kinds.includes("log") && s.lines.length) send("log", { lines: s.lines.splice(0), omitted: 0 }); s.records = []; s.lines = []; }, 250)];
  if (kinds.includes("live")) send("live", live());
  req.on("close", () => { timers.forEach(clearInterval); subscribers.delete(s); });
}
const types = { js: "text/javascript", css: "text/css", svg: "image/svg+xml", html: "text/html", map: "application/json" };
createServer(async (req, res) => {
  const url = new URL(req.url, "http://x"), json = (status, body) => { res.writeHead(status, { "Content-Type": "application/json" }); res.end(JSON.stringify(body)); };
  if (!url.pathname.startsWith("/api/")) {
    const file = url.pathname.startsWith("/assets/") ? dir + url.pathname : `${dir}/index.html`;
    if (!existsSync(file)) return json(404, {});
    res.writeHead(200, { "Content-Type": types[file.split(".").pop()], "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'" });
    return res.end(readFileSync(file));
  }
  if (process.env.MOCK_401) return json(401, { errorType: "Unauthorized", errorMessage: "no session" });
  let body = "";
  for await (const chunk of req) body += chunk;
  const parts = url.pathname.slice("/api/v1/".length).split("/").map(decodeURIComponent);
  if (parts[0] === "stream") return events(req, res, url.searchParams);
  if (req.method === "POST" && parts[2] === "invoke") {
    const r = begin(functions.find((f) => f.name === parts[1]));
    return setTimeout(() => { end(r); res.writeHead(r.status, { "Content-Type": "application/json", "Mayfly-Request-Id": r.request_id, "Server-Timing": "wait;dur=0.1, run;dur=9.2" }); res.end('{"hello": "you"}'); }, r.total_ns / 1e6);
  }
  for (const [key, handler] of Object.entries(api)) {
    const [method, path] = key.split(" "), wanted = path.split("/");
    if (method !== req.method || wanted.length !== parts.length || !wanted.every((w, i) => w === ":" || w === parts[i])) continue;
    const answer = handler(url.searchParams, body && JSON.parse(body), parts.filter((_, i) => wanted[i] === ":"));
    return answer ? json(method === "POST" ? 201 : 200, answer) : json(404, { errorType: "NotFound", errorMessage: "there is no such thing" });
  }
  return json(404, { errorType: "NotFound", errorMessage: "no such endpoint" });
}).listen(+port, "127.0.0.1");
