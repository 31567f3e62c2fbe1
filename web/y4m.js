// YUV4MPEG2: a line of text, then frames of planes as they are. Only luma is read, a frame at a time.

const HEADER_BYTES = 1024;
const FRAME_LINE_BYTES = 256;

/** Whether a file begins as YUV4MPEG2 does. */
export async function isY4m(file) {
  return (await text(file.slice(0, 10))) === "YUV4MPEG2 ";
}

/** Opens a YUV4MPEG2 file as a video (see video.js); raises an Error in words. */
export async function openY4m(file) {
  const head = await text(file.slice(0, HEADER_BYTES));
  const end = head.indexOf("\n");
  if (end < 0) throw new Error(`${file.name}: its first line has no end; it is no sound Y4M file.`);
  const tags = Object.fromEntries(head.slice(0, end).split(" ").slice(1).map((tag) => [tag[0], tag.slice(1)]));
  const width = Number(tags.W), height = Number(tags.H);
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1) {
    throw new Error(`${file.name}: its header names no size; it is no sound Y4M file.`);
  }
  const { bits, samples } = layout(tags.C ?? "420", width, height, file.name);
  const bytesPerSample = bits > 8 ? 2 : 1;
  const frameBytes = samples * bytesPerSample;
  const start = end + 1;
  const [across, down] = (tags.A ?? "0:0").split(":").map(Number);
  const aspect = across && down ? (width * across) / (height * down) : null;
  const [frameCount, perSeconds] = (tags.F ?? "0:0").split(":").map(Number);
  const rate = frameCount && perSeconds ? frameCount / perSeconds : null;
  const interlaced = "tbm".includes(tags.I ?? "p");
  const fullRange = / XCOLORRANGE=FULL\b/.test(head.slice(0, end));
  const count = Math.floor((file.size - start) / (frameBytes + 6));

  async function* frames() {
    let at = start;
    for (let number = 0; at < file.size; number += 1) {
      const line = await text(file.slice(at, at + FRAME_LINE_BYTES));
      const lineEnd = line.indexOf("\n");
      if (!line.startsWith("FRAME") || lineEnd < 0) {
        throw new Error(`${file.name}: frame ${number} does not begin as one; the file is damaged.`);
      }
      at += lineEnd + 1;
      if (at + frameBytes > file.size) {
        throw new Error(`${file.name}: ends in the middle of frame ${number}; get the whole file (docs/traps.md).`);
      }
      const bytes = await file.slice(at, at + width * height * bytesPerSample).arrayBuffer();
      yield { luma: bits > 8 ? onEightBits(new Uint16Array(bytes), bits) : new Uint8Array(bytes), fullRange };
      at += frameBytes;
    }
  }

  return { name: file.name, width, height, bits, aspect, rate, interlaced, count, notes: [], frames };
}

function layout(chroma, width, height, name) {
  const depth = /^(?:420|422|444|mono)p?(\d{1,2})$/.exec(chroma);
  const bits = depth ? Number(depth[1]) : 8;
  const halfWidth = Math.ceil(width / 2), halfHeight = Math.ceil(height / 2);
  const planes = { 420: halfWidth * halfHeight * 2, 422: halfWidth * height * 2, 444: width * height * 2, mon: 0 };
  const kind = chroma.slice(0, 3);
  if (!(kind in planes) || chroma.startsWith("444alpha") || ![8, 10, 12].includes(bits)) {
    throw new Error(`${name}: its format ${chroma} is not read here; make it 4:2:0 of 8, 10 or 12 bits.`);
  }
  return { bits, samples: width * height + planes[kind] };
}

/** Samples of more than 8 bits on the scale of 8. */
export function onEightBits(samples, bits) {
  const scale = 2 ** (8 - bits), floats = new Float32Array(samples);
  for (let k = 0; k < floats.length; k += 1) floats[k] *= scale;
  return floats;
}

async function text(blob) {
  return new TextDecoder("latin1").decode(await blob.arrayBuffer());
}
