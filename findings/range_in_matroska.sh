#!/usr/bin/env bash
# A Matroska file that says full range (`-c copy -color_range pc`) of a stream that itself says limited or nothing, in
# ffmpeg 9.0.2.
#
# Expected: one rule for all codecs, and the range that `ffmpeg -i` prints for the stream is that of its frames.
# Seen: `ffmpeg -i` prints the container's range for all. H.264, MPEG-4 Part 2 and FFV1 frames follow it where the stream
# says nothing. HEVC, VP9, AV1 and ProRes frames are limited: their decoders write limited range where the stream does
# not say otherwise. So the same mark changes the pictures of one encode and not of another, and who takes the range
# from the header converts the second by mistake.
# Versions: ffmpeg 9.0.2 static (PyPI imageio-ffmpeg 0.8.1). 2026-11-29, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q imageio-ffmpeg==0.8.1 2>/dev/null
ffmpeg=$("$work/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
cd "$work"
failed=0
check() { # EXPECTED PIXEL_FORMAT ENCODER: what the header and the frames of a file marked full say
  "$ffmpeg" -v error -y -f lavfi -i testsrc2=size=320x180:rate=25:duration=0.2 \
    -vf "format=$2,setparams=range=unspecified" -c:v $3 plain.mkv 2>/dev/null
  "$ffmpeg" -v error -y -i plain.mkv -c copy -color_range pc marked.mkv
  "$ffmpeg" -hide_banner -nostdin -i marked.mkv -vf showinfo -f null - >log 2>&1
  header=$(grep -m1 -oE "(yuvj?4[0-9a-z]+)\((pc|tv)?" log | sed 's/.*(//')
  frames=$(grep -oE 'color_range:[a-z]+' log | sort -u | sed 's/.*://')
  echo "${3%% *}: header $header, frames $frames"
  [ "$header $frames" = "pc $1" ] || failed=1
}
check pc yuv420p "libx264 -bf 0"
check pc yuv420p mpeg4
check pc yuv420p ffv1
check tv yuv420p "libx265 -x265-params log-level=none"
check tv yuv420p "libvpx-vp9 -cpu-used 8"
check tv yuv420p "libsvtav1 -preset 12"
check tv yuv422p10le prores_ks
exit $failed
