// Lines over time (uPlot), small lines in tables, and the heat map.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import uPlot from "uplot";
import { colour, dark } from "./state.js";
import { bytes, count, dayTime, duration, fullTime, minuteTime } from "./format.js";

const FONT = "11px Inter, ui-sans-serif, system-ui, sans-serif";

function useWidth(ref) {
  const width = useSignal(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      width.value = Math.floor(entry.contentRect.width);
    });
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return width;
}

function timeLabels(u, splits) {
  const [from, to] = [u.scales.x.min, u.scales.x.max];
  return splits.map((s) => (to - from > 3 * 86400 ? dayTime(s * 1e6) : minuteTime(s * 1e6)));
}

// `share` of a colour over the page's background, opaque, so that bands do not shine through each other.
function tint(rgb, share) {
  const [a, b] = [rgb, colour("--back")].map((c) => c.match(/[\d.]+/g).map(Number));
  return `rgb(${[0, 1, 2].map((i) => Math.round(a[i] * share + b[i] * (1 - share)))})`;
}

const WHOLE = Array.from({ length: 24 }, (_, i) => [1, 2, 5][i % 3] * 10 ** Math.floor(i / 3));
const BINARY = Array.from({ length: 44 }, (_, i) => 2 ** i); // steps of an axis of bytes
const short = (text) => text.replace(/\.0+(?=\D|$)|(\.\d*[1-9])0+(?=\D|$)/, "$1");

// Sums from the bottom up: a band reaches from the one below it to its own line.
function stack(data) {
  const total = data[0].map(() => 0);
  return [data[0], ...data.slice(1).map((ys) => ys.map((y, i) => (total[i] += y ?? 0)))].map((ys) => [...ys]);
}

// series: [{label, colour: "--name", width?, fill?, dash?}]; data: [seconds, ...values]. With `stacked` the first
// series lies at the bottom. format(value) is for axis and legend.
export function Chart({ title, series, data, format, height = 168, stacked = false, range, sync = "time", note, limit, whole }) {
  const box = useRef(), plot = useRef(), at = useSignal(null);
  const width = useWidth(box), shape = JSON.stringify([series, stacked, height]);
  const shown = stacked ? [data[0], ...stack(data).slice(1).reverse()] : data;

  useEffect(() => {
    if (!width.value) return undefined;
    const order = stacked ? [...series].reverse() : series, ink = colour("--soft"), line = colour("--line");
    const axis = { stroke: ink, font: FONT, ticks: { show: false }, grid: { stroke: line, width: 1 }, border: { show: false } };
    plot.current = new uPlot({
      width: width.value, height, padding: [8, 8, 0, 0], legend: { show: false, live: false },
      cursor: { sync: { key: sync }, points: { size: 6 }, drag: { x: false, y: false }, y: false },
      scales: { x: { range: () => (range ? range() : [data[0][0] ?? 0, data[0].at(-1) ?? 1]) }, y: { range: (_, __, max) => [0, Math.max(max || 0, limit ?? 0, 1e-9) * 1.08 || 1] } },
      axes: [{ ...axis, grid: { show: false }, values: timeLabels, space: 90, size: 26 }, { ...axis, size: 58, gap: 6, space: 38, incrs: whole ? WHOLE : format === bytes ? BINARY : undefined, values: (_, splits) => splits.map((v) => (v === null ? "" : v ? short(format(v)) : "0")) }],
      series: [{}, ...order.map((s) => {
        const c = colour(s.colour);
        return { stroke: c, width: s.width ?? (stacked ? 1 : 1.5), fill: stacked ? tint(c, 0.34) : s.fill ? tint(c, 0.12) : undefined, dash: s.dash, points: { show: (u, i) => u.data[i].filter((v) => v !== null && v !== undefined).length < 3, size: 5, fill: c }, spanGaps: true };
      })],
      hooks: {
        setCursor: [(u) => { at.value = u.cursor.idx ?? null; }],
        draw: [(u) => {
          if (!limit) return;
          const y = Math.round(u.valToPos(limit, "y", true)), ctx = u.ctx;
          ctx.save();
          ctx.strokeStyle = colour("--bad");
          ctx.setLineDash([4, 4]);
          ctx.beginPath();
          ctx.moveTo(u.bbox.left, y);
          ctx.lineTo(u.bbox.left + u.bbox.width, y);
          ctx.stroke();
          ctx.restore();
        }],
      },
    }, shown, box.current);
    return () => plot.current.destroy();
  }, [width.value, shape, dark.value, limit]);
  useEffect(() => plot.current?.setData(shown), [data]);

  const i = at.value ?? data[0].length - 1;
  return (
    <figure class="chart">
      <figcaption>
        <h3>{title}</h3>
        <ul class="legend">
          {series.map((s, n) => (
            <li key={s.label}><i class="swatch" style={{ background: `var(${s.colour})` }} />{s.label} <b>{format(data[n + 1]?.[i])}</b></li>
          ))}
          {at.value !== null && data[0][i] ? <li class="when">{fullTime(data[0][i] * 1e6)}</li> : note ? <li class="when">{note}</li> : null}
        </ul>
      </figcaption>
      <div ref={box} class="plot" style={{ minHeight: `${height}px` }} aria-hidden="true" />
    </figure>
  );
}

export function Spark({ values, colour: name = "--accent", width = 112, height = 24, label }) {
  const top = Math.max(1e-9, ...values), n = Math.max(2, values.length);
  const points = values.map((v, i) => `${((i / (n - 1)) * width).toFixed(1)},${(height - 2 - (v / top) * (height - 4)).toFixed(1)}`);
  return (
    <svg class="spark" width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label}>
      {points.length > 1 && <path d={`M${points.join("L")}L${width},${height}L0,${height}Z`} fill={`var(${name})`} opacity=".14" />}
      {points.length > 1 && <polyline points={points.join(" ")} fill="none" stroke={`var(${name})`} stroke-width="1.5" stroke-linejoin="round" />}
    </svg>
  );
}

// ---- the heat map: time to the right, duration upwards (each row a factor), colour for how many ----

const ROWS = 26, LEFT = 58, BOTTOM = 22;

function heatRows(points) {
  let low = Infinity, high = 0;
  for (const p of points) for (const [a, b] of p.buckets ?? []) [low, high] = [Math.min(low, Math.max(a, 1)), Math.max(high, b)];
  if (!high) return null;
  low = Math.max(1, low / 1.3);
  high = Math.max(high * 1.3, low * 10);
  const factor = Math.log(high / low) / ROWS, row = (us) => Math.min(ROWS - 1, Math.max(0, Math.floor(Math.log(Math.max(us, 1) / low) / factor)));
  let most = 0;
  const columns = points.map((p) => {
    const cells = new Float64Array(ROWS);
    for (const [a, b, n] of p.buckets ?? []) {
      // A bucket that is wider than a row is spread over those it covers.
      const [from, to] = [row(a), row(Math.max(a, b - 1))];
      for (let r = from; r <= to; r++) cells[r] += n / (to - from + 1);
    }
    most = Math.max(most, ...cells);
    return { start_us: p.start_us, cells };
  });
  return { low, factor, most, columns, y: (us) => Math.log(Math.max(us, 1) / low) / factor };
}

function drawHeat(canvas, width, height, rows, points, stepUs, [since, until]) {
  const ratio = devicePixelRatio || 1, ctx = canvas.getContext("2d"), w = width - LEFT, h = height - BOTTOM;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  ctx.scale(ratio, ratio);
  const x = (us) => LEFT + ((us - since) / (until - since)) * w, ink = colour("--soft"), hot = colour("--heat");
  ctx.font = FONT;
  ctx.textBaseline = "middle";
  const cellH = h / ROWS, cellW = (stepUs / (until - since)) * w;
  ctx.fillStyle = hot;
  for (const column of rows.columns) {
    for (let r = 0; r < ROWS; r++) {
      if (!column.cells[r]) continue;
      ctx.globalAlpha = 0.1 + 0.9 * Math.sqrt(column.cells[r] / rows.most);
      const from = Math.max(LEFT, x(column.start_us));
      ctx.fillRect(from, h - (r + 1) * cellH, Math.max(1, x(column.start_us) + cellW - from - (cellW > 4 ? 1 : 0)), cellH - 0.6);
    }
  }
  ctx.globalAlpha = 1;
  ctx.fillStyle = ink;
  ctx.textAlign = "right";
  const high = rows.low * Math.exp(rows.factor * ROWS);
  for (let us = 10 ** Math.ceil(Math.log10(rows.low)); us < high; us *= 10) {
    const y = h - rows.y(us) * cellH;
    ctx.fillText(short(duration(us)), LEFT - 8, Math.max(7, y));
    ctx.globalAlpha = 0.25;
    ctx.fillRect(LEFT, y, w, 0.5);
    ctx.globalAlpha = 1;
  }
  ctx.textAlign = "center";
  for (let i = 1; i < 6; i++) {
    const t = since + ((until - since) * i) / 6;
    ctx.fillText(until - since > 3 * 86400e6 ? dayTime(t) : minuteTime(t), x(t), height - 8);
  }
  for (const [key, name] of [["p50_us", "--ink"], ["p99_us", "--warm"]]) {
    ctx.strokeStyle = colour(name);
    ctx.lineWidth = 1.5;
    ctx.beginPath();
    for (const p of points) if (p.count && p[key]) ctx.lineTo(x(p.start_us + stepUs / 2), h - Math.min(ROWS, rows.y(p[key])) * cellH);
    ctx.stroke();
  }
}

export function HeatMap({ points, stepUs, window, height = 220 }) {
  const box = useRef(), canvas = useRef(), width = useWidth(box), told = useSignal(null);
  const rows = heatRows(points);
  useEffect(() => {
    if (width.value && rows) drawHeat(canvas.current, width.value, height, rows, points, stepUs, window);
  }, [width.value, points, dark.value]);
  const hover = (event) => {
    const r = canvas.current.getBoundingClientRect(), w = r.width - LEFT, h = height - BOTTOM;
    const t = window[0] + ((event.clientX - r.left - LEFT) / w) * (window[1] - window[0]);
    const k = Math.floor((1 - (event.clientY - r.top) / h) * ROWS);
    const column = rows?.columns.find((c) => c.start_us <= t && t < c.start_us + stepUs);
    told.value = column && k >= 0 && k < ROWS
      ? `${fullTime(column.start_us)}: ${count(Math.round(column.cells[k]))} took ${duration(rows.low * Math.exp(rows.factor * k))} to ${duration(rows.low * Math.exp(rows.factor * (k + 1)))}` : null;
  };
  return (
    <figure class="chart">
      <figcaption>
        <h3>Latency</h3>
        <ul class="legend">
          <li><i class="swatch" style={{ background: "var(--heat)" }} />requests</li>
          <li><i class="swatch stroke" style={{ background: "var(--ink)" }} />p50</li>
          <li><i class="swatch stroke" style={{ background: "var(--warm)" }} />p99</li>
          <li class="when">{told.value ?? "stronger: more requests"}</li>
        </ul>
      </figcaption>
      <div ref={box} class="plot" style={{ minHeight: `${height}px` }}>
        {rows ? <canvas ref={canvas} style={{ width: "100%", height: `${height}px` }} role="img" aria-label="Latency over time; the table below has the numbers" onMouseMove={hover} onMouseLeave={() => { told.value = null; }} />
          : <p class="hollow">No request in this time</p>}
      </div>
    </figure>
  );
}
