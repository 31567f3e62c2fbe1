// The page: what is dropped goes to the worker, what comes back is shown.

const $ = (id) => document.getElementById(id);
const chosen = { reference: null, distorted: null };
let worker = null, outcome = null, began = 0;

const models = await (await fetch("models/index.json")).json();
$("model").append(...Object.keys(models).map((name) => new Option(name, name)));

for (const role of Object.keys(chosen)) {
  const drop = $(role).closest(".drop");
  $(role).addEventListener("change", () => choose(role, $(role).files[0]));
  for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); choose(role, event.dataTransfer.files[0]); });
}
// A file that misses its place would else replace the page.
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());

function choose(role, file) {
  if (!file) return;
  chosen[role] = file;
  $(role).closest(".drop").querySelector(".name").textContent = file.name;
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!chosen.reference || !chosen.distorted) return fail("Choose both videos first.");
  start();
});
$("cancel").addEventListener("click", () => { stop(); $("status").textContent = "Cancelled."; });

function start() {
  stop();
  outcome = null;
  $("result").hidden = true;
  $("error").hidden = true;
  busy(true);
  $("status").textContent = "Opening the videos and the model…";
  let count = 0;
  worker = new Worker("worker.js", { type: "module" });
  worker.onerror = (event) => { fail(`The page could not start its worker (${event.message || "a file is missing"}); reload it.`); };
  worker.onmessage = ({ data }) => {
    if (data.kind === "opened") { count = data.count; began = 0; }
    if (data.kind === "frame") advance(data.done, count);
    if (data.kind === "failed") fail(data.message);
    if (data.kind === "done") { outcome = data; stop(); show(data); }
  };
  worker.postMessage({ ...chosen, model: $("own").files[0] ?? $("model").value, models });
}

function stop() {
  worker?.terminate();
  worker = null;
  busy(false);
}

function busy(on) {
  $("progress").hidden = !on;
  $("cancel").hidden = !on;
  $("start").disabled = on;
  if (!on) $("progress").value = 0;
}

function fail(message) {
  stop();
  $("status").textContent = "";
  $("error").textContent = message;
  $("error").hidden = false;
}

function advance(done, count) {
  began ||= performance.now();
  $("progress").max = Math.max(count, done);
  $("progress").value = done;
  const rate = (done - 1) / (performance.now() - began); // frames a millisecond
  if (done % 10 && done !== count) return; // a screen reader need not hear of every frame
  const left = done > 1 ? `, ${duration((count - done) / rate)} left` : "";
  $("status").textContent = `${done} of ${count} frames${left}`;
}

function duration(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

const WORDS = { mean: "mean", harmonic_mean: "harmonic mean", min: "lowest", p1: "1 % below", p5: "5 % below", worst_second: "worst second", frames: "frames" };

function show({ result, worst }) {
  const { frames, statistics } = result;
  const speed = frames.length / result.seconds;
  $("status").textContent = `${frames.length} frames, ${speed.toFixed(1)} a second (${result.backend})`;
  $("score").textContent = result.score.toFixed(2);
  $("notes").textContent = result.notes.join(" ");
  const shown = Object.entries(WORDS).filter(([key]) => key in statistics);
  $("statistics").replaceChildren(...shown.map(([key, word]) => {
    const entry = document.createElement("div");
    entry.append(element("dt", word), element("dd", figure(key, result)));
    return entry;
  }));
  $("timeline").replaceChildren(timeline(frames.map(({ score }) => score)));
  $("timeline").setAttribute("aria-label", `Scores over ${frames.length} frames, from ${statistics.min.toFixed(1)} up; the mean is ${statistics.mean.toFixed(1)}`);
  $("worst").replaceChildren(...worst.map((entry) => {
    const button = element("button", `Frame ${entry.frame}: ${entry.score.toFixed(1)}`);
    button.type = "button";
    button.addEventListener("click", () => { compare(result, entry, button); });
    return button;
  }));
  $("result").hidden = false;
  compare(result, worst[0], $("worst").firstChild);
}

function figure(key, { statistics, moments }) {
  const value = statistics[key];
  if (key === "frames") return String(value);
  const when = key === "worst_second" ? ` at ${moments["worst-second"].from_s.toFixed(2)} s` : "";
  return value.toFixed(2) + when;
}

function element(kind, text) {
  const made = document.createElement(kind);
  made.textContent = text;
  return made;
}

function timeline(scores) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 100 100");
  svg.setAttribute("preserveAspectRatio", "none");
  for (const level of [20, 40, 60, 80]) {
    const line = document.createElementNS(space, "line");
    for (const [key, value] of Object.entries({ x1: 0, x2: 100, y1: 100 - level, y2: 100 - level })) line.setAttribute(key, value);
    svg.append(line);
  }
  const step = 100 / Math.max(1, scores.length - 1);
  const points = scores.length > 1 ? scores : [scores[0], scores[0]];
  const curve = document.createElementNS(space, "polyline");
  curve.setAttribute("points", points.map((score, k) => `${(k * step).toFixed(3)},${(100 - score).toFixed(3)}`).join(" "));
  svg.append(curve);
  return svg;
}

function compare({ width, height }, entry, button) {
  for (const other of $("worst").children) other.setAttribute("aria-pressed", String(other === button));
  draw($("left"), entry.reference, width, height);
  draw($("right"), entry.distorted, width, height);
  $("caption").textContent = `Frame ${entry.frame}, ${entry.score.toFixed(2)} points; luma, which is what is measured.`;
}

function draw(canvas, luma, width, height) {
  Object.assign(canvas, { width, height });
  const image = new ImageData(width, height);
  for (let k = 0; k < luma.length; k += 1) image.data.set([luma[k], luma[k], luma[k], 255], 4 * k);
  canvas.getContext("2d").putImageData(image, 0, 0);
}

$("slider").addEventListener("input", () => { $("right").style.setProperty("--split", `${$("slider").value}%`); });

const FEATURES = ["adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2"];

$("json").addEventListener("click", () => save("vmaf.json", "application/json", JSON.stringify(outcome.result, null, 2)));
$("csv").addEventListener("click", () => {
  const rows = outcome.result.frames.map(({ frame, score, features }) => [frame, score, ...features].join(","));
  save("vmaf.csv", "text/csv", [["frame", "score", ...FEATURES].join(","), ...rows, ""].join("\n"));
});

function save(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
document.body.dataset.ready = "true";
