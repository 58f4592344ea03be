// The living picture on the page: canvas, pointer, keyboard, words for who cannot see it.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { Swarm, WINDOW_MS } from "./swarm.js";
import { colour, dark, functionNames, hue, live, reducedMotion, serverNowUs } from "./state.js";
import { get, query } from "./api.js";
import { on, useStream } from "./stream.js";
import { go, toFunction, toRequest } from "./router.jsx";
import { duration, number, plural } from "./format.js";

const STILL_MS = 1000; // how often it is drawn for who wants no motion

function describe(swarm, it) {
  if (it.process) return [`${it.name}`, `standby, pid ${it.process.pid}`, `waits for a request since ${duration(it.process.age_ms * 1000)}`];
  const m = it.mark, view = swarm.viewMs, alive = m.end === null || m.end > view;
  const age = duration(((alive ? view : m.end) - m.start) * 1000);
  return [m.name, `pid ${m.pid}`, alive ? `runs for ${age}` : `${m.outcome ?? "ended"} after ${age}`, `request ${m.id}`];
}

export function LivingPicture({ only = null, height: fixed }) {
  // By how many functions there are, so that few do not float in it and many are not squeezed.
  const height = fixed ?? Math.min(460, Math.max(180, 30 + 56 * functionNames.value.length));
  const box = useRef(), canvas = useRef(), swarm = useRef(null), picked = useRef(null), pointer = useRef(null);
  const told = useSignal(null), spoken = useSignal("");
  swarm.current ??= new Swarm(() => serverNowUs() / 1000, only);

  useStream({
    workers: (event) => swarm.current.onWorkers(event),
    record: (event) => swarm.current.onRecords(event),
  }, only ? { function: only } : {});

  // The seconds before it was looked at come from the store.
  useEffect(() => {
    const gone = new AbortController(), look = () => get(`records${query({ function: only, since: Math.floor(serverNowUs() - WINDOW_MS * 1000), limit: 1000 })}`, gone.signal).then(({ records }) => swarm.current.onRecords({ records: records.reverse() }), () => {});
    const off = on("open", look);
    look();
    return () => {
      off();
      gone.abort();
    };
  }, []);

  useEffect(() => {
    const ctx = canvas.current.getContext("2d");
    let frame, timer, width = 0, paint;
    const of = new Map();
    const setUp = () => {
      if (!box.current) return;
      const ratio = Math.min(2, devicePixelRatio || 1);
      width = box.current.clientWidth;
      canvas.current.width = width * ratio;
      canvas.current.height = height * ratio;
      ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
      ctx.font = "12px Inter, ui-sans-serif, system-ui, sans-serif";
      of.clear();
      paint = {
        ink: colour("--ink"), soft: colour("--soft"), line: colour("--line-strong"), bad: colour("--bad"),
        of: (name) => of.get(name) ?? of.set(name, colour(`--f${hue(name)}`)).get(name),
      };
    };
    const draw = () => {
      const still = reducedMotion.matches;
      swarm.current.draw(ctx, width, height, paint, { still, pick: picked.current?.mark?.id });
      if (pointer.current) choose(swarm.current.at(...pointer.current)); // what drifts under it
      else if (picked.current) point(picked.current);
      if (still) timer = setTimeout(draw, STILL_MS);
      else frame = requestAnimationFrame(draw);
    };
    const observer = new ResizeObserver(setUp);
    observer.observe(box.current);
    setUp();
    draw();
    return () => {
      observer.disconnect();
      cancelAnimationFrame(frame);
      clearTimeout(timer);
    };
  }, [dark.value, height]);

  // Says what `it` is, beside it.
  const point = (it) => {
    const now = swarm.current.strokes.find((s) => (it.mark ? s.mark === it.mark : s.process?.pid === it.process.pid));
    if (!now) { // not drawn yet, or gone
      if (!swarm.current.marks.has(it.mark?.id)) picked.current = told.value = null;
      return;
    }
    const width = box.current.clientWidth, x = Math.min(Math.max(now.x1, 130), width - 130);
    told.value = { x, y: now.y, below: now.y < 110, lines: describe(swarm.current, now) };
  };
  const choose = (it) => {
    picked.current = it;
    if (it) point(it);
    else told.value = null;
  };
  const leave = () => {
    swarm.current.pointed = false;
    pointer.current = null;
    choose(null);
  };
  const hover = (event) => {
    const r = canvas.current.getBoundingClientRect();
    pointer.current = [event.clientX - r.left, event.clientY - r.top];
    swarm.current.pointed = true;
  };
  const open = () => {
    const it = picked.current;
    if (it) go(it.mark ? toRequest(it.mark.id) : toFunction(it.name));
  };
  const key = (event) => {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    if (event.key === "Enter" && picked.current) open();
    else if (event.key === "Escape") choose(null);
    else if (steps[event.key]) {
      const all = swarm.current.living(), i = all.findIndex((m) => m === picked.current?.mark);
      if (!all.length) {
        spoken.value = "No worker runs";
        return event.preventDefault();
      }
      choose({ mark: all[(i + steps[event.key] + all.length) % all.length] });
      spoken.value = picked.current ? describe(swarm.current, picked.current).join(", ") : "";
    } else return undefined;
    return event.preventDefault();
  };

  const running = only ? live.value?.functions?.find((f) => f.name === only)?.busy : live.value?.workers;
  return (
    <figure class="swarm">
      <figcaption>
        <h2>Every mark is a process</h2>
        <p class="quiet">{plural(running ?? 0, "worker")} now · the last {WINDOW_MS / 1000} s · <span class="key-standby" /> standby · <span class="key-failed">×</span> failed</p>
      </figcaption>
      <div ref={box} class="swarm-box" tabIndex={0} role="group" aria-label={`Workers, each a mark: ${number(running ?? 0)} now. Arrow keys go from one to the next, Enter opens its request.`} onKeyDown={key} onBlur={() => choose(null)}>
        <canvas ref={canvas} style={{ height: `${height}px` }} aria-hidden="true" onMouseMove={hover} onMouseLeave={leave} onClick={open} />
        {told.value && (
          <div class={`tip ${told.value.below ? "below" : ""}`} style={{ left: `${told.value.x}px`, top: `${told.value.y}px` }}>
            {told.value.lines.map((line, i) => <span key={i} class={i ? "" : "tip-name"}>{line}</span>)}
          </div>
        )}
        {live.value && !running && !live.value.rate && <p class="hollow over">Nothing runs: no request, no process.</p>}
      </div>
      <p class="unseen" aria-live="polite">{spoken.value}</p>
    </figure>
  );
}
