#!/usr/bin/env bash
# The range of H.264 whose first half is tagged full range and whose second half says nothing, in ffmpeg 9.0.2.
#
# Expected: the second half is untagged or limited: its own sequence parameter set has no video_full_range_flag, which
# H.264 (E.2.1) takes for 0, limited range. HEVC of the same kind changes to limited.
# Seen: all frames are decoded as full range, as if the decoder kept the last value where there is none. libx264 writes
# none for limited range, even with `-color_range tv`, so an ordinary encode that is joined to a full-range one is shown
# wrong. The other way round, untagged first, each half of an MP4 keeps its own; but in a raw stream so short that ffmpeg
# reads it whole before it begins, the first half is full range, too.
# Versions: ffmpeg 9.0.2 static (PyPI imageio-ffmpeg 0.8.1, libx264 and libx265 in it). 2026-11-29, x86-64 Linux.
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

ranges() { # FILE: how many frames in a row have which range
  "$ffmpeg" -hide_banner -nostdin -i "$1" -vf showinfo -f null - 2>&1 | grep -oE 'color_range:[a-z]+' | uniq -c |
    awk '{ sub("color_range:", "", $2); printf "%s%d %s", (NR > 1 ? ", " : ""), $1, $2 }'
}
for file in full_first.h264 full_first_h264.mp4 limited_first.h264 limited_first_h264.mp4 full_first.hevc; do
  echo "$file: $(ranges $file)"
done
[ "$(ranges full_first.hevc)" = "6 pc, 6 tv" ] && [ "$(ranges full_first_hevc.mp4)" = "6 pc, 6 tv" ] &&
  [ "$(ranges limited_first_h264.mp4)" = "6 unknown, 6 pc" ] || { echo "the others changed"; exit 1; }
[ "$(ranges full_first.h264)" = "12 pc" ] && [ "$(ranges full_first_h264.mp4)" = "12 pc" ] &&
  [ "$(ranges limited_first.h264)" = "12 pc" ] || { echo "H.264 follows each half now"; exit 1; }
