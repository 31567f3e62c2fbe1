"""`card.md`: a model card, generated from a run folder's saved figures and predictions."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from vmaf_jax.config import read_yaml
from vmaf_jax.evaluation.cross_validation import HeldOut, read_held_out
from vmaf_jax.evaluation.metrics import RANGES, range_rmse

_METRICS = ("plcc", "srocc", "krocc", "rmse", "mae", "max_abs")
_BEHAVIOUR = {
    "identical": "identical pictures, motion2 from 0 to 30",
    "still": "the training clips with their motion set to 0",
    "wider_box": "random features in a box 20 % wider than the training rows",
}


def write_card(folder: Path) -> str:
    """The card's text for the run in `folder`."""
    config = read_yaml(folder / "config.yaml")
    metrics = json.loads((folder / "metrics.json").read_text())
    sidecar = json.loads((folder / "model.json").read_text())
    sets = {"leave-one-source-out": read_held_out(folder / "folds.parquet")}
    for path in sorted(folder.glob("external_*.parquet")):
        sets[f"external: {path.stem.removeprefix('external_')}"] = read_held_out(path)
    pooled = metrics["loso"]["pooled"]
    low = pooled["endpoint_rmse"]["low"]
    training, data = config["training"], config["data"]
    sources = len({fold["source"] for fold in metrics["folds"]})
    trained_on = data["features"] or data["corpus"]
    how = (
        f"{training['batch_size']} new feature vectors a step, labelled by the teacher"
        if training["strategy"] == "teacher_queries"
        else "the corpus's own rows"
    )
    lines = [
        f"# {config['name']}",
        "",
        f"A full-reference video quality predictor over {', '.join(sidecar['features'])}: "
        f"{sidecar['arch']['network']} network, {sidecar['n_params']} parameters, "
        f"{sidecar['arch']['activation']}, {sidecar['arch']['head']} head. It predicts "
        f"{'opinion scores' if data['label'] == 'mos' else data['teacher']} on 0-100.",
        "",
        "## Data and protocol",
        "",
        f"- Trained on `{trained_on}` ({sources} sources) with {how}, for {training['steps']} "
        f"steps of AdamW (peak rate {training['learning_rate']}, decay "
        f"{training['weight_decay']}), loss {training['loss']}.",
        f"- Leave-one-source-out, seeds {', '.join(map(str, training['seeds']))}: no row of the "
        f"held-out source and no statistic of it reaches its fold. The shipped parameters are a "
        f"final fit on all sources.",
        *(
            f"- `{name}` took no part in the training. Whoever chooses settings with its row in "
            f"sight no longer has a blind test in it."
            for name in metrics["external"]
        ),
        "",
        "## Agreement",
        "",
        *_table(
            ["rows", "n", *(name.upper() for name in _METRICS)],
            [
                [name, str(entry["n"]), *(_figure(entry[m]) for m in _METRICS)]
                for name, entry in _entries(metrics).items()
            ],
        ),
        "",
        "Errors in VMAF points. RMSE by range of the true score, with its count:",
        "",
        *_table(
            ["rows", *(f"{low:.0f}-{high:.0f}" for low, high in RANGES)],
            [[name, *_by_range(rows)] for name, rows in sets.items()],
        ),
        "",
        "## Worst cases",
        "",
        *_table(
            ["rows", "clip", "frame", "true", "predicted", "error"],
            [row for name, rows in sets.items() for row in _worst(name, rows)],
        ),
        "",
        "## Outside the data",
        "",
        *_outside(metrics),
        "",
        "## ONNX parity",
        "",
        f"JAX against ONNX Runtime over {metrics['parity']['n']} rows strictly inside (0, 100): at "
        f"most {metrics['parity']['max_abs']:.2e} points, at most {metrics['parity']['max_ulp']} "
        f"ULP for outputs of 16 and more; {metrics['parity']['clipped']} clipped rows were counted "
        f"apart.",
        "",
        "## Limits",
        "",
        "- It knows libvmaf's features of a frame and nothing else: what they miss, it misses.",
        f"- {_agreement(data)}",
        f"- {low['n']} of the {pooled['n']} held-out rows score 20 or less; the table above says "
        f"how well that end is known.",
        "",
        "## Reproduce",
        "",
        "    python scripts/train.py --config config.yaml    # the one in this folder",
        "",
        f"Config digest (SHA-256): `{sidecar['training']['config_sha256']}`.",
        "",
    ]
    return "\n".join(lines)


def _agreement(data: dict[str, Any]) -> str:
    if data["label"] == "mos":
        return "It was fitted to the opinion scores of its table, and to no others."
    return f"Agreement is with {data['teacher']}, not with viewers."


def _entries(metrics: dict[str, Any]) -> dict[str, Any]:
    external = {f"external: {name}": entry for name, entry in metrics["external"].items()}
    return {"leave-one-source-out": metrics["loso"]["pooled"], **external}


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.6f}" if abs(value) < 1 else f"{value:.3f}"


def _by_range(rows: HeldOut) -> list[str]:
    found = [range_rmse(rows.predicted, rows.label, *each) for each in RANGES]
    return [f"{each['rmse']:.4f} (n = {each['n']})" if each["n"] else "– (n = 0)" for each in found]


def _worst(name: str, rows: HeldOut, count: int = 3) -> list[list[str]]:
    error = rows.predicted - rows.label
    return [
        [
            name,
            f"{rows.source[k]} / {rows.clip[k]}",
            str(rows.index[k]),
            f"{rows.label[k]:.3f}",
            f"{rows.predicted[k]:.3f}",
            f"{error[k]:+.3f}",
        ]
        for k in np.argsort(-np.abs(error), kind="stable")[:count]
    ]


def _outside(metrics: dict[str, Any]) -> list[str]:
    if "behaviour" not in metrics:
        return ["No teacher could be asked."]
    return _table(
        ["case", "n", "RMSE", "max_abs"],
        [
            [_BEHAVIOUR[name], str(entry["n"]), f"{entry['rmse']:.4f}", f"{entry['max_abs']:.4f}"]
            for name, entry in metrics["behaviour"].items()
        ],
    )


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]
