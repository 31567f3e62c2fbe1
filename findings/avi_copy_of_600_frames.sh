#!/usr/bin/env bash
# The frame rate of an AVI file that ffmpeg 9.0.2 makes of an MP4 by `-c copy`, read by ffmpeg 9.0.2.
#
# Expected: the rate of the MP4, 25 frames/s, as an AVI file has that libx264 is encoded into directly.
# Seen: 600 frames/s, for 24 and 29.97 frames/s as well. All frames are there, and their packets are 24 ticks of 1/600 s
# apart: the header's rate is that of the ticks. So a comparison that goes by the header's rate refuses the copy.
# Versions: ffmpeg 9.0.2 static (PyPI imageio-ffmpeg 0.8.1). 2026-11-29, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q imageio-ffmpeg==0.8.1 2>/dev/null
ffmpeg=$("$work/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
cd "$work"
failed=0
rate() { # FILE: the rate that ffmpeg tells
  "$ffmpeg" -hide_banner -i "$1" 2>&1 | grep -oE '[0-9.k]+ fps' | head -1
}
for fps in 24 25 30000/1001; do
  encode="-f lavfi -i testsrc2=size=320x180:rate=$fps:duration=1 -pix_fmt yuv420p -c:v libx264 -bf 0"
  "$ffmpeg" -v error -y $encode source.mp4
  "$ffmpeg" -v error -y $encode direct.avi
  "$ffmpeg" -v error -y -i source.mp4 -c copy copy.avi
  frames=$("$ffmpeg" -v error -i copy.avi -f yuv4mpegpipe - | grep -ac FRAME)
  step=$("$ffmpeg" -v error -i copy.avi -c copy -f framecrc - | awk -F, '/^0/ { print $2 - last; last = $2 }' | sort -n | tail -1)
  echo "$fps: MP4 $(rate source.mp4), AVI encoded $(rate direct.avi), AVI copied $(rate copy.avi);" \
    "frames $frames, $step ticks apart"
  [ "$(rate direct.avi)" = "$(rate source.mp4)" ] && [ "$frames" -le 30 ] || failed=1
  [ "$(rate copy.avi)" = "600 fps" ] || failed=1
done
exit $failed
