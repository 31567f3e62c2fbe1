"""The shipped `opinions` on nine public tests: by source, by test, and at four distances.

    python -m benchmarks.opinions table FOLDER   # runs/opinions.parquet, which it learns from
    vmaf-jax train --config configs/checkpoints/opinions.yaml --run-dir runs/checkpoints/opinions
    python -m benchmarks.opinions predict        # runs/opinions/predictions.parquet, 10 minutes
    python -m benchmarks.opinions page           # docs/opinions.md and docs/opinions.png

FOLDER holds `frames.parquet` (clip, frame, features), `clips.csv` (clip, experiment, source, mos,
mos_ci95) and `distances.csv` (those and distance). The page is made from the saved predictions
alone. No row of the data is kept in the project.
"""

import csv
import dataclasses
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.opinions_page import BY_SOURCE, BY_TEST, FORMER, OWN_DISTANCE, write_page
from vmaf_jax.environment import prepare_training
from vmaf_jax.evaluation.clip_pooling import apply_pooling
from vmaf_jax.evaluation.cross_validation import read_held_out
from vmaf_jax.jobs.import_features import ImportSettings, ImportSource, import_features
from vmaf_jax.models import deploy
from vmaf_jax.progress import NO_PROGRESS
from vmaf_jax.runs.conclude import FOUR_K, RIVAL_POOLINGS
from vmaf_jax.runs.config import Config, DataConfig, StudentConfig, load_config
from vmaf_jax.runs.fit import fit_folds
from vmaf_jax.runs.problem import Problem, load_problem, make_folds
from vmaf_jax.tables.table import FeatureTable, rows_by_clip
from vmaf_jax.teacher import load_teacher
from vmaf_jax.training import TrainingSettings

CONFIG = Path("configs/checkpoints/opinions.yaml")
RUN = Path("runs/checkpoints/opinions")
TABLE = Path("runs/opinions.parquet")
FOLDER = Path("runs/opinions")
PREDICTIONS = FOLDER / "predictions.parquet"
COLUMNS = ("clip", "source", "experiment", "mos", "mos_ci95", "distance")
Floats = npt.NDArray[np.float64]


def make_table(folder: Path) -> None:
    """Imports the nine tests, each clip at each of its distances."""
    with (folder / "clips.csv").open() as file:
        rows = [row | {"distance": str(OWN_DISTANCE)} for row in csv.DictReader(file)]
    with (folder / "distances.csv").open() as file:
        rows += [r for r in csv.DictReader(file) if float(r["distance"]) != OWN_DISTANCE]
    FOLDER.mkdir(parents=True, exist_ok=True)
    listed = FOLDER / "clips.csv"
    with listed.open("w", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    source = ImportSource(frames=folder / "frames.parquet", clips=listed)
    settings = ImportSettings(label_scale=(1.0, 5.0), name="opinions")
    import_features(source, TABLE, settings, progress=NO_PROGRESS)


def _clips(problem: Problem) -> FeatureTable:
    """Returns the clips of a problem of opinions, which has some."""
    if problem.clips is None:
        sys.exit(f"{problem.name}: holds no opinions.")
    return problem.clips.means


def leave_one_test_out(config: Config, problem: Problem) -> Floats:
    """Returns predictions `[n]` of each clip by a student that saw no vote of its test."""
    experiment = np.asarray(_clips(problem).experiment, object)
    tests, number, masks = make_folds(experiment, None, problem.name)
    by_test = dataclasses.replace(problem, sources=tests, source=number, masks=masks)
    fit = fit_folds(by_test, config.make_student(), config.training)
    return np.asarray(fit.predicted[0].mean(axis=0), np.float64)


def former_model(problem: Problem) -> Floats:
    """Returns predictions `[n]` of the recipe that was shipped before: four tests, the mean.

    Clips of those tests are predicted leave-one-source-out, all others by the final fit.
    """
    four_tests = FOLDER / "four_tests.parquet"
    arrow = pq.read_table(TABLE)
    pq.write_table(arrow.filter(pc.starts_with(arrow["experiment"], "test_")), four_tests)
    config = Config(
        name="former",
        data=DataConfig(label="mos", features=four_tests, frames_per_clip=24),
        student=StudentConfig(network="rbf", dropout=0.0),
        training=TrainingSettings(
            start="rbf_4k", steps=40, batch_size=128, learning_rate=1e-3, weight_decay=0.0
        ),
    )
    own = load_problem(config.data)
    fit = fit_folds(own, config.make_student(), config.training)
    held_out = dict(zip(_clips(own).clip.tolist(), fit.predicted[0, 0].tolist(), strict=True))
    final = deploy(fit.student, fit.final)
    frames = np.asarray(final.predict(final.constants, np.asarray(problem.table.features, "f4")))
    means = [frames[rows].mean() for rows in rows_by_clip(problem.table)]
    names = [name.split("@")[0] for name in _clips(problem).clip.tolist()]
    return np.array([held_out.get(n, m) for n, m in zip(names, means, strict=True)], np.float64)


def vmaf(problem: Problem) -> dict[str, Floats]:
    """Returns scores of clips by VMAF's HD and 4K models, by every pooling."""
    own = rows_by_clip(problem.table)
    out = {}
    for name in ("vmaf_v0.6.1", FOUR_K):
        frames = np.asarray(load_teacher(name)(problem.table.features), np.float64)
        for pooling in RIVAL_POOLINGS:
            out[f"{name}, {pooling}"] = np.array(
                [apply_pooling(frames[rows], pooling) for rows in own]
            )
    return out


def predict() -> None:
    """Saves the predictions of all models for every clip at every distance."""
    prepare_training()
    config = load_config(CONFIG)
    problem = load_problem(config.data)
    clips = _clips(problem)
    held_out = read_held_out(RUN / "folds.parquet")
    if held_out.clip.tolist() != clips.clip.tolist():
        sys.exit(f"{RUN}: of other clips than {TABLE}; train again.")
    models = {
        BY_SOURCE: held_out.predicted,
        BY_TEST: leave_one_test_out(config, problem),
        FORMER: former_model(problem),
        **vmaf(problem),
    }
    values = (clips.clip, clips.source, clips.experiment, problem.label, clips.mos_ci95)
    columns = dict(zip(COLUMNS, (*values, clips.distance), strict=True))
    pq.write_table(pa.table(columns | models), PREDICTIONS)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["table", folder]:
            make_table(Path(folder))
        case ["predict"]:
            predict()
        case ["page"]:
            write_page(PREDICTIONS)
        case _:
            sys.exit(__doc__)
