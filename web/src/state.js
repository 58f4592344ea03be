// What all pages share.
import { signal, computed } from "@preact/signals";
import { on } from "./stream.js";

export const HISTORY = 300; // seconds of live events that are kept

export const live = signal(null); // the last live event
export const history = signal([]); // of them, oldest first
export const ended = signal(false); // the session is over
export const theme = signal(stored("theme", "auto"));
export const dark = signal(false); // what is shown now

export function stored(key, fallback) {
  try {
    const text = localStorage.getItem(`mayfly.${key}`);
    return text === null ? fallback : JSON.parse(text);
  } catch {
    return fallback;
  }
}

export function store(key, value) {
  try {
    localStorage.setItem(`mayfly.${key}`, JSON.stringify(value));
  } catch {
    // Without storage it holds until the page is left.
  }
}

// ---- time: that of the server, since a browser's clock may be off ----

let offset = null; // our clock less the server's, milliseconds

export const serverNowUs = () => (Date.now() - (offset ?? 0)) * 1000;

export function heard(timeUs) {
  const ahead = Date.now() - timeUs / 1000;
  // The fastest message says it best; a clock that was set is followed within seconds.
  offset = offset === null || ahead < offset || ahead > offset + 5000 ? ahead : offset + Math.min(1, (ahead - offset) * 0.01);
}

on("live", (event) => {
  heard(event.time_us);
  for (const e of [event, ...event.functions]) if (!e.rate) e.p50_us = e.p90_us = e.p99_us = null; // nothing was measured
  live.value = event;
  history.value = [...history.value.filter((e) => e.time_us > event.time_us - HISTORY * 1e6), event];
});

// ---- colours of functions: by name, so that they stay ----

const HUES = 10;
export const functionNames = computed(() => (live.value?.functions ?? []).map((f) => f.name).sort());

const given = new Map();
export function hue(name) {
  if (!given.has(name)) {
    let wanted = 0;
    for (const c of name) wanted = (wanted * 31 + c.charCodeAt(0)) % 9973;
    const taken = new Set(given.values());
    wanted %= HUES;
    for (let i = 0; i < HUES && taken.has(wanted) && given.size < HUES; i++) wanted = (wanted + 1) % HUES;
    given.set(name, wanted);
  }
  return given.get(name);
}

// ---- light and dark ----

const prefers = matchMedia("(prefers-color-scheme: dark)");
export const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

export function applyTheme() {
  const root = document.documentElement;
  if (theme.value === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme.value;
  dark.value = theme.value === "auto" ? prefers.matches : theme.value === "dark";
  store("theme", theme.value);
}
prefers.addEventListener("change", applyTheme);

export function switchTheme() {
  theme.value = dark.value ? "light" : "dark";
  applyTheme();
}

let probe;
// A custom property as a colour that a canvas understands.
export function colour(name) {
  probe ??= document.body.appendChild(Object.assign(document.createElement("i"), { hidden: true }));
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}
