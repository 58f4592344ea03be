// Sends a request to the function, as `mayfly invoke` does, and shows all of the answer.
import { useSignal } from "@preact/signals";
import { BASE, name as coded, request, useGet } from "../api.js";
import { Link, toRequest } from "../router.jsx";
import { Choice, Copy, Failure } from "../ui.jsx";
import { bytes, duration, number } from "../format.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const BODY_SHOWN = 200000;

function headerLines(text) {
  const headers = [], wrong = [];
  for (const line of text.split("\n").map((l) => l.trim()).filter(Boolean)) {
    const at = line.indexOf(":");
    if (at < 1 || !/^[\w!#$%&'*+.^`|~-]+$/.test(line.slice(0, at))) wrong.push(line);
    else headers.push([line.slice(0, at), line.slice(at + 1).trim()]);
  }
  return { headers, wrong };
}

function pretty(body, type) {
  if (!/json/.test(type ?? "")) return body;
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}

async function invoke(name, event) {
  const { headers } = headerLines(event.headers), began = performance.now();
  const answer = await fetch(`${BASE}functions/${coded(name)}/invoke`, {
    method: "POST", cache: "no-store",
    // The call is a POST; this says which request the function is to see.
    headers: event.path ? [...headers, ["Mayfly-Invoke", `${event.method} ${event.path}`]] : headers,
    body: event.body || undefined,
  });
  const bytesOf = new Uint8Array(await answer.arrayBuffer());
  return {
    status: answer.status, ms: performance.now() - began, size: bytesOf.length, id: answer.headers.get("Mayfly-Request-Id"), timing: answer.headers.get("Server-Timing"),
    headers: [...answer.headers], type: answer.headers.get("Content-Type"), body: new TextDecoder().decode(bytesOf.slice(0, BODY_SHOWN)),
  };
}

function Answer({ answer: a }) {
  const text = pretty(a.body, a.type);
  return (
    <section class="answer" aria-live="polite">
      <div class="title-row"><h2>Answer</h2>{a.id && <Link to={toRequest(a.id)} class="button small">See the whole request</Link>}</div>
      <p class="verdict"><span class={`outcome ${a.status < 400 ? "o-ok" : "o-bad"}`}>{a.status}</span> {duration(a.ms * 1000)} here, {bytes(a.size)}{a.timing && <span class="quiet"> · {a.timing}</span>}</p>
      <pre class="body" tabIndex={0} aria-label="Body">{text || " "}</pre>
      <p><Copy text={a.body} label="Copy body" />{a.size > BODY_SHOWN && <span class="quiet"> The first {number(BODY_SHOWN)} bytes are shown.</span>}</p>
      <details><summary>{a.headers.length} headers</summary><pre class="body">{a.headers.map(([k, v]) => `${k}: ${v}`).join("\n")}</pre></details>
    </section>
  );
}

export function TryIt({ name, about }) {
  const event = useSignal({ http: true, method: "GET", path: "", headers: "", body: "" });
  const answer = useSignal(null), error = useSignal(null), running = useSignal(false), title = useSignal(""), endpoint = `functions/${coded(name)}/events`;
  const saved = useGet(endpoint), { wrong } = headerLines(event.value.headers), { http } = event.value;
  const path = event.value.path || (about?.routes?.[0] ?? "/").replace(/^[A-Z]+ /, "").replace(/\*$/, "");
  const now = () => (http ? { ...event.value, path } : { ...event.value, method: "POST", path: "", headers: "Content-Type: application/json" });
  const set = (more) => { event.value = { ...event.value, ...more }; };
  const send = async (e) => {
    e?.preventDefault();
    if (wrong.length || running.value) return;
    [running.value, error.value] = [true, null];
    try {
      answer.value = await invoke(name, now());
    } catch (caught) {
      error.value = caught;
    }
    running.value = false;
  };
  const act = async (method, which, body) => {
    try {
      await request(method, `${endpoint}/${coded(which)}`, body);
      saved.reload();
      error.value = null;
    } catch (caught) {
      error.value = caught;
    }
  };
  const keep = () => title.value.trim() && act("PUT", title.value.trim(), { method: now().method, path: now().path, headers: Object.fromEntries(headerLines(now().headers).headers), body: event.value.body });
  const load = (s) => {
    title.value = s.name;
    set({ http: Boolean(s.path), method: s.method ?? "POST", path: s.path ?? "", headers: Object.entries(s.headers ?? {}).map(([k, v]) => `${k}: ${v}`).join("\n"), body: s.body ?? "" });
  };
  const quick = (e) => (e.ctrlKey || e.metaKey) && e.key === "Enter" && send(e);
  return (
    <>
      <form class="try" onSubmit={send} onKeyDown={quick}>
        <Choice label="What to send" value={http} onChange={(v) => set({ http: v, body: event.value.body || (v ? "" : '{"name": "you"}') })} options={[[true, "HTTP request"], [false, "Event (JSON)"]]} />
        {http && <div class="try-line">
          <label class="field"><span>Method</span><select value={event.value.method} onChange={(e) => set({ method: e.target.value })}>{METHODS.map((m) => <option key={m}>{m}</option>)}</select></label>
          <label class="field grow"><span>Path</span><input type="text" spellcheck={false} autocomplete="off" value={event.value.path} placeholder={path} onInput={(e) => set({ path: e.target.value })} /></label>
        </div>}
        {http && <label class="field"><span>Headers, one a line</span><textarea rows="3" spellcheck={false} aria-invalid={wrong.length > 0} value={event.value.headers} onInput={(e) => set({ headers: e.target.value })} /></label>}
        {wrong.length > 0 && <p class="hint" role="alert">“{wrong[0].slice(0, 60)}” is no header: write Name: value</p>}
        <label class="field"><span>{http ? "Body" : "Event"}</span><textarea rows="8" spellcheck={false} value={event.value.body} onInput={(e) => set({ body: e.target.value })} /></label>
        <div class="try-line saved">
          <button type="submit" class="primary" disabled={running.value || wrong.length > 0}>{running.value ? "Running" : "Send"}</button>
          <span class="quiet push">Saved events</span>
          {(saved.data?.events ?? []).map((s) => <span class="chip with-action" key={s.name}><button type="button" class="bare" onClick={() => load(s)}>{s.name}</button><button type="button" class="bare" aria-label={`Delete ${s.name}`} onClick={() => act("DELETE", s.name)}>×</button></span>)}
          <label class="field inline"><span class="unseen">Name to save it under</span><input type="text" placeholder="Name" maxLength={64} value={title.value} onInput={(e) => { title.value = e.target.value; }} /></label>
          <button type="button" class="small" onClick={keep} disabled={!title.value.trim()}>Save</button>
        </div>
      </form>
      <Failure error={error.value} what="That did not work" />
      {answer.value && <Answer answer={answer.value} />}
      <p class="quiet">{http ? "The function sees it as if it had come by its route." : <>The function gets it as its event. In a terminal: <code>mayfly invoke {name} -d '…' --verbose</code></>} Ctrl Enter sends.</p>
    </>
  );
}
