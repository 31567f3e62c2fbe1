#!/usr/bin/env bash
# The first two pictures of each video stream of an MP4 with a cover, by `-map 0:v -c copy -frames:v 2` of ffmpeg 9.0.2.
#
# Expected: two packets of the film and the one of the cover, as `-frames:v` counts for each stream of its own.
# Seen: no packet of the film at all, one of the cover, exit code 0. With a limit of frames every stream of an output
# ends where the shortest does, as with `-shortest`, and a cover has no duration. Without the limit, or with an output
# for each stream, all packets are there. Encoding ends the film in the same way. 4.2.2 writes two and one.
# Versions: ffmpeg 9.0.2 and 4.2.2 static (PyPI imageio-ffmpeg 0.8.1, 0.5.1). 2026-11-29, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for version in 0.8.1 0.5.1; do
  python3 -m venv "$work/$version"
  "$work/$version/bin/pip" install -q imageio-ffmpeg==$version 2>/dev/null
done
new=$("$work/0.8.1/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
old=$(find "$work/0.5.1" -name 'ffmpeg-linux64-v4.2.2')
cd "$work"
"$new" -v error -f lavfi -i testsrc2=size=320x180:rate=25:duration=1 -pix_fmt yuv420p -c:v libx264 -bf 2 film.mp4
"$new" -v error -i film.mp4 -frames:v 1 cover.png
"$new" -v error -i film.mp4 -i cover.png -map 0 -map 1 -c copy -disposition:v:1 attached_pic covered.mp4

packets() { # FFMPEG ARGUMENTS: packets of stream 0 and of stream 1 in an output of both
  "$@" -f framecrc - | awk -F, '/^[01],/ { n[$1]++ } END { printf "%d %d", n[0], n[1] }'
}
read -ra both <<<"-v error -i covered.mp4 -map 0:v"
limited=$(packets "$new" "${both[@]}" -c copy -frames:v 2)
encoded=$(packets "$new" "${both[@]}" -c:v mpeg4 -frames:v 2)
whole=$(packets "$new" "${both[@]}" -c copy)
before=$(packets "$old" "${both[@]}" -c copy -frames:v 2)
film=$("$new" -v error -i covered.mp4 -map 0:v:0 -c copy -frames:v 2 -f framecrc - | grep -c '^0,')
echo "packets of film and cover: with -frames:v 2 $limited, encoded $encoded, without a limit $whole, 4.2.2 $before"
echo "packets of the film in an output of its own: $film"
[ "$whole" = "25 1" ] && [ "$film" = 2 ] && [ "$before" = "2 1" ] || { echo "the others changed"; exit 1; }
[ "$limited" = "0 1" ] && [ "$encoded" = "0 1" ] || { echo "the film is there now"; exit 1; }
