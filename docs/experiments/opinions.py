"""Distil, or train on opinions? Every way, leave-one-source-out, on a table of opinion scores.

    python docs/experiments/opinions.py TABLE.parquet runs/opinions_verdict

TABLE is a table of frames with `mos`, `mos_ci95` and `experiment` (`vmaf-jax import`). Predictions
go to OUT/predictions.parquet, and docs/opinion-recipes.md and its plot are made from that file alone
(`opinions_page.py`). The nu-SVR needs scikit-learn.
"""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from vmaf_jax.environment import prepare_training
from vmaf_jax.evaluation import calibrate_held_out
from vmaf_jax.models.frame_pooling import POOLINGS
from vmaf_jax.runs.config import Config, DataConfig, StudentConfig
from vmaf_jax.runs.fit import fit_folds
from vmaf_jax.runs.problem import Problem, load_problem
from vmaf_jax.tables.table import PaddedClips, pad_clips
from vmaf_jax.teacher import load_teacher
from vmaf_jax.training import TrainingSettings

Predictions = dict[str, npt.NDArray[np.float64]]
FINE: dict[str, Any] = {
    "start": "rbf_4k",
    "steps": 40,
    "batch_size": 128,
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
}
SCRATCH: dict[str, Any] = {"steps": 600, "batch_size": 128, "learning_rate": 5e-3}
ATTENTION: dict[str, Any] = {"steps": 400, "weight_decay": 0.0, "anchor": 1e-4}
N_SOURCES = (1, 2, 4, 6, 8, 11)
DRAWS = 4


def held_out(problem: Problem, student: dict[str, Any], training: dict[str, Any]) -> Any:
    """Held-out predictions `[n]` of one student, points."""
    config = Config(
        name="trial",
        data=DataConfig(label="mos"),
        student=StudentConfig(dropout=0.0, **student),
        training=TrainingSettings(**training),
    )
    return fit_folds(problem, config.make_student(), config.training).predicted[0].mean(axis=0)


def incumbents(clips: PaddedClips, problem: Problem) -> Predictions:
    """VMAF's own models, pooled, with a four-parameter logistic fitted to each fold's clips."""
    out = {}
    for name in ("vmaf_v0.6.1", "vmaf_4k_v0.6.1"):
        teacher = load_teacher(name)
        scores = [teacher(f[m > 0]) for f, m in zip(clips.features, clips.frames, strict=True)]
        poolings: dict[str, Callable[[Any], Any]] = {
            "mean": np.mean,
            "median": np.median,
            "90th percentile": lambda v: np.percentile(v, 90),
        }
        for pooling, pool in poolings.items():
            pooled = np.array([pool(v) for v in scores])
            fitted = calibrate_held_out(pooled, problem.label, problem.fold)
            out[f"{name}, {pooling}"] = np.asarray(fitted)
    return out


def nu_svr(clips: PaddedClips, problem: Problem) -> npt.NDArray[np.float64]:
    """nu-SVR on clip means from scratch; its settings by leave-one-source-out inside each fold."""
    from sklearn.svm import NuSVR

    x = np.sum(clips.features * clips.frames[..., None], 1) / clips.frames.sum(1)[:, None]
    grid = [(c, g, nu) for c in (1.0, 4.0, 16.0) for g in (0.05, 0.2) for nu in (0.5, 0.9)]

    def fit(rows: Any, at: Any, setting: tuple[float, float, float]) -> Any:
        mean, std = x[rows].mean(0), x[rows].std(0)
        c, gamma, nu = setting
        model = NuSVR(C=25 * c, gamma=gamma, nu=nu)
        return model.fit((x[rows] - mean) / std, problem.label[rows]).predict((x[at] - mean) / std)

    predicted = np.empty(len(x))
    for k in range(len(problem.sources)):
        outer = problem.fold != k
        inner = [j for j in range(len(problem.sources)) if j != k]
        errors = []
        for setting in grid:
            error = [
                fit(outer & (problem.fold != j), problem.fold == j, setting)
                - problem.label[problem.fold == j]
                for j in inner
            ]
            errors.append(np.mean(np.square(np.concatenate(error))))
        predicted[~outer] = fit(outer, ~outer, grid[int(np.argmin(errors))])
    return predicted


def students(problem: Problem) -> Predictions:
    """Students: distilled, from scratch, fine-tuned, by pooling and by prior."""
    out = {}
    for pooling in POOLINGS:
        rbf = {"network": "rbf", "pooling": pooling}
        name = pooling.replace("_", " ")
        out[f"fine-tuned rbf, {name}"] = held_out(problem, rbf, FINE)
    rbf = {"network": "rbf"}
    out["distilled rbf_4k as it is, mean"] = held_out(problem, rbf, FINE | {"learning_rate": 1e-12})
    soft = {"network": "rbf", "pooling": "soft_percentile"}
    out["fine-tuned rbf, soft percentile, 80 steps"] = held_out(problem, soft, FINE | {"steps": 80})
    long = FINE | {"steps": 600}
    out["fine-tuned rbf, mean, 600 steps"] = held_out(problem, rbf, long)
    out["the same, anchored by 3"] = held_out(problem, rbf, long | {"anchor": 3.0})
    out["fine-tuned rbf, mean, interval weights"] = held_out(
        problem, rbf, FINE | {"interval_weights": True}
    )
    out["fine-tuned rbf, mean, experiment effects"] = held_out(
        problem, rbf, FINE | {"experiment_effects": True}
    )
    for network in ("rbf", "nano"):
        out[f"{network} from scratch, mean"] = held_out(problem, {"network": network}, SCRATCH)
    attention = {"network": "attention", "teacher": "vmaf_4k_v0.6.1"}
    out["attention over frames"] = held_out(problem, attention, ATTENTION)
    out["attention over frames, experiment effects"] = held_out(
        problem, attention, ATTENTION | {"experiment_effects": True}
    )
    both = out["attention over frames"] + out["fine-tuned rbf, soft percentile, 80 steps"]
    out["mean of attention and that rbf"] = both / 2
    return out


def learning_curves(problem: Problem) -> Predictions:
    """Held-out predictions with fewer labelled sources; names end in the count and the draw."""
    ways = {
        "fine-tuned": ({"network": "rbf"}, FINE),
        "scratch": ({"network": "nano"}, SCRATCH),
        "scratch rbf": ({"network": "rbf"}, SCRATCH),
    }
    out = {}
    rng = np.random.default_rng(0)
    for count in N_SOURCES:
        for draw in range(DRAWS if count < max(N_SOURCES) else 1):
            masks = np.zeros_like(problem.masks)
            for fold in range(len(problem.sources)):
                others = [k for k in range(len(problem.sources)) if k != fold]
                chosen = rng.choice(others, count, replace=False)
                masks[fold, chosen] = True
            whole = {f.name: getattr(problem, f.name) for f in dataclasses.fields(problem)}
            fewer = Fewer(**(whole | {"masks": masks}), left_out=problem.fold)
            for way, (student, training) in ways.items():
                out[f"{way}|{count}|{draw}"] = held_out(fewer, student, training)
    return out


@dataclasses.dataclass(frozen=True)
class Fewer(Problem):
    """A problem whose folds train on few sources or clips; each predicts the source it leaves out.

    Attributes:
        left_out: the fold that predicts each unit, `[n]`; masks leave out more than that.
    """

    left_out: npt.NDArray[np.int64] = dataclasses.field(kw_only=True)

    @property
    def fold(self) -> npt.NDArray[np.int64]:
        return self.left_out


def main(table: Path, out: Path) -> None:
    """Runs everything and writes the predictions."""
    prepare_training()
    data = DataConfig(label="mos", features=table, frames_per_clip=24)
    problem = load_problem(data)
    clips = pad_clips(problem.table)
    predictions = incumbents(clips, problem)
    predictions["nu-SVR on clip means, nested"] = nu_svr(clips, problem)
    predictions |= students(problem)
    curves = learning_curves(problem)
    columns = {
        "clip": clips.means.clip,
        "source": clips.means.source,
        "experiment": clips.means.experiment,
        "mos": problem.label,
        "mos_ci95": clips.means.mos_ci95,
        **predictions,
        **{f"curve|{name}": values for name, values in curves.items()},
    }
    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), out / "predictions.parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
