import { useSignal } from "@preact/signals";
import { live, stored, store } from "../state.js";
import { filled, name as coded, query, useGet } from "../api.js";
import { Link, toFunction } from "../router.jsx";
import { Chart, HeatMap } from "../charts.jsx";
import { LivingPicture } from "../swarm.jsx";
import { Ago, Choice, Dot, Empty, Facts, Failure, Heading, Loading, Meter, OUTCOMES, RANGES, RecordTable, Scroll, Stat } from "../ui.jsx";
import { LogTail } from "../logs.jsx";
import { RecordList } from "./requests.jsx";
import { TryIt } from "./try.jsx";
import { bytes, bytesParts, count, duration, durationParts, number, percent, rate, shortVersion } from "../format.js";

const TABS = [["", "Overview"], ["requests", "Requests"], ["logs", "Log"], ["try", "Try it"], ["configuration", "Configuration"]];

function Stats({ now, about }) {
  const limit = about?.memory_bytes;
  return (
    <dl class="stats">
      <Stat id="rate" label="Requests" parts={[rate(now.rate), "/s"]} value={now.rate} />
      <Stat id="errors" label="Failed" parts={[percent(now.rate ? now.error_rate / now.rate : 0), "%"]} value={now.error_rate} tone={now.rate && now.error_rate / now.rate > 0.05 ? "is-bad" : ""} />
      <Stat id="p50" label="Latency p50" parts={durationParts(now.p50_us)} value={now.p50_us} />
      <Stat id="p90" label="p90" parts={durationParts(now.p90_us)} value={now.p90_us} />
      <Stat id="p99" label="p99" parts={durationParts(now.p99_us)} value={now.p99_us} />
      <Stat id="busy" label="In flight" parts={[number(now.busy), ""]} value={now.busy}>{about?.concurrency ? <><Meter value={now.busy} max={about.concurrency} label={`${now.busy} of ${about.concurrency}`} />of {number(about.concurrency)}</> : `${number(now.standbys)} standing by`}</Stat>
      <Stat id="queued" label="Queued" parts={[number(now.queued), ""]} value={now.queued}>{now.queued ? `oldest ${duration(now.oldest_queued_ms * 1000)}` : "nobody waits"}</Stat>
      <Stat id="cold" label="Cold starts" parts={[number(now.cold), ""]} value={now.cold}>in the last 10 s</Stat>
      <Stat id="cpu" label="CPU" parts={[number(now.cpu_percent), "%"]} value={now.cpu_percent}>of one CPU</Stat>
      <Stat id="memory" label="Memory" parts={bytesParts(now.memory_bytes)} value={now.memory_bytes}>{limit ? `each request: ${bytes(limit)}` : "no limit for a request"}</Stat>
    </dl>
  );
}

function outcomeSeries(points) {
  const found = new Set(points.flatMap((p) => Object.keys(p.outcomes ?? {}).filter((o) => p.outcomes[o])));
  const colours = { ok: "--accent", error: "--bad", timeout: "--plum", crash: "--blue", throttled: "--warm", unavailable: "--f9", hangup: "--soft", init: "--f7" };
  return Object.keys(OUTCOMES).filter((o) => o === "ok" || found.has(o)).map((o) => ({ key: o, label: o.replace("_", " "), colour: colours[o] ?? "--f8" }));
}

function Past({ name, about }) {
  const range = useSignal(stored("function.range", "1h")), [length, step, words] = RANGES[range.value];
  const now = Math.floor(Date.now() / 1000 / 20) * 20, window = [now - length, now], x = () => window;
  const { data, error, reload } = useGet(`series${query({ function: name, since: (now - length) * 1e6, step, histogram: 1 })}`, 20000);
  const points = filled(data?.points, window[0] * 1e6, window[1] * 1e6, step), xs = points.map((p) => p.start_us / 1e6), column = (f) => points.map(f);
  const outcomes = outcomeSeries(points), mean = (key) => column((p) => (p.count ? p[key] / p.count : null));
  const pick = (r) => {
    range.value = r;
    store("function.range", r);
  };
  const limit = about?.memory_bytes || undefined;
  return (
    <section aria-label="Over time">
      <div class="title-row"><h2>Over time</h2><Choice label="Range" value={range.value} onChange={pick} options={Object.keys(RANGES).map((r) => [r, r])} /></div>
      <Failure error={error} what="The past could not be read" retry={reload} />
      {!data ? !error && <Loading lines={6} /> : points.every((p) => !p.count) ? <Empty title={`No request in the last ${words}`}><p>Choose a longer time, or <Link to={toFunction(name, "try")}>try it</Link>.</p></Empty> : (
        <>
          <HeatMap points={points} stepUs={step * 1e6} window={[window[0] * 1e6, window[1] * 1e6]} />
          <div class="pair">
            <Chart title="Outcomes per second" stacked range={x} format={rate} data={[xs, ...outcomes.map((o) => column((p) => (p.outcomes?.[o.key] ?? 0) / step))]} series={outcomes} />
            <Chart title="CPU time of a request" stacked range={x} format={duration} data={[xs, mean("user_us"), mean("system_us")]} series={[{ label: "user", colour: "--accent" }, { label: "system", colour: "--blue" }]} />
            <Chart title="Peak memory" range={x} format={bytes} limit={limit} note={limit ? `limit ${bytes(limit)}` : "no limit"} data={[xs, column((p) => p.memory_peak_bytes || null)]} series={[{ label: "of one request", colour: "--accent", fill: true }]} />
            <Chart title="Waiting, loading, running" range={x} format={duration} data={[xs, column((p) => (p.count ? p.wait_p50_us : null)), column((p) => (p.cold ? p.init_p50_us : null)), column((p) => (p.count ? p.p50_us : null))]} series={[{ label: "wait", colour: "--warm" }, { label: "init", colour: "--blue", dash: [4, 3] }, { label: "in all", colour: "--accent" }]} />
            <Chart title="Cold starts" range={x} whole format={count} data={[xs, column((p) => p.cold)]} series={[{ label: `in ${step === 60 ? "a minute" : "an hour"}`, colour: "--blue", fill: true }]} />
            <Chart title="CPU in use" range={x} format={(v) => (v === null || v === undefined ? "–" : `${number(v, v < 10 ? 1 : 0)} %`)} data={[xs, column((p) => ((p.user_us + p.system_us) / (step * 1e6)) * 100)]} series={[{ label: "of one CPU", colour: "--accent", fill: true }]} />
          </div>
        </>
      )}
    </section>
  );
}

function Few({ name }) {
  const which = useSignal("recent");
  const q = { recent: {}, slowest: { order: "duration" }, failed: { failed: 1 } }[which.value];
  const { data, error, reload } = useGet(`records${query({ function: name, limit: 8, ...q })}`, 3000);
  return (
    <section>
      <div class="title-row"><h2>Requests</h2><Choice label="Which requests" value={which.value} onChange={(v) => { which.value = v; }} options={[["recent", "Recent"], ["slowest", "Slowest"], ["failed", "Failed"]]} /></div>
      <Failure error={error} retry={reload} />
      {!data ? !error && <Loading /> : data.records.length ? <RecordTable records={data.records} withFunction={false} label={`${which.value} requests`} /> : <p class="quiet">{which.value === "failed" ? "None has failed." : "None yet."}</p>}
    </section>
  );
}

function Versions({ about }) {
  if (!about?.versions?.length) return null;
  return (
    <section>
      <h2>Versions</h2>
      <Scroll label="Versions"><table><thead><tr><th>Version</th><th class="n">Requests</th><th>First</th><th>Last</th></tr></thead><tbody>
        {about.versions.map((v) => <tr key={v.version}><th scope="row"><Link to={`/requests${query({ function: about.name, version: v.version })}`}><code title={v.version}>{shortVersion(v.version)}</code></Link> {v.version === about.version && <span class="state s-warm">current</span>}</th><td class="n">{count(v.invocations)}</td><td><Ago us={v.first_us} /></td><td><Ago us={v.last_us} /></td></tr>)}
      </tbody></table></Scroll>
    </section>
  );
}

function Configuration({ about }) {
  const none = <span class="faint">none</span>;
  return (
    <section>
      <p class="quiet">As <code>mayfly.json</code> and the project's files say it; a change there is loaded when it is saved in <code>mayfly dev</code>, or by <code>SIGHUP</code>.</p>
      <Facts rows={[["Runtime", about.runtime], ["Handler", about.handler && <code>{about.handler}</code>], ["Routes", about.routes?.length ? about.routes.map((r) => <code class="chip" key={r}>{r}</code>) : none], ["Isolation", about.isolation], ["Timeout", duration(about.timeout_ms * 1000)], ["Memory", about.memory_bytes ? bytes(about.memory_bytes) : none], ["Concurrency", about.concurrency ? number(about.concurrency) : none], ["Waits in the queue", about.queue_timeout_ms !== undefined && duration(about.queue_timeout_ms * 1000)], ["Network", typeof about.network === "string" ? about.network : JSON.stringify(about.network)], ["Environment", about.env?.length ? <>{about.env.map((e) => <code class="chip" key={e}>{e}</code>)} <span class="faint">values are not shown</span></> : none], ["Version", about.version && <code>{about.version}</code>], ["About", about.about?.length ? <ul class="plain">{about.about.map((a) => <li key={a}>{a}</li>)}</ul> : null]]} />
      <p class="quiet">In a terminal: <code>mayfly inspect {about.name}</code></p>
    </section>
  );
}

function Overview({ name, now, about }) {
  return (
    <>
      {now && <Stats now={now} about={about} />}
      <LivingPicture only={name} key={name} height={168} />
      <Past name={name} about={about} />
      <Few name={name} />
      <Versions about={about} />
    </>
  );
}

export function FunctionPage({ name, tab = "" }) {
  const { data: about, error, reload } = useGet(`functions/${coded(name)}`, 15000), now = live.value?.functions?.find((f) => f.name === name);
  if (error?.status === 404 && !now) return <><Heading>{name}</Heading><Empty title="There is no function of that name"><p>It may have been renamed or taken out of the project. Its <Link to={`/requests${query({ function: name })}`}>past requests</Link> are kept.</p></Empty></>;
  return (
    <>
      <div class="title-row">
        <Heading><Dot name={name} />{name}</Heading>
        <p class="quiet">{[about?.runtime, about?.routes?.join("  "), about?.version && `version ${shortVersion(about.version)}`].filter(Boolean).join(" · ")}</p>
      </div>
      <Failure error={error?.status === 404 ? null : error} what="The function could not be read" retry={reload} />
      {about?.broken && <div class="note is-bad" role="note"><p><b>It cannot be loaded</b>: {about.error}</p></div>}
      <nav class="tabs" aria-label={`Parts of ${name}`}>{TABS.map(([key, label]) => <Link key={key} to={toFunction(name, key)} aria-current={tab === key ? "page" : undefined}>{label}</Link>)}</nav>
      {tab === "requests" ? <RecordList filter={{ function: name }} withFunction={false} key={name} />
        : tab === "logs" ? <LogTail name={name} key={name} />
          : tab === "try" ? <TryIt name={name} about={about} key={name} />
            : tab === "configuration" ? (about ? <Configuration about={about} /> : <Loading />)
              : <Overview name={name} now={now} about={about} />}
    </>
  );
}
