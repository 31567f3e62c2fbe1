// Off the main thread: opens the videos and the model, hands frames to ONNX Runtime, says how far it is.

import { scoreVideos, statistics, worstSecond } from "./engine.js";
import { checkPair, openVideo } from "./video.js";

const LANES = 4; // frames that are scored at a time, at the most

self.onmessage = async ({ data }) => {
  try {
    self.postMessage({ kind: "done", ...(await work(data)) });
  } catch (error) {
    self.postMessage({ kind: "failed", message: inWords(error) });
  }
};

function inWords(error) {
  if (error instanceof RangeError || /memory|allocation/i.test(error?.message ?? "")) {
    return "There is not enough memory for pictures of this size; close other pages, or use the command line.";
  }
  return error?.message || String(error);
}

async function work({ reference, distorted, model, models }) {
  const videos = [await openVideo(reference), await openVideo(distorted)];
  const [{ width, height, count }, other] = videos;
  self.postMessage({ kind: "opened", width, height, count: Math.min(count, other.count) });
  const notes = checkPair(...videos);
  const session = await open(model, models, `${width}x${height}`);
  const started = performance.now();
  const { frames, worst, notes: more } = await scoreVideos(...videos, session, (done, score) => {
    self.postMessage({ kind: "frame", done, score });
  });
  const seconds = (performance.now() - started) / 1000;
  const scores = frames.map(({ score }) => score);
  const rate = videos[0].rate ?? videos[1].rate;
  return {
    result: {
      model: session.name,
      backend: session.backend,
      reference: reference.name,
      distorted: distorted.name,
      width,
      height,
      score: statistics(scores).mean,
      pooling: "mean",
      statistics: statistics(scores, rate),
      moments: rate ? { "worst-second": worstSecond(scores, rate) } : {},
      notes: [...notes, ...more],
      seconds,
      frames,
    },
    worst,
  };
}

/** A model in ONNX Runtime, as lanes that each score a frame: a shipped one's name, or the user's file. */
async function open(model, models, size) {
  const shipped = typeof model === "string";
  const name = shipped ? model : model.name;
  const bytes = shipped ? await fetched(model, models, size) : new Uint8Array(await model.arrayBuffer());
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  // Read once, not once a lane.
  const wasm = adapter ? null : await (await fetch("./ort/ort-wasm-simd-threaded.wasm")).arrayBuffer();
  const count = adapter ? 1 : Math.min(LANES, navigator.hardwareConcurrency || 1);
  const lanes = Array.from({ length: count }, () => lane());
  await Promise.all(lanes.map((send) => send({ bytes, name, size, wasm })));
  const free = [...lanes];
  const run = async (...pictures) => {
    const send = free.pop();
    const { features, score } = await send({ pictures });
    free.push(send);
    return { features, score };
  };
  return { name, backend: adapter ? "WebGPU" : `WebAssembly, ${count} threads`, lanes: count, run };
}

/** A worker that answers one message at a time. */
function lane() {
  const worker = new Worker(new URL("./runner.js", import.meta.url), { type: "module" });
  return (message) => new Promise((resolve, reject) => {
    worker.onerror = (event) => reject(new Error(`The page could not start its worker (${event.message || "a file is missing"}); reload it.`));
    worker.onmessage = ({ data }) => { if (data.kind === "failed") reject(new Error(data.message)); else resolve(data); };
    worker.postMessage(message);
  });
}

async function fetched(model, models, size) {
  const path = models[model]?.[size];
  if (!path) {
    const sizes = Object.keys(models[model] ?? {}).join(", ");
    throw new Error(`${model} is at hand for ${sizes}, the videos have ${size}; make it with "vmaf-jax export --model ${model} --format pixels --size ${size} --out ${model}.onnx" and choose that file as the model.`);
  }
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: is missing beside this page; run make web again.`);
  return new Uint8Array(await answer.arrayBuffer());
}
