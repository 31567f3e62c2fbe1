#!/usr/bin/env bash
# The range of H.264 and of Motion JPEG whose two halves have different ranges, in ffmpeg 9.0.2.
#
# Expected: each half has its own range, in either order, as in HEVC. H.264 has a flag in the sequence parameter set, and
# without one it is limited (E.2.1). A JPEG is full range, unless its comment says "CS=ITU601".
# Seen, H.264, full range first: all frames are decoded as full range, as if the decoder kept the last value where there is
# none. libx264 writes none for limited range, even with `-color_range tv`, so an ordinary encode that is joined to a
# full-range one is shown wrong. The other way round, untagged first, each half of an MP4 keeps its own; but in a raw stream
# so short that ffmpeg reads it whole before it begins, the first half is full range, too.
# Seen, Motion JPEG, limited range first: all frames are decoded as limited range; once a comment has said so, the decoder
# keeps it. Full range first, each half keeps its own.
# Versions: ffmpeg 9.0.2 static (PyPI imageio-ffmpeg 0.8.1, libx264 and libx265 in it). 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q imageio-ffmpeg==0.8.1 2>/dev/null
ffmpeg=$("$work/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
cd "$work"
source="testsrc2=size=320x180:rate=25:duration=0.24"
full="-vf scale=out_range=pc,format=yuv420p,setparams=range=pc -color_range pc"
limited="-vf format=yuv420p,setparams=range=tv -color_range tv"
for codec in h264 hevc; do
  encoder="-c:v libx264 -bf 0"
  [ $codec = h264 ] || encoder="-c:v libx265 -x265-params log-level=none:bframes=0"
  "$ffmpeg" -v error -f lavfi -i "$source" $full $encoder full.$codec
  "$ffmpeg" -v error -f lavfi -i "$source" $limited $encoder limited.$codec
  cat full.$codec limited.$codec >full_first.$codec
  cat limited.$codec full.$codec >limited_first.$codec
  for order in full limited; do # MP4 keeps both parameter sets, and is not decoded before it is opened
    "$ffmpeg" -v error -framerate 25 -i ${order}_first.$codec -c copy ${order}_first_$codec.mp4
  done
done

for range in pc tv; do
  "$ffmpeg" -v error -f lavfi -i "$source" -vf scale=out_range=$range,format=yuv420p,setparams=range=$range \
    -c:v mjpeg -strict unofficial -color_range $range -q:v 2 $range.mjpeg
done
cat pc.mjpeg tv.mjpeg >full_first.mjpeg
cat tv.mjpeg pc.mjpeg >limited_first.mjpeg

ranges() { # FILE: how many frames in a row have which range
  "$ffmpeg" -hide_banner -nostdin -i "$1" -vf showinfo -f null - 2>&1 | grep -oE 'color_range:[a-z]+' | uniq -c |
    awk '{ sub("color_range:", "", $2); printf "%s%d %s", (NR > 1 ? ", " : ""), $1, $2 }'
}
for file in full_first.h264 full_first_h264.mp4 limited_first.h264 limited_first_h264.mp4 full_first.hevc full_first.mjpeg \
  limited_first.mjpeg; do
  echo "$file: $(ranges $file)"
done
[ "$(ranges full_first.hevc)" = "6 pc, 6 tv" ] && [ "$(ranges full_first_hevc.mp4)" = "6 pc, 6 tv" ] &&
  [ "$(ranges limited_first_h264.mp4)" = "6 unknown, 6 pc" ] || { echo "the others changed"; exit 1; }
[ "$(ranges full_first.h264)" = "12 pc" ] && [ "$(ranges full_first_h264.mp4)" = "12 pc" ] &&
  [ "$(ranges limited_first.h264)" = "12 pc" ] || { echo "H.264 follows each half now"; exit 1; }
[ "$(ranges full_first.mjpeg)" = "6 pc, 6 tv" ] && [ "$(ranges limited_first.mjpeg)" = "12 tv" ] ||
  { echo "Motion JPEG is decoded otherwise now"; exit 1; }
