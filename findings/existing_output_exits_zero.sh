#!/usr/bin/env bash
# What ffmpeg's exit code says of an output that is there already.
#
# Expected: -n, and -nostdin without -y, end in an error where the output exists, code 1 or more.
# Seen: both print "already exists. Exiting.", write nothing, and end with 0, in ffmpeg 7.0.2 and 9.0.2. A script that
# looks at the code alone goes on to measure the earlier file.
# Versions: ffmpeg 7.0.2 and 9.0.2 static (PyPI imageio-ffmpeg 0.7.0 and 0.8.1). 2026-11-29, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for version in 0.7.0 0.8.1; do
  python3 -m pip install -q --no-deps --target "$version" "imageio-ffmpeg==$version" 2>/dev/null
  ffmpeg=$(find "$version" -name 'ffmpeg-linux*' -type f)
  chmod +x "$ffmpeg"
  code() { # FLAGS ...: exit code of encoding to a file that exists
    echo earlier >out.mkv
    local result=0
    "$ffmpeg" -nostdin -v error "$@" -f lavfi -i testsrc2=size=64x64:rate=25 -frames:v 2 -c:v libx264 out.mkv \
      >said.txt 2>&1 || result=$?
    echo "$result"
  }
  plain=$(code)
  kept=$(cat out.mkv)
  said=$(head -1 said.txt)
  never=$(code -n)
  echo "$version: neither flag: code $plain ($said), file kept: $kept; -n: code $never; -y: code $(code -y)"
  [ "$plain" = 0 ] && [ "$never" = 0 ] && [ "$kept" = earlier ] || { echo "this changed"; exit 1; }
done
