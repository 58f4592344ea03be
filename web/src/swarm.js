// The living picture's model and brush. Time flows to the left. Each process is a stroke: it begins where its
// request arrived, grows while it lives, and when it ends it lets go of the line of "now" and drifts away. Strokes
// of a function share a band and its colour. What waits (standbys) stands quietly at the right.
//
// Two sources tell of the same process: snapshots (5 a second: who is there) and records (each that ended, also
// those too short for any snapshot). The picture runs a little behind the clock, so that both have arrived.

export const WINDOW_MS = 20000;
const DELAY_MS = 900;
const MARKS_MAX = 16000;
const DENSE = 1500; // marks from which on what has ended is drawn in the cheap way
const ROWS_MAX = 240;
const QUIET_MS = 60000; // a function that did nothing for so long has no band
const BIRTH_MS = 450, DEATH_MS = 700;
const GUTTER = 74, TOP = 6, LABEL = 19;

export class Swarm {
  constructor(nowMs, only) {
    this.nowMs = nowMs; // the server's clock
    this.only = only; // one function's name, or null for all
    this.marks = new Map(); // by request id
    this.bands = new Map(); // by function: {rows: [time each is free from], seen, standbys, height}
    this.strokes = []; // what was drawn last, for the pointer, if there is one
    this.pointed = false;
    this.omitted = 0;
  }

  band(name, at) {
    if (!this.bands.has(name)) this.bands.set(name, { name, rows: [], seen: 0, standbys: [], zygotes: [], height: 0, busy: 0, used: 1 });
    const band = this.bands.get(name);
    band.seen = Math.max(band.seen, at);
    return band;
  }

  begin(id, name, pid, start) {
    let mark = this.marks.get(id);
    if (mark) {
      if (pid) mark.pid = pid;
      return mark;
    }
    const band = this.band(name, start);
    let row = band.rows.findIndex((free) => free <= start);
    if (row < 0) {
      row = band.rows.length < ROWS_MAX ? band.rows.length : Math.floor(Math.random() * ROWS_MAX);
    }
    band.rows[row] = Infinity;
    mark = { id, name, pid, start, end: null, row, outcome: null };
    this.marks.set(id, mark);
    return mark;
  }

  finish(mark, end, outcome) {
    if (mark.end !== null && outcome === null) return;
    mark.end = Math.max(end, mark.start);
    mark.outcome = outcome ?? mark.outcome;
    const band = this.bands.get(mark.name);
    band.seen = Math.max(band.seen, mark.end);
    band.rows[mark.row] = mark.end + 120; // a gap, so that one cannot be taken for two
  }

  onWorkers(event) {
    const at = event.time_us / 1000, there = new Set();
    this.omitted = event.omitted ?? 0;
    for (const band of this.bands.values()) [band.standbys, band.zygotes] = [[], []];
    for (const p of event.processes) {
      if (this.only && p.function !== this.only) continue;
      if (p.kind === "worker" && p.request_id) {
        there.add(p.request_id);
        this.begin(p.request_id, p.function, p.pid, at - p.age_ms);
      } else if (p.kind !== "worker") {
        this.band(p.function, at)[p.kind === "zygote" ? "zygotes" : "standbys"].push(p);
      }
    }
    // Who is not there any more has ended; its record will say when exactly.
    if (!this.omitted) for (const m of this.marks.values()) if (m.end === null && m.start < at - 50 && !there.has(m.id)) this.finish(m, at, null);
  }

  onRecords(event) {
    for (const r of event.records) {
      if (this.only && r.function !== this.only) continue;
      if (!r.pid) continue; // no process: throttled, say
      const start = r.start_us / 1000;
      this.finish(this.begin(r.request_id, r.function, r.pid, start), start + r.total_ns / 1e6, r.outcome);
    }
    while (this.marks.size > MARKS_MAX) this.marks.delete(this.marks.keys().next().value);
  }

  get viewMs() {
    return this.nowMs() - DELAY_MS;
  }

  forget(view) {
    for (const [id, m] of this.marks) if (m.end !== null && m.end < view - WINDOW_MS) this.marks.delete(id);
    for (const [name, b] of this.bands) if (b.seen < view - QUIET_MS) this.bands.delete(name);
  }

  // Heights follow how many rows are in use, softly.
  layout(height) {
    const bands = [...this.bands.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const b of bands) [b.used, b.busy] = [3, 0];
    for (const m of this.marks.values()) {
      const b = this.bands.get(m.name);
      if (!b) continue;
      b.used = Math.max(b.used, m.row + 1);
      if (m.end === null) b.busy++;
    }
    const weights = bands.map((b) => Math.sqrt(b.used) + 1.2), sum = weights.reduce((a, w) => a + w, 0) || 1;
    const room = height - TOP - bands.length * LABEL;
    let y = TOP;
    bands.forEach((b, i) => {
      const wanted = (room * weights[i]) / sum;
      b.height = b.height ? b.height + (wanted - b.height) * 0.12 : wanted;
      b.y = y + LABEL;
      y = b.y + b.height;
    });
    return bands;
  }

  // paint: {ink, soft, line, bad, of(name)}. pick: an id to show strongly.
  draw(ctx, width, height, paint, { still = false, pick = null } = {}) {
    const view = this.viewMs, right = width - GUTTER, x = (ms) => right - ((view - ms) / WINDOW_MS) * right;
    this.forget(view);
    const bands = this.layout(height);
    this.strokes = [];
    ctx.clearRect(0, 0, width, height);
    ctx.lineCap = "round";
    for (const band of bands) this.drawBand(ctx, band, width, right, paint);
    for (const m of this.marks.values()) {
      const band = this.bands.get(m.name);
      if (!band || m.start > view) continue;
      this.drawMark(ctx, m, band, { view, right, x, paint, still, picked: m.id === pick });
    }
    ctx.globalAlpha = 1;
    ctx.fillStyle = paint.line;
    ctx.fillRect(right, TOP, 1, height - TOP);
  }

  drawBand(ctx, band, width, right, paint) {
    ctx.globalAlpha = 1;
    ctx.fillStyle = paint.of(band.name);
    ctx.beginPath();
    ctx.arc(4, band.y - 8.5, 3.5, 0, 7);
    ctx.fill();
    ctx.fillStyle = paint.soft;
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    ctx.fillText(band.name, 13, band.y - 8);
    if (band.busy) {
      ctx.textAlign = "right";
      ctx.fillStyle = paint.ink;
      ctx.fillText(band.busy.toLocaleString("en"), right - 8, band.y - 8);
    }
    // Standbys: hollow, in a small field of their own.
    ctx.strokeStyle = paint.of(band.name);
    ctx.lineWidth = 1;
    ctx.globalAlpha = 0.65;
    const columns = Math.floor((GUTTER - 14) / 9), rows = Math.max(1, Math.floor(band.height / 9));
    band.standbys.slice(0, columns * rows).forEach((p, i) => {
      const [px, py] = [right + 14 + (i % columns) * 9, band.y + 4 + Math.floor(i / columns) * 9];
      ctx.beginPath();
      ctx.arc(px, py, 2.6, 0, 7);
      ctx.stroke();
      if (this.pointed) this.strokes.push({ process: p, name: band.name, x0: px - 4, x1: px + 4, y: py, thick: 9 });
    });
  }

  drawMark(ctx, m, band, { view, right, x, paint, still, picked }) {
    const pitch = Math.min(this.only ? 13 : 9, band.height / Math.max(band.used, 3)), thick = Math.max(1.4, Math.min(this.only ? 7 : 5, pitch * 0.62));
    const y = band.y + pitch * (m.row + 0.5), alive = m.end === null || m.end > view;
    const x1 = alive ? right : x(m.end), x0 = Math.max(x(m.start), -4), gone = alive ? 0 : view - m.end;
    if (x1 < -4) return;
    const bad = m.outcome !== null && m.outcome !== "ok" && !alive;
    ctx.strokeStyle = bad ? paint.bad : paint.of(m.name);
    ctx.lineWidth = picked ? thick + 2 : thick;
    ctx.globalAlpha = picked ? 1 : alive ? 0.95 : Math.max(0, 0.62 * (1 - gone / WINDOW_MS) ** 0.7) + (bad ? 0.25 * (1 - gone / WINDOW_MS) : 0);
    if (this.marks.size > DENSE && !alive && !picked) {
      ctx.fillStyle = ctx.strokeStyle;
      ctx.fillRect(x0, y - thick / 2, Math.max(thick, x1 - x0), thick);
    } else {
      ctx.beginPath();
      ctx.moveTo(Math.min(x0, x1 - 0.01), y);
      ctx.lineTo(x1, y);
      ctx.stroke();
    }
    if (bad) { // not by colour alone
      ctx.globalAlpha = Math.max(0.25, 1 - gone / WINDOW_MS);
      ctx.lineWidth = 1.4;
      ctx.beginPath();
      ctx.moveTo(x1 - 2.6, y - 2.6);
      ctx.lineTo(x1 + 2.6, y + 2.6);
      ctx.moveTo(x1 + 2.6, y - 2.6);
      ctx.lineTo(x1 - 2.6, y + 2.6);
      ctx.stroke();
    }
    if (alive) {
      ctx.globalAlpha = 1;
      ctx.fillStyle = ctx.strokeStyle;
      ctx.beginPath();
      ctx.arc(x1, y, thick * 0.5 + (band.used > 40 ? 0.4 : 1.1), 0, 7);
      ctx.fill();
    }
    if (!still) this.drawRing(ctx, m, view, alive, x, y);
    if (this.pointed || picked) this.strokes.push({ mark: m, name: m.name, x0, x1, y, thick });
  }

  // A ring where one is born, and one where it dies.
  drawRing(ctx, m, view, alive, x, y) {
    const born = view - m.start, died = alive ? Infinity : view - m.end;
    const [t, px] = died < DEATH_MS ? [died / DEATH_MS, x(m.end)] : born < BIRTH_MS ? [born / BIRTH_MS, x(m.start)] : [1, 0];
    if (t >= 1 || t < 0) return;
    ctx.globalAlpha = (1 - t) * 0.55;
    ctx.lineWidth = 1;
    ctx.beginPath();
    ctx.arc(px, y, 2.5 + t * 8, 0, 7);
    ctx.stroke();
  }

  // The nearest stroke to a point, within reach of a pointer.
  at(px, py) {
    let best = null, least = 12;
    for (const s of this.strokes) {
      const dx = px < s.x0 ? s.x0 - px : px > s.x1 ? px - s.x1 : 0, d = Math.hypot(dx, py - s.y);
      if (d < least) [best, least] = [s, d];
    }
    return best;
  }

  // What lives now, for the keyboard: by function, oldest first.
  living() {
    const view = this.viewMs;
    return [...this.marks.values()].filter((m) => m.start <= view && (m.end === null || m.end > view))
      .sort((a, b) => (a.name === b.name ? a.start - b.start : a.name < b.name ? -1 : 1));
  }
}
