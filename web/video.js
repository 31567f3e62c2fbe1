// A dropped file as luma frames: {name, width, height, bits, aspect, interlaced, count, notes, frames()};
// `interlaced` is null where the file does not tell.
// `frames()` yields {luma, fullRange}: samples on the 8-bit scale as they are coded, and their range.

import { openContainer } from "./container.js";
import { isY4m, openY4m } from "./y4m.js";

const SAME_ASPECT = 0.015; // relative; as the command line has it
const SAME_RATE = 0.02; // relative; a container's rate is estimated from its first packets

/** Opens a video file; raises an Error that says in words what is wrong with it. */
export async function openVideo(file) {
  if (!file.size) throw new Error(`${file.name}: is empty.`);
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Error(`${file.name}: cannot be read; it is a folder, or was changed or removed since it was chosen.`);
  }
  const video = (await isY4m(file)) ? await openY4m(file) : await openContainer(file);
  if (!video) {
    throw new Error(`${file.name}: is neither Y4M, MP4, MOV, MKV, WebM nor MPEG-TS; convert it, for example to Y4M with ffmpeg.`);
  }
  return video;
}

/** Notes on a pair that can be compared; raises an Error in words for one that cannot. */
export function checkPair(reference, distorted) {
  const { width, height } = reference;
  if (width !== distorted.width || height !== distorted.height) {
    throw new Error(`The reference has ${width}x${height} pixels, the distorted video ${distorted.width}x${distorted.height}; bring them to one size first (docs/traps.md).`);
  }
  if (reference.aspect && distorted.aspect && Math.abs(reference.aspect / distorted.aspect - 1) > SAME_ASPECT) {
    throw new Error(`The reference is shown at ${reference.aspect.toFixed(3)}:1, the distorted video at ${distorted.aspect.toFixed(3)}:1; bring them to one shape first.`);
  }
  const videos = [reference, distorted];
  const interlaced = videos.filter((video) => video.interlaced);
  if (interlaced.length && videos.some((video) => video.interlaced === false)) {
    throw new Error(`${interlaced[0].name}: is interlaced, the other video is not; deinterlace it first.`);
  }
  const notes = [...reference.notes, ...distorted.notes];
  if (reference.rate && distorted.rate && Math.abs(reference.rate / distorted.rate - 1) > SAME_RATE) {
    notes.push(`The reference has ${reference.rate.toFixed(2)} frames a second, the distorted video ${distorted.rate.toFixed(2)}: they are paired by number, and a score means little unless one was sped up (docs/traps.md).`);
  }
  if (interlaced.length) {
    const who = interlaced.length > 1 ? "Both videos are" : `${interlaced[0].name} is`;
    notes.push(`${who} interlaced: fields are compared as frames.`);
  }
  return notes;
}

/** Pairs of frames whose ranges are alike: full range is brought to limited where the other is limited. */
export function alignRange(a, b) {
  if (a.fullRange === b.fullRange) return [a.luma, b.luma];
  return [a.fullRange ? limitRange(a.luma) : a.luma, b.fullRange ? limitRange(b.luma) : b.luma];
}

/** Notes on the ranges of the reference's and the distorted video's frames, two sets that hold whether a frame is full. */
export function rangeNotes(ranges) {
  const roles = ["reference", "distorted video"];
  const changing = roles.filter((_, k) => ranges[k].size > 1);
  if (changing.length) {
    return changing.map((role) => `The range changes within the ${role}: each frame is taken by its own tag (docs/traps.md).`);
  }
  const [reference, distorted] = ranges.map((range) => range.has(true));
  if (reference === distorted) return [];
  const [full, other] = reference ? roles : [...roles].reverse();
  return [`The ${full} is in full range, the ${other} is not: full range was brought to limited (docs/traps.md).`];
}

/** Luma of 0 to 255 on the scale of 16 to 235. */
function limitRange(picture) {
  const limited = new picture.constructor(picture.length);
  for (let k = 0; k < picture.length; k += 1) {
    const value = 16 + (picture[k] * 219) / 255;
    limited[k] = picture instanceof Uint8Array ? Math.round(value) : value;
  }
  return limited;
}
