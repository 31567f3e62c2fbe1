"""Run folders as `train` leaves them, and as nobody should."""

import json
import shutil
from pathlib import Path

import numpy as np

from vmaf_jax.evaluation.cross_validation import HeldOut

MARKUP = '<script>fetch("https://example.org/x")</script>'


def shipped(folder, name="tiny"):
    """A copy of a shipped model's folder, with logged losses, as a training leaves it."""
    shutil.copytree(Path("checkpoints") / name, folder)
    rng = np.random.default_rng(0)
    members = [f"fold{k}/0" for k in range(23)] + ["all"]
    lines = [
        {"step": step, "loss": {m: float(np.exp(-step / 30 + rng.normal(0, 0.2))) for m in members}}
        for step in range(0, 100, 2)
    ]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return folder


def predictions(n, *, sources=23, clips=40, draw=0, name="source"):
    """Predictions with errors of about a point."""
    rng = np.random.default_rng(draw)
    row = np.arange(n)
    label = rng.uniform(0, 100, n)
    return HeldOut(
        np.array([f"{name}{k}" for k in row % sources], object),
        np.array([f"clip{k}" for k in row // sources % clips], object),
        (row // (sources * clips)).astype(np.int32),
        np.zeros(n, np.int32),
        label,
        np.clip(label + rng.normal(0, 1, n), 0, 100),
    )


def hostile(folder):
    """A run whose every name is markup."""
    shipped(folder)
    rows = predictions(400, name=MARKUP)
    clip = np.array([f'"><img src=x onerror=alert({k})>' for k in range(400)], object)
    clip[0], clip[1] = "</script><b>", "\u202etxt.exe\x00\u2028"
    rows = HeldOut(rows.source, clip, rows.index, rows.seed, rows.label, rows.predicted)
    rows.write(folder / "folds.parquet")
    config = (folder / "config.yaml").read_text().replace("name: tiny", f"name: '{MARKUP}'", 1)
    (folder / "config.yaml").write_text(config + f"\n# {MARKUP}\n")
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["environment"] = {MARKUP: MARKUP}
    metrics["behaviour"] = {MARKUP: {"n": 3, "rmse": MARKUP, "max_abs": 1}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder
