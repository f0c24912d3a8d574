// Looks at the dashboard in Chromium, and prints the findings as JSON: node dashboard.mjs MODULES CHROMIUM URL VIEWS [FOLDER FOR SCREENSHOTS]; VIEWS is
// `looks` for two themes at three widths and a look without scripts, `events` for ten events
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const [modules, executablePath, url, views, shots] = process.argv.slice(2);
const require = createRequire(modules + "/");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const found = { errors: [], violations: [], long_tasks: [], live: [], rows: 0, wide: [], narrow: [], frames: 0, no_script: "" };

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
for (const colorScheme of views === "looks" ? ["light", "dark"] : []) {
  for (const width of [380, 900, 1600]) {
    // axe is put into the page by the debugger, which the page's policy does not bind.
    const context = await browser.newContext({ colorScheme, viewport: { width, height: width < 500 ? 1900 : 1500 } });
    const page = await context.newPage();
    page.on("console", message => message.type() === "error" && found.errors.push(message.text()));
    page.on("pageerror", error => found.errors.push(String(error)));
    await page.goto(url);
    await page.locator("#live.on").waitFor();
    found.live.push(await page.locator("#live").textContent());
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => axe.run());
    found.violations.push(...violations.map(({ id, nodes }) => `${colorScheme} ${width} ${id}: ${nodes.slice(0, 3).map(node => node.html).join(" ")}`));
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (over > 0) found.wide.push(`${width}: ${over} px`);
    await page.locator("#crawls details.curl summary").first().click();
    const box = await page.locator("#crawls details.curl pre").first().boundingBox();
    if (box.width < Math.min(600, width * 0.7) || box.x < 0 || box.x + box.width > width) found.narrow.push(`${width}: ${JSON.stringify(box)}`);
    if (shots) await page.screenshot({ path: `${shots}/${colorScheme}-${width}.png` });
    await context.close();
  }
}

if (views === "events") await events();

const still = await browser.newContext({ javaScriptEnabled: false });
const plain = await still.newPage();
await plain.goto(url);
found.no_script = await plain.locator("main").innerText();
await browser.close();
console.log(JSON.stringify(found));

// Shows ten events, while the browser notes every task of more than 50 ms.
async function events() {
  const page = await browser.newPage({ viewport: { width: 1600, height: 900 } });
  await page.addInitScript(() => {
    window.seen = { tasks: [], frames: 0 };
    addEventListener("DOMContentLoaded", () => {
      new MutationObserver(() => { window.seen.frames += 1; }).observe(document.getElementById("figures"), { subtree: true, childList: true, attributes: true, characterData: true });
    });
  });
  await page.goto(url);
  await page.locator("#live.on").waitFor();
  await page.waitForFunction(() => window.seen.frames >= 1);
  await page.evaluate(() => {
    window.seen.frames = 0;
    new PerformanceObserver(list => window.seen.tasks.push(...list.getEntries().map(entry => entry.duration))).observe({ type: "longtask" });
  });
  await page.waitForFunction(() => window.seen.frames >= 10, null, { timeout: 60_000 });
  found.long_tasks = await page.evaluate(() => window.seen.tasks);
  found.frames = await page.evaluate(() => window.seen.frames);
  found.rows = await page.locator("#crawls tbody tr").count();
}
