// What must hold on the pages. Each case has a page of its own, signed in; the server has the functions of
// test/system/dashboard/test_dashboard.py.
import assert from "node:assert/strict";

const HANG_MS = 30000;
const PAGES = ["/", "/requests", "/usage", "/system", "/functions/api/hello", "/functions/api/hello?tab=requests", "/functions/api/hello?tab=logs", "/functions/api/hello?tab=try", "/functions/api/hello?tab=configuration"];

async function until(check, what) {
  const end = Date.now() + HANG_MS;
  for (;;) {
    const result = await check();
    if (result) return result;
    if (Date.now() > end) throw new Error(`not within ${HANG_MS} ms: ${what}`);
    await new Promise((done) => { setTimeout(done, 100); });
  }
}

const open = async (page, server, path) => {
  await page.goto(server.admin + path);
  await page.locator("h1").waitFor();
};
const api = (page, path) => page.evaluate(async (p) => (await fetch(`/api/v1/${p}`)).json(), path);
const call = async (server, path, options) => {
  const answer = await fetch(server.url + path, options);
  await answer.arrayBuffer();
  return answer.headers.get("mayfly-request-id");
};
// Requests, some a second, until it is told to stop.
function load(server) {
  let on = true;
  const done = (async () => {
    for (let i = 0; on; i++) {
      await Promise.all([call(server, "/api/hello"), call(server, i % 4 ? "/api/hello?name=x" : "/api/broken")]);
      await new Promise((next) => { setTimeout(next, 60); });
    }
  })();
  return async () => {
    on = false;
    await done;
  };
}
const storedRecord = (page, id) => until(async () => {
  const answer = await api(page, `records/${id}`);
  return answer.request_id === id && answer;
}, `a record of ${id}`);
const value = (scope, stat) => scope.locator(`[data-stat="${stat}"] data`).first().getAttribute("value");

export async function the_numbers_of_now_are_those_of_the_api({ page, server }) {
  const stop = load(server);
  await open(page, server, "/");
  await page.evaluate(async () => {
    window.seen = [];
    const reader = (await fetch("/api/v1/stream?events=live")).body.getReader(), text = new TextDecoder();
    let pending = "";
    (async () => {
      for (;;) {
        const { done, value: bytes } = await reader.read();
        if (done) return;
        pending += text.decode(bytes, { stream: true });
        const blocks = pending.split("\n\n");
        pending = blocks.pop();
        for (const block of blocks) {
          const data = block.split("\n").find((l) => l.startsWith("data: "));
          if (data) window.seen.push(JSON.parse(data.slice(6)));
        }
      }
    })();
  });
  const same = await until(() => page.evaluate(() => {
    const read = (stat) => Number(document.querySelector(`[data-stat="${stat}"] data`)?.value);
    const cells = [...document.querySelectorAll('[data-function="api/hello"] data')].map((d) => Number(d.value));
    const text = document.querySelector('[data-stat="rate"] data').firstChild.data;
    return window.seen.some((e) => {
      const f = e.functions.find((x) => x.name === "api/hello");
      return e.rate > 1 && e.error_rate > 0 && read("rate") === e.rate && read("errors") === e.error_rate && read("p50") === e.p50_us && read("p99") === e.p99_us && read("workers") === e.workers
        && read("memory") === e.machine.memory_used_bytes && Math.abs(Number(text) - e.rate) <= 0.51
        && cells[0] === f.rate && cells[1] === f.error_rate && cells[2] === f.p50_us && cells[3] === f.p99_us && cells[4] === f.busy && cells[5] === f.standbys;
    });
  }), "the page shows one of the events that the API has sent");
  await stop();
  assert.ok(same);
}

export async function the_picture_shows_each_worker({ page, server }) {
  await open(page, server, "/");
  const slow = Array.from({ length: 4 }, () => call(server, "/api/slow?seconds=8"));
  const box = page.locator(".swarm-box");
  const there = await until(async () => {
    const workers = (await api(page, "live")).processes.filter((p) => p.kind === "worker" && p.function === "api/slow");
    return workers.length === 4 && workers.every((p) => p.pid) && workers; // one that is being forked has none yet
  }, "four workers in the API");
  await box.focus();
  const told = new Set();
  await until(async () => {
    await page.keyboard.press("ArrowRight");
    const spoken = await page.locator('.swarm [aria-live="polite"]').textContent();
    const match = spoken.match(/api\/slow, pid (\d+), runs for .*request (\S+)/);
    if (match) told.add(`${match[1]} ${match[2]}`);
    return told.size === 4;
  }, "the keyboard reaches all four");
  assert.deepEqual([...told].sort(), there.map((p) => `${p.pid} ${p.request_id}`).sort());
  const inked = await box.locator("canvas").evaluate((c) => {
    const { data } = c.getContext("2d").getImageData(0, 0, c.width, c.height);
    let n = 0;
    for (let i = 3; i < data.length; i += 4) n += data[i] > 0;
    return n;
  });
  assert.ok(inked > 200, `${inked} pixels are painted`);
  await until(async () => {
    await page.keyboard.press("ArrowRight");
    return /pid \d+, runs/.test(await page.locator('.swarm [aria-live="polite"]').textContent());
  }, "one is picked");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/requests\//);
  await Promise.all(slow);
  await page.getByRole("heading", { name: "Where the time went" }).waitFor(); // by itself, when it has ended
}

export async function the_pointer_tells_whose_a_mark_is({ page, server }) {
  await open(page, server, "/");
  const stop = load(server), tip = page.locator(".tip"), canvas = page.locator(".swarm canvas");
  await canvas.waitFor();
  const area = await canvas.boundingBox();
  const told = await until(async () => {
    await page.mouse.move(area.x + area.width * (0.5 + 0.4 * Math.random()), area.y + 20 + Math.random() * (area.height - 24));
    await page.waitForTimeout(60);
    return (await tip.count()) && (await tip.textContent({ timeout: 500 }).catch(() => "")).match(/request (\S{36})/);
  }, "the pointer finds one");
  await stop();
  assert.equal((await storedRecord(page, told[1])).request_id, told[1]);
}

export async function a_request_can_be_found_and_opened({ page, server }) {
  const id = await call(server, "/api/broken");
  await open(page, server, "/requests");
  const record = await storedRecord(page, id);
  await page.getByLabel("Outcome").selectOption("failed");
  await page.locator(".filters select").first().selectOption("api/broken");
  await page.waitForURL(/outcome=failed/);
  await page.locator(`a[href="/requests/${id}"]`).click();
  await page.getByRole("heading", { name: "Stack" }).waitFor();
  assert.match(await page.locator("pre.stack").textContent(), /ValueError: no such tea/);
  assert.equal(await page.locator(".waterfall .sum data").getAttribute("value"), String(record.total_ns));
  assert.deepEqual(await page.locator(".waterfall .step:not(.sum) data").evaluateAll((all) => all.map((d) => d.value)), [record.wait_ns, ...(record.init_ns ? [record.init_ns] : []), record.run_ns].map(String));
  assert.match(await page.locator("#main").textContent(), new RegExp(`mayfly trace ${id}`));
  assert.match(await page.locator(".lines").first().textContent(), /about to fail/);
  await open(page, server, "/requests");
  await page.getByPlaceholder("Request id").fill(id);
  await page.getByRole("button", { name: "Open" }).click();
  await page.waitForURL(`**/requests/${id}`);
}

export async function pages_of_requests_go_on({ page, server }) {
  for (let i = 0; i < 6; i++) await Promise.all(Array.from({ length: 10 }, () => call(server, "/api/hello")));
  await open(page, server, "/requests?function=api%2Fhello");
  const rows = page.locator("table.records tbody tr");
  await until(async () => (await rows.count()) === 50, "the first page");
  await page.getByRole("button", { name: "Show more" }).click();
  await until(async () => (await rows.count()) > 50, "more of them");
  const ids = await page.locator("table.records .id").allTextContents();
  assert.equal(new Set(ids).size, ids.length);
  const more = page.getByRole("button", { name: /new requests?: show/ });
  await call(server, "/api/hello");
  await more.click();
}

export async function the_log_follows_and_is_filtered({ page, server }) {
  await open(page, server, "/functions/api/hello?tab=logs");
  await call(server, "/api/hello?name=first-word");
  const lines = page.locator(".tail .line");
  await lines.filter({ hasText: "first-word" }).first().waitFor();
  await call(server, "/api/hello?name=second-word");
  await lines.filter({ hasText: "second-word" }).first().waitFor();
  await page.getByLabel("Filter").fill("second-word");
  await until(async () => (await lines.filter({ hasText: "first-word" }).count()) === 0, "what does not match is gone");
  assert.ok(await lines.filter({ hasText: "second-word" }).count());
}

export async function try_it_sends_and_keeps_events({ page, server }) {
  await open(page, server, "/functions/api/hello?tab=try");
  await page.getByLabel("Path").fill("/api/hello?name=dashboard");
  await page.getByRole("button", { name: "Send" }).click();
  await page.locator(".answer").waitFor();
  assert.equal(await page.locator(".answer .outcome").textContent(), "200");
  assert.match(await page.locator(".answer pre.body").first().textContent(), /hello dashboard/);
  await page.getByPlaceholder("Name", { exact: true }).fill("morning");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("button", { name: "morning", exact: true }).waitFor();
  await page.reload();
  await page.getByRole("button", { name: "morning", exact: true }).click();
  assert.equal(await page.getByLabel("Path").inputValue(), "/api/hello?name=dashboard");
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByRole("link", { name: "See the whole request" }).click();
  await page.getByRole("heading", { name: "Where the time went" }).waitFor();
  await open(page, server, "/functions/api/hello?tab=try");
  await page.getByRole("button", { name: "Delete morning" }).click();
  await until(async () => (await page.getByRole("button", { name: "morning", exact: true }).count()) === 0, "the event is gone");
}

export async function the_bill_is_that_of_the_api({ page, server }) {
  await call(server, "/api/hello");
  await open(page, server, "/usage");
  await page.getByLabel("Each million requests").fill("1000000");
  await page.getByLabel("GB second").fill("0");
  await page.keyboard.press("Tab");
  await until(async () => {
    const since = await page.evaluate(() => performance.getEntriesByType("resource").filter((e) => e.name.includes("/usage?")).at(-1)?.name.match(/since=(\d+)/)?.[1]);
    const rows = since ? (await api(page, `usage?by=function&since=${since}`)).rows : [];
    const shown = await page.locator("table.bill tbody tr").evaluateAll((all) => all.map((tr) => [tr.dataset.key, ...[...tr.querySelectorAll("data")].slice(0, 2).map((d) => Number(d.value))]));
    const total = Number(await value(page, "total"));
    const sum = rows.reduce((a, r) => a + r.invocations, 0);
    return rows.length && JSON.stringify(shown) === JSON.stringify(rows.map((r) => [r.key, r.invocations, r.errors])) && Math.abs(total - sum) < 1e-6;
  }, "rows and total are the API's");
}

export async function the_past_of_a_function_is_drawn({ page, server }) {
  await call(server, "/api/hello");
  await open(page, server, "/functions/api/hello");
  await until(async () => (await page.locator(".chart canvas").count()) >= 6, "heat map and charts");
  for (const canvas of await page.locator(".chart canvas").all()) {
    const inked = await canvas.evaluate((c) => c.getContext("2d").getImageData(0, 0, c.width, c.height).data.some((x) => x > 0));
    assert.ok(inked, "a chart is empty");
  }
}

export async function tokens_are_told_once_and_removed({ page, server }) {
  await open(page, server, "/system");
  await page.getByPlaceholder("Name, like ci").fill("browser test");
  await page.getByRole("button", { name: "Make a token" }).click();
  const token = await page.locator(".note code").textContent();
  assert.match(token, /^mf_/);
  await until(async () => (await fetch(`${server.admin}/api/v1/ps`, { headers: { Authorization: `Bearer ${token}` } })).status === 200, "the token lets in");
  await page.reload();
  await page.getByRole("rowheader", { name: "browser test" }).waitFor();
  assert.equal(await page.getByText(token).count(), 0);
  await page.getByRole("button", { name: "Remove browser test" }).click();
  await page.getByRole("button", { name: "Remove it" }).click();
  await until(async () => (await fetch(`${server.admin}/api/v1/ps`, { headers: { Authorization: `Bearer ${token}` } })).status === 401, "it does no more");
}

export async function nothing_serious_is_found_by_axe({ page, server, axe }) {
  const id = await call(server, "/api/broken");
  await open(page, server, "/");
  await storedRecord(page, id);
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const path of [...PAGES, `/requests/${id}`]) {
      await open(page, server, path);
      await page.waitForLoadState("load");
      await until(async () => (await page.locator(".loading").count()) === 0, `${path} is loaded`);
      await page.evaluate(axe);
      const found = await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ["violations"] })).violations.filter((v) => ["serious", "critical"].includes(v.impact)).map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.html.slice(0, 160)} ${n.failureSummary?.slice(0, 200)}`).join(" | ")}`));
      assert.deepEqual(found, [], `${path}, ${colorScheme}`);
    }
  }
}

export async function a_phone_needs_no_sideways_scrolling({ page, server }) {
  await page.setViewportSize({ width: 360, height: 740 });
  const id = await call(server, "/api/broken");
  await open(page, server, "/");
  await storedRecord(page, id);
  for (const path of [...PAGES, `/requests/${id}`]) {
    await open(page, server, path);
    await until(async () => (await page.locator(".loading").count()) === 0, `${path} is loaded`);
    const [wide, culprits] = await page.evaluate(() => [document.scrollingElement.scrollWidth, [...document.querySelectorAll("#app *")].filter((e) => e.getBoundingClientRect().right > 361 && !e.closest(".scroll, .tabs, nav, pre, svg")).map((e) => `${e.tagName}.${e.className}`).slice(0, 5)]);
    assert.ok(wide <= 360, `${path} is ${wide} px wide: ${culprits}`);
  }
}

export async function colours_follow_the_system_and_the_switch({ page, server }) {
  const back = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  await page.emulateMedia({ colorScheme: "light" });
  await open(page, server, "/usage");
  const light = await back();
  await page.emulateMedia({ colorScheme: "dark" });
  const dark = await back();
  assert.notEqual(light, dark);
  await page.getByRole("button", { name: "Light colours" }).click();
  assert.equal(await back(), light);
  await page.reload();
  await page.locator("h1").waitFor();
  assert.equal(await back(), light);
  await page.evaluate(() => localStorage.clear());
}

export async function the_keyboard_is_enough({ page, server }) {
  const at = () => page.evaluate(() => location.pathname);
  await open(page, server, "/");
  await page.locator(".stats").waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "To the content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  for (const [keys, path] of [["gr", "/requests"], ["gu", "/usage"], ["gs", "/system"], ["gh", "/"]]) {
    for (const key of keys) await page.keyboard.press(key);
    await until(async () => (await at()) === path, `${keys} goes to ${path}`);
    await until(() => page.evaluate(() => document.activeElement.tagName === "H1"), "the heading has the focus");
  }
  await page.keyboard.press("/");
  await page.getByRole("combobox", { name: /Function, page/ }).waitFor();
  await page.keyboard.type("hello");
  await page.keyboard.press("Enter");
  await until(async () => (await at()) === "/functions/api/hello", "the finder goes to the function");
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await page.keyboard.press("Escape");
  await until(async () => (await page.getByRole("dialog", { name: "Keys" }).count()) === 0, "it closes");
  // Whatever the Tab key reaches shows that it does.
  for (let i = 0; i < 25; i++) {
    await page.keyboard.press("Tab");
    const lost = await page.evaluate(() => {
      const e = document.activeElement;
      return e === document.body || getComputedStyle(e).outlineStyle !== "none" ? null : e.outerHTML.slice(0, 200);
    });
    assert.equal(lost, null, "no focus is seen");
  }
}

export async function a_hidden_page_hears_nothing({ page, server }) {
  await open(page, server, "/");
  const status = page.locator(".connection [role=status]");
  await until(async () => (await status.textContent()) === "Live", "it is live");
  const hide = (hidden) => page.evaluate((h) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => h });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  await hide(true);
  await until(async () => (await status.textContent()) === "Paused", "it pauses");
  await hide(false);
  await until(async () => (await status.textContent()) === "Live", "it goes on");
  await page.keyboard.press("p");
  await until(async () => (await status.textContent()) === "Paused", "so it does by hand");
}

export async function a_lost_connection_comes_back_and_nothing_is_missing({ page, server, ask }) {
  await open(page, server, "/functions/api/hello?tab=logs");
  await call(server, "/api/hello?name=before-it");
  const lines = page.locator(".tail .line"), status = page.locator(".connection [role=status]");
  await lines.filter({ hasText: "before-it" }).first().waitFor();
  await ask("kill control");
  await call(server, "/api/hello?name=while-away"); // requests go on
  await until(async () => (await status.textContent()) === "Live" && (await lines.filter({ hasText: "while-away" }).count()) > 0, "live again, with what came meanwhile");
  assert.equal(await lines.filter({ hasText: "while-away" }).count(), 1);
}

export async function names_with_special_letters_have_pages({ page, server }) {
  await open(page, server, "/");
  await page.locator('[data-function="api/users/[id]"] a').click();
  await page.getByRole("link", { name: "Configuration" }).click();
  await page.getByText("/api/users/[id]", { exact: true }).waitFor();
  await page.reload();
  await page.getByText("/api/users/[id]", { exact: true }).waitFor();
}

export async function a_session_that_ended_says_what_to_do({ context, browser, server }) {
  const other = await browser.newContext(), page = await other.newPage();
  for (const path of ["/", "/functions/api/users/~5bid~5d?tab=logs"]) {
    await page.goto(server.admin + path);
    await page.getByRole("heading", { name: "This session has ended" }).waitFor();
    assert.match(await page.locator("#main").textContent(), /mayfly dashboard/);
  }
  await other.close();
  assert.ok(context);
}

export async function the_first_minute_says_what_to_try({ browser, ask }) {
  const fresh = await ask("fresh server"), other = await browser.newContext(), page = await other.newPage();
  page.setDefaultTimeout(HANG_MS);
  await page.goto(fresh.login);
  await page.getByRole("heading", { name: "No request yet" }).waitFor();
  assert.match(await page.locator(".empty").textContent(), /mayfly invoke api\/hello/);
  const curl = await page.locator(".empty code").filter({ hasText: "curl " }).textContent();
  assert.equal((await fetch(curl.slice("curl ".length))).status, 200); // what it says works
  await page.locator(".swarm").waitFor();
  await other.close();
}

export async function a_replay_shows_what_is_different({ page, server }) {
  const id = await call(server, "/api/clock");
  await open(page, server, "/");
  await storedRecord(page, id);
  await open(page, server, `/requests/${id}`);
  await until(async () => {
    await page.getByRole("button", { name: "Replay in a fresh process" }).click();
    await page.locator(".verdict, .failure, .note").first().waitFor();
    return page.locator(".differences").count();
  }, "the recording is stored, and replayed");
  assert.match(await page.locator(".differences tbody").textContent(), /body/);
  await page.getByRole("link", { name: "See the new request" }).click();
  await page.getByText("replay", { exact: true }).waitFor();
}

export async function who_wants_no_motion_gets_a_still_picture({ browser, server, ask }) {
  const other = await browser.newContext({ reducedMotion: "reduce" }), page = await other.newPage();
  page.setDefaultTimeout(HANG_MS);
  await page.goto(await ask("login"));
  await call(server, "/api/hello");
  await page.locator(".swarm canvas").waitFor();
  const frames = await page.evaluate(() => new Promise((done) => {
    let n = 0;
    const ctx = document.querySelector(".swarm canvas").getContext("2d"), clear = ctx.clearRect.bind(ctx), began = performance.now();
    ctx.clearRect = (...args) => {
      clear(...args);
      if (++n === 4) done(performance.now() - began);
    };
  }));
  assert.ok(frames > 2000, `four pictures in ${frames} ms`);
  await other.close();
}

export async function the_plain_page_shows_what_goes_on({ browser, ask, axe }) {
  const plain = await ask("plain server"), other = await browser.newContext({ viewport: { width: 360, height: 740 } }), page = await other.newPage();
  const crimes = [];
  page.setDefaultTimeout(HANG_MS);
  page.on("console", (m) => m.type() === "error" && crimes.push(m.text()));
  await page.goto(plain.login);
  await until(async () => (await page.locator("#state").textContent()) === "live", "it is live");
  const id = await call(plain, "/api/hello?name=plain");
  await page.locator("#records").getByText(id).waitFor();
  await page.locator("#functions").getByText("api/hello").waitFor();
  await page.locator("#numbers").getByText("requests/s").waitFor();
  await until(async () => (await page.locator("#logs").textContent()).includes("greeting plain"), "its line");
  assert.match(await page.locator("footer").textContent(), /plain page/);
  assert.ok(await page.evaluate(() => document.scrollingElement.scrollWidth <= 360));
  await page.evaluate(axe);
  const found = await page.evaluate(async () => (await window.axe.run(document)).violations.filter((v) => ["serious", "critical"].includes(v.impact)).map((v) => `${v.id}: ${v.nodes[0].html.slice(0, 200)}`));
  assert.deepEqual(found, []);
  assert.deepEqual(crimes, []);
  await other.close();
}
