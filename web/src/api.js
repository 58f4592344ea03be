// The API: JSON in and out. A session that has ended shows its page, whoever asked.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { ended } from "./state.js";

export const BASE = "/api/v1/";

export class ApiError extends Error {
  constructor(status, body) {
    super(body?.errorMessage || `the server answered ${status}`);
    this.status = status;
    this.type = body?.errorType;
  }
}

// A session that has just begun may be refused for a moment, until all parts of the server have heard of it.
let asking = false;
export async function refused() {
  if (asking) return;
  asking = true;
  for (const pause of [150, 600]) {
    await new Promise((done) => { setTimeout(done, pause); });
    const again = await fetch(`${BASE}version`, { cache: "no-store" }).catch(() => null);
    asking = again?.status === 401;
    if (!asking) return;
  }
  [asking, ended.value] = [false, true];
}

export async function request(method, path, body, signal) {
  let answer;
  try {
    answer = await fetch(BASE + path, {
      method, signal, cache: "no-store",
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { errorMessage: "mayfly cannot be reached" });
  }
  const text = await answer.text();
  let json = null;
  try {
    json = text ? JSON.parse(text) : null;
  } catch {
    json = { errorMessage: text.slice(0, 300) };
  }
  if (answer.status === 401) refused();
  if (!answer.ok) throw new ApiError(answer.status, json);
  return json;
}

export const get = (path, signal) => request("GET", path, undefined, signal);
export const name = encodeURIComponent;

export function query(values) {
  const q = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) if (value !== undefined && value !== null && value !== "" && value !== false) q.set(key, value === true ? "1" : value);
  const text = q.toString();
  return text && `?${text}`;
}

// A series leaves out the times of which there is nothing.
export function filled(points, sinceUs, untilUs, step) {
  const known = new Map((points ?? []).map((p) => [p.start_us, p])), all = [], stepUs = step * 1e6;
  for (let t = Math.floor(sinceUs / stepUs) * stepUs; points && t < untilUs; t += stepUs) {
    all.push(known.get(t) ?? { start_us: t, count: 0, errors: 0, cold: 0, user_us: 0, system_us: 0, p50_us: null, p90_us: null, p99_us: null });
  }
  return all;
}

// What a path answers, asked again every so often while the page is seen: {data, error, reload()}.
export function useGet(path, everyMs = 0) {
  const state = useSignal({ path: null, data: null, error: null });
  const again = useRef(() => {});
  useEffect(() => {
    if (!path) return undefined;
    const gone = new AbortController();
    let timer;
    const ask = async () => {
      clearTimeout(timer);
      if (!document.hidden) {
        try {
          state.value = { path, data: await get(path, gone.signal), error: null };
        } catch (error) {
          if (gone.signal.aborted) return;
          state.value = { path, data: state.value.path === path ? state.value.data : null, error };
        }
      }
      if (everyMs && !gone.signal.aborted) timer = setTimeout(ask, everyMs);
    };
    again.current = ask;
    ask();
    return () => {
      gone.abort();
      clearTimeout(timer);
    };
  }, [path, everyMs]);
  const fresh = state.value.path === path;
  return { data: fresh ? state.value.data : null, error: fresh ? state.value.error : null, reload: () => again.current() };
}
