#!/usr/bin/env bash
# Scaling a video whose tag names a matrix such as YCgCo, ICtCp or chroma-derived, with ffmpeg 9.0.2 and 4.2.2.
#
# Expected: a change of size alone, YUV to YUV, needs no matrix, and works as for an untagged file. So does a change of
# depth, and so does the libvmaf filter of two files of one size and format.
# Seen: ffmpeg 9.0.2 refuses all three, exit code 218, "Impossible to convert between the formats supported by the
# filter ...", which names no matrix; 7.0.2 does the same, 4.2.2 scales. With the tag replaced first, by
# `setparams=colorspace=bt709`, 9.0.2 scales too.
# Versions: ffmpeg 9.0.2, 7.0.2 and 4.2.2 static (PyPI imageio-ffmpeg 0.8.1, 0.6.0, 0.5.1). 2026-11-29, x86-64 Linux.
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
"$new" -v error -f lavfi -i testsrc2=size=320x180:rate=25:duration=0.12,format=yuv420p reference.y4m

code() { # FFMPEG ARGUMENTS: its exit code
  local rc=0
  "$@" -f null - >/dev/null 2>&1 || rc=$?
  echo $rc
}
failed=0
for matrix in ycgco ictcp chroma-derived-nc; do
  "$new" -v error -i reference.y4m -vf setparams=colorspace=$matrix -c:v libx264 -colorspace $matrix $matrix.mkv
  size=$(code "$new" -i $matrix.mkv -vf scale=160:90)
  depth=$(code "$new" -i $matrix.mkv -vf format=yuv420p10le)
  vmaf=$(code "$new" -i $matrix.mkv -i reference.y4m -lavfi libvmaf)
  mended=$(code "$new" -i $matrix.mkv -vf setparams=colorspace=bt709,scale=160:90)
  before=$(code "$old" -i $matrix.mkv -vf scale=160:90)
  echo "$matrix, exit codes of 9.0.2: size $size, depth $depth, libvmaf $vmaf, size with the tag off $mended;" \
    "of 4.2.2: size $before"
  [ "$size $depth $vmaf $mended $before" = "218 218 218 0 0" ] || failed=1
done
exit $failed
