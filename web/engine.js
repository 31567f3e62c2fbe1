// Two videos and a model to scores, a few frames at a time; what is held does not grow with their length.

import { motion } from "./motion.js";
import { alignRange, rangeNotes } from "./video.js";

const WORST = 5; // frames whose pictures are held

/**
 * Scores every frame of two opened videos.
 * @param session  {lanes, run}: run takes (reference, distorted, previous) of one frame to
 *   {features, score}, as many at a time as there are lanes
 * @param onFrame  called with (frames done, score) after each
 * @returns {frames: [{frame, score, features}], worst: [{frame, score, reference, distorted}], notes: [sentence]}
 */
export async function scoreVideos(reference, distorted, session, onFrame) {
  const { width, height } = reference;
  const frames = [], underWay = new Set(), ranges = [new Set(), new Set()];
  let worst = [], started = 0, done = 0;

  /** Begins a frame once a lane is free. */
  async function measure(now, before, after) {
    // motion2 is the lesser of the motions before and after: `previous` is the nearer neighbour.
    const moved = after === null || before.motion <= after.motion;
    const previous = moved ? before.picture : after.picture;
    const frame = started++;
    if (underWay.size >= session.lanes) await Promise.race(underWay);
    const one = scored(frame, now, previous).then(() => underWay.delete(one));
    one.catch(() => {}); // told by whoever waits for it
    underWay.add(one);
  }

  async function scored(frame, now, previous) {
    const { features, score } = await session.run(now.reference, now.distorted, previous);
    frames[frame] = { frame, score, features };
    if (worst.length < WORST || score < worst.at(-1).score || (score === worst.at(-1).score && frame < worst.at(-1).frame)) {
      const pictures = { reference: toBytes(now.reference), distorted: toBytes(now.distorted) };
      worst = [...worst, { frame, score, ...pictures }].sort((a, b) => a.score - b.score || a.frame - b.frame).slice(0, WORST);
    }
    done += 1;
    onFrame(done, score);
  }

  let now = null, before = null;
  for await (const next of pairs(reference, distorted, ranges)) {
    if (now) {
      const after = { picture: next.reference, motion: motion(next.reference, now.reference, width, height) };
      await measure(now, before, after);
      before = { picture: now.reference, motion: after.motion };
    } else {
      before = { picture: next.reference, motion: 0 };
    }
    now = next;
  }
  if (!now) throw new Error(`${distorted.name}: holds no frame.`);
  await measure(now, before, null);
  await Promise.all(underWay);
  return { frames, worst, notes: rangeNotes(ranges) };
}

/** Frames of both, together, whose ranges are added to `ranges`; raises an Error where one of the two ends first. */
async function* pairs(reference, distorted, ranges) {
  const streams = [reference.frames(), distorted.frames()];
  try {
    for (let number = 0; ; number += 1) {
      const [a, b] = await Promise.all(streams.map((stream) => stream.next()));
      if (a.done && b.done) return;
      if (a.done || b.done) {
        const [short, long] = a.done ? [reference, distorted] : [distorted, reference];
        throw new Error(`${short.name} ends after ${number} frames, ${long.name} goes on; cut both to one length (docs/traps.md).`);
      }
      [a, b].forEach(({ value }, k) => ranges[k].add(value.fullRange));
      const [ours, theirs] = alignRange(a.value, b.value);
      yield { reference: ours, distorted: theirs };
    }
  } finally {
    await Promise.all(streams.map((stream) => stream.return()));
  }
}

function toBytes(picture) {
  return picture instanceof Uint8Array ? picture : Uint8Array.from(picture, Math.round);
}

/** How scores are spread, VMAF points; the harmonic mean is libvmaf's. Without a rate there is no worst second. */
export function statistics(scores, rate) {
  const sorted = Float64Array.from(scores).sort();
  const at = (share) => {
    const place = share * (sorted.length - 1), low = Math.floor(place);
    return sorted[low] + (place - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
  };
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
  const harmonic = scores.length / scores.reduce((sum, score) => sum + 1 / (score + 1), 0) - 1;
  const figures = { mean, harmonic_mean: harmonic, min: sorted[0], p1: at(0.01), p5: at(0.05), p10: at(0.1), median: at(0.5), frames: scores.length };
  return rate ? { ...figures, worst_second: worstSecond(scores, rate).score } : figures;
}

/** The second with the lowest mean, wherever it starts, as the command line describes it; a shorter clip is one. */
export function worstSecond(scores, rate) {
  const length = Math.min(scores.length, Math.max(1, Math.round(rate)));
  let lowest = Infinity, first = 0;
  for (let k = 0; k + length <= scores.length; k += 1) {
    const mean = scores.slice(k, k + length).reduce((sum, score) => sum + score, 0) / length;
    if (mean < lowest) [lowest, first] = [mean, k];
  }
  const end = first + length;
  return { score: lowest, first_frame: first, last_frame: end - 1, from_s: first / rate, to_s: end / rate };
}
