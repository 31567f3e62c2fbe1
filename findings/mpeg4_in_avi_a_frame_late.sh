#!/usr/bin/env bash
# MPEG-4 (part 2) with B-frames that ffmpeg 9.0.2 writes into AVI, scored by libvmaf against its source.
#
# Expected: the score of the same packets when frames are paired by number; AVI and its remux to MP4 both start at 0.
# Seen: AVI has no presentation times, so each frame is shown one late (the first at 1/25 s), a remux to MP4 keeps
# that, and libvmaf pairs by time: every frame meets its neighbour. 26 VMAF points are lost on a moving clip, with
# exit code 0, all 24 frames in the log and no warning. A remux to Matroska fails: "unknown timestamp". Numbered
# stamps (setpts=N/25/TB) give the right score. H.264 with B-frames in AVI behaves alike.
# Versions: ffmpeg 9.0.2 static (PyPI imageio-ffmpeg 0.8.1). 2026-11-29, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q imageio-ffmpeg==0.8.1 2>/dev/null
ffmpeg=$("$work/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
cd "$work"

"$ffmpeg" -v error -f lavfi -i testsrc2=size=480x270:rate=25:duration=0.96 -pix_fmt yuv420p ref.y4m
"$ffmpeg" -v error -i ref.y4m -c:v mpeg4 -bf 2 -q:v 3 b.avi
"$ffmpeg" -v error -i ref.y4m -c:v mpeg4 -bf 0 -q:v 3 plain.avi
"$ffmpeg" -v error -i b.avi -c copy b.mp4

score() { # ENCODE [FILTER]: frames in the log, and the mean rounded to whole points
  "$ffmpeg" -v error -i "$1" -i ref.y4m -lavfi "[0:v]${2:-null}[d];[d][1:v]libvmaf=log_fmt=json:log_path=l.json" -f null -
  python3 -c 'import json; d = json.load(open("l.json")); print(len(d["frames"]), round(d["pooled_metrics"]["vmaf"]["mean"]))'
}
read -r n avi <<<"$(score b.avi)"
read -r _ mp4 <<<"$(score b.mp4)"
read -r _ numbered <<<"$(score b.avi setpts=N/25/TB)"
read -r _ plain <<<"$(score plain.avi)"
echo "$n frames; VMAF of AVI with B-frames $avi, remuxed to MP4 $mp4, by number $numbered; AVI without B-frames $plain"
if "$ffmpeg" -v error -i b.avi -c copy b.mkv 2>/dev/null; then echo "the remux to Matroska works now"; exit 1; fi
[ "$n" = 24 ] && [ "$numbered" -ge 85 ] && [ "$plain" -ge 85 ] || { echo "the right scores changed"; exit 1; }
[ $((numbered - avi)) -ge 10 ] && [ $((numbered - mp4)) -ge 10 ] || { echo "AVI is in step now"; exit 1; }
