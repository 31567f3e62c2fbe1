#!/usr/bin/env bash
# Lines and columns of 4:2:0 video of an odd size that ffmpeg's filter `pad` keeps, in ffmpeg 9.0.2 and 4.2.2.
#
# Expected: all of them, with black beside; 240x135 in 240x136 is what a ladder's step of 480x270 needs.
# Seen: the last of an odd number of lines or columns is black too, so 134 of 135 lines and 134 of 135 columns are left, and
# their scale is that of 135. In 4:4:4 and in gray all are kept. 9.0.2 kept the line of a picture straight from `color`, whose
# memory had room for the padding; after `scale`, as below, it did not.
# Versions: ffmpeg 9.0.2 and 4.2.2 static (PyPI imageio-ffmpeg 0.8.1 and 0.4.2). 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for version in 0.8.1 0.4.2; do
  python3 -m venv $version
  $version/bin/pip install -q "setuptools<81" imageio-ffmpeg==$version 2>/dev/null
done

last() { # VERSION FORMAT SIZE PADDED OFFSET: luma of the last line or column of a white picture that was scaled and padded
  local ffmpeg
  ffmpeg=$($1/bin/python -W ignore -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
  "$ffmpeg" -v error -y -f lavfi -i color=white:size=480x480 -frames:v 1 -vf "format=$2,scale=$3,pad=$4" -pix_fmt "$2" \
    -f rawvideo picture.raw
  od -An -tu1 -j "$5" -N 1 picture.raw | tr -d ' '
}
seen=""
for version in 0.8.1 0.4.2; do
  for case in "yuv420p 240:135 240:136 32160" "yuv420p 135:240 136:240 134" "yuv444p 240:135 240:136 32160" \
    "gray 240:135 240:136 32160"; do
    # shellcheck disable=SC2086
    value=$(last $version $case)
    echo "imageio-ffmpeg $version, $case: $value"
    seen="$seen $([ "$value" -lt 50 ] && echo black || echo kept)"
  done
done
[ "$seen" = " black black kept kept black black kept kept" ] || { echo "pad keeps other lines now"; exit 1; }
