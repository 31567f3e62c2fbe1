#!/usr/bin/env bash
# `-force_key_frames 0.52,1.04` of 25 frames/s, by encoder: which packets are key frames.
#
# Expected: frames 0, 13 and 26 in each; in libx265 I frames that are not key frames, without -forced-idr.
# Seen: libx264, libsvtav1 and libvpx-vp9 do so. libaom-av1 writes two key frames for each that is forced, 13 and 14, 26
# and 27, in its default usage (-usage realtime does not). libx265 leaves out frame 13, which is within its min-keyint (one
# second) of frame 0, and takes 26; -forced-idr 1 gives both. libvvenc ignores the option and -g: it has key frames at 23
# and 47 alone. No message in any case. So segments that are cut at forced frames differ by encoder, and those of a
# ladder of several codecs do not switch at the same frames.
# Versions: ffmpeg 9.0.2 static (PyPI imageio-ffmpeg 0.8.1). 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q imageio-ffmpeg==0.8.1 2>/dev/null
ffmpeg=$("$work/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
cd "$work"
"$ffmpeg" -v error -f lavfi -i testsrc2=size=160x96:rate=25:duration=2 -pix_fmt yuv420p ref.y4m

failed=0
check() { # EXPECTED FRAMES, then the encoder and its options
  local expected=$1 seen
  shift
  "$ffmpeg" -v error -y -i ref.y4m -c:v "$@" -force_key_frames 0.52,1.04 out.mp4 2>/dev/null
  # Packets without a flag are key frames; 512 ticks of the MP4 are one frame.
  seen=$("$ffmpeg" -v error -i out.mp4 -c copy -f framecrc - | awk -F, '!/^#/ && !/F=0x/ {print $3 / 512}' | xargs)
  echo "$*: $seen"
  [ "$seen" = "$expected" ] || failed=1
}
check "0 13 26" libx264
check "0 13 26" libsvtav1 -preset 10
check "0 13 26" libvpx-vp9 -cpu-used 8
check "0 13 14 26 27" libaom-av1 -cpu-used 8
check "0 13 26" libaom-av1 -cpu-used 8 -usage realtime
check "0 26" libx265
check "0 13 26" libx265 -forced-idr 1
check "23 47" libvvenc -preset faster
check "23 47" libvvenc -preset faster -g 10
[ "$failed" = 0 ] || { echo "this changed"; exit 1; }
