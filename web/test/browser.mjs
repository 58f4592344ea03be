// Drives a real Chromium for test/system/dashboard: each case of cases.mjs, one after the other, on one server.
// usage: browser.mjs NODE_MODULES CHROMIUM, then lines of JSON: on stdin what the tests give ({url, admin, login}, then answers
// to what a case asks), on stdout what they get ({ask}, or {case, error?}).
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as cases from "./cases.mjs";

const [modules, executablePath, ...only] = process.argv.slice(2);
const require = createRequire(join(modules, "x.js"));
const { chromium } = require("playwright-core");
const axe = readFileSync(join(modules, "axe-core", "axe.min.js"), "utf8");

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const hear = async () => JSON.parse((await lines.next()).value);
const ask = (what) => {
  say({ ask: what });
  return hear();
};

const server = await hear();
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"] });
const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "no-preference" });
context.setDefaultTimeout(30000);

// What no page may do, whichever case is on it.
const crimes = [];
await context.exposeFunction("crime", (what) => crimes.push(what));
await context.addInitScript(() => addEventListener("securitypolicyviolation", (e) => window.crime(`CSP: ${e.violatedDirective} ${e.blockedURI}`)));
context.on("request", (r) => {
  if (!r.url().startsWith("data:") && new URL(r.url()).host !== new URL(server.admin).host && new URL(r.url()).host !== new URL(server.fresh ?? server.admin).host) crimes.push(`request to another host: ${r.url()}`);
});
context.on("weberror", (e) => crimes.push(`error: ${e.error().stack ?? e.error()}`));

const first = await context.newPage();
await first.goto(server.login);
await first.close();

for (const [name, run] of Object.entries(cases)) {
  if (only.length && !only.includes(name)) continue;
  const page = await context.newPage(), began = Date.now();
  try {
    await run({ page, context, browser, server, ask, axe });
    if (crimes.length) throw new Error(crimes.join("\n"));
    say({ case: name });
  } catch (error) {
    const seen = await page.evaluate(() => document.body.innerText.slice(0, 1500)).catch(() => "");
    say({ case: name, error: `${error.stack ?? error}\n--- on the page:\n${seen}` });
  }
  process.stderr.write(`${name}: ${Date.now() - began} ms\n`);
  crimes.length = 0;
  await page.close().catch(() => {});
}
await browser.close();
process.exit(0);
