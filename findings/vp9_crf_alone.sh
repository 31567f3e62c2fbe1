#!/usr/bin/env bash
# What libvpx-vp9 makes of -crf without -b:v, and of neither, in ffmpeg 4.2.2 and 9.0.2.
#
# Expected: -crf alone is bounded by a default bit rate, so that constant quality takes -b:v 0 beside it, as guides say;
# and without either option, a bit rate is held.
# Seen: in 4.2.2, -crf alone changes nothing: the file has the size of that of no option at all, a tenth of
# what -crf 15 -b:v 0 writes. In 9.0.2 (6.0, 7.0.2 and 8.0 alike) -crf alone is constant quality, the same file as with
# -b:v 0, and no option at all is -crf 32. One command line is a fixed bit rate in one build and a quality in another.
# Versions: ffmpeg 4.2.2 and 9.0.2 static (PyPI imageio-ffmpeg 0.5.1 and 0.8.1). 2026-11-29, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for version in 0.5.1 0.8.1; do
  python3 -m pip install -q --no-deps --target "$version" "imageio-ffmpeg==$version" 2>/dev/null
done
old=$(find 0.5.1 -name 'ffmpeg-linux64*' -type f)
new=$(find 0.8.1 -name 'ffmpeg-linux*' -type f)
chmod +x "$old" "$new"

"$new" -nostdin -v error -f lavfi -i "mandelbrot=size=480x270:rate=25,noise=alls=8:all_seed=1:allf=t" -frames:v 36 \
  -pix_fmt yuv420p ref.y4m

size() { # FFMPEG OPTIONS ...: bytes of the video stream
  local ffmpeg=$1
  shift
  "$ffmpeg" -nostdin -v error -y -i ref.y4m -c:v libvpx-vp9 -threads 1 -cpu-used 5 "$@" -f ivf out.ivf
  stat -c %s out.ivf
}
declare -A seen
for name in old new; do
  seen[$name none]=$(size "${!name}")
  seen[$name 15]=$(size "${!name}" -crf 15)
  seen[$name 15 0]=$(size "${!name}" -crf 15 -b:v 0)
  seen[$name 32 0]=$(size "${!name}" -crf 32 -b:v 0)
  echo "$name: no option ${seen[$name none]}, -crf 15 ${seen[$name 15]}, -crf 15 -b:v 0 ${seen[$name 15 0]}," \
    "-crf 32 -b:v 0 ${seen[$name 32 0]} bytes"
done
[ "${seen[old 15]}" = "${seen[old none]}" ] && [ "${seen[old 15]}" -lt $((seen[old 15 0] / 2)) ] &&
  [ "${seen[new 15]}" = "${seen[new 15 0]}" ] && [ "${seen[new none]}" = "${seen[new 32 0]}" ] ||
  { echo "this changed"; exit 1; }
