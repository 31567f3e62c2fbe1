#!/usr/bin/env bash
# A Y4M file whose last frame is cut in the middle (a pipe whose program died, a full disk), read by ffmpeg 9.0.2.
#
# Expected: an error, a warning, or exit code other than 0, as for an H.264 stream that is cut in a frame; the file says
# how large a frame is.
# Seen: the cut frame is left out without a word, even at `-v verbose`: "9 frames decoded; 0 decode errors", exit code 0.
# The same samples raw, cut at the same place, end with an error of the decoder, which counts. So a Y4M reference that
# lost its end passes for a shorter one.
# Versions: ffmpeg 9.0.2 static (PyPI imageio-ffmpeg 0.8.1). 2026-11-29, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q imageio-ffmpeg==0.8.1 2>/dev/null
ffmpeg=$("$work/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
cd "$work"
"$ffmpeg" -v error -f lavfi -i testsrc2=size=64x64:rate=25:duration=0.4 -pix_fmt yuv420p whole.y4m
"$ffmpeg" -v error -i whole.y4m -f rawvideo whole.yuv
head -c -1000 whole.y4m >cut.y4m
head -c -1000 whole.yuv >cut.yuv

read_file() { # ARGUMENTS: exit code, frames and decode errors, lines of warnings and errors
  local rc=0
  "$ffmpeg" -hide_banner -nostdin -nostats -v level+verbose "$@" -f null - >log 2>&1 || rc=$?
  echo "$rc, $(grep -oE '[0-9]+ frames decoded; [0-9]+ decode errors' log), $(grep -cE '\[(warning|error|fatal)\]' log || :)"
}
y4m=$(read_file -i cut.y4m)
raw=$(read_file -f rawvideo -video_size 64x64 -pixel_format yuv420p -i cut.yuv)
echo "exit code, frames, complaints: cut Y4M $y4m; cut raw file $raw"
[ "${raw#*decode errors, }" != 0 ] || { echo "raw files changed"; exit 1; }
[ "$y4m" = "0, 9 frames decoded; 0 decode errors, 0" ] || { echo "a cut Y4M file is told now"; exit 1; }
