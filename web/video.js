// A dropped file as luma frames, whatever holds them: {name, width, height, bits, count, frames()}.

import { isMp4, openMp4 } from "./mp4.js";
import { isIvf, openIvf } from "./ivf.js";
import { isY4m, onEightBits, openY4m } from "./y4m.js";

/** Opens a video file; raises an Error that says in words what is wrong with it. */
export async function openVideo(file) {
  if (!file.size) throw new Error(`${file.name}: is empty.`);
  if (await isY4m(file)) return openY4m(file);
  const open = (await isMp4(file)) ? openMp4 : (await isIvf(file)) ? openIvf : null;
  if (!open) {
    throw new Error(`${file.name}: is neither Y4M, MP4 nor IVF; convert it, for example to Y4M with ffmpeg.`);
  }
  if (typeof VideoDecoder === "undefined") {
    throw new Error(`${file.name}: this browser has no WebCodecs, which decodes it; drop a Y4M file.`);
  }
  return decoded(await open(file));
}

/** Coded samples through WebCodecs: `stream` is {name, config, count, width, height, chunks()}. */
async function decoded(stream) {
  const support = await VideoDecoder.isConfigSupported(stream.config).catch(() => ({ supported: false }));
  if (!support.supported) {
    throw new Error(`${stream.name}: this browser does not decode ${stream.config.codec}; convert it to Y4M.`);
  }
  const first = await firstFrame(stream);
  return { name: stream.name, count: stream.count, ...first, frames: () => frames(stream) };
}

async function firstFrame(stream) {
  for await (const frame of pictures(stream)) {
    const { width, height } = frame.visibleRect;
    const bits = depth(frame, stream.name);
    frame.close();
    return { width, height, bits };
  }
  throw new Error(`${stream.name}: holds no frame that this browser decodes.`);
}

async function* frames(stream) {
  for await (const frame of pictures(stream)) {
    try {
      yield await luma(frame, stream.name);
    } finally {
      frame.close();
    }
  }
}

function depth(frame, name) {
  const match = /^(?:I420|I422|I444|NV12)A?(?:P(10|12))?$/.exec(frame.format ?? "");
  if (!match) {
    throw new Error(`${name}: this browser hands its frames out as ${frame.format ?? "no known format"}, not as luma; convert it to Y4M.`);
  }
  return match[1] ? Number(match[1]) : 8;
}

async function luma(frame, name) {
  const bits = depth(frame, name);
  const bytes = new Uint8Array(frame.allocationSize());
  const [{ offset, stride }] = await frame.copyTo(bytes);
  const { width, height } = frame.visibleRect;
  const wide = bits > 8 ? 2 : 1;
  const plane = new Uint8Array(width * height * wide);
  for (let y = 0; y < height; y += 1) {
    plane.set(bytes.subarray(offset + y * stride, offset + y * stride + width * wide), y * width * wide);
  }
  return wide === 2 ? onEightBits(new Uint16Array(plane.buffer), bits) : plane;
}

const AHEAD = 8; // frames that wait to be read, of which a decoder lends few

/** Decoded frames in the order in which they are shown; whoever takes one closes it. */
async function* pictures(stream) {
  const ready = [];
  let failure = null, wake = () => {};
  const decoder = new VideoDecoder({
    output: (frame) => { ready.push(frame); wake(); },
    error: (error) => { failure = error; wake(); },
  });
  try {
    decoder.configure(stream.config);
    let ended = false;
    const fed = (async () => {
      for await (const chunk of stream.chunks()) {
        while (!failure && (ready.length >= AHEAD || decoder.decodeQueueSize >= AHEAD)) await pause();
        if (failure || decoder.state === "closed") return;
        decoder.decode(new EncodedVideoChunk(chunk));
      }
      await decoder.flush();
    })().catch((error) => { failure ??= error; }).finally(() => { ended = true; wake(); });
    for (;;) {
      if (ready.length) { yield ready.shift(); continue; }
      if (failure) throw new Error(`${stream.name}: cannot be decoded (${failure.message}); the file is damaged, or convert it to Y4M.`);
      if (ended) break;
      await new Promise((resolve) => { wake = resolve; });
    }
    await fed;
  } finally {
    ready.forEach((frame) => frame.close());
    if (decoder.state !== "closed") decoder.close();
  }
}

function pause() {
  return new Promise((resolve) => { setTimeout(resolve, 1); });
}
