// Coded video in MP4, MOV, Matroska, WebM or MPEG-TS, as luma frames: mediabunny reads the file, WebCodecs decodes.

import { BlobSource, EncodedPacketSink, Input, Logging, LogLevel, MATROSKA, MP4, MPEG_TS, QTFF, VideoSampleSink, WEBM } from "./lib/mediabunny.min.mjs";
import { shownSpan } from "./edits.js";
import { mayHoldFields } from "./fields.js";
import { onEightBits } from "./y4m.js";

const FORMATS = [MP4, QTFF, MATROSKA, WEBM, MPEG_TS]; // not HLS, whose playlists name other files
Logging.level = LogLevel.Silent; // what matters is told in words on the page

/** Opens a file with coded video, or returns null where no reader knows it; raises an Error in words. */
export async function openContainer(file) {
  const input = new Input({ source: new BlobSource(file), formats: FORMATS });
  if (!(await input.canRead())) return null;
  if (typeof VideoDecoder === "undefined") {
    throw new Error(`${file.name}: this browser has no WebCodecs, which decodes it; drop a Y4M file.`);
  }
  const { track, notes } = await chooseTrack(input, file.name);
  if (!(await track.canDecode())) {
    const codec = (await track.getCodecParameterString()) ?? (await track.getInternalCodecId()) ?? "its codec";
    throw new Error(`${file.name}: this browser does not decode ${codec}; convert it to Y4M.`);
  }
  const mayBeFields = await isCodedInFields(track);
  if (mayBeFields) {
    notes.push(`${file.name} is coded as interlaced video is; if it is interlaced, deinterlace it first (docs/traps.md).`);
  }
  const span = await shownSpan(file, track.id);
  const first = await firstFrame(track, span, file.name);
  return { name: file.name, notes, interlaced: mayBeFields ? null : false, ...first, frames: () => frames(track, span, first, file.name) };
}

/** The video track that players show: the default one, stills and covers left out. */
async function chooseTrack(input, name) {
  let tracks;
  try {
    tracks = await input.getVideoTracks();
  } catch (error) {
    throw damaged(name, error);
  }
  if (!tracks.length) throw new Error(`${name}: holds no video track.`);
  const described = await Promise.all(tracks.map(async (track) => {
    const [stats, disposition] = await Promise.all([track.computePacketStats(2), track.getDisposition()]);
    return { track, moves: stats.packetCount > 1, preferred: disposition.default };
  }));
  const moving = described.filter(({ moves }) => moves);
  const candidates = moving.length ? moving : described;
  const { track } = candidates.find(({ preferred }) => preferred) ?? candidates[0];
  const notes = tracks.length > 1 ? [`${name} holds ${tracks.length} video tracks; number ${tracks.indexOf(track) + 1} was measured (docs/traps.md).`] : [];
  return { track, notes };
}

/** Whether a track is H.264 that may hold fields; browsers tell of no other codec's. */
async function isCodedInFields(track) {
  const config = await track.getDecoderConfig();
  if (!config?.codec.startsWith("avc")) return false;
  const { description: box } = config;
  if (box) return mayHoldFields(ArrayBuffer.isView(box) ? new Uint8Array(box.buffer, box.byteOffset, box.byteLength) : new Uint8Array(box), null);
  const packet = await new EncodedPacketSink(track).getFirstPacket();
  return packet !== null && mayHoldFields(null, packet.data);
}

async function firstFrame(track, span, name) {
  for await (const sample of shownSamples(track, span, name)) {
    const { width, height } = sample.visibleRect;
    const turned = sample.rotation % 180 !== 0;
    const { num, den } = sample.pixelAspectRatio;
    const facts = {
      width: turned ? height : width,
      height: turned ? width : height,
      coded: `${width}x${height}`,
      bits: depth(sample, name),
      aspect: turned ? (height * den) / (width * num) : (width * num) / (height * den),
    };
    sample.close();
    const [duration, stats] = [await track.computeDuration({ metadataOnly: true }), await track.computePacketStats(50)];
    const seconds = Math.min(duration, span.to) - Math.max(0, span.from);
    const rate = stats.averagePacketRate || null; // one frame alone has none
    return { ...facts, rate, count: Math.max(1, Math.round(seconds * stats.averagePacketRate)) };
  }
  throw new Error(`${name}: holds no frame that this browser decodes.`);
}

async function* frames(track, span, { coded, bits }, name) {
  let number = 0;
  for await (const sample of shownSamples(track, span, name)) {
    try {
      const { width, height } = sample.visibleRect;
      if (`${width}x${height}` !== coded || depth(sample, name) !== bits) {
        throw new Error(`${name}: frame ${number} has ${width}x${height} pixels of ${depth(sample, name)} bits, earlier ones ${coded} of ${bits}; split it where it changes.`);
      }
      yield { luma: await luma(sample, bits), fullRange: sample.colorSpace.fullRange === true };
    } finally {
      sample.close();
    }
    number += 1;
  }
}

/** Decoded samples in the order in which they are shown; whoever takes one closes it. */
async function* shownSamples(track, { from, to }, name) {
  const samples = new VideoSampleSink(track).samples();
  try {
    for (;;) {
      const { done, value } = await samples.next().catch((error) => { throw damaged(name, error); });
      if (done) return;
      if (value.timestamp >= from && value.timestamp < to) yield value;
      else value.close();
    }
  } finally {
    await samples.return();
  }
}

function damaged(name, error) {
  return new Error(`${name}: cannot be decoded (${error?.message ?? error}); the file is damaged, or convert it to Y4M.`);
}

function depth(sample, name) {
  const match = /^(?:I420|I422|I444|NV12)A?(?:P(10|12))?$/.exec(sample.format ?? "");
  if (!match) {
    throw new Error(`${name}: this browser hands its frames out as ${sample.format ?? "no known format"}, not as luma; convert it to Y4M.`);
  }
  return match[1] ? Number(match[1]) : 8;
}

/** Luma on the 8-bit scale, turned as a player shows it. */
async function luma(sample, bits) {
  const bytes = new Uint8Array(sample.allocationSize());
  const [{ offset, stride }] = await sample.copyTo(bytes);
  const { width, height } = sample.visibleRect;
  const wide = bits > 8 ? 2 : 1;
  const plane = new Uint8Array(width * height * wide);
  for (let y = 0; y < height; y += 1) {
    plane.set(bytes.subarray(offset + y * stride, offset + y * stride + width * wide), y * width * wide);
  }
  const picture = wide === 2 ? onEightBits(new Uint16Array(plane.buffer), bits) : plane;
  return turn(picture, width, height, sample.rotation, sample.flip);
}

/** A picture turned clockwise by 0, 90, 180 or 270 degrees and then mirrored left to right. */
function turn(picture, width, height, rotation, flip) {
  if (!rotation && !flip) return picture;
  const turned = new picture.constructor(picture.length);
  const [across, down] = rotation % 180 ? [height, width] : [width, height];
  for (let y = 0; y < down; y += 1) {
    for (let column = 0; column < across; column += 1) {
      const x = flip ? across - 1 - column : column;
      const [fromX, fromY] = { 0: [x, y], 90: [y, height - 1 - x], 180: [width - 1 - x, height - 1 - y], 270: [width - 1 - y, x] }[rotation];
      turned[y * across + column] = picture[fromY * width + fromX];
    }
  }
  return turned;
}
