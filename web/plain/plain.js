// The page of a build without npm: the same API, no library, one look at everything.
const $ = (id) => document.getElementById(id);
const HISTORY = 60, ROWS = 30, LINES = 300;
const rates = new Map();
const records = [];

function element(name, text, className) {
  const e = document.createElement(name);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

const number = (x, digits = 0) => (x ?? 0).toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits });
const bytes = (x) => (x >= 2 ** 30 ? `${number(x / 2 ** 30, 1)} GB` : `${number(x / 2 ** 20)} MB`);
const ms = (us) => (us === undefined || us === null ? "–" : us < 1000 ? `${number(us)} µs` : us < 1e6 ? `${number(us / 1000, 1)} ms` : `${number(us / 1e6, 2)} s`);
const percent = (x) => `${number((x ?? 0) * 100, 1)} %`;

function table(id, heads, rows) {
  const head = element("tr");
  for (const [text, isText] of heads) head.append(element("th", text, isText ? "text" : ""));
  const body = rows.map((cells) => {
    const row = element("tr");
    for (const cell of cells) {
      const td = element("td");
      if (cell instanceof Node) td.append(cell);
      else td.textContent = cell;
      row.append(td);
    }
    return row;
  });
  $(id).replaceChildren(head, ...body);
}

function spark(values) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  const top = Math.max(1e-9, ...values);
  svg.setAttribute("viewBox", `0 0 ${HISTORY - 1} 22`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  line.setAttribute("points", values.map((v, i) => `${HISTORY - values.length + i},${21 - (v / top) * 20}`).join(" "));
  svg.append(line);
  return svg;
}

function showLive(live) {
  const numbers = [
    ["requests/s", number(live.rate, 1)], ["failed", percent(live.error_rate / Math.max(live.rate, 1e-9))],
    ["p50", ms(live.p50_us)], ["p99", ms(live.p99_us)], ["in flight", `${number(live.workers)} / ${number(live.workers_max)}`],
    ["queued", number(live.queued)], ["CPU", `${number(live.machine?.cpu_percent)} %`],
    ["memory", `${bytes(live.machine?.memory_used_bytes)}`],
  ];
  $("numbers").replaceChildren(...numbers.map(([name, value]) => {
    const pair = element("div");
    pair.append(element("dt", name), element("dd", value));
    return pair;
  }));
  table("functions", [["function"], ["state"], ["requests"], ["/s"], ["errors/s"], ["p50"], ["p99"], ["busy"], ["standby"], ["queued"], ["memory"]],
    (live.functions ?? []).map((f) => {
      const past = rates.get(f.name) ?? [];
      past.push(f.rate ?? 0);
      rates.set(f.name, past.slice(-HISTORY));
      return [f.name, f.state, spark(rates.get(f.name)), number(f.rate, 1), number(f.error_rate, 1), ms(f.p50_us), ms(f.p99_us),
        number(f.busy), number(f.standbys), number(f.queued), bytes(f.memory_bytes)];
    }));
  $("workers").replaceChildren(...(live.processes ?? []).map((p) => {
    const mark = element("i", undefined, p.kind);
    mark.title = `${p.kind} ${p.pid} of ${p.function}, ${number(p.age_ms)} ms${p.request_id ? `, request ${p.request_id}` : ""}`;
    return mark;
  }));
}

function showRecords(more) {
  records.unshift(...more.reverse());
  records.length = Math.min(records.length, ROWS);
  table("records", [["time"], ["function", 1], ["request", 1], ["outcome", 1], ["status"], ["total"], ["CPU"], ["memory"]],
    records.map((r) => [new Date(r.start_us / 1000).toLocaleTimeString(), element("span", r.function, "text"), element("code", r.request_id),
      element("span", r.outcome, r.outcome === "ok" ? "" : "bad"), r.status, ms(r.total_ns / 1000), ms(r.user_us + r.system_us), bytes(r.memory_peak_bytes)]));
}

function showLines(lines) {
  const pre = $("logs"), follows = pre.scrollTop + pre.clientHeight > pre.scrollHeight - 30;
  for (const l of lines) pre.append(`${new Date(l.time_us / 1000).toLocaleTimeString()}  ${l.function}  ${l.text}\n`);
  while (pre.childNodes.length > LINES) pre.firstChild.remove();
  if (follows) pre.scrollTop = pre.scrollHeight;
}

function say(text, isLost) {
  $("state").textContent = text;
  $("state").className = isLost ? "lost" : "";
}

async function ended() {
  const answer = await fetch("/api/v1/version").catch(() => null);
  return answer?.status === 401;
}

const stream = new EventSource("/api/v1/stream?events=live,record,log");
stream.addEventListener("open", () => say("live"));
stream.addEventListener("live", (e) => showLive(JSON.parse(e.data)));
stream.addEventListener("record", (e) => showRecords(JSON.parse(e.data).records));
stream.addEventListener("log", (e) => showLines(JSON.parse(e.data).lines));
stream.addEventListener("error", async () => {
  say("reconnecting", true);
  if (await ended()) {
    stream.close();
    say("This session has ended: run `mayfly dashboard` and open the address it prints", true);
  }
});
