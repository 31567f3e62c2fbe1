#!/usr/bin/env bash
# Time stamps of VVC that ffmpeg 9.0.2 encodes (libvvenc) into Matroska.
#
# Expected: those of the source, 0, 40, 80 ms and so on at 25 frames/s, as H.264 and HEVC with B-frames have.
# Seen: nearly all frames are at 0 or 1 ms (0 1 1 1 1 1 1 1 40 80 for ten frames), with exit code 0: the encoder
# numbers them from below zero, and the Matroska muxer presses what is below zero together. MP4 of the same encode
# keeps their distance. All frames are there and decode, so they can be paired by number, and not by time stamp.
# Versions: ffmpeg 9.0.2 static (PyPI imageio-ffmpeg 0.8.1). 2026-11-29, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q imageio-ffmpeg==0.8.1 2>/dev/null
ffmpeg=$("$work/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
cd "$work"

stamps() { # ENCODER FILE: encodes ten frames, prints the distances of their times, ms
  "$ffmpeg" -v error -f lavfi -i testsrc2=size=320x180:rate=25:duration=0.4 -pix_fmt yuv420p10le -c:v $1 "$2"
  "$ffmpeg" -v error -i "$2" -c copy -f framecrc -enc_time_base -1 - |
    awk -F', *' '/^#tb/ { split($1, a, /[ \/]/); tb = 1000 * a[3] / a[4] } /^0/ { print $3 * tb }' |
    sort -n | awk 'NR > 1 { printf "%s%g", (NR > 2 ? " " : ""), $1 - last } { last = $1 }'
}
vvc_mkv=$(stamps "libvvenc -preset faster" vvc.mkv)
vvc_mp4=$(stamps "libvvenc -preset faster" vvc.mp4)
hevc_mkv=$(stamps "libx265 -x265-params log-level=none" hevc.mkv)
frames=$("$ffmpeg" -v error -i vvc.mkv -fps_mode passthrough -f framecrc - | grep -vc '^#')
echo "ms from frame to frame: VVC in MKV $vvc_mkv; VVC in MP4 $vvc_mp4; HEVC in MKV $hevc_mkv"
echo "frames that VVC in MKV decodes to: $frames"
even="40 40 40 40 40 40 40 40 40"
[ "$hevc_mkv" = "$even" ] && [ "$vvc_mp4" = "$even" ] || { echo "the others changed"; exit 1; }
[ "$frames" = 10 ] || { echo "frames are lost"; exit 1; }
[ "$vvc_mkv" != "$even" ] || { echo "Matroska keeps the times now"; exit 1; }
