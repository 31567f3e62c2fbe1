#!/usr/bin/env bash
# Which encoders of ffmpeg 9.0.2 are lossless at -crf 0.
#
# Expected: libvpx-vp9 and libaom-av1 both (a quantiser index of 0 is what their bitstreams call lossless), and
# libx264 at 8 bits.
# Seen: libaom-av1 is, at 8 and at 10 bits, and libx264 at 8 bits; libvpx-vp9 is not (its -lossless 1 is, and takes
# no more bytes), nor is libsvtav1, nor libx264 at 10 bits. A "lossless" copy for a reference, or a proof that a
# chain changes nothing, has to be compared by digest.
# Versions: ffmpeg 9.0.2 static (PyPI imageio-ffmpeg 0.8.1). 2026-11-29, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q imageio-ffmpeg==0.8.1 2>/dev/null
ffmpeg=$("$work/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
cd "$work"

# Noise, so that nothing is lossless by chance.
"$ffmpeg" -v error -f lavfi -i "testsrc2=size=320x180:rate=25:duration=0.2,noise=alls=12:all_seed=1:allf=t" \
  -pix_fmt yuv420p ref.y4m

digest() { "$ffmpeg" -v error -i "$1" -fps_mode passthrough -pix_fmt "$2" -f md5 -; }
lossless() { # PIX_FMT ENCODER AND OPTIONS ...: yes or no
  local format=$1
  shift
  "$ffmpeg" -v error -y -i ref.y4m -pix_fmt "$format" -c:v "$@" out.mkv 2>/dev/null
  [ "$(digest out.mkv "$format")" = "$(digest ref.y4m "$format")" ] && echo yes || echo no
}
seen=""
note() { echo "$1: $2"; seen+="$2 "; }
note "libaom-av1 -crf 0" "$(lossless yuv420p libaom-av1 -crf 0 -cpu-used 8)"
note "libaom-av1 -crf 0, 10 bits" "$(lossless yuv420p10le libaom-av1 -crf 0 -cpu-used 8)"
note "libx264 -crf 0" "$(lossless yuv420p libx264 -crf 0)"
note "libx264 -crf 0, 10 bits" "$(lossless yuv420p10le libx264 -crf 0)"
note "libvpx-vp9 -crf 0 -b:v 0" "$(lossless yuv420p libvpx-vp9 -crf 0 -b:v 0 -cpu-used 6)"
note "libvpx-vp9 -lossless 1" "$(lossless yuv420p libvpx-vp9 -lossless 1 -cpu-used 6)"
note "libsvtav1 -crf 0" "$(lossless yuv420p libsvtav1 -crf 0 -preset 10)"
[ "$seen" = "yes yes yes no no yes no " ] || { echo "this changed"; exit 1; }
