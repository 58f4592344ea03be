import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ApiError, request as ask, name, useGet } from "../api.js";
import { useStream } from "../stream.js";
import { live } from "../state.js";
import { Link, toFunction, toRequest } from "../router.jsx";
import { Ago, Command, Copy, Empty, Facts, Failure, FunctionLink, Heading, Loading, Outcome, OUTCOMES } from "../ui.jsx";
import { LogLines } from "../logs.jsx";
import { bytes, clockTime, duration, fullTime, number, plural, shortVersion } from "../format.js";

const STEPS = [
  ["wait", "Wait", "until a process was ready for it"],
  ["init", "Init", "the function was loaded: a cold start"],
  ["run", "Run", "in a process of its own"],
];

function Waterfall({ record: r }) {
  const total = Math.max(r.total_ns, r.wait_ns + r.init_ns + r.run_ns, 1);
  let at = 0;
  const rows = STEPS.filter(([key]) => key !== "init" || r.init_ns).map(([key, label, text]) => {
    const from = at, ns = r[`${key}_ns`];
    at += ns;
    return { key, label, text, from, ns };
  });
  const cpu = (r.user_us + r.system_us) * 1000;
  return (
    <div class="waterfall" role="table" aria-label="Where the time went">
      {rows.map((s) => (
        <div class="step" role="row" key={s.key}>
          <span role="rowheader"><b>{s.label}</b> <span class="quiet">{s.text}</span></span>
          <span class="track" role="cell" aria-hidden="true"><i class={`t-${s.key}`} style={{ left: `${(s.from / total) * 100}%`, width: `${Math.max(0.25, (s.ns / total) * 100)}%` }} />
            {s.key === "run" && cpu > 0 && <i class="t-cpu" style={{ left: `${(s.from / total) * 100}%`, width: `${Math.min(100 - (s.from / total) * 100, (cpu / total) * 100)}%` }} />}</span>
          <span role="cell" class="n"><data value={s.ns}>{duration(s.ns / 1000)}</data></span>
        </div>
      ))}
      <div class="step sum" role="row"><span role="rowheader"><b>Total</b> <span class="quiet">{duration(cpu / 1000)} on a CPU, hatched</span></span><span class="track axis" role="cell" aria-hidden="true"><small>0</small><small>{duration(total / 2000)}</small><small>{duration(total / 1000)}</small></span><span role="cell" class="n"><data value={r.total_ns}>{duration(r.total_ns / 1000)}</data></span></div>
    </div>
  );
}

// What a handler raised is JSON, as Lambda has it; what a crash left is text.
function told(r) {
  try {
    const { errorType, errorMessage, stackTrace } = JSON.parse(r.stack), what = [errorType, errorMessage].filter(Boolean).join(": ");
    const lines = Array.isArray(stackTrace) ? stackTrace.map((l) => (typeof l === "string" ? l.replace(/\n$/, "") : JSON.stringify(l))) : [];
    return { what, stack: [...lines, lines.at(-1)?.includes(what) ? null : what].filter(Boolean).join("\n") };
  } catch {
    return { what: r.error, stack: r.stack };
  }
}

// A wait status as wait() gives it.
function exitText(r) {
  if (!r.pid) return "there was no process";
  const signal = r.exit_status & 127;
  return signal ? `ended by signal ${signal}` : `exit ${(r.exit_status >> 8) & 255}`;
}

function Replay({ record: r }) {
  const state = useSignal(null), endpoint = `records/${name(r.request_id)}/replay`;
  const run = async () => {
    state.value = { running: true };
    try {
      state.value = { result: await ask("POST", endpoint, {}) };
    } catch (error) {
      state.value = { error };
    }
  };
  const { running, result, error } = state.value ?? {};
  const unrecorded = error instanceof ApiError && (error.status === 404 || error.status === 409);
  return (
    <section>
      <div class="title-row"><h2>Replay</h2><button type="button" class="primary" onClick={run} disabled={running}>{running ? "Running again" : "Replay in a fresh process"}</button></div>
      {!state.value && <p class="quiet">Sends the same event to the function once more and compares the answers, if it was recorded.</p>}
      {unrecorded ? <div class="note"><p>{error.message}. To record what comes from now on, say <code>"recording": 4096</code> (bytes of a body) for the function in <code>mayfly.json</code>.</p></div> : <Failure error={error} what="It could not be replayed" />}
      {result && (
        <div aria-live="polite">
          <p class={result.same ? "verdict is-good" : "verdict is-warm"}>{result.same ? "The same answer." : `${number(result.differences?.length ?? 0)} differences:`} {result.again?.request_id && <Link to={toRequest(result.again.request_id)}>See the new request</Link>}</p>
          {!result.same && <table class="differences"><thead><tr><th>Where</th><th>Then</th><th>Now</th></tr></thead><tbody>{(result.differences ?? []).map((d) => <tr key={d.where}><th scope="row">{d.where}</th><td><pre>{text(d.before)}</pre></td><td><pre>{text(d.after)}</pre></td></tr>)}</tbody></table>}
        </div>
      )}
    </section>
  );
}
const text = (v) => (v === null || v === undefined ? "–" : typeof v === "string" ? v : JSON.stringify(v));

function Still({ id, retry, error }) {
  const process = live.value?.processes?.find((p) => p.request_id === id);
  useStream({ record: ({ records }) => records.some((r) => r.request_id === id) && retry() });
  useEffect(() => {
    const timer = setInterval(retry, 2000);
    return () => clearInterval(timer);
  }, [id]);
  return (
    <>
      <Heading>Request</Heading>
      <p><code>{id}</code></p>
      {process ? <Empty title="It is still running"><p>{process.function}, pid {process.pid}, for {duration(process.age_ms * 1000)}. This page shows it whole as soon as it has ended.</p><p><button type="button" class="danger" onClick={() => ask("POST", `requests/${name(id)}/kill`).catch(() => {})}>Kill it</button></p></Empty>
        : <Empty title="No record of this request"><p>It may be running still, its record may have been deleted by the retention rules, or the id is another server's.</p><p class="quiet">{error.message}</p></Empty>}
    </>
  );
}

export function Request({ id }) {
  const { data, error, reload } = useGet(`traces/${name(id)}`);
  if (error?.status === 404) return <Still id={id} retry={reload} error={error} />;
  if (error) return <><Heading>Request</Heading><Failure error={error} what="The request could not be read" retry={reload} /></>;
  if (!data) return <><Heading>Request</Heading><Loading lines={6} /></>;
  const { record: r, logs = [], traceparent } = data, { what, stack } = told(r), outcome = OUTCOMES[r.outcome]?.[1] ?? r.outcome;
  const times = [["Arrived", <span title={fullTime(r.start_us)}>{clockTime(r.start_us)} <span class="quiet"><Ago us={r.start_us} /></span></span>], ["Function", <FunctionLink name={r.function} />], ["Version", r.version && <code title={r.version}>{shortVersion(r.version)}</code>], ["Trigger", r.trigger], ["Trace", r.trace_id && <code>{r.trace_id}</code>], ["Start", r.cold ? "cold: its function had to be loaded" : "warm"], ["Process", r.pid ? `pid ${r.pid}, ${exitText(r)}` : exitText(r)]];
  const cost = [["CPU user", duration(r.user_us)], ["CPU system", duration(r.system_us)], ["Memory, peak", `${bytes(r.memory_peak_bytes)}${r.memory_limit_bytes ? ` of ${bytes(r.memory_limit_bytes)}` : ""}`], ["Memory, its own", bytes(r.memory_own_bytes)], ["Page faults", `${number(r.minor_faults)} minor, ${number(r.major_faults)} major`], ["Context switches", `${number(r.voluntary_switches)} by waiting, ${number(r.involuntary_switches)} by force`], ["Body", `${bytes(r.bytes_in)} in, ${bytes(r.bytes_out)} out`], ["Log", `${plural(r.log_lines, "line")}${r.log_dropped ? `, ${bytes(r.log_dropped)} dropped` : ""}`], ["Limit that was hit", r.limit && r.limit !== "none" ? `${r.limit}: ${number(r.limit_used)} of ${number(r.limit_max)}` : ""]];
  return (
    <>
      <p class="crumbs"><Link to="/requests">Requests</Link> <span aria-hidden="true">/</span> <Link to={toFunction(r.function)}>{r.function}</Link></p>
      <div class="title-row">
        <Heading><span class="method">{r.method}</span> {r.path}</Heading>
        <Outcome value={r.outcome} status={r.status} />
      </div>
      <p class="id-row"><code>{r.request_id}</code> <Copy text={r.request_id} label="Copy id" /></p>
      {r.outcome !== "ok" && <div class="note is-bad" role="note"><p><b>{outcome}</b>{what && what !== outcome && <>: {what}</>}</p></div>}
      <section><h2>Where the time went</h2><Waterfall record={r} /></section>
      {stack && <section><div class="title-row"><h2>Stack</h2><Copy text={stack} /></div><pre class="stack" tabIndex={0}>{stack}</pre></section>}
      <div class="pair facts-pair"><section><h2>Record</h2><Facts rows={times} /></section><section><h2>What it took</h2><Facts rows={cost} /></section></div>
      <section><h2>Log</h2>{logs.length ? <LogLines lines={logs} relative={r.start_us} /> : <p class="quiet">It printed nothing{r.log_dropped ? " that was kept" : ""}.</p>}</section>
      <section><h2>In a terminal</h2>
        <Command text={`mayfly trace ${r.request_id}`} what="This page" />
        <Command text={`mayfly logs ${r.function} --request ${r.request_id}`} what="Its lines" />
        <Command text={`mayfly replay ${r.request_id} --debug`} what="The same event again, under a debugger" />
        {traceparent && <Command text={`traceparent: ${traceparent}`} what="For whoever goes on with this trace" />}
      </section>
      <Replay record={r} key={r.request_id} />
    </>
  );
}
