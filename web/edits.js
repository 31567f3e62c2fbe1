// Edit lists of MP4 and MOV: which part of a track players show. The demuxer applies their start, not their end.
// Source: ISO/IEC 14496-12, boxes moov, mvhd, trak, tkhd, edts and elst.

const MAX_INDEX_BYTES = 64 << 20;
const EVERYTHING = { from: -Infinity, to: Infinity };

/**
 * The time span of a track that is shown, in seconds of the demuxer's time stamps: from <= time < to.
 * @param file  any file; other containers have no edit lists and show everything
 * @param trackId  the track's number in its header
 * @throws Error in words, where a list shows several parts or another speed
 */
export async function shownSpan(file, trackId) {
  const index = await findBox(file, "moov");
  if (!index) return EVERYTHING;
  const movie = children(index, 8, index.byteLength);
  const track = (movie.trak ?? []).find((place) => trackNumber(index, place) === trackId);
  const edits = track && children(index, ...track).edts?.[0];
  const list = edits && children(index, ...edits).elst?.[0];
  if (!list || !movie.mvhd) return EVERYTHING;
  const [mvhd] = movie.mvhd[0];
  const scale = index.getUint32(mvhd + (index.getUint8(mvhd) === 1 ? 20 : 12)) || 1;
  const entries = readEntries(index, list[0]);
  const shown = entries.filter(({ media }) => media >= 0);
  if (shown.length > 1 || shown.some(({ rate }) => rate !== 1)) {
    throw new Error(`${file.name}: its edit list shows ${shown.length} parts of the track; encode it again, or convert it to Y4M (docs/traps.md).`);
  }
  if (!shown.length) return EVERYTHING;
  const delay = entries.slice(0, entries.indexOf(shown[0])).reduce((sum, { duration }) => sum + duration, 0);
  const end = shown[0].duration ? (delay + shown[0].duration) / scale : Infinity; // 0 in fragmented files: to the end
  const slack = 0.5 / scale; // durations are rounded to the movie's clock
  return { from: delay / scale - slack, to: end - slack };
}

function readEntries(view, at) {
  const long = view.getUint8(at) === 1;
  const size = long ? 20 : 12;
  const count = Math.min(view.getUint32(at + 4), Math.floor((view.byteLength - at - 8) / size));
  return Array.from({ length: count }, (_, k) => {
    const entry = at + 8 + k * size;
    const duration = long ? Number(view.getBigUint64(entry)) : view.getUint32(entry);
    const media = long ? Number(view.getBigInt64(entry + 8)) : view.getInt32(entry + 4);
    return { duration, media, rate: view.getInt32(entry + size - 4) / 65536 };
  });
}

function trackNumber(view, place) {
  const header = children(view, ...place).tkhd?.[0];
  return header && view.getUint32(header[0] + (view.getUint8(header[0]) === 1 ? 20 : 12));
}

/** A top-level box with its header, or null where the file has none of this name. */
async function findBox(file, wanted) {
  for (let at = 0; at + 8 <= file.size; ) {
    const head = new DataView(await file.slice(at, at + 16).arrayBuffer());
    let size = head.getUint32(0);
    if (size === 1 && head.byteLength === 16) size = Number(head.getBigUint64(8));
    if (size === 0) size = file.size - at;
    if (size < 8) return null;
    if (boxName(head, 4) === wanted) {
      if (size > MAX_INDEX_BYTES || at + size > file.size) return null;
      return new DataView(await file.slice(at, at + size).arrayBuffer());
    }
    at += size;
  }
  return null;
}

/** The boxes between two places, by name: {name: [[first byte of the content, end], ...]}. */
function children(view, from, to) {
  const all = {};
  for (let at = from; at + 8 <= to; ) {
    const size = view.getUint32(at);
    if (size < 8 || at + size > to) break;
    (all[boxName(view, at + 4)] ??= []).push([at + 8, at + size]);
    at += size;
  }
  return all;
}

function boxName(view, at) {
  return String.fromCharCode(...[0, 1, 2, 3].map((k) => view.getUint8(at + k)));
}
