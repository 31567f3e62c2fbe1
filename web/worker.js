// Off the main thread: opens the videos and the model, runs ONNX Runtime, says how far it is.

import { scoreVideos, statistics } from "./engine.js";
import { openVideo } from "./video.js";

const PICTURES = ["reference", "distorted", "previous"];
const THREADS = 4;

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
  if (width !== other.width || height !== other.height) {
    throw new Error(`The reference has ${width}x${height} pixels, the distorted video ${other.width}x${other.height}; bring them to one size first.`);
  }
  const session = await open(model, models, `${width}x${height}`);
  const started = performance.now();
  const { frames, worst } = await scoreVideos(...videos, session.run, (done, score) => {
    self.postMessage({ kind: "frame", done, score });
  });
  const seconds = (performance.now() - started) / 1000;
  const scores = frames.map(({ score }) => score);
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
      statistics: statistics(scores),
      seconds,
      frames,
    },
    worst,
  };
}

/** A model in ONNX Runtime for pictures of one size: a shipped one's name, or the user's file. */
async function open(model, models, size) {
  const shipped = typeof model === "string";
  const { ort, providers, backend } = await runtime();
  const bytes = shipped ? await fetched(model, models, size) : new Uint8Array(await model.arrayBuffer());
  let session;
  try {
    session = await ort.InferenceSession.create(bytes, { executionProviders: providers, logSeverityLevel: 3 });
  } catch (error) {
    throw new Error(`${shipped ? model : model.name}: is no ONNX model that runs here (${String(error?.message ?? error).split("\n")[0]}).`);
  }
  const type = checked(session, shipped ? model : model.name, size);
  const [width, height] = size.split("x").map(Number);
  const run = async (...pictures) => {
    const feeds = {};
    for (const [k, name] of PICTURES.entries()) {
      const data = type === "uint8" ? Uint8Array.from(pictures[k], Math.round) : pictures[k];
      feeds[name] = new ort.Tensor(type, data, [1, height, width]);
    }
    const { features, vmaf } = await session.run(feeds);
    return { features: Array.from(await features.getData()), score: (await vmaf.getData())[0] };
  };
  return { name: shipped ? model : model.name, backend, run };
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

/** The type of its pictures; raises an Error unless it is a pixels model of this size. */
function checked(session, name, size) {
  const [first] = session.inputMetadata ?? [];
  const named = [...session.inputNames].join() === PICTURES.join() && ["features", "vmaf"].every((output) => session.outputNames.includes(output));
  if (!named || !first || !["float32", "uint8"].includes(first.type)) {
    throw new Error(`${name}: is no model of pictures; make one with vmaf-jax export --format pixels.`);
  }
  const own = `${first.shape[2]}x${first.shape[1]}`;
  if (own !== size) {
    throw new Error(`${name}: is for ${own}, the videos have ${size}; export it again with --size ${size}.`);
  }
  return first.type;
}

/** ONNX Runtime with WebGPU where there is one, with WebAssembly (SIMD) else. */
async function runtime() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  const ort = await import(adapter ? "./ort/ort.webgpu.min.mjs" : "./ort/ort.wasm.min.mjs");
  ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(THREADS, navigator.hardwareConcurrency || 1) : 1;
  ort.env.logLevel = "error";
  const providers = adapter ? ["webgpu", "wasm"] : ["wasm"];
  return { ort, providers, backend: adapter ? "WebGPU" : `WebAssembly, ${ort.env.wasm.numThreads} threads` };
}
