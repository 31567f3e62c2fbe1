#!/usr/bin/env bash
# SSIMULACRA2 of two grey pictures as PNG of 8 bits and of 16 bits (each level times 257, so the same picture), by PyPI.
#
# Expected: the same score within 0.1, as for 8-bit RGB of the same levels.
# Seen: 90.98 for grey and RGB of 8 bits, and 100.00, the score of identical pictures, for 16 bits, without a message:
# ssimulacra2 0.3.0 lets Pillow convert to RGB, which clips 16-bit grey at 255, so that both pictures are white.
# Versions: PyPI ssimulacra2 0.3.0, pillow 13.0.0, numpy 2.2.6. 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q ssimulacra2==0.3.0 pillow==13.0.0 numpy==2.2.6 2>/dev/null
cd "$work"
"$work/venv/bin/python" - 2>/dev/null <<'P'
import sys

import numpy as np
from PIL import Image
from ssimulacra2 import compute_ssimulacra2

y, x = np.mgrid[:192, :256]
film = 128 + 60 * np.sin(x / 9.0) * np.cos(y / 13.0) + 6 * np.random.default_rng(0).normal(size=x.shape)
blurred = sum(np.roll(film, shift, axis) for shift in (-1, 0, 1) for axis in (0, 1)) / 6
pair = [np.clip(np.round(picture), 0, 255).astype(np.uint8) for picture in (film, blurred)]
forms = {
    "grey, 8 bits": lambda p: p,
    "RGB, 8 bits": lambda p: np.dstack([p, p, p]),
    "grey, 16 bits": lambda p: p.astype(np.uint16) * 257,
}
scores = {}
for name, convert in forms.items():
    for file, picture in zip(("ref.png", "dis.png"), pair, strict=True):
        Image.fromarray(convert(picture)).save(file)
    scores[name] = float(compute_ssimulacra2("ref.png", "dis.png"))
    seen = np.asarray(Image.open("ref.png").convert("RGB"))
    print(f"{name}: {scores[name]:.2f}; levels in Pillow's RGB {seen.min()} to {seen.max()}")
eight, colour, sixteen = scores.values()
if abs(eight - colour) > 0.01 or sixteen < 99.99:
    sys.exit("this changed")
P
