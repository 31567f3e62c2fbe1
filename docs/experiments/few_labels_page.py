"""docs/few-labels.md, from the predictions that few_labels.py saved and nothing else.

python -m docs.experiments.few_labels_page runs/few_labels
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from vmaf_jax.evaluation import rmse_mapped
from vmaf_jax.evaluation.metrics import plcc, rmse, srocc
from vmaf_jax.reporting.page import markdown_table

DOCS = Path(__file__).parents[1]
VOTES = 25.0  # points of 0-100 for a vote of 1 to 5
HEAD = """# Few labels

How much some labelled clips improve a model. Fine-tuning a distilled `rbf` on 20 labelled clips
reaches what 320 clips reach; training from scratch does not get there with 320. Every figure is
held out (leave-one-source-out), and each number of labelled clips is drawn three times from the
sources that a fold may see. The first command trains on a table of
[the 660 clips](opinion-recipes.md#the-660-clips) and saves the predictions; the second writes this
page from them:

    python -m docs.experiments.few_labels TABLE.parquet runs/few_labels
    python -m docs.experiments.few_labels_page runs/few_labels
"""
Columns = dict[str, npt.NDArray[Any]]


def read(path: Path) -> Columns:
    """The columns of a file of predictions."""
    arrow = pq.read_table(path)
    return {name: arrow.column(name).to_numpy(zero_copy_only=False) for name in arrow.column_names}


def curve(columns: Columns, unit: float) -> list[str]:
    """A table of held-out RMSE by way and number of labelled clips, the draws' mean and range."""
    errors: dict[str, dict[int, list[float]]] = {}
    for name, predicted in columns.items():
        if name.count("|") == 2:
            way, count, _ = name.split("|")
            draws = errors.setdefault(way, {}).setdefault(int(count), [])
            draws.append(rmse(predicted, columns["mos"]) / unit)
    counts = sorted(next(iter(errors.values())))
    digits = 2 if unit == 1 else 3

    def cell(draws: list[float]) -> str:
        low, mean, high = min(draws), np.mean(draws), max(draws)
        return f"{mean:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"

    rows = [[way, *(cell(points[count]) for count in counts)] for way, points in errors.items()]
    return markdown_table(["labelled clips", *map(str, counts)], rows)


def monotone(columns: Columns) -> list[str]:
    """PLCC, SROCC, RMSE unmapped and mapped, MOS on 1-5, of the monotone networks."""
    rows = []
    for name in (n for n in columns if n.startswith("monotone")):
        predicted, mos = columns[name], columns["mos"]
        mapped = rmse_mapped(predicted, mos, columns["experiment"]).mapped
        errors = (rmse(predicted, mos) / VOTES, mapped / VOTES)
        values = (plcc(predicted, mos), srocc(predicted, mos), *errors)
        rows.append([name, *(f"{value:.3f}" for value in values)])
    return markdown_table(["network", "PLCC", "SROCC", "RMSE", "mapped"], rows)


def page(opinions: Columns, v1: Columns) -> str:
    """The document's text."""
    n_clips, n_sources = len(v1["mos"]), len(set(v1["source"].tolist()))
    lines = [
        HEAD,
        "## Opinion scores, by number of labelled clips",
        "",
        "RMSE on the scale 1 to 5, of 660 clips of AVT-VQDB-UHD-1, mean and range of the draws:",
        "",
        *curve(opinions, VOTES),
        "",
        "## VMAF v1 as the label",
        "",
        "A target that the six features cannot express: the clip means of `vmaf_v1.0.16_3d0h` on the",
        f"{n_clips} clips of the demo corpus ({n_sources} sources). RMSE, VMAF points; fine-tuning "
        f"starts from `rbf`:",
        "",
        *curve(v1, 1.0),
        "",
        f"Without any tuning, `rbf` has {rmse(v1['rbf, not tuned'], v1['mos']):.2f}, so labels gain nothing "
        "here. The remaining error is what v1 measures and",
        "the six features do not (banding, chroma), and labels cannot supply it.",
        "",
        "## Monotone networks",
        "",
        "One hidden layer whose output never falls where a fidelity feature rises, from scratch on all",
        "labelled sources:",
        "",
        *monotone(opinions),
        "",
        "They are worse than fine-tuning (0.567). `mapped` is the RMSE after a line for each experiment",
        "([statistics.md](statistics.md#maps)).",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    text = page(read(folder / "opinions.parquet"), read(folder / "v1.parquet"))
    (DOCS / "few-labels.md").write_text(text)
