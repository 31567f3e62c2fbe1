#!/usr/bin/env bash
# An MP4 that was cut with `-ss ... -c copy` in decord: frames from the key frame to the cut are hidden by an edit list.
#
# Expected: `len(VideoReader)` is either the 9 frames that players show or the 12 that are stored, and frame k is the
# k-th of them.
# Seen: the length is 12, the first 9 are the frames that players show, and 9 to 11 repeat the last one, without a
# message; their time stamps go on. PyAV 18 and OpenCV 5 give 9 frames. A score of decord's frames weighs the last
# picture four times.
# Versions: PyPI decord 0.6.0, av 18.1.0, imageio-ffmpeg 0.8.1 (ffmpeg 9.0.2). 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q imageio-ffmpeg==0.8.1 av==18.1.0 decord==0.6.0 numpy==2.2.6 2>/dev/null
ffmpeg=$("$work/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
cd "$work"
"$ffmpeg" -v error -f lavfi -i testsrc2=s=480x270:r=25:d=0.96 -pix_fmt yuv420p film.y4m
"$ffmpeg" -v error -i film.y4m -c:v libx264 -crf 20 -g 12 -bf 2 -sc_threshold 0 keys.mp4
"$ffmpeg" -v error -ss 0.6 -i keys.mp4 -c copy cut.mp4
"$work/venv/bin/python" - <<'P'
import sys

import av
import decord
import numpy as np

shown = np.stack([f.to_ndarray(format="rgb24") for f in av.open("cut.mp4").decode(video=0)]).astype(int)
reader = decord.VideoReader("cut.mp4")
frames = reader.get_batch(range(len(reader))).asnumpy().astype(int)
first = np.abs(frames[: len(shown)] - shown).max()
rest = np.abs(frames[len(shown) :] - shown[-1]).max()
times = reader.get_frame_timestamp(range(len(reader)))[:, 0]
print(f"PyAV: {len(shown)} frames; decord: {len(reader)}, from {times[0]:.2f} to {times[-1]:.2f} s")
print(f"largest difference of the first {len(shown)} {first}, of the others from the last shown {rest}")
if (len(shown), len(reader)) != (9, 12) or first > 4 or rest > 4:
    sys.exit("decord or PyAV changed")
P
