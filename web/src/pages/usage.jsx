import { useSignal } from "@preact/signals";
import { stored, store } from "../state.js";
import { query, useGet } from "../api.js";
import { Choice, Command, Empty, Failure, FunctionLink, Heading, Loading, Scroll, Stat, Value } from "../ui.jsx";
import { bytes, bytesParts, count, countParts, durationParts, number, percent, seconds, shortVersion } from "../format.js";

const PERIODS = { today: "Today", "7d": "7 days", "30d": "30 days", month: "This month" };
const PRICES = [["per_request", "Each million requests", 1e6], ["per_gb_second", "GB second of memory", 1], ["per_cpu_second", "CPU second", 1]];
const EXAMPLE = { currency: "EUR", per_request: 2e-7, per_gb_second: 1.7e-5, per_cpu_second: 0 };

function since(period) {
  const now = new Date(), midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate());
  if (period === "today") return midnight.getTime();
  if (period === "month") return new Date(now.getFullYear(), now.getMonth(), 1).getTime();
  return midnight.getTime() - (parseInt(period, 10) - 1) * 86400e3;
}

export const cost = (price, row) => row.invocations * price.per_request + (row.gb_us / 1e6) * price.per_gb_second + ((row.user_us + row.system_us) / 1e6) * price.per_cpu_second;

function money(x, currency) {
  const digits = x === 0 || x >= 100 ? 2 : x >= 0.01 ? 4 : 6;
  return [number(x, Math.min(digits, 4) === digits ? digits : 4), currency];
}

function Prices({ price, onChange }) {
  const bad = useSignal("");
  const set = (key, factor) => (e) => {
    const value = Number(e.target.value) / factor;
    bad.value = Number.isFinite(value) && value >= 0 ? "" : key;
    if (!bad.value) onChange({ ...price, [key]: value });
  };
  const shown = (x) => String(Number(x.toPrecision(10)));
  return (
    <fieldset class="prices">
      <legend>Your prices</legend>
      <label class="field"><span>Currency</span><input type="text" size={5} maxLength={15} value={price.currency} onChange={(e) => onChange({ ...price, currency: e.target.value.trim() })} /></label>
      {PRICES.map(([key, label, factor]) => <label class="field" key={key}><span>{label}</span><input type="text" inputmode="decimal" size={10} value={shown(price[key] * factor)} aria-invalid={bad.value === key} onChange={set(key, factor)} /></label>)}
    </fieldset>
  );
}

export function Usage() {
  const by = useSignal(stored("usage.by", "function")), period = useSignal(stored("usage.period", "30d")), price = useSignal({ ...EXAMPLE, ...stored("price", {}) });
  const { data, error, reload } = useGet(`usage${query({ by: by.value, since: since(period.value) * 1000 })}`, 30000);
  const keep = (s, key) => (v) => {
    s.value = v;
    store(key, v);
  };
  const rows = data?.rows ?? [], sum = rows.reduce((a, r) => Object.fromEntries(Object.keys(a).map((k) => [k, a[k] + (r[k] ?? 0)])), { invocations: 0, errors: 0, run_us: 0, user_us: 0, system_us: 0, gb_us: 0, bytes_in: 0, bytes_out: 0 });
  const total = cost(price.value, sum), most = Math.max(1e-12, ...rows.map((r) => cost(price.value, r)));
  return (
    <>
      <div class="title-row"><Heading>Usage</Heading><div class="row"><Choice label="Period" value={period.value} onChange={keep(period, "usage.period")} options={Object.entries(PERIODS)} /><Choice label="By" value={by.value} onChange={keep(by, "usage.by")} options={[["function", "Function"], ["version", "Version"], ["day", "Day"]]} /></div></div>
      <Failure error={error} what="The usage could not be read" retry={reload} />
      {!data ? !error && <Loading lines={6} /> : !rows.length ? <Empty title="Nothing ran"><p>What does not run costs nothing: there is no process of it. Choose a longer period, or send a request.</p></Empty> : (
        <>
          <dl class="stats six">
            <Stat id="total" label="The bill" parts={money(total, price.value.currency)} value={total} tone="lead" />
            <Stat id="invocations" label="Requests" parts={countParts(sum.invocations)} value={sum.invocations}>{percent(sum.errors / Math.max(1, sum.invocations))} % failed</Stat>
            <Stat id="cpu" label="CPU" parts={[seconds(sum.user_us + sum.system_us), "s"]} value={sum.user_us + sum.system_us}>{seconds(sum.user_us)} user, {seconds(sum.system_us)} system</Stat>
            <Stat id="gb" label="Memory × run time" parts={[number(sum.gb_us / 1e6, sum.gb_us < 1e8 ? 2 : 0), "GB s"]} value={sum.gb_us} />
            <Stat id="run" label="Run time" parts={durationParts(sum.run_us)} value={sum.run_us} />
            <Stat id="bytes" label="Bodies" parts={bytesParts(sum.bytes_out)} value={sum.bytes_out}>out, {bytes(sum.bytes_in)} in</Stat>
          </dl>
          <Scroll label="The bill"><table class="bill">
            <thead><tr><th>{{ function: "Function", version: "Version", day: "Day (UTC)" }[by.value]}</th><th class="n">Requests</th><th class="n">Failed</th><th class="n">Run time</th><th class="n">CPU user</th><th class="n">CPU system</th><th class="n">GB s</th><th class="n">Cost</th><th aria-label="Share" /></tr></thead>
            <tbody>{rows.map((r) => (
              <tr key={r.key} data-key={r.key}>
                <th scope="row">{by.value === "day" ? r.day ?? r.key : <><FunctionLink name={r.function ?? r.key} />{by.value === "version" && <> <code title={r.version}>{shortVersion(r.version)}</code></>}</>}</th>
                <td class="n"><data value={r.invocations}>{count(r.invocations)}</data></td><td class="n"><data value={r.errors}>{count(r.errors)}</data></td><td class="n"><Value parts={durationParts(r.run_us)} value={r.run_us} /></td>
                <td class="n"><data value={r.user_us}>{seconds(r.user_us)} s</data></td><td class="n"><data value={r.system_us}>{seconds(r.system_us)} s</data></td><td class="n"><data value={r.gb_us}>{number(r.gb_us / 1e6, 2)}</data></td>
                <td class="n strong"><Value parts={money(cost(price.value, r), price.value.currency)} value={cost(price.value, r)} /></td>
                <td><span class="share" aria-hidden="true"><i style={{ width: `${(cost(price.value, r) / most) * 100}%` }} /></span></td>
              </tr>))}</tbody>
            <tfoot><tr><th scope="row">In all</th><td class="n">{count(sum.invocations)}</td><td class="n">{count(sum.errors)}</td><td class="n"><Value parts={durationParts(sum.run_us)} value={sum.run_us} /></td><td class="n">{seconds(sum.user_us)} s</td><td class="n">{seconds(sum.system_us)} s</td><td class="n">{number(sum.gb_us / 1e6, 2)}</td><td class="n strong"><Value parts={money(total, price.value.currency)} value={total} /></td><td /></tr></tfoot>
          </table></Scroll>
        </>
      )}
      <Prices price={price.value} onChange={keep(price, "price")} />
      <p class="quiet">Only what ran is counted, from the kernel's own books. A machine of your own has no price list: these are yours, kept in this browser.</p>
      <Command text={`mayfly usage --by ${by.value} --price prices.json`} what={<>The same in a terminal, with <code>{JSON.stringify(price.value)}</code> in the file</>} />
    </>
  );
}
