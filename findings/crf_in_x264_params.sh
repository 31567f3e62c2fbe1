#!/usr/bin/env bash
# `-crf 23` beside `crf=35` in the encoder's own parameters, by encoder.
#
# Expected: the parameters win, or the option does, in all encoders alike, and the stream says which.
# Seen: with libx264 the pictures are those of -crf 23, while the settings that x264 writes into the stream say crf=35.0
# (-x264opts too): the encoder is opened with 35 and set back to the option at the first frame. Without -crf, crf=35 in the
# parameters counts; beside -qp 23, qp=35 does. With libx265, libsvtav1 and libaom-av1 (cq-level) the parameters win. A
# ladder made with the option fixed and the parameter varied is one rung many times, and its labels hide that.
# Versions: ffmpeg 9.0.2 static (PyPI imageio-ffmpeg 0.8.1). 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q imageio-ffmpeg==0.8.1 2>/dev/null
ffmpeg=$("$work/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
cd "$work"
"$ffmpeg" -v error -f lavfi -i "testsrc2=size=160x96:rate=25:duration=0.4,noise=alls=12:all_seed=1:allf=t" \
  -pix_fmt yuv420p ref.y4m

pictures() { # ENCODER AND OPTIONS ...: the digest of what is decoded
  "$ffmpeg" -v error -y -i ref.y4m -threads 1 -c:v "$@" out.mkv 2>/dev/null
  "$ffmpeg" -v error -i out.mkv -f md5 -
}
failed=0
check() { # option or parameters: which should win; the encoder with its options; then low, high, both
  local low high both wins=neither
  # shellcheck disable=SC2086
  low=$(pictures $2 $3) high=$(pictures $2 $4) both=$(pictures $2 $5)
  [ "$low" != "$high" ] || failed=1
  [ "$both" = "$low" ] && wins=option
  [ "$both" = "$high" ] && wins=parameters
  echo "$2 $5: as $wins"
  [ "$wins" = "$1" ] || failed=1
}
check option libx264 "-crf 23" "-crf 35" "-crf 23 -x264-params crf=35"
says=$(grep -ao 'crf=[0-9.]*' out.mkv | head -1)
echo "the stream says $says"
[ "$says" = crf=35.0 ] || failed=1
check option libx264 "-crf 23" "-crf 35" "-crf 23 -x264opts crf=35"
check parameters libx264 "-crf 23" "-crf 35" "-x264-params crf=35"
check parameters libx264 "-qp 23" "-qp 35" "-qp 23 -x264-params qp=35"
check parameters libx265 "-crf 23" "-crf 35" "-crf 23 -x265-params crf=35"
check parameters "libsvtav1 -preset 10" "-crf 23" "-crf 35" "-crf 23 -svtav1-params crf=35"
check parameters "libaom-av1 -cpu-used 8" "-crf 23" "-crf 35" "-crf 23 -aom-params cq-level=35"
[ "$failed" = 0 ] || { echo "this changed"; exit 1; }
