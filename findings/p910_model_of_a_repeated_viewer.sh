#!/usr/bin/env bash
# P.910's model of subjects (Annex E, alternating projections) in sureal 0.9.0, where one viewer of ten is listed twice,
# and where there are three viewers.
#
# Expected: a viewer who is listed twice counts twice, so that the scores move towards him by a tenth; of three viewers
# each counts by his consistency.
# Seen: the scores become the votes of the repeated viewer (up to a constant), the other eight have no weight, and the
# intervals of these clips have width 0; with three viewers, one of them becomes the truth. No warning, no error. The
# likelihood grows without end as an inconsistency goes to 0. The mean of the votes has no such end.
# Versions: PyPI sureal 0.9.0, numpy 2.4.6. 2026-11-29, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q sureal==0.9.0 numpy==2.4.6 2>/dev/null
cd "$work"
"$work/venv/bin/python" - 2>/dev/null <<'P'
import contextlib
import io
import sys
from types import SimpleNamespace

import numpy as np
from sureal.dataset_reader import RawDatasetReader
from sureal.subjective_model import (
    MaximumLikelihoodEstimationModelContentObliviousAlternativeProjection as P910,
)


def recover(votes: np.ndarray) -> dict:
    clips = [
        {"content_id": 0, "asset_id": k, "os": list(column), "path": str(k)}
        for k, column in enumerate(votes.T)
    ]
    content = [{"content_id": 0, "content_name": "film", "path": "film"}]
    dataset = SimpleNamespace(ref_videos=content, dis_videos=clips, ref_score=None)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its steps
        return P910(RawDatasetReader(dataset)).run_modeling()


rng = np.random.default_rng(0)
quality = np.linspace(1.3, 4.7, 20)
ten = np.clip(np.round(quality + 0.6 * rng.normal(size=(10, 20))), 1, 5)
twice = ten.copy()
twice[1] = twice[0]
three = ten[:3]


def report(name: str, votes: np.ndarray) -> tuple[float, float]:
    found = recover(votes)
    scores = np.array(found["quality_scores"])
    off = [np.ptp(scores - row) for row in votes]  # 0: the scores are this viewer's votes
    width = float(np.max(found["quality_scores_std"]))
    error, plain = (np.sqrt(np.mean((x - quality) ** 2)) for x in (scores, votes.mean(axis=0)))
    print(
        f"{name}: distance of the scores from the nearest viewer's votes {min(off):.3f}, widest standard "
        f"deviation {width:.4f}, error {error:.2f} (of the mean vote {plain:.2f})"
    )
    return min(off), width


sound, _ = report("ten viewers", ten)
repeated, width = report("ten, one listed twice", twice)
of_three, width_3 = report("three", three)
if not (sound > 0.5 and repeated < 0.01 and width < 1e-3 and of_three < 0.01 and width_3 < 1e-3):
    sys.exit("this changed")
P
