"""How far few labels go: by labelled clips, on VMAF v1 as a target, and with a monotone network.

    python -m docs.experiments.few_labels TABLE.parquet runs/few_labels
    python -m docs.experiments.few_labels_page runs/few_labels

TABLE is a table of frames with `mos` and `experiment` (`vmaf-jax import`). Every prediction is
held out, and goes to OUT/opinions.parquet and OUT/v1.parquet.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax
import pyarrow as pa
import pyarrow.parquet as pq

from docs.experiments.opinions import FINE, SCRATCH, Fewer, Predictions, held_out
from vmaf_jax.corpora import demo
from vmaf_jax.environment import prepare_training
from vmaf_jax.extraction.extract import extract_clips
from vmaf_jax.extraction.request import Request
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.runs.config import DataConfig
from vmaf_jax.runs.problem import Problem, load_problem
from vmaf_jax.tables.table import pad_clips
from vmaf_jax.teacher import load_teacher

V1 = "vmaf_v1.0.16_3d0h"
CLIPS = (20, 80, 320)
V1_CLIPS = (20, 60)
DRAWS = 3
FRAMES = 24  # of a clip, that training reads
HIDDEN, STEPS, RATE = 8, 600, 5e-3  # of the monotone network
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "fine-tuned": ({"network": "rbf"}, FINE),
    "scratch rbf": ({"network": "rbf"}, SCRATCH),
}


def fewer_clips(problem: Problem, count: int, rng: np.random.Generator) -> Problem:
    """The problem whose folds train on `count` clips, drawn from the sources they may see."""
    allowed_clips = problem.masks[:, problem.source]
    masks = np.zeros_like(allowed_clips)
    for fold, allowed in enumerate(allowed_clips):
        masks[fold, rng.choice(np.flatnonzero(allowed), count, replace=False)] = True
    whole = {f.name: getattr(problem, f.name) for f in dataclasses.fields(problem)}
    own_sources = {"source": np.arange(problem.n_units, dtype=np.int32), "masks": masks}
    names = {"sources": [str(k) for k in range(problem.n_units)]}
    return Fewer(**(whole | own_sources | names), left_out=problem.fold)


def untuned(problem: Problem, start: str) -> npt.NDArray[np.float64]:
    """Held-out predictions `[n]` of the distilled model as it is, points."""
    return held_out(problem, {"network": "rbf"}, FINE | {"start": start, "learning_rate": 1e-12})


def by_clips(problem: Problem, start: str, counts: tuple[int, ...]) -> Predictions:
    """Held-out predictions, points; names are way, number of labelled clips, draw."""
    rng = np.random.default_rng(0)
    out = {}
    for count in counts:
        for draw in range(DRAWS):
            fewer = fewer_clips(problem, count, rng)
            for way, (student, training) in WAYS.items():
                settings = training | ({"start": start} if "start" in training else {})
                out[f"{way}|{count}|{draw}"] = held_out(fewer, student, settings)
    return out


def monotone(problem: Problem, *, with_teacher: bool) -> npt.NDArray[np.float64]:
    """Held-out predictions `[n]` of a network that no better fidelity feature can lower, points.

    One hidden layer of tanh units; weights of the five fidelity features (and of the 4K model's
    score, where it is read) and of the output are softplus of free parameters, so above 0; those
    of motion are free. Scores of frames are averaged over a clip; squared error, all clips a step.
    """
    clips = pad_clips(problem.table, FRAMES)
    x = clips.features
    signs = np.array([1, 1, 1, 1, 1, 0], bool)
    if with_teacher:
        score = load_teacher("vmaf_4k_v0.6.1")(x.reshape(-1, x.shape[-1])).reshape(x.shape[:2])
        x, signs = np.concatenate([x, score[..., None]], -1), np.append(signs, True)
    frames, label = jnp.asarray(clips.frames), jnp.asarray(problem.label, jnp.float32)
    inputs = jnp.asarray(x, jnp.float32)

    def predict(params: Any, scaler: Any) -> jax.Array:
        rows = (inputs - scaler[0]) / scaler[1]
        first = jnp.where(signs[:, None], jax.nn.softplus(params["first"]), params["first"])
        hidden = jnp.tanh(rows @ first + params["bias"])
        scores = params["mean"] + hidden @ jax.nn.softplus(params["second"])
        return 50 + 25 * jnp.sum(scores * frames, 1) / frames.sum(1)

    def fold(mask: jax.Array, key: jax.Array) -> jax.Array:
        weight = (mask[:, None] * frames)[..., None]
        mean = jnp.sum(weight * inputs, (0, 1)) / weight.sum()
        std = jnp.sqrt(jnp.sum(weight * (inputs - mean) ** 2, (0, 1)) / weight.sum())
        params = {
            "first": jax.random.normal(key, (len(signs), HIDDEN)) * 0.5,
            "bias": jnp.linspace(-1.0, 1.0, HIDDEN),
            "second": jnp.full(HIDDEN, -1.0),
            "mean": jnp.zeros(()),
        }
        optimiser = optax.adamw(RATE, weight_decay=1e-3)

        def loss(params: Any) -> jax.Array:
            return jnp.sum(mask * (predict(params, (mean, std)) - label) ** 2) / mask.sum() / 625

        def step(state: Any, _: Any) -> Any:
            updates, moments = optimiser.update(jax.grad(loss)(state[0]), state[1], state[0])
            return (optax.apply_updates(state[0], updates), moments), None

        (params, _), _ = jax.lax.scan(step, (params, optimiser.init(params)), length=STEPS)
        return jnp.clip(predict(params, (mean, std)), 0, 100)

    keys = jax.random.split(jax.random.key(0), len(problem.sources))
    folds = jax.jit(jax.vmap(fold))(
        jnp.asarray(problem.masks[:, problem.source], jnp.float32), keys
    )
    return np.asarray(folds, np.float64)[problem.fold, np.arange(problem.n_units)]


def v1_problem(folder: Path) -> Problem:
    """The demo's clips, labelled with the mean of VMAF v1 as if it were people's opinion."""
    table = extract_clips(demo.load_clips(), Request((V1,), FEATURES))
    _, group = table.clip_groups()
    score = np.clip(table.label(V1), 0, 100)
    mean = np.bincount(group, score) / np.bincount(group)
    labelled = dataclasses.replace(table, labels={"mos": mean[group]})
    labelled.write(folder / "v1_table.parquet")
    return load_problem(DataConfig(label="mos", features=folder / "v1_table.parquet"))


def write(problem: Problem, predictions: Predictions, path: Path) -> None:
    """Keys, labels and predictions of every clip."""
    clips = problem.table.mean_pool()
    columns = {"clip": clips.clip, "source": clips.source, "mos": problem.label, **predictions}
    if clips.experiment is not None:
        columns["experiment"] = clips.experiment
    pq.write_table(pa.table(columns), path)


def main(table: Path, out: Path) -> None:
    """Runs everything and writes the predictions."""
    prepare_training()
    out.mkdir(parents=True, exist_ok=True)
    problem = v1_problem(out)
    predictions = {"rbf, not tuned": untuned(problem, "rbf")}
    write(problem, predictions | by_clips(problem, "rbf", V1_CLIPS), out / "v1.parquet")
    problem = load_problem(DataConfig(label="mos", features=table, frames_per_clip=FRAMES))
    predictions = {
        "monotone, features": monotone(problem, with_teacher=False),
        "monotone, features and the 4K score": monotone(problem, with_teacher=True),
    }
    predictions |= by_clips(problem, "rbf_4k", CLIPS)
    write(problem, predictions, out / "opinions.parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
