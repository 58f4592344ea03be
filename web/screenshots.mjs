// The browser's part of screenshots.py: screenshots.mjs NODE_MODULES CHROMIUM LOGIN FOLDER SECONDS
import { createRequire } from "node:module";
import { join } from "node:path";

const [modules, executablePath, login, folder, seconds] = process.argv.slice(2);
const { chromium } = createRequire(join(modules, "x.js"))("playwright-core");
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
const context = await browser.newContext({ colorScheme: "dark" });
const now = await context.newPage(), base = new URL(login).origin;

async function take(page, path, name, size, colorScheme) {
  await page.setViewportSize(size);
  await page.emulateMedia({ colorScheme });
  if (path) await page.goto(base + path);
  await page.waitForTimeout(6000);
  await page.mouse.move(0, 0);
  await page.screenshot({ path: join(folder, `dashboard-${name}.png`) });
}

await now.setViewportSize({ width: 1280, height: 1035 });
await now.goto(login);
await now.waitForTimeout(Number(seconds) * 1000); // what it shows of the last minutes, it has seen itself
await take(now, null, "now", { width: 1280, height: 1035 }, "dark");
await now.evaluate(() => localStorage.setItem("mayfly.function.range", '"15m"'));
await take(now, "/functions/orders", "function", { width: 1280, height: 985 }, "light");
await now.goto(`${base}/requests?function=orders&outcome=failed`);
await now.locator("table.records tbody a[href^='/requests/']").first().click();
await now.locator("pre.stack").waitFor();
await take(now, null, "request", { width: 1280, height: 720 }, "light");
await browser.close();
