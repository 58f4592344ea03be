import { useSignal } from "@preact/signals";
import { history, hue, live, stored, store } from "../state.js";
import { filled, query, useGet } from "../api.js";
import { Chart, Spark } from "../charts.jsx";
import { LivingPicture } from "../swarm.jsx";
import { Choice, Command, Empty, Failure, FunctionLink, Heading, Loading, Meter, RANGES, Scroll, Stat, Value } from "../ui.jsx";
import { bytes, bytesParts, count, countParts, duration, durationParts, number, percent, rate } from "../format.js";

const share = (part, whole) => (whole ? part / whole : 0);

function Stats({ now }) {
  const queued = Math.max(0, ...now.functions.map((f) => (f.queued ? f.oldest_queued_ms : 0)));
  const cold = now.functions.reduce((a, f) => a + (f.cold_rate ?? 0), 0), m = now.machine ?? {};
  const failing = share(now.error_rate, now.rate);
  return (
    <dl class="stats">
      <Stat id="rate" label="Requests" parts={[rate(now.rate), "/s"]} value={now.rate} />
      <Stat id="errors" label="Failed" parts={[percent(failing), "%"]} value={now.error_rate} tone={failing > 0.05 ? "is-bad" : ""} />
      <Stat id="p50" label="Latency p50" parts={durationParts(now.p50_us)} value={now.p50_us} />
      {now.p90_us !== undefined && <Stat id="p90" label="p90" parts={durationParts(now.p90_us)} value={now.p90_us} />}
      <Stat id="p99" label="p99" parts={durationParts(now.p99_us)} value={now.p99_us} />
      <Stat id="workers" label="In flight" parts={[number(now.workers), ""]} value={now.workers}>
        <Meter value={now.workers} max={now.workers_max} label={`${now.workers} of ${now.workers_max} workers`} />of {number(now.workers_max)}
      </Stat>
      <Stat id="queued" label="Queued" parts={countParts(now.queued)} value={now.queued} tone={queued > 1000 ? "is-warm" : ""}>{now.queued ? `oldest ${duration(queued * 1000)}` : "nobody waits"}</Stat>
      <Stat id="cold" label="Warm starts" parts={[now.rate ? percent(1 - share(cold, now.rate)) : "–", now.rate ? "%" : ""]} value={cold}>
        {now.rate ? <><span class="split" role="img" aria-label="warm and cold"><i style={{ width: `${100 * (1 - share(cold, now.rate))}%` }} /></span>{rate(cold)} cold/s</> : "no request"}
      </Stat>
      <Stat id="cpu" label="Machine CPU" parts={[number(m.cpu_percent), "%"]} value={m.cpu_percent}>
        <Meter value={m.cpu_percent} max={100} label="CPU in use" />of {m.cpus} CPUs
      </Stat>
      <Stat id="memory" label="Machine memory" parts={bytesParts(m.memory_used_bytes)} value={m.memory_used_bytes}>
        <Meter value={m.memory_used_bytes} max={m.memory_bytes} label="memory in use" />of {bytes(m.memory_bytes)}
      </Stat>
    </dl>
  );
}

function liveData() {
  const events = history.value;
  return [events.map((e) => e.time_us / 1e6), events];
}

// The minutes before the page was opened come from the store, so that it does not begin empty.
function useLiveLines(pick, fromPoint) {
  const until = useSignal(Date.now());
  const from = Math.floor(until.value / 60e3 - 6) * 60e6, past = filled(useGet(`series${query({ since: from, step: 60 })}`).data?.points, from, until.value * 1000, 60);
  const [xs, events] = liveData(), first = xs[0] ?? Infinity;
  const before = past.filter((p) => p.start_us / 1e6 + 60 < first);
  return [[...before.map((p) => p.start_us / 1e6 + 30), ...xs], ...pick.map((f, i) => [...before.map((p) => fromPoint[i](p)), ...events.map(f)])];
}

const lastMinutes = () => [Date.now() / 1000 - 300, Date.now() / 1000];

function LiveCharts() {
  const traffic = useLiveLines([(e) => Math.max(0, e.rate - e.error_rate), (e) => e.error_rate], [(p) => (p.count - p.errors) / 60, (p) => p.errors / 60]);
  const latency = useLiveLines([(e) => e.p50_us, (e) => e.p90_us ?? null, (e) => e.p99_us], [(p) => p.p50_us, (p) => p.p90_us, (p) => p.p99_us]);
  return <Charts traffic={traffic} latency={latency} range={lastMinutes} />;
}

function PastCharts({ range }) {
  const [length, step] = RANGES[range], now = Math.floor(Date.now() / 1000 / 30) * 30;
  const { data, error } = useGet(`series${query({ since: (now - length) * 1e6, step })}`, 30000);
  if (error) return <Failure error={error} what="The past could not be read" />;
  const points = filled(data?.points, (now - length) * 1e6, now * 1e6, step), xs = points.map((p) => p.start_us / 1e6);
  const traffic = [xs, points.map((p) => (p.count - p.errors) / step), points.map((p) => p.errors / step)];
  const latency = [xs, ...["p50_us", "p90_us", "p99_us"].map((k) => points.map((p) => (p.count ? p[k] : null)))];
  return <Charts traffic={traffic} latency={latency} range={() => [now - length, now]} />;
}

function Charts({ traffic, latency, range }) {
  return (
    <div class="pair">
      <Chart title="Requests per second" stacked range={range} data={traffic} format={rate} series={[{ label: "answered", colour: "--accent" }, { label: "failed", colour: "--bad" }]} />
      <Chart title="Latency" range={range} data={latency} format={duration} series={[{ label: "p50", colour: "--accent", width: 2 }, { label: "p90", colour: "--blue" }, { label: "p99", colour: "--warm" }]} />
    </div>
  );
}

const WORDS = { warm: "warm", loading: "loading", cold: "asleep" };

function FunctionTable({ functions }) {
  const past = history.value.slice(-90);
  return (
    <Scroll label="Functions">
      <table class="functions">
        <thead><tr><th>Function</th><th>State</th><th>Last 90 s</th><th class="n">Requests</th><th class="n">Failed</th><th class="n">p50</th><th class="n">p99</th><th class="n">Busy</th><th class="n">Standby</th><th class="n">Queued</th><th class="n">CPU</th><th class="n">Memory</th></tr></thead>
        <tbody>
          {functions.map((f) => (
            <tr key={f.name} data-function={f.name}>
              <th scope="row"><FunctionLink name={f.name} /></th>
              <td><span class={`state s-${f.state}`}>{WORDS[f.state] ?? f.state}</span></td>
              <td><Spark values={past.map((e) => e.functions.find((x) => x.name === f.name)?.rate ?? 0)} colour={`--f${hue(f.name)}`} label={`requests per second of ${f.name}`} /></td>
              <td class="n"><Value parts={[rate(f.rate), "/s"]} value={f.rate} /></td>
              <td class={`n ${f.error_rate > 0 ? "is-bad" : "faint"}`}><Value parts={[percent(share(f.error_rate, f.rate)), "%"]} value={f.error_rate} /></td>
              <td class="n"><Value parts={durationParts(f.p50_us)} value={f.p50_us} /></td>
              <td class="n"><Value parts={durationParts(f.p99_us)} value={f.p99_us} /></td>
              <td class="n"><Value parts={[number(f.busy), ""]} value={f.busy} /></td>
              <td class="n"><Value parts={[number(f.standbys), ""]} value={f.standbys} /></td>
              <td class={`n ${f.queued ? "is-warm" : "faint"}`}><Value parts={[number(f.queued), ""]} value={f.queued} /></td>
              <td class="n"><Value parts={[number(f.cpu_percent), "%"]} value={f.cpu_percent} /></td>
              <td class="n"><Value parts={bytesParts(f.memory_bytes)} value={f.memory_bytes} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

// The first minute: nothing was asked for yet, so it says how.
function FirstSteps({ functions }) {
  const url = useGet("system").data?.url;
  const first = functions.find((f) => f.routes?.length) ?? functions[0];
  if (!first) {
    return <Empty title="No function yet"><p>Put a file into <code>api/</code> of the project and save: it is served at once.</p><Command text="mayfly init hello --lang python" /></Empty>;
  }
  const path = first.routes?.find((r) => /^(GET )?\/[\w/.-]*$/.test(r))?.replace("GET ", "");
  return (
    <Empty title="No request yet">
      <p>Send the first one, and watch its process come and go here:</p>
      {url && path && <Command text={`curl ${url}${path}`} />}
      <Command text={`mayfly invoke ${first.name} -d '{"name": "you"}' --verbose`} />
      <p class="quiet">Or from this page: <FunctionLink name={first.name} />, “Try it”.</p>
    </Empty>
  );
}

export function Home() {
  const range = useSignal(stored("home.range", "live")), now = live.value;
  const known = useGet("functions"), newest = useGet("records?limit=1");
  if (!now) return <><Heading>Now</Heading><Loading lines={6} /></>;
  const untouched = newest.data?.records.length === 0 && !history.value.some((e) => e.rate || e.workers) && known.data;
  const choose = (r) => {
    range.value = r;
    store("home.range", r);
  };
  return (
    <>
      <div class="title-row"><Heading>Now</Heading><p class="quiet">{count(now.functions.length)} functions, {count(now.functions.filter((f) => f.state === "warm").length)} of them warm</p></div>
      <Stats now={now} />
      {untouched ? <FirstSteps functions={known.data.functions} /> : (
        <>
          <LivingPicture />
          <section aria-label="Over time">
            <div class="title-row"><h2>Over time</h2><Choice label="Range" value={range.value} onChange={choose} options={[["live", "5 min"], ["1h", "1 h"], ["24h", "24 h"], ["7d", "7 d"]]} /></div>
            {range.value === "live" ? <LiveCharts /> : <PastCharts range={range.value} />}
          </section>
        </>
      )}
      <section aria-labelledby="functions-title"><h2 id="functions-title">Functions</h2><FunctionTable functions={[...now.functions].sort((a, b) => (a.name < b.name ? -1 : 1))} /></section>
    </>
  );
}

