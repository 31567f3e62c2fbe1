// Motion as the models have it: which of two neighbours a frame is nearer to says what `previous` is.
// Source: libvmaf's motion.c; the same as vmaf_jax/features/motion.py.

const BLUR = [0.054488685, 0.244201342, 0.402619947, 0.244201342, 0.054488685];

/** The mean absolute difference of two frames after a 5-tap Gaussian, 8-bit luma steps. */
export function motion(frame, other, width, height) {
  const rows = new Float32Array(width + 4);
  const [a, b, c] = BLUR;
  let total = 0;
  for (let y = 0; y < height; y += 1) {
    const [y0, y1, y2, y3, y4] = [-2, -1, 0, 1, 2].map((k) => mirrored(y + k, height) * width);
    for (let x = 0; x < width; x += 1) {
      rows[x + 2] =
        a * (frame[y0 + x] - other[y0 + x] + frame[y4 + x] - other[y4 + x]) +
        b * (frame[y1 + x] - other[y1 + x] + frame[y3 + x] - other[y3 + x]) +
        c * (frame[y2 + x] - other[y2 + x]);
    }
    rows[0] = rows[4];
    rows[1] = rows[3];
    rows[width + 2] = rows[width];
    rows[width + 3] = rows[width - 1];
    for (let x = 0; x < width; x += 1) {
      total += Math.abs(a * (rows[x] + rows[x + 4]) + b * (rows[x + 1] + rows[x + 3]) + c * rows[x + 2]);
    }
  }
  return total / (width * height);
}

function mirrored(at, length) {
  if (at < 0) return -at;
  return at < length ? at : 2 * (length - 1) - at;
}
