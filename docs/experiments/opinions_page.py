"""docs/opinion-recipes.md and its plot, from the predictions that opinions.py saved and nothing else.

python docs/experiments/opinions_page.py runs/opinions_verdict/predictions.parquet
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from vmaf_jax.evaluation import Opinions, compare_against_opinions, rmse_mapped
from vmaf_jax.evaluation.metrics import plcc, rmse, srocc
from vmaf_jax.reporting.page import markdown_table

DOCS = Path(__file__).parents[1]
POINTS = 25.0  # of 0-100 for a vote of 1 to 5
KEYS = ("clip", "source", "experiment", "mos", "mos_ci95")
BASELINE, INCUMBENT = "vmaf_v0.6.1, mean", "vmaf_4k_v0.6.1, 90th percentile"
HEAD = """# Recipes for opinion scores

**Distil a model first; then fine-tune it lightly (40 small steps) on your votes.** Fine-tuning
puts the scores on the voters' scale: the RMSE falls from 0.660 to 0.567 votes. It does not rank
better: after a line for each test, the distilled model as it is has 0.518 and the fine-tuned one
0.525. Training from scratch is worse, whatever the network.

- **Pooling.** Give the better frames more weight (Minkowski: RMSE 0.557). Attention over frames is
  as good as the best fixed pooling, not better: a dozen sources are too few to learn more than its
  start.
- **Length.** Longer training is worse: 600 steps have 0.598. The model then memorises its training
  content.
- **Against VMAF.** No row's RMSE is significantly below that of the best of VMAF's own models (4K,
  90th percentile); there are only 12 sources. Beside that model, the fine-tuned `rbf` with the
  mean has 0.004 less, p 0.92. Beside the 4K model's mean it has 0.0285 less, p 0.010 alone, and
  0.061 adjusted for the six pooled models of VMAF in the table (Holm).

The figures are of 660 clips of AVT-VQDB-UHD-1 (tests 1 to 3 and half of test 4; 12 sources), held
out by source, MOS on 1 to 5. `mapped` is the RMSE after the line for each experiment that P.1401
allows. VMAF's own models are given a four-parameter logistic, fitted to each fold's training
clips. The first command trains all models on [the 660 clips](#the-660-clips) and saves their
predictions (it needs scikit-learn, for the nu-SVR); the second writes this page from them:

    python docs/experiments/opinions.py TABLE.parquet runs/opinions_verdict
    python docs/experiments/opinions_page.py runs/opinions_verdict/predictions.parquet

A second training, on a table of the same clips made from their features (`import --frames`), gave
every distilled and fine-tuned row within 0.002 votes, `rbf` from scratch 0.620 and `nano` from
scratch 0.933: what is trained from scratch varies.

Attention over frames with five seeds and all 12 folds (`configs/attention.yaml`) takes 32 s on two
idle cores, from the start to the run folder."""
TAIL = """## What was tried and did not hold

A PLCC of 0.87 with an RMSE of 0.54 (0.51 mapped) can be had on these clips, but it does not hold
on new sources. Searching some 90 statistics of a clip's features for three to put beside the 4K
model's 90th percentile finds PLCC 0.870, SROCC 0.887, RMSE 0.540 and 0.508 mapped. When the same
search is made inside each fold, without the source that is judged, it gives PLCC 0.820, RMSE 0.654
and 0.598 mapped: the gain came from choosing on the clips that were judged. A learnt encoder of
four units under the attention raised the RMSE from 0.60 to 0.65, a learnt position of frames from
0.599 to 0.605, and ridge regression on all statistics gave 0.78. Fitting each fold's offset and
gain before fine-tuning costs 0.015 in PLCC: such a line depends on which source is left out. One
source, water_netflix, holds a third of all squared error: its reference and encodes are out of
step, so that its features stay within the lower third of their range while people vote 1 to 4.5.
No other source shows this. These trials were not kept as commands.

Gaussian-process heads on clip statistics followed content and fell to PLCC 0.5; beyond those they were not tried.
What few labelled clips are worth, monotone networks, and VMAF v1 as the opinion: [few-labels.md](few-labels.md).

## The 660 clips

The rows are not in the project. A clone of AVT-VQDB-UHD-1 holds 756 clips of 16 sources; the figures of this page, and
those on "660 clips" elsewhere, are of these twelve:

    vmaf-jax import --corpus avt_vqdb_uhd_1 --data-root AVT-VQDB-UHD-1 --out TABLE.parquet \\
        --source Dancers --source Giftmord-SDR --source LeagueOfLegends-1 --source Moment_of_Intensity \\
        --source Sparks --source air_acrobatics_harmonic_0_cropped --source american_football_harmonic \\
        --source bigbuck_bunny_8bit --source cutting_orange_tuil --source surfing_sony_8bit \\
        --source vegetables_tuil --source water_netflix
    vmaf-jax train --config opinions --set data.features=TABLE.parquet"""
Columns = dict[str, npt.NDArray[Any]]


def figures(predicted: npt.NDArray[Any], columns: Columns) -> list[str]:
    """PLCC, SROCC, RMSE unmapped and mapped, MOS on 1-5."""
    mos = columns["mos"]
    mapped = rmse_mapped(predicted, mos, columns["experiment"]).mapped
    errors = (rmse(predicted, mos) / POINTS, mapped / POINTS)
    values = (plcc(predicted, mos), srocc(predicted, mos), *errors)
    return [f"{value:.3f}" for value in values]


def chosen_by_others(columns: Columns, names: list[str]) -> npt.NDArray[np.float64]:
    """Each source by the way whose held-out error on the other sources is smallest."""
    chosen = np.empty(len(columns["mos"]))
    for source in sorted(set(columns["source"].tolist())):
        held_out = columns["source"] == source
        errors = [rmse(columns[n][~held_out], columns["mos"][~held_out]) for n in names]
        chosen[held_out] = columns[names[int(np.argmin(errors))]][held_out]
    return chosen


def curves(columns: Columns) -> dict[str, dict[int, list[float]]]:
    """Held-out RMSE, MOS on 1-5, by way and number of labelled sources, a draw each."""
    out: dict[str, dict[int, list[float]]] = {}
    for name, predicted in columns.items():
        if name.startswith("curve|"):
            _, way, count, _ = name.split("|")
            errors = out.setdefault(way, {}).setdefault(int(count), [])
            errors.append(rmse(predicted, columns["mos"]) / POINTS)
    return out


def plot(by_way: dict[str, dict[int, list[float]]], path: Path) -> None:
    """The learning curves, PNG."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    for (way, points), mark in zip(by_way.items(), "osD", strict=False):
        counts = sorted(points)
        axes.plot(counts, [np.mean(points[c]) for c in counts], marker=mark, label=way)
    axes.set(xlabel="labelled sources", ylabel="held-out RMSE (MOS 1-5)", ylim=(0.5, 1.2))
    axes.legend()
    figure.savefig(path, dpi=110)


def page(columns: Columns) -> str:
    """The document's text."""
    ways = [n for n in columns if n not in KEYS and not n.startswith("curve|")]
    ours = [n for n in ways if not n.startswith("vmaf")]
    opinions = Opinions.of(*(columns[n] for n in ("mos", "source", "experiment", "mos_ci95")))
    rows = [[n, *figures(columns[n], columns)] for n in ways]
    nested = chosen_by_others(columns, ours)
    rows.append(["*a student, chosen by the other sources' errors*", *figures(nested, columns)])
    best = min(ours, key=lambda n: rmse(columns[n], columns["mos"]))
    lines = [HEAD, ""]
    lines += markdown_table(["model", "PLCC", "SROCC", "RMSE", "mapped"], rows)
    lines += [
        "",
        "Against VMAF's own models, paired over sources (jackknife-t, RMSE, MOS 1-5; p not adjusted):",
        "",
    ]
    for rival in (BASELINE, INCUMBENT):
        difference = compare_against_opinions(columns[best], columns[rival], opinions).differences[
            "rmse"
        ]
        low, high = difference.interval.low / POINTS, difference.interval.high / POINTS
        lines.append(
            f"- {best}, less {rival}: {difference.difference / POINTS:+.3f}, 95 % interval "
            f"{low:+.3f} to {high:+.3f}, p {difference.p_value:.2f}."
        )
    by_way = curves(columns)
    plot(by_way, DOCS / "opinion-recipes.png")
    counts = sorted(next(iter(by_way.values())))
    cells = [[way, *(f"{np.mean(p[c]):.3f}" for c in counts)] for way, p in by_way.items()]
    lines += ["", "Held-out RMSE by the number of labelled sources (mean of the draws):", ""]
    lines += markdown_table(["way", *map(str, counts)], cells)
    lines += ["", "![learning curves](opinion-recipes.png)", ""]
    lines.append(TAIL)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    arrow = pq.read_table(sys.argv[1])
    data = {name: arrow.column(name).to_numpy(zero_copy_only=False) for name in arrow.column_names}
    (DOCS / "opinion-recipes.md").write_text(page(data))
