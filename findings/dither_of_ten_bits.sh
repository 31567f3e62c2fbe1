#!/usr/bin/env bash
# 10-bit video brought to 8 bits by `-pix_fmt yuv420p` (or `format=yuv420p`) of ffmpeg 9.0.2.
#
# Expected: each sample is rounded: a flat 10-bit level of 513 (128.25) becomes 128 everywhere, and a slow ramp shows the
# bands of 8 bits, which CAMBI is made to see.
# Seen: swscale dithers unasked: a quarter of the samples become 129, in a fixed pattern. CAMBI of a ramp is that of its
# 10-bit source (1.0), where it is 17 for rounded samples; a lossless file is some 50 times as large. Rounding takes
# `scale=sws_dither=none`. So a score of banding for an 8-bit copy depends on who made it 8 bits.
# Versions: ffmpeg 9.0.2 static (PyPI imageio-ffmpeg 0.8.1). 2026-11-29, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q imageio-ffmpeg==0.8.1 2>/dev/null
ffmpeg=$("$work/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
cd "$work"
make() { # NAME LUMA: a 10-bit file
  "$ffmpeg" -v error -f lavfi \
    -i "nullsrc=size=640x360:rate=25:duration=0.12,format=yuv420p10le,geq=lum='$2':cb=512:cr=512" -c:v ffv1 "$1"
}
make flat.mkv 513
make ramp.mkv 400+X/8

levels() { # FILTERS: levels of luma in the flat file's first frame
  "$ffmpeg" -v error -i flat.mkv -vf "$1,extractplanes=y" -frames:v 1 -f rawvideo - | od -An -v -tu1 -w1 | sort | uniq -c |
    awk '{ printf "%s%d of %d", (NR > 1 ? ", " : ""), $1, $2 }'
}
cambi() { # FILTERS: mean CAMBI of the ramp, one decimal
  "$ffmpeg" -v error -i ramp.mkv -i ramp.mkv \
    -lavfi "[0:v]$1[a];[1:v]$1[b];[a][b]libvmaf=feature=name=cambi:log_fmt=json:log_path=log.json" -f null -
  python3 -c 'import json; f = [x["metrics"]["cambi"] for x in json.load(open("log.json"))["frames"]]
print(round(sum(f) / len(f), 1))'
}
size() { # FILTERS: bytes of the ramp in FFV1
  "$ffmpeg" -v error -i ramp.mkv -vf "$1" -c:v ffv1 -f matroska - | wc -c
}
rounding="scale=sws_dither=none,format=yuv420p"
echo "samples of luma: by default $(levels format=yuv420p); rounded $(levels $rounding)"
deep=$(cambi null) default=$(cambi format=yuv420p) rounded=$(cambi $rounding)
echo "CAMBI of a ramp: 10 bits $deep; 8 bits by default $default, rounded $rounded"
echo "bytes of FFV1: by default $(size format=yuv420p), rounded $(size $rounding)"
[ "$(levels $rounding)" = "230400 of 128" ] && [ "${rounded%.*}" -ge 10 ] || { echo "rounding changed"; exit 1; }
[ "$(levels format=yuv420p)" = "172800 of 128, 57600 of 129" ] && [ "$default" = "$deep" ] ||
  { echo "10 bits are no longer dithered to 8"; exit 1; }
