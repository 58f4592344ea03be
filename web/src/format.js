// Numbers for people. Each is short, and has its unit beside it.

const grouped = (digits) => new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const formats = [0, 1, 2, 3, 4].map(grouped);
const none = "–";
const missing = (x) => x === null || x === undefined || Number.isNaN(x);

export function number(x, digits = 0) {
  return missing(x) ? none : formats[digits].format(x);
}

// Three digits that matter, as [number, unit].
function scaled(x, units, base) {
  let i = 0;
  while (i < units.length - 1 && Math.abs(x) >= base * 0.9995) {
    x /= base;
    i++;
  }
  return [number(x, i === 0 || x >= 100 ? 0 : x >= 10 ? 1 : 2), units[i]];
}

const both = (parts) => (parts[1] ? `${parts[0]} ${parts[1]}` : parts[0]);

export function durationParts(us) {
  if (missing(us)) return [none, ""];
  if (us >= 120e6) {
    const s = Math.round(us / 1e6), [d, h, m] = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60];
    return [d ? `${d} d ${h} h` : h ? `${h} h ${m} min` : `${m} min ${s % 60} s`, ""];
  }
  return us < 1 && us > 0 ? [number(us, 2), "µs"] : scaled(us, ["µs", "ms", "s"], 1000);
}
export const duration = (us) => both(durationParts(us));
export const bytesParts = (x) => (missing(x) ? [none, ""] : scaled(x, ["B", "KB", "MB", "GB", "TB"], 1024));
export const bytes = (x) => both(bytesParts(x));

export function rate(x) {
  return missing(x) ? none : number(x, x === 0 || x >= 100 ? 0 : x >= 1 ? 1 : 2);
}

export function countParts(x) {
  return missing(x) ? [none, ""] : x < 100000 ? [number(x), ""] : scaled(x / 1000, ["k", "M", "G"], 1000);
}
export const count = (x) => both(countParts(x));

// Of a share between 0 and 1.
export function percent(x) {
  if (missing(x)) return none;
  const p = x * 100;
  return number(p, p === 0 || p >= 99.95 ? 0 : p >= 10 ? 1 : 2);
}

export const seconds = (us) => number(us / 1e6, us < 100e6 ? 2 : 0);

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minute = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

export function time(us) {
  const date = new Date(us / 1000);
  return date.toDateString() === new Date().toDateString() ? clock.format(date) : `${day.format(date)}, ${clock.format(date)}`;
}
export const clockTime = (us) => `${clock.format(us / 1000)}.${String(Math.floor(us / 1000) % 1000).padStart(3, "0")}`;
export const fullTime = (us) => full.format(us / 1000);
export const minuteTime = (us) => minute.format(us / 1000);
export const dayTime = (us) => day.format(us / 1000);
export const ago = (us, nowUs) => (nowUs - us < 1e6 ? "just now" : `${duration(Math.max(0, Math.floor((nowUs - us) / 1e6) * 1e6)).replace(/\.\d+/, "")} ago`);

export const shortVersion = (v) => (v ? v.slice(0, 8) : "");
export const shortId = (id) => (id ? `…${id.slice(-12)}` : "");
export const plural = (n, word, words = `${word}s`) => `${count(n)} ${n === 1 ? word : words}`;
