#!/usr/bin/env bash
# Gray of 10 bits in lossless JPEG 2000, and gray and luma of 10 bits as 16 bits and back, in ffmpeg 9.0.2.
#
# Expected: the same samples by `-pix_fmt gray10le`, as for yuv420p10le; 10 bits become 16 by a shift, white is 65472.
# Seen: the JPEG 2000 file is read as gray16le, of samples that were shifted by 6. But swscale scales gray: 940 of 10 bits is
# 60218 as gray16le (60160 as luma of yuv420p16le), and 60160 of gray16le is 939. So what is brought back to 10 bits is up to
# a level darker, and the digest of a lossless copy differs. Gray of 8 bits and luma of yuv420p10le come back as they were.
# Versions: ffmpeg 9.0.2 static (PyPI imageio-ffmpeg 0.8.1). 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q imageio-ffmpeg==0.8.1 2>/dev/null
ffmpeg=$("$work/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
cd "$work"
"$ffmpeg" -v error -f lavfi -i "testsrc2=size=320x180:rate=25:duration=0.12" -pix_fmt yuv420p ref.y4m

failed=0
copy() { # PIX_FMT, and whether a lossless JPEG 2000 of it comes back the same
  local before after same=no
  "$ffmpeg" -v error -y -i ref.y4m -pix_fmt "$1" -c:v ffv1 in.mkv
  "$ffmpeg" -v error -y -i in.mkv -c:v jpeg2000 -pred 1 out.mov
  before=$("$ffmpeg" -v error -i in.mkv -pix_fmt "$1" -f md5 -)
  after=$("$ffmpeg" -v error -i out.mov -pix_fmt "$1" -f md5 -)
  [ "$before" = "$after" ] && same=yes
  echo "$1: read as $({ "$ffmpeg" -hide_banner -i out.mov 2>&1 || true; } | sed -nE 's/.*\), ([a-z0-9]+)\(.*/\1/p'), same: $same"
  [ "$same" = "$2" ] || failed=1
}
copy gray yes
copy yuv420p10le yes
copy gray10le no
copy gray12le no

convert() { # FROM TO SAMPLE EXPECTED: a sample of luma in another pixel format
  local size=32x2 value
  value=$(python3 -c "
import struct, sys
sys.stdout.buffer.write(struct.pack('<H', $3) * 64 + struct.pack('<H', 1 << 9) * 32)" |
    "$ffmpeg" -v error -f rawvideo -pix_fmt "$1" -s "$size" -i - -frames:v 1 -pix_fmt "$2" -f rawvideo - |
    python3 -c "import struct, sys; print(*struct.unpack('<H', sys.stdin.buffer.read(2)))")
  echo "$3 of $1 is $value of $2"
  [ "$value" = "$4" ] || failed=1
}
convert gray10le gray16le 940 60218
convert gray16le gray10le 60160 939
convert yuv420p10le yuv420p16le 940 60160
convert yuv420p16le yuv420p10le 60160 940
[ "$failed" = 0 ] || { echo "this changed"; exit 1; }
