#!/usr/bin/env bash
# Full-range video copied to FFV1, a lossless codec, by `ffmpeg -i full.mp4 -c:v ffv1 copy.mkv` of ffmpeg 9.0.2.
#
# Expected: the samples of the source, tagged full, as FFV1 is lossless and Matroska has a place for the range.
# Seen: samples are converted to limited range and tagged so, without a word; about one in seven levels is lost. With
# `-color_range pc` the copy is exact. The same command with `-c:v libx264 -qp 0` keeps the range by itself.
# Versions: ffmpeg 9.0.2 static (PyPI imageio-ffmpeg 0.8.1). 2026-11-29, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q imageio-ffmpeg==0.8.1 2>/dev/null
ffmpeg=$("$work/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
cd "$work"
source="gradients=size=320x180:rate=25:duration=0.12:seed=1:nb_colors=2:c0=black:c1=white"
"$ffmpeg" -v error -f lavfi -i "$source" -vf scale=out_range=pc,format=yuv420p,setparams=range=pc \
  -c:v libx264 -qp 0 full.mp4

levels() { # FILE: levels of luma in its frames, and the range that ffmpeg tells
  "$ffmpeg" -v error -y -i "$1" -vf extractplanes=y -f rawvideo y.raw
  range=$("$ffmpeg" -hide_banner -i "$1" 2>&1 | grep -o 'yuvj\?420p([a-z]*' | head -1)
  echo "$(od -An -v -tu1 -w1 y.raw | sort -u | wc -l) $range"
}
"$ffmpeg" -v error -i full.mp4 -c:v ffv1 copy.mkv
"$ffmpeg" -v error -i full.mp4 -c:v ffv1 -color_range pc said.mkv
"$ffmpeg" -v error -i full.mp4 -c:v libx264 -qp 0 again.mkv
source=$(levels full.mp4) copy=$(levels copy.mkv) said=$(levels said.mkv) again=$(levels again.mkv)
echo "levels and format: source $source; FFV1 $copy; FFV1 with -color_range pc $said; H.264 $again"
[ "${said%% *}" = "${source%% *}" ] && [ "$again" = "$source" ] || { echo "the others changed"; exit 1; }
[ "${copy##*(}" = tv ] && [ "${copy%% *}" -lt "${source%% *}" ] || { echo "FFV1 keeps the range now"; exit 1; }
