// Small parts that pages are made of.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { hue, serverNowUs } from "./state.js";
import { ago, bytesParts, duration, durationParts, fullTime, shortId } from "./format.js";
import { Link, toFunction, toRequest } from "./router.jsx";

export const OUTCOMES = {
  ok: ["ok", "answered"], error: ["bad", "the function raised an error"], timeout: ["plum", "took longer than it may"], crash: ["bad", "the worker died"],
  bad_reply: ["bad", "the answer was no HTTP"], init: ["bad", "the function could not be loaded"], hangup: ["soft", "the client went away"],
  bad_request: ["soft", "the client broke off"], throttled: ["warm", "too many at once"], unavailable: ["warm", "waited too long"],
};
export const outcomeColour = (outcome) => `--${OUTCOMES[outcome]?.[0] ?? "soft"}`;

export function Outcome({ value, status }) {
  return <span class={`outcome o-${OUTCOMES[value]?.[0] ?? "soft"}`} title={OUTCOMES[value]?.[1]}>{value.replace("_", " ")}{status ? <small> {status}</small> : null}</span>;
}

// A value with its unit; `value` is what the API said, for programs.
export function Value({ parts, value }) {
  return <data value={value ?? ""}>{parts[0]}{parts[1] && <span class="unit">{parts[1]}</span>}</data>;
}

export function Stat({ label, parts, value, children, tone, id }) {
  return (
    <div class={`stat ${tone ?? ""}`} data-stat={id}>
      <dt>{label}</dt>
      <dd><Value parts={parts} value={value} /></dd>
      {children && <dd class="stat-more">{children}</dd>}
    </div>
  );
}

export function Meter({ value, max, label }) {
  const share = max ? Math.min(1, value / max) : 0;
  return <span class={`meter ${share > 0.9 ? "full" : ""}`} role="img" aria-label={label}><i style={{ width: `${share * 100}%` }} /></span>;
}

export const Dot = ({ name }) => <i class="dot" style={{ background: `var(--f${hue(name)})` }} aria-hidden="true" />;

export const FunctionLink = ({ name }) => <Link to={toFunction(name)} class="function-link"><Dot name={name} />{name}</Link>;

export function Ago({ us }) {
  return us ? <time dateTime={new Date(us / 1000).toISOString()} title={fullTime(us)}>{ago(us, serverNowUs())}</time> : <span>–</span>;
}

export function Copy({ text, label = "Copy" }) {
  const done = useSignal(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without TLS a browser may refuse: then by way of a selection.
      const area = Object.assign(document.createElement("textarea"), { value: text, readOnly: true });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    done.value = true;
    setTimeout(() => { done.value = false; }, 1500);
  };
  return <button type="button" class="small" onClick={copy}>{done.value ? "Copied" : label}</button>;
}

export function Command({ text, what }) {
  return <div class="command"><code>{text}</code><Copy text={text} label="Copy" />{what && <p class="quiet">{what}</p>}</div>;
}

export function Empty({ title, children }) {
  return <div class="empty"><h3>{title}</h3>{children}</div>;
}

export function Failure({ error, what, retry }) {
  if (!error) return null;
  return (
    <div class="failure" role="alert">
      <p><b>{what ?? "This could not be read"}</b>: {error.message}.</p>
      {retry && <button type="button" class="small" onClick={retry}>Try again</button>}
    </div>
  );
}

export const Loading = ({ lines = 3 }) => <div class="loading" role="status" aria-label="Loading">{Array.from({ length: lines }, (_, i) => <i key={i} />)}</div>;

export function Choice({ label, options, value, onChange }) {
  return (
    <div class="choice" role="group" aria-label={label}>
      {options.map(([key, text]) => <button type="button" key={key} aria-pressed={value === key} onClick={() => onChange(key)}>{text}</button>)}
    </div>
  );
}

export const Heading = ({ children }) => <h1 tabIndex={-1}>{children}</h1>;

export function Scroll({ label, children }) {
  return <div class="scroll" role="region" aria-label={label} tabIndex={0}>{children}</div>;
}

export function Facts({ rows }) {
  return <dl class="facts">{rows.filter(([, value]) => value !== undefined && value !== null && value !== "").map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>;
}

// Where a request's time went, in one small bar.
export function MiniTimes({ record: r }) {
  const total = Math.max(1, r.total_ns);
  return (
    <span class="mini-times" role="img" aria-label={`waited ${duration(r.wait_ns / 1000)}, loaded ${duration(r.init_ns / 1000)}, ran ${duration(r.run_ns / 1000)}`}>
      {[["wait", r.wait_ns], ["init", r.init_ns], ["run", r.run_ns]].map(([key, ns]) => <i key={key} class={`t-${key}`} style={{ width: `${(ns / total) * 100}%` }} />)}
    </span>
  );
}

export function RecordTable({ records, withFunction = true, label = "Requests", flash }) {
  return (
    <Scroll label={label}>
      <table class="records">
        <thead><tr><th>When</th>{withFunction && <th>Function</th>}<th>Request</th><th>Outcome</th><th class="n">Total</th><th aria-label="Where the time went" /><th class="n">CPU</th><th class="n">Memory</th></tr></thead>
        <tbody>
          {records.map((r) => (
            <tr key={r.request_id} class={flash?.has(r.request_id) ? "new" : ""}>
              <td><Ago us={r.start_us} /></td>
              {withFunction && <td><FunctionLink name={r.function} /></td>}
              <td><Link to={toRequest(r.request_id)} title={r.request_id}><span class="method">{r.method}</span> <span class="path">{r.path}</span> <code class="id">{shortId(r.request_id)}</code></Link></td>
              <td><Outcome value={r.outcome} status={r.status} />{r.cold ? <span class="cold-mark">cold</span> : null}</td>
              <td class="n"><Value parts={durationParts(r.total_ns / 1000)} value={r.total_ns} /></td>
              <td><MiniTimes record={r} /></td>
              <td class="n"><Value parts={durationParts(r.user_us + r.system_us)} value={r.user_us + r.system_us} /></td>
              <td class="n"><Value parts={bytesParts(r.memory_peak_bytes)} value={r.memory_peak_bytes} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

export const RANGES = { "15m": [900, 60, "15 minutes"], "1h": [3600, 60, "hour"], "6h": [21600, 60, "6 hours"], "24h": [86400, 60, "24 hours"], "7d": [604800, 3600, "7 days"], "30d": [2592000, 3600, "30 days"] };

export function Dialog({ open, title, onClose, children }) {
  const dialog = useRef();
  useEffect(() => {
    if (open && !dialog.current.open) dialog.current.showModal();
    else if (!open && dialog.current.open) dialog.current.close();
  }, [open]);
  return (
    <dialog ref={dialog} onClose={onClose} onClick={(e) => e.target === dialog.current && onClose()} aria-label={title}>
      {open && <div class="dialog-body">{children}</div>}
    </dialog>
  );
}

