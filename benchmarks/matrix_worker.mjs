// matrix_worker.py for onnxruntime-web: node matrix_worker.mjs MODULE LISTING.json
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [module, listing] = process.argv.slice(2);
const ort = await import(pathToFileURL(module));
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";
const refusals = {};
for (const [name, model] of Object.entries(JSON.parse(readFileSync(listing)))) {
  try {
    const session = await ort.InferenceSession.create(readFileSync(model.path), { executionProviders: ["wasm"] });
    const feed = {};
    for (const [key, [file, shape]] of Object.entries(model.inputs)) {
      const bytes = readFileSync(file);
      feed[key] = new ort.Tensor("float32", new Float32Array(new Uint8Array(bytes).buffer), shape);
    }
    const { vmaf } = await session.run(feed, ["vmaf"]);
    writeFileSync(model.output, Buffer.from(vmaf.data.buffer, vmaf.data.byteOffset, vmaf.data.byteLength));
    refusals[name] = null;
  } catch (error) {
    refusals[name] = String(error.message ?? error).split("\n")[0].slice(0, 200);
  }
}
console.log(JSON.stringify({ version: ort.env.versions.web, refusals }));
