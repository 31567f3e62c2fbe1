#!/usr/bin/env bash
# The usual recipe for pairing two videos by number, `setpts=N/RATE/TB` on both inputs of libvmaf, at 23.976 frames/s.
#
# Expected: frame N of one is compared with frame N of the other, whatever containers they come from.
# Seen: where the time bases differ, N/RATE/TB is rounded down to ticks of different length, and a frame that comes a
# fraction of a tick before its partner is paired with the one before. An MP4 against its Y4M source, right without the
# recipe, loses three points by it; an MKV gets worse instead of right, with a frame too many. At 25 frames/s nothing is
# rounded, so that a trial shows no harm. `settb=1001/24000,setpts=N` gives both inputs one clock, and the right score.
# Versions: ffmpeg 9.0.2 static (PyPI imageio-ffmpeg 0.8.1). 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q imageio-ffmpeg==0.8.1 2>/dev/null
ffmpeg=$("$work/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
cd "$work"
"$ffmpeg" -v error -f lavfi -i testsrc2=size=320x180:rate=24000/1001:duration=1.5 -pix_fmt yuv420p ref.y4m
"$ffmpeg" -v error -i ref.y4m -c:v libx264 -crf 30 -bf 0 -threads 1 dis.mp4
"$ffmpeg" -v error -i dis.mp4 -c copy dis.mkv
measure() { # FILE CHAIN: sets score and frames
  score=$("$ffmpeg" -hide_banner -i "$1" -i ref.y4m -lavfi "[0:v]$2[d];[1:v]$2[r];[d][r]libvmaf=log_path=l.json:log_fmt=json" \
    -f null - 2>&1 | sed -n 's/.*VMAF score: //p')
  frames=$(grep -c frameNum l.json)
  echo "$1, $2: $score, $frames frames"
}
below() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a < b - 2) }'; }
measure dis.mp4 null
right=$score
measure dis.mp4 "setpts=N/(24000/1001)/TB"
below "$score" "$right"
measure dis.mkv "setpts=N/(24000/1001)/TB"
below "$score" "$right"
[ "$frames" = 37 ]
for file in dis.mp4 dis.mkv; do
  measure "$file" "settb=1001/24000,setpts=N"
  [ "$score $frames" = "$right 36" ]
done
