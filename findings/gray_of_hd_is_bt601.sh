#!/usr/bin/env bash
# Luma of BT.709 video taken as `format=gray` by ffmpeg, and as `to_ndarray(format="gray")` by PyAV.
#
# Expected: gray is the luma plane, with its range stretched where the video is limited (147 for a luma of 142).
# Seen: 126 for this green: swscale converts the matrix too, to BT.601, which is what gray has in its books. The plane
# itself (`extractplanes=y`), or `format=nv12` of PyAV, keeps the video's luma. BT.601 video is not touched. So the
# gray of an HD film is not the luma that libvmaf measures.
# Versions: ffmpeg 9.0.2 static (PyPI imageio-ffmpeg 0.8.1), PyPI av 18.1.0. 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q imageio-ffmpeg==0.8.1 av==18.1.0 numpy==2.2.6 2>/dev/null
cd "$work"
"$work/venv/bin/python" - <<'P'
import subprocess
import sys

import av
import imageio_ffmpeg

program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error"]


def run(*arguments):
    return subprocess.run([*program, *arguments], check=True, capture_output=True).stdout


def first_sample(name, filters):
    return run("-i", name, "-frames:v", "1", "-vf", filters, "-f", "rawvideo", "-")[0]


seen = {}
for matrix in ("bt709", "smpte170m"):
    for span in ("tv", "pc"):
        name = f"{matrix}_{span}.mp4"
        scale = f"format=gbrp,scale=out_color_matrix={matrix}:out_range={span},format=yuv420p"
        tags = ("-color_range", span, "-colorspace", matrix)
        green = ("-f", "lavfi", "-i", "color=c=0x20C040:s=320x180:r=25:d=0.08", "-vf", scale)
        run(*green, "-c:v", "libx264", "-qp", "0", *tags, name)
        frame = next(av.open(name).decode(video=0))
        seen[matrix, span] = (
            first_sample(name, "extractplanes=y"),
            first_sample(name, "format=gray"),
            int(frame.to_ndarray(format="nv12")[0, 0]),
            int(frame.to_ndarray(format="gray")[0, 0]),
        )
        values = "luma {}, gray {}; PyAV: luma {}, gray {}".format(*seen[matrix, span])
        print(f"{matrix}, {span} range: {values}")
for (matrix, span), (plane, gray, pyav_plane, pyav_gray) in seen.items():
    full = plane if span == "pc" else (plane - 16) * 255 / 219
    is_luma = abs(gray - full) < 3 and abs(pyav_gray - full) < 3
    if plane != pyav_plane or is_luma != (matrix == "smpte170m"):
        sys.exit(f"{matrix} in {span} range changed")
P
