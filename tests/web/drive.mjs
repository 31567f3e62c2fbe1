// Opens the built page in a headless Chromium, drops files into it, and prints what happened as JSON.
//
//     node drive.mjs PLAYWRIGHT CHROMIUM PAGE PROFILE REQUEST
//
// REQUEST is JSON: [{reference, distorted, folder?, model?, own?, cancel?, viewport?, scheme?, lanes?}, ...], a visit each.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { pathToFileURL } from "node:url";

const [playwright, executablePath, page_folder, profile, request] = process.argv.slice(2);
const { chromium } = (await import(pathToFileURL(playwright).href)).default;
const PATIENCE = 600_000; // milliseconds; a machine may be busy
const TYPES = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".json": "application/json" };

const LANES = /const LANES = \d+;/; // of worker.js, each of which starts a runtime of its own

let bytes = 0, stalled = false, lanes = null;
const server = createServer(async (incoming, answer) => {
  const path = normalize(decodeURIComponent(new URL(incoming.url, "http://page").pathname));
  if (stalled && path.endsWith(".onnx")) return; // never answered: so the run is not over when it is cancelled
  try {
    let content = await readFile(join(page_folder, path === "/" ? "index.html" : path));
    if (lanes && path === "/worker.js") {
      const script = content.toString();
      if (!LANES.test(script)) throw new Error("worker.js names no number of lanes");
      content = Buffer.from(script.replace(LANES, `const LANES = ${lanes};`));
    }
    bytes += content.length;
    answer.writeHead(200, {
      "Content-Type": TYPES[extname(path)] ?? (path === "/" ? "text/html" : "application/octet-stream"),
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
    });
    answer.end(content);
  } catch {
    answer.writeHead(404).end();
  }
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${server.address().port}`;

const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
flags.push("--js-flags=--liftoff-only"); // each visit would optimise 14 MB of WebAssembly for twelve frames
const context = await chromium.launchPersistentContext(profile, { executablePath, headless: true, args: flags, acceptDownloads: true, timeout: PATIENCE });
context.setDefaultTimeout(PATIENCE);
const visits = [];
try {
  for (const visit of JSON.parse(request)) visits.push(await visited(visit));
} finally {
  await context.close();
  server.closeAllConnections();
  server.close();
}
console.log(JSON.stringify(visits));

async function visited(visit) {
  const page = await context.newPage();
  const complaints = [], strangers = [];
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) complaints.push(message.text()); });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (sent) => { if (!/^(blob|data):/.test(sent.url()) && !sent.url().startsWith(origin)) strangers.push(sent.url()); });
  if (visit.viewport) await page.setViewportSize(visit.viewport);
  await page.emulateMedia({ colorScheme: visit.scheme ?? "light" });
  bytes = 0;
  stalled = Boolean(visit.cancel);
  lanes = visit.lanes ?? null;
  await page.goto(origin);
  await page.waitForSelector("body[data-ready]");
  await page.setInputFiles("#reference", visit.reference);
  await page.setInputFiles("#distorted", visit.distorted);
  if (visit.folder) await drop(page, visit.folder);
  if (visit.model) await page.selectOption("#model", visit.model);
  if (visit.own) await page.setInputFiles("#own", visit.own);
  await page.focus("#start");
  await page.keyboard.press("Enter");
  if (visit.cancel) {
    await page.focus("#cancel");
    await page.keyboard.press("Enter");
    const status = await page.textContent("#status");
    await page.close();
    return { status };
  }
  await page.waitForSelector("#error:not([hidden]), #result:not([hidden])");
  const told = { complaints, strangers, bytes, ...(await page.evaluate(look)) };
  if (!told.error) Object.assign(told, await taken(page));
  if (visit.shot) await page.screenshot({ path: visit.shot, fullPage: true });
  await page.close();
  return told;
}

/** Drops a folder in the place of the distorted video, which a file chooser does not give. */
async function drop(page, path) {
  const session = await page.context().newCDPSession(page);
  const { x, y } = await page.locator("label[for=distorted]").boundingBox();
  for (const type of ["dragEnter", "dragOver", "drop"]) {
    await session.send("Input.dispatchDragEvent", { type, x: x + 5, y: y + 5, data: { items: [], files: [path], dragOperationsMask: 1 } });
  }
}

function look() {
  const text = (id) => document.getElementById(id).textContent;
  const style = getComputedStyle(document.body);
  return {
    error: document.getElementById("error").hidden ? null : text("error"),
    status: text("status"),
    score: text("score"),
    "worst second": [...document.querySelectorAll("#statistics dt")].find((term) => term.textContent === "worst second")?.nextSibling.textContent,
    isolated: crossOriginIsolated,
    scrollsSideways: document.documentElement.scrollWidth > document.documentElement.clientWidth,
    colours: [style.color, style.backgroundColor],
    worst: [...document.querySelectorAll("#worst button")].map((button) => button.textContent),
    points: (document.querySelector("#timeline polyline")?.getAttribute("points") ?? "").split(" ").length,
  };
}

/** What the page gives to take away, and what the slider does. */
async function taken(page) {
  const files = {};
  for (const kind of ["json", "csv"]) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click(`#${kind}`)]);
    files[kind] = await readFile(await download.path(), "utf8");
  }
  await page.focus("#slider");
  await page.keyboard.press("Home");
  const split = await page.evaluate(() => getComputedStyle(document.getElementById("right")).clipPath);
  return { ...files, split };
}
