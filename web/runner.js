// One session of ONNX Runtime on one thread: pictures of a frame in, features and score out.
// Several of these take frames in turn, which needs no cross-origin isolation and no shared operators.

const PICTURES = ["reference", "distorted", "previous"];
let run = null;

self.onmessage = async ({ data }) => {
  try {
    if (run) self.postMessage({ kind: "scored", ...(await run(data.pictures)) });
    else {
      run = await open(data);
      self.postMessage({ kind: "ready" });
    }
  } catch (error) {
    self.postMessage({ kind: "failed", message: error?.message || String(error) });
  }
};

/** A model for pictures of one size (`WxH`); `wasm` is the runtime's binary, or null for WebGPU. */
async function open({ bytes, name, size, wasm }) {
  const ort = await import(wasm ? "./ort/ort.wasm.min.mjs" : "./ort/ort.webgpu.min.mjs");
  ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
  if (wasm) ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  let session;
  try {
    const executionProviders = wasm ? ["wasm"] : ["webgpu", "wasm"];
    session = await ort.InferenceSession.create(bytes, { executionProviders, logSeverityLevel: 3 });
  } catch (error) {
    throw new Error(`${name}: is no ONNX model that runs here (${String(error?.message ?? error).split("\n")[0]}).`);
  }
  const type = checked(session, name, size);
  const [width, height] = size.split("x").map(Number);
  return async (pictures) => {
    const tensors = pictures.map((picture) => new ort.Tensor(type, ofType(type, picture), [1, height, width]));
    const { features, vmaf } = await session.run(Object.fromEntries(PICTURES.map((role, k) => [role, tensors[k]])));
    return { features: Array.from(await features.getData()), score: (await vmaf.getData())[0] };
  };
}

/** Luma as the model takes it: bytes, or floats on the 8-bit scale. */
function ofType(type, picture) {
  if (type === "float32") return picture instanceof Float32Array ? picture : new Float32Array(picture);
  return picture instanceof Uint8Array ? picture : Uint8Array.from(picture, Math.round);
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
