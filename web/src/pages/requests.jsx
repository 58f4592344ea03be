import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { functionNames, serverNowUs } from "../state.js";
import { get, query, useGet } from "../api.js";
import { on, useStream } from "../stream.js";
import { go, search } from "../router.jsx";
import { Choice, Empty, Failure, Heading, Loading, OUTCOMES, RecordTable } from "../ui.jsx";
import { number, plural } from "../format.js";

const PAGE = 50, NEW_MAX = 500;
const SINCE = { "": "any time", "5m": "5 minutes", "1h": "1 hour", "24h": "24 hours", "7d": "7 days" };
const SECONDS = { "5m": 300, "1h": 3600, "24h": 86400, "7d": 604800 };
const KEYS = ["grep", "function", "outcome", "trigger", "since", "min_ms", "order", "version"];
const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

function asked(filter, now) {
  const failed = filter.outcome === "failed";
  return {
    grep: filter.grep, function: filter.function, version: filter.version, outcome: failed ? "" : filter.outcome, failed, trigger: filter.trigger,
    since: filter.since ? Math.floor(now - SECONDS[filter.since] * 1e6) : "", min_us: filter.min_ms ? Math.round(filter.min_ms * 1000) : "",
    order: filter.order === "duration" ? "duration" : "", limit: PAGE,
  };
}

const matches = (filter, r) => (!filter.function || r.function === filter.function) && (!filter.version || r.version === filter.version) && (!filter.trigger || r.trigger === filter.trigger)
  && (!filter.outcome || (filter.outcome === "failed" ? r.outcome !== "ok" : r.outcome === filter.outcome)) && (!filter.min_ms || r.total_ns >= filter.min_ms * 1e6) && (!filter.grep || `${r.path} ${r.error}`.includes(filter.grep));

// Pages of records, and how many have come since.
export function useRecords(filter) {
  const key = JSON.stringify(filter), state = useSignal({ key: null, records: [], next: null, error: null, loading: true });
  const fresh = useSignal([]);
  const load = async (cursor) => {
    const before = cursor ? state.value.records : [];
    if (cursor) state.value = { ...state.value, loading: true };
    else fresh.value = [];
    try {
      const answer = await get(`records${query({ ...asked(filter, serverNowUs()), cursor })}`);
      const had = new Set(before.map((r) => r.request_id));
      state.value = { key, records: [...before, ...answer.records.filter((r) => !had.has(r.request_id))], next: answer.next, error: null, loading: false };
    } catch (error) {
      state.value = { ...state.value, key, records: before, error, loading: false };
    }
  };
  useEffect(() => {
    load(null);
    return on("open", async () => {
      const { records } = await get(`records${query(asked(filter, serverNowUs()))}`).catch(() => ({ records: [] })), had = new Set(fresh.value.map((r) => r.request_id));
      fresh.value = [...fresh.value, ...records.filter((r) => !had.has(r.request_id))].sort((a, b) => b.start_us - a.start_us);
    });
  }, [key]);
  useStream({
    record: ({ records }) => {
      if (fresh.value.length < NEW_MAX) fresh.value = [...records.filter((r) => matches(filter, r)).reverse(), ...fresh.value];
    },
  }, filter.function ? { function: filter.function } : {});
  const known = new Set(state.value.records.map((r) => r.request_id));
  const more = fresh.value.filter((r) => !known.has(r.request_id));
  return {
    ...state.value, current: state.value.key === key, fresh: more,
    loadMore: () => load(state.value.next), reload: () => load(null),
    showFresh: () => {
      state.value = { ...state.value, records: [...more, ...state.value.records] };
      fresh.value = [];
    },
  };
}

export function RecordList({ filter, withFunction }) {
  const list = useRecords(filter), byTime = filter.order !== "duration";
  return (
    <>
      <Failure error={list.error} what="The requests could not be read" retry={list.reload} />
      <div class="fresh-row" aria-live="polite">
        {list.fresh.length > 0 && (byTime ? <button type="button" class="small fresh" onClick={list.showFresh}>{list.fresh.length >= NEW_MAX ? `${number(NEW_MAX)} and more` : plural(list.fresh.length, "new request")}: show</button>
          : <button type="button" class="small fresh" onClick={list.reload}>{plural(list.fresh.length, "new request")}: look again</button>)}
      </div>
      {list.loading && !list.records.length ? <Loading lines={8} /> : list.records.length === 0 && !list.error ? (
        <Empty title="No request like that"><p>Records are kept for a while (<a href="/system">System</a> says how long). {Object.values(filter).some(Boolean) ? "A wider filter may find it." : ""}</p></Empty>
      ) : <RecordTable records={list.records} withFunction={withFunction} />}
      {list.next && <p class="centre"><button type="button" onClick={list.loadMore} disabled={list.loading}>{list.loading ? "Loading" : "Show more"}</button></p>}
    </>
  );
}

function Select({ label, value, options, onChange }) {
  return <label class="field"><span>{label}</span><select value={value} onChange={(e) => onChange(e.target.value)}>{options.map(([key, text]) => <option key={key} value={key}>{text}</option>)}</select></label>;
}

export function Requests() {
  const filter = Object.fromEntries(KEYS.map((k) => [k, search.value.get(k) ?? ""])), id = useSignal(""), wrong = useSignal(false);
  const listed = useGet("functions").data?.functions.map((f) => f.name) ?? functionNames.value;
  const names = [...new Set([...listed, filter.function].filter(Boolean))].sort();
  const set = (more) => go(`/requests${query({ ...filter, ...more })}`, { replace: true });
  const open = (event) => {
    event.preventDefault();
    wrong.value = !ID.test(id.value.trim());
    if (!wrong.value) go(`/requests/${id.value.trim().toLowerCase()}`);
  };
  return (
    <>
      <div class="title-row"><Heading>Requests</Heading>
        <form class="find-id" onSubmit={open}><label class="field inline"><span class="unseen">Request id</span><input type="text" placeholder="Request id" autocomplete="off" spellcheck={false} value={id.value} aria-invalid={wrong.value} onInput={(e) => { id.value = e.target.value; wrong.value = false; }} /></label><button type="submit">Open</button>{wrong.value && <span class="hint" role="alert">This is no request id</span>}</form>
      </div>
      <div class="filters">
        <Select label="Function" value={filter.function} onChange={(v) => set({ function: v })} options={[["", "all"], ...names.map((n) => [n, n])]} />
        <Select label="Outcome" value={filter.outcome} onChange={(v) => set({ outcome: v })} options={[["", "all"], ["failed", "all that failed"], ...Object.keys(OUTCOMES).map((o) => [o, o.replace("_", " ")])]} />
        <Select label="Trigger" value={filter.trigger} onChange={(v) => set({ trigger: v })} options={[["", "all"], ...["http", "invoke", "schedule", "queue", "upload", "database", "replay"].map((t) => [t, t])]} />
        <Select label="Since" value={filter.since} onChange={(v) => set({ since: v })} options={Object.entries(SINCE)} />
        <label class="field"><span>At least</span><span class="with-unit"><input type="number" min="0" step="any" inputmode="decimal" placeholder="0" value={filter.min_ms} onChange={(e) => set({ min_ms: e.target.value })} />ms</span></label>
        <label class="field"><span>Path or error has</span><input type="search" size={14} value={filter.grep} onChange={(e) => set({ grep: e.target.value })} /></label>
        <div class="field"><span>Order</span><Choice label="Order" value={filter.order || "time"} onChange={(v) => set({ order: v === "time" ? "" : v })} options={[["time", "Newest"], ["duration", "Slowest"]]} /></div>
        {Object.values(filter).some(Boolean) && <button type="button" class="small clear" onClick={() => go("/requests", { replace: true })}>Clear</button>}
      </div>
      <RecordList filter={filter} />
    </>
  );
}
