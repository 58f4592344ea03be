// The dashboard: frame, navigation, keys. Pages are in pages/.
import { render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import "./style.css";
import { applyTheme, dark, ended, functionNames, switchTheme } from "./state.js";
import { refused } from "./api.js";
import { connection, on, pause, paused, reconnect, useStream } from "./stream.js";
import { decoded, go, Link, parts, search, toFunction } from "./router.jsx";
import { Command, Dialog, Empty, Heading } from "./ui.jsx";
import { Home } from "./pages/home.jsx";
import { FunctionPage } from "./pages/function.jsx";
import { Requests } from "./pages/requests.jsx";
import { Request } from "./pages/request.jsx";
import { Usage } from "./pages/usage.jsx";
import { System } from "./pages/system.jsx";

const PAGES = [["/", "Now", "h"], ["/requests", "Requests", "r"], ["/usage", "Usage", "u"], ["/system", "System", "s"]];
const GO_MS = 1200; // between g and what follows
const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

on("ended", refused);

function page([first, second, ...rest]) {
  const name = decoded([second, ...rest].join("/"));
  switch (first) {
    case undefined: return ["Now", <Home />];
    case "functions": return second ? [name, <FunctionPage name={name} tab={search.value.get("tab") ?? ""} />] : ["Now", <Home />];
    case "requests": return second ? ["Request", <Request id={second} key={second} />] : ["Requests", <Requests />];
    case "usage": return ["Usage", <Usage />];
    case "system": return ["System", <System />];
    default: return ["Not found", <><Heading>There is no such page</Heading><p><Link to="/">To the first page</Link></p></>];
  }
}

function Connection() {
  const c = connection.value, seconds = useSignal(0);
  useEffect(() => {
    if (c.state !== "waiting") return undefined;
    const tick = () => { seconds.value = Math.max(0, Math.ceil((c.untilMs - Date.now()) / 1000)); };
    tick();
    const timer = setInterval(tick, 250);
    return () => clearInterval(timer);
  }, [c]);
  const words = { live: "Live", connecting: "Connecting", waiting: `Connection lost, again in ${seconds.value} s`, paused: "Paused" }[c.state];
  const act = c.state === "waiting" ? reconnect : () => pause(!paused.value);
  return <button type="button" class={`connection c-${c.state}`} onClick={act} title={c.state === "waiting" ? "Try now" : paused.value ? "Go on (p)" : "Pause (p)"}><i aria-hidden="true" /><span role="status">{words}</span></button>;
}

// Goes to a page, a function, or a request by its id.
function Finder({ open, onClose }) {
  const text = useSignal(""), at = useSignal(0), input = useRef();
  useEffect(() => {
    if (open) [text.value, at.value] = ["", 0];
  }, [open]);
  const wanted = text.value.trim().toLowerCase();
  const all = [...functionNames.value.map((n) => [n, toFunction(n), "function"]), ...PAGES.map(([to, label]) => [label, to, "page"])];
  const found = ID.test(wanted) ? [[wanted, `/requests/${wanted}`, "request"]] : all.filter(([label]) => label.toLowerCase().includes(wanted)).slice(0, 9);
  const i = Math.min(at.value, found.length - 1);
  const take = (to) => {
    onClose();
    go(to);
  };
  const key = (e) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (step && found.length) at.value = (i + step + found.length) % found.length;
    else if (e.key === "Enter" && found[i]) take(found[i][1]);
    else return;
    e.preventDefault();
  };
  return (
    <Dialog open={open} title="Go to" onClose={onClose}>
      <input ref={input} class="finder" type="text" role="combobox" aria-expanded="true" aria-controls="found" aria-activedescendant={found[i] ? `found-${i}` : undefined} aria-label="Function, page or request id" placeholder="Function, page or request id" autocomplete="off" spellcheck={false} value={text.value} onInput={(e) => { text.value = e.target.value; at.value = 0; }} onKeyDown={key} autofocus />
      <ul id="found" role="listbox" aria-label="Found">
        {found.map(([label, to, kind], n) => <li key={to} id={`found-${n}`} role="option" aria-selected={n === i} onClick={() => take(to)} onMouseMove={() => { at.value = n; }}>{label}<span class="quiet">{kind}</span></li>)}
      </ul>
      {!found.length && <p class="quiet">Nothing by that name.</p>}
    </Dialog>
  );
}

const KEYS = [["/", "Go to a function, page or request"], ["g h", "Now"], ["g r", "Requests"], ["g u", "Usage"], ["g s", "System"], ["t", "Light or dark"], ["p", "Pause or go on"], ["?", "This help"], ["Esc", "Close"], ["← →", "In the picture: from worker to worker; Enter opens the request"]];

function useKeys(actions) {
  useEffect(() => {
    let prefix = 0;
    const key = (e) => {
      if (e.ctrlKey || e.metaKey || e.altKey || e.target.closest?.("input, textarea, select, dialog")) return;
      const after = Date.now() - prefix < GO_MS ? PAGES.find(([, , k]) => k === e.key) : null;
      prefix = e.key === "g" ? Date.now() : 0;
      if (after) go(after[0]);
      else if (actions[e.key]) actions[e.key]();
      else return;
      e.preventDefault();
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, []);
}

function Ended() {
  return (
    <main class="alone" id="main">
      <Mark />
      <Empty title="This session has ended">
        <p>Sessions last 30 days, and end when the server says so. On the machine that runs mayfly:</p>
        <Command text="mayfly dashboard" what="prints an address with a login that works once" />
        <p><button type="button" onClick={() => location.reload()}>Try again</button></p>
      </Empty>
    </main>
  );
}

const Mark = () => <img class="mark" src="/assets/icon.svg" alt="" width="26" height="26" />;

function App() {
  const help = useSignal(false), find = useSignal(false), [title, body] = page(parts.value);
  useStream({}, {}, ["live"]);
  useKeys({ "/": () => { find.value = true; }, "?": () => { help.value = true; }, t: switchTheme, p: () => pause(!paused.value) });
  useEffect(() => {
    document.title = `${title} – mayfly`;
  }, [title]);
  if (ended.value) return <Ended />;
  const first = parts.value[0] ?? "";
  return (
    <>
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.getElementById("main").focus(); }}>To the content</a>
      <header class="top">
        <Link to="/" class="brand"><Mark />mayfly</Link>
        <nav aria-label="Pages">{PAGES.map(([to, label]) => <Link key={to} to={to} aria-current={to.slice(1) === first ? "page" : undefined}>{label}</Link>)}</nav>
        <div class="tools">
          <button type="button" class="find" onClick={() => { find.value = true; }}><span>Go to</span> <kbd>/</kbd></button>
          <Connection />
          <button type="button" class="icon" onClick={switchTheme} aria-label={dark.value ? "Light colours" : "Dark colours"} title="Light or dark (t)"><svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true"><circle cx="10" cy="10" r="7" fill="none" stroke="currentColor" stroke-width="1.5" /><path d="M10 3a7 7 0 0 1 0 14z" fill="currentColor" /></svg></button>
          <button type="button" class="icon" onClick={() => { help.value = true; }} aria-label="Keys" title="Keys (?)">?</button>
        </div>
      </header>
      <main id="main" tabIndex={-1}>{body}</main>
      <footer><span>A mayfly lives for one day. A mayfly worker lives for one request.</span></footer>
      <Finder open={find.value} onClose={() => { find.value = false; }} />
      <Dialog open={help.value} title="Keys" onClose={() => { help.value = false; }}>
        <h2>Keys</h2>
        <dl class="keys">{KEYS.map(([key, what]) => <div key={key}><dt>{key.split(" ").map((k) => <kbd key={k}>{k}</kbd>)}</dt><dd>{what}</dd></div>)}</dl>
        <p class="row end"><button type="button" onClick={() => { help.value = false; }}>Close</button></p>
      </Dialog>
    </>
  );
}

applyTheme();
render(<App />, document.getElementById("app"));
