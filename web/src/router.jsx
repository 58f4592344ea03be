// Pages have addresses of their own, so that they can be kept, sent, and gone back to.
import { signal, computed } from "@preact/signals";

const here = () => ({ path: location.pathname, search: location.search });
export const place = signal(here());

export const parts = computed(() => place.value.path.split("/").filter(Boolean).map((part) => {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}));
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

export const toFunction = (name, tab) => `/functions/${encodeURIComponent(name)}${tab ? `/${tab}` : ""}`;
export const toRequest = (id) => `/requests/${encodeURIComponent(id)}`;

export function Link({ to, children, ...more }) {
  const click = (event) => {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(to);
  };
  return <a href={to} onClick={click} {...more}>{children}</a>;
}
