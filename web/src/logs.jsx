// Log lines: those of a request, and the live tail of a function.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { get, query } from "./api.js";
import { on, useStream } from "./stream.js";
import { Link, toRequest } from "./router.jsx";
import { Choice, Empty, Failure, Loading } from "./ui.jsx";
import { clockTime, duration, number, plural } from "./format.js";

const LINES_MAX = 1000;
const LEVELS = { error: "bad", err: "bad", fatal: "bad", critical: "bad", warn: "warm", warning: "warm", debug: "soft", trace: "soft" };

function Fields({ fields }) {
  const { msg, message, level, ...rest } = fields, main = msg ?? message;
  return (
    <>
      {level !== undefined && <span class={`level o-${LEVELS[String(level).toLowerCase()] ?? "blue"}`}>{String(level)}</span>}
      {main !== undefined && <span>{String(main)} </span>}
      {Object.entries(rest).map(([key, value]) => <span class="pairs" key={key}><span class="quiet">{key}=</span>{typeof value === "string" ? value : JSON.stringify(value)} </span>)}
    </>
  );
}

function Line({ line: l, relative, withRequest, now }) {
  return (
    <li class={`line from-${l.stream}`}>
      <time>{relative ? `+${duration(Math.max(0, l.time_us - relative))}` : clockTime(l.time_us)}</time>
      {withRequest && (l.request_id ? <Link to={toRequest(l.request_id)} class="line-id" title={l.request_id}>{l.request_id.slice(-6)}</Link> : <span class="line-id">–</span>)}
      <span class="line-text">{l.stream !== "stdout" && <span class="stream-name">{l.stream}</span>}{l.fields && typeof l.fields === "object" ? <Fields fields={l.fields} /> : l.text}</span>
    </li>
  );
}

export const LogLines = ({ lines, relative }) => <ol class="lines" tabIndex={0} aria-label="Log lines">{lines.map((l) => <Line key={l.id} line={l} relative={relative} />)}</ol>;

// The tail follows while it is scrolled to its end; scrolled up it stays, and says how many lines have come.
export function LogTail({ name }) {
  const lines = useSignal(null), error = useSignal(null), grep = useSignal(""), stream = useSignal(""), held = useSignal(null), missed = useSignal(0);
  const box = useRef(), follows = useRef(true);
  const wanted = (l) => (!stream.value || l.stream === stream.value) && (!grep.value || l.text.toLowerCase().includes(grep.value.toLowerCase()));
  const add = (more) => {
    const had = new Set((lines.value ?? []).slice(-2 * more.length - 100).map((l) => l.id));
    lines.value = [...(lines.value ?? []), ...more.filter((l) => !had.has(l.id))].slice(-LINES_MAX);
  };
  const load = async () => {
    try {
      const answer = await get(`logs${query({ function: name, limit: 300 })}`);
      const all = new Map([...(lines.value ?? []), ...answer.lines].map((l) => [l.id, l]));
      lines.value = [...all.values()].sort((a, b) => a.id - b.id).slice(-LINES_MAX);
      error.value = null;
    } catch (e) {
      error.value = e;
    }
  };
  useEffect(() => {
    load();
    return on("open", load);
  }, [name]);
  useStream({
    log: (event) => {
      add(event.lines);
      if (event.omitted) missed.value += event.omitted;
    },
    gap: (event) => { missed.value += event.lines; },
  }, { function: name });
  useEffect(() => {
    if (follows.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  });
  const scrolled = () => {
    const b = box.current, atEnd = b.scrollTop + b.clientHeight > b.scrollHeight - 24;
    follows.current = atEnd;
    held.value = atEnd ? null : held.value ?? lines.value.at(-1)?.id ?? 0;
  };
  const toEnd = () => {
    follows.current = true;
    held.value = null;
    box.current.scrollTop = box.current.scrollHeight;
  };
  const shown = (lines.value ?? []).filter(wanted), behind = held.value === null ? 0 : shown.filter((l) => l.id > held.value).length;
  return (
    <section aria-label="Log">
      <div class="filters">
        <label class="field grow"><span>Filter</span><input type="search" placeholder="Text in the line" value={grep.value} onInput={(e) => { grep.value = e.target.value; }} /></label>
        <div class="field"><span>From</span><Choice label="Stream" value={stream.value} onChange={(v) => { stream.value = v; }} options={[["", "All"], ["stdout", "stdout"], ["stderr", "stderr"], ["system", "mayfly"]]} /></div>
        <p class="field quiet" data-lines={shown.length}>{plural(shown.length, "line")}{missed.value > 0 && `, ${number(missed.value)} came too fast and are only in the store`}</p>
      </div>
      <Failure error={error.value} what="The log could not be read" retry={load} />
      {!lines.value ? !error.value && <Loading lines={8} /> : (
        <div class="tail-box">
          <ol class="lines tail" ref={box} onScroll={scrolled} tabIndex={0} aria-label={`Log of ${name}`}>{shown.map((l) => <Line key={l.id} line={l} withRequest />)}</ol>
          {!shown.length && <div class="over"><Empty title={lines.value.length ? "No such line" : "No line yet"}><p>{lines.value.length ? "Nothing matches the filter so far. New lines that do will appear." : "What the function prints appears here, each line with its request."}</p></Empty></div>}
          {held.value !== null && <button type="button" class="small fresh to-end" onClick={toEnd}>{behind ? plural(behind, "new line") : "To the end"} ↓</button>}
        </div>
      )}
      <p class="quiet">In a terminal: <code>mayfly logs {name} -f{grep.value && ` --grep '${grep.value.replaceAll("'", "'\\''")}'`}</code></p>
    </section>
  );
}
