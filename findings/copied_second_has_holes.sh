#!/usr/bin/env bash
# The first second of H.264 with B-frames, cut from an MP4 without encoding again: `-t 1 -c copy`, ffmpeg 9.0.2.
#
# Expected: the 25 frames of 0 to 0.96 s, as `-t 1` gives when it encodes; what `-ss` does to a start is known.
# Seen: 27 frames, with holes: 0 to 24, 26 and 28 of the film. Packets are taken as they are stored until one is to be
# decoded at 1 s, so that frames come along which later ones refer to, and those shown in between do not. The file and
# the exit code show nothing. Compared by number with the film's first 27 frames, the last two meet neighbours. Which
# lengths are cut whole depends on the order of the frames: 0.6 s gives 17 frames without a hole. `-frames:v 25` gives
# the 25 here. `-to` and Matroska behave alike. Encode the cut, or take whole groups of pictures.
# Versions: ffmpeg 9.0.2 static (PyPI imageio-ffmpeg 0.8.1). 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q imageio-ffmpeg==0.8.1 2>/dev/null
ffmpeg=$("$work/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
cd "$work"

run() { "$ffmpeg" -v error -nostdin -y "$@"; }
digests() { run -i "$1" -fps_mode passthrough -f framemd5 - | grep -v '^#' | awk -F, '{ print $6 }'; }
# Which frames of the film a file shows, counted from 0.
numbers() { digests "$1" | while read -r digest; do echo "$(($(grep -n "$digest" film.txt | cut -d: -f1) - 1))"; done | xargs; }

run -f lavfi -i "testsrc2=size=320x180:rate=25,noise=alls=6:all_seed=1" -frames:v 60 -pix_fmt yuv420p ref.y4m
run -i ref.y4m -c:v libx264 -crf 30 -g 250 -bf 3 -threads 1 film.mp4
digests film.mp4 > film.txt
for ending in mp4 mkv; do
  run -i film.mp4 -t 1 -c copy "cut.$ending"
  shown=$(numbers "cut.$ending")
  echo "-t 1 -c copy to $ending: $shown"
  [ "$shown" = "$(echo {0..24} 26 28)" ] || { echo "this changed"; exit 1; }
done
run -i film.mp4 -t 0.6 -c copy short.mp4
echo "-t 0.6: $(numbers short.mp4)"
[ "$(numbers short.mp4)" = "$(echo {0..16})" ] || { echo "this changed"; exit 1; }
