import { useSignal } from "@preact/signals";
import { ended, serverNowUs } from "../state.js";
import { name as coded, request, useGet } from "../api.js";
import { Ago, Copy, Dialog, Empty, Facts, Failure, Heading, Loading, Scroll } from "../ui.jsx";
import { bytes, duration, fullTime, number } from "../format.js";

const HEALTH = { ok: ["warm", "The store is well"], degraded: ["loading", "The store is degraded"], failed: ["failed", "The store has failed"] };

const rule = (r) => [r.keep_us && duration(r.keep_us).replace(/ 0 h$/, ""), r.count && `${number(r.count)} records`, r.bytes && bytes(r.bytes)].filter(Boolean).join(", ");

function Retention({ r }) {
  return <>{rule(r) || "everything"}{r.functions?.map((f) => <div key={f.name} class="quiet">{f.name}: {rule(f)}</div>)}</>;
}

function Tokens() {
  const { data, error, reload } = useGet("tokens"), name = useSignal(""), made = useSignal(null), wrong = useSignal(null), leaving = useSignal(null);
  const create = async (e) => {
    e.preventDefault();
    try {
      made.value = await request("POST", "tokens", { name: name.value.trim() });
      [name.value, wrong.value] = ["", null];
      reload();
    } catch (caught) {
      wrong.value = caught;
    }
  };
  const remove = async () => {
    const which = leaving.value;
    leaving.value = null;
    try {
      await request("DELETE", `tokens/${coded(which)}`);
      wrong.value = null;
      reload();
    } catch (caught) {
      wrong.value = caught;
    }
  };
  return (
    <section>
      <h2>Tokens</h2>
      <p class="quiet">For programs that call this API over TCP: <code>Authorization: Bearer mf_…</code>. Only a hash is kept.</p>
      <Failure error={error ?? wrong.value} what="The tokens" retry={error ? reload : null} />
      {made.value && <div class="note is-good" role="status"><p><b>{made.value.name}</b>: <code>{made.value.token}</code> <Copy text={made.value.token} /></p><p class="quiet">It is shown this once.</p></div>}
      {data && (data.tokens.length ? <Scroll label="Tokens"><table><thead><tr><th>Name</th><th>Made</th><th>Last used</th><th aria-label="Action" /></tr></thead><tbody>{data.tokens.map((t) => <tr key={t.name}><th scope="row">{t.name}</th><td><Ago us={t.created_us} /></td><td>{t.used_us ? <Ago us={t.used_us} /> : "never"}</td><td class="n"><button type="button" class="small" onClick={() => { leaving.value = t.name; }} aria-label={`Remove ${t.name}`}>Remove</button></td></tr>)}</tbody></table></Scroll> : <p class="quiet">None. This browser has a session of its own.</p>)}
      <form class="try-line" onSubmit={create}><label class="field inline"><span class="unseen">Name of the new token</span><input type="text" placeholder="Name, like ci" maxLength={64} value={name.value} onInput={(e) => { name.value = e.target.value; }} /></label><button type="submit" disabled={!name.value.trim()}>Make a token</button></form>
      <Dialog open={leaving.value !== null} title="Remove a token" onClose={() => { leaving.value = null; }}>
        <h2>Remove {leaving.value}?</h2><p>Programs that use it are refused from then on.</p>
        <p class="row end"><button type="button" onClick={() => { leaving.value = null; }}>Keep it</button><button type="button" class="danger" onClick={remove}>Remove it</button></p>
      </Dialog>
    </section>
  );
}

export function System() {
  const { data, error, reload } = useGet("system", 5000), s = data?.store ?? {}, [tone, words] = HEALTH[s.status] ?? ["cold", s.status];
  return (
    <>
      <Heading>System</Heading>
      <Failure error={error} what="The system could not be read" retry={reload} />
      {!data ? !error && <Loading /> : (
        <>
          {s.status !== "ok" && <div class="note is-bad" role="note"><p><b>{words}</b>: {s.detail}</p><p>Requests are served all the same; what cannot be kept is counted below.</p></div>}
          <div class="pair facts-pair">
            <section><h2>Server</h2><Facts rows={[["Version", data.version], ["Runs since", data.started_us && <span title={fullTime(data.started_us)}>{duration(Math.floor((serverNowUs() - data.started_us) / 1e6) * 1e6)}</span>], ["CPUs", number(data.cpus)], ["Memory", bytes(data.memory_bytes)]]} /></section>
            <section><h2>Store</h2><Facts rows={[["State", <span class={`state s-${tone}`}>{s.status}</span>], ["Size", bytes(s.bytes)], ["Records", <data value={s.records}>{number(s.records)}</data>], ["Log lines", <data value={s.log_lines}>{number(s.log_lines)}</data>], ["Oldest record", s.oldest_us ? <Ago us={s.oldest_us} /> : "none"], ["Keeps at most", s.retention && <Retention r={s.retention} />]]} /></section>
          </div>
          <section>
            <h2>Losses</h2>
            {data.losses?.length ? <Scroll label="Losses"><table><thead><tr><th>When</th><th>What</th><th class="n">How many</th><th>Why</th></tr></thead><tbody>{data.losses.map((l, i) => <tr key={i}><td><Ago us={l.time_us} /></td><td>{l.what}</td><td class="n is-bad">{number(l.n)}</td><td class="wrap">{l.why}</td></tr>)}</tbody></table></Scroll>
              : <Empty title="Nothing was lost"><p>Records and log lines that could not be kept would be counted here, with the reason.</p></Empty>}
          </section>
        </>
      )}
      <Tokens />
      <section><h2>This browser</h2><p><button type="button" onClick={() => request("DELETE", "logins").then(() => { ended.value = true; }, () => {})}>Sign out</button></p></section>
    </>
  );
}
