// MP4 and MOV with an index (no fragments): the samples of the first video track, for WebCodecs.
// Source: ISO/IEC 14496-12 (boxes), 14496-15 (avcC, hvcC and the names of codecs), AV1 and VP9 in ISOBMFF.

const MAX_INDEX_BYTES = 64 << 20;
const CONTAINERS = new Set(["moov", "trak", "mdia", "minf", "stbl"]);

/** Whether a file begins as MP4 and MOV do. */
export async function isMp4(file) {
  const head = new DataView(await file.slice(0, 8).arrayBuffer());
  return head.byteLength === 8 && ["ftyp", "moov", "mdat", "wide", "free"].includes(name(head, 4));
}

/** Opens an MP4 file as coded samples for WebCodecs; raises an Error in words. */
export async function openMp4(file) {
  const index = await indexOf(file);
  const track = boxes(index, 8, index.byteLength).trak?.map((trak) => inside(index, trak)).find(isVideo(index));
  if (!track) throw new Error(`${file.name}: holds no video track.`);
  const { config } = codecOf(index, track, file.name);
  const samples = sampleTable(index, track);
  if (!samples.length) throw new Error(`${file.name}: its index lists no frame (fragmented MP4 is not read here); convert it to Y4M.`);

  async function* chunks() {
    for (const [number, { at, size, time, key }] of samples.entries()) {
      if (at + size > file.size) throw new Error(`it ends in the middle of frame ${number}`);
      const data = await file.slice(at, at + size).arrayBuffer();
      yield { type: key ? "key" : "delta", timestamp: time, data };
    }
  }

  return { name: file.name, config, count: samples.length, chunks };
}

async function indexOf(file) {
  for (let at = 0; at + 8 <= file.size; ) {
    const head = new DataView(await file.slice(at, at + 16).arrayBuffer());
    let size = head.getUint32(0);
    if (size === 1) size = Number(head.getBigUint64(8));
    if (size === 0) size = file.size - at;
    if (size < 8) break;
    if (name(head, 4) === "moov") {
      if (size > MAX_INDEX_BYTES || at + size > file.size) break;
      return new DataView(await file.slice(at, at + size).arrayBuffer());
    }
    at += size;
  }
  throw new Error(`${file.name}: has no sound index (moov); the file is cut or damaged.`);
}

function name(view, at) {
  return String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2), view.getUint8(at + 3));
}

/** The boxes between two places, by name: {name: [[first byte of its content, end]]}. */
function boxes(view, from, to) {
  const all = {};
  for (let at = from; at + 8 <= to; ) {
    const size = view.getUint32(at);
    if (size < 8 || at + size > to) break;
    (all[name(view, at + 4)] ??= []).push([at + 8, at + size]);
    at += size;
  }
  return all;
}

/** All that is in a box and in the containers in it: {name: [from, to]}, the first of each. */
function inside(view, [from, to]) {
  const all = {};
  for (const [kind, places] of Object.entries(boxes(view, from, to))) {
    all[kind] ??= places[0];
    if (CONTAINERS.has(kind)) Object.assign(all, { ...inside(view, places[0]), ...all });
  }
  return all;
}

function isVideo(view) {
  return (track) => track.hdlr && track.stsd && track.stsz && name(view, track.hdlr[0] + 8) === "vide";
}

function codecOf(view, track, file) {
  const [from] = track.stsd;
  const entry = from + 8;
  const kind = name(view, entry + 4);
  const children = boxes(view, entry + 86, entry + view.getUint32(entry));
  const bytes = (box) => new Uint8Array(view.buffer, view.byteOffset + children[box][0][0], children[box][0][1] - children[box][0][0]);
  if (kind.startsWith("avc") && children.avcC) {
    const description = bytes("avcC");
    return { config: { codec: `${kind}.${[...description.slice(1, 4)].map(hex).join("")}`, description } };
  }
  if ((kind === "hvc1" || kind === "hev1") && children.hvcC) {
    const description = bytes("hvcC");
    return { config: { codec: hevc(kind, description), description } };
  }
  if (kind === "av01" && children.av1C) {
    const [, profile, flags] = bytes("av1C");
    const depth = flags & 0x40 ? (flags & 0x20 ? "12" : "10") : "08";
    const codec = `av01.${profile >> 5}.${String(profile & 31).padStart(2, "0")}${flags & 0x80 ? "H" : "M"}.${depth}`;
    return { config: { codec } };
  }
  if (kind === "vp09" && children.vpcC) {
    const box = bytes("vpcC");
    const codec = ["vp09", box[4], box[5], box[6] >> 4].map((part) => String(part).padStart(2, "0")).join(".");
    return { config: { codec } };
  }
  throw new Error(`${file}: holds ${kind} video, which is not read here; convert it to Y4M.`);
}

function hevc(kind, box) {
  const space = ["", "A", "B", "C"][box[1] >> 6];
  const view = new DataView(box.buffer, box.byteOffset, box.byteLength);
  let compatible = 0;
  for (let bit = 0; bit < 32; bit += 1) compatible |= ((view.getUint32(2) >>> bit) & 1) << (31 - bit);
  const constraints = [...box.slice(6, 12)];
  while (constraints.length && constraints.at(-1) === 0) constraints.pop();
  const tier = box[1] & 0x20 ? "H" : "L";
  return [kind, `${space}${box[1] & 31}`, (compatible >>> 0).toString(16), `${tier}${box[12]}`, ...constraints.map(hex)].join(".");
}

function hex(byte) {
  return byte.toString(16).padStart(2, "0");
}

/** Place, size, time of showing (microseconds) and kind of each sample, in the order of decoding. */
function sampleTable(view, track) {
  const at = (box, offset) => view.getUint32(track[box][0] + offset);
  const fixed = at("stsz", 4), count = at("stsz", 8);
  const room = fixed ? count : Math.min(count, (track.stsz[1] - track.stsz[0] - 12) / 4);
  const sizes = Array.from({ length: Math.floor(room) }, (_, k) => fixed || at("stsz", 12 + 4 * k));
  const wide = Boolean(track.co64);
  const offsets = track.co64 ?? track.stco;
  const chunks = Array.from({ length: view.getUint32(offsets[0] + 4) }, (_, k) =>
    wide ? Number(view.getBigUint64(offsets[0] + 8 + 8 * k)) : view.getUint32(offsets[0] + 8 + 4 * k));
  const runs = Array.from({ length: at("stsc", 4) }, (_, k) => [at("stsc", 8 + 12 * k), at("stsc", 12 + 12 * k)]);
  const keys = track.stss ? new Set(Array.from({ length: at("stss", 4) }, (_, k) => at("stss", 8 + 4 * k) - 1)) : null;
  const durations = expanded(view, track.stts, sizes.length);
  const shifts = track.ctts ? expanded(view, track.ctts, sizes.length) : [];
  const scale = 1e6 / timescale(view, track.mdhd);
  const samples = [];
  let decodedAt = 0;
  for (let chunk = 0, run = 0; chunk < chunks.length && samples.length < sizes.length; chunk += 1) {
    while (run + 1 < runs.length && runs[run + 1][0] <= chunk + 1) run += 1;
    let place = chunks[chunk];
    for (let k = 0; k < runs[run][1] && samples.length < sizes.length; k += 1) {
      const number = samples.length;
      const time = Math.round((decodedAt + ((shifts[number] ?? 0) | 0)) * scale);
      samples.push({ at: place, size: sizes[number], time, key: keys ? keys.has(number) : true });
      place += sizes[number];
      decodedAt += durations[number] ?? 0;
    }
  }
  return samples;
}

/** The values of a table of (count, value), one a sample. */
function expanded(view, [from], length) {
  const values = [];
  for (let k = 0; k < view.getUint32(from + 4) && values.length < length; k += 1) {
    const count = Math.min(view.getUint32(from + 8 + 8 * k), length - values.length);
    for (let n = 0; n < count; n += 1) values.push(view.getUint32(from + 12 + 8 * k));
  }
  return values;
}

function timescale(view, [from]) {
  return view.getUint32(from + (view.getUint8(from) ? 20 : 12)) || 1;
}
