#!/usr/bin/env bash
# Interlaced video read by OpenCV's VideoCapture: interlaced MPEG-2 and FFV1, and the same frames as progressive FFV1.
#
# Expected: both fields woven into one picture, as in every release so far; or `read()` returning False.
# Seen: from 4.13 on (FFmpeg 8's libswscale) `read()` returns True and another picture, black as a rule; 4.12 gives the
# right one, and so does PyAV 18. Standard error has a line of libswscale, which refuses to convert interlaced frames
# to progressive ones. A metric on these frames compares black with black, and finds them identical.
# Versions: PyPI opencv-python-headless 4.12.0.88, 4.13.0.92 and 5.0.0.93, av 18.1.0, imageio-ffmpeg 0.8.1 (ffmpeg
# 9.0.2). 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q imageio-ffmpeg==0.8.1 av==18.1.0 numpy==2.2.6 2>/dev/null
for version in 4.12.0.88 4.13.0.92 5.0.0.93; do
  "$work/venv/bin/pip" install -q --no-deps --target "$work/$version" "opencv-python-headless==$version" 2>/dev/null
done
ffmpeg=$("$work/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
cd "$work"
"$ffmpeg" -v error -f lavfi -i testsrc2=s=480x270:r=25:d=0.4 -pix_fmt yuv420p film.y4m
"$ffmpeg" -v error -i film.y4m -c:v ffv1 progressive.mkv
"$ffmpeg" -v error -i film.y4m -vf setfield=tff -c:v ffv1 interlaced.mkv
"$ffmpeg" -v error -i film.y4m -c:v mpeg2video -b:v 3M -flags +ilme+ildct interlaced.mpg
"$work/venv/bin/python" - <<'P'
import av
import numpy as np

for name in ("progressive.mkv", "interlaced.mkv", "interlaced.mpg"):
    frame = next(av.open(name).decode(video=0))
    np.save(f"{name}.npy", frame.to_ndarray(format="bgr24"))
P
cat >read.py <<'P'
import cv2
import numpy as np

for name in ("progressive.mkv", "interlaced.mkv", "interlaced.mpg"):
    read, picture = cv2.VideoCapture(name).read()
    difference = np.abs(picture.astype(int) - np.load(f"{name}.npy")).mean()
    print(name, read, "PyAV's picture" if difference < 3 else "another picture")
P
for version in 4.12.0.88 4.13.0.92 5.0.0.93; do
  seen=$(PYTHONPATH="$work/$version" "$work/venv/bin/python" read.py 2>/dev/null)
  printf 'OpenCV %s:\n%s\n' "$version" "$seen"
  case "$version" in
    4.12*) interlaced="PyAV's picture" ;;
    *) interlaced="another picture" ;;
  esac
  want="progressive.mkv True PyAV's picture
interlaced.mkv True $interlaced
interlaced.mpg True $interlaced"
  [ "$seen" = "$want" ] || { echo "OpenCV $version changed" >&2; exit 1; }
done
