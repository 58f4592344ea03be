// Pages have addresses of their own, so that they can be kept, sent, and gone back to.
import { signal, computed } from "@preact/signals";

const here = () => ({ path: location.pathname, search: location.search });
export const place = signal(here());

export const parts = computed(() => place.value.path.split("/").filter(Boolean));
export const search = computed(() => new URLSearchParams(place.value.search));

addEventListener("popstate", () => {
  place.value = here();
});

export function go(to, { replace = false, keepScroll = false } = {}) {
  if (to === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", to);
  const moved = location.pathname !== place.value.path;
  place.value = here();
  if (moved && !keepScroll) {
    scrollTo(0, 0);
    // Whoever reads by ear or keyboard is told where they are.
    requestAnimationFrame(() => document.querySelector("h1")?.focus({ preventScroll: true }));
  }
}

// Names in paths: "/" stays, what is neither letter nor digit becomes ~ and its code. Not percent: the server hands out
// the page without a session, so that it can say that there is none, but only for paths that have one reading.
const coded = (name) => name.replace(/[^\w./-]/gu, (c) => [...new TextEncoder().encode(c)].map((b) => `~${b.toString(16).padStart(2, "0")}`).join(""));
export function decoded(text) {
  try {
    return decodeURIComponent(text.replaceAll("~", "%"));
  } catch {
    return text;
  }
}

export const toFunction = (name, tab) => `/functions/${coded(name)}${tab ? `?tab=${tab}` : ""}`;
export const toRequest = (id) => `/requests/${coded(id)}`;

export function Link({ to, children, ...more }) {
  const click = (event) => {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(to);
  };
  return <a href={to} onClick={click} {...more}>{children}</a>;
}
