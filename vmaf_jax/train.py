"""The main job: rows to a verified model in a run folder.

data -> folds -> all folds and the final fit in one program -> held-out metrics -> external
     -> checkpoint -> ONNX -> parity -> report
"""

import dataclasses
import json
import platform
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vmaf_jax.config import Config, DataConfig
from vmaf_jax.data import (
    Progress,
    labels_and_targets,
    load_data,
    queried_teacher,
    table_digest,
)
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.behaviour import behaviour
from vmaf_jax.evaluation.cross_validation import HeldOut, join, loso_metrics, to_json
from vmaf_jax.evaluation.metrics import all_metrics
from vmaf_jax.export.checkpoint import save_checkpoint
from vmaf_jax.export.onnx_file import OnnxModel, export_onnx
from vmaf_jax.export.parity import check_parity, measure_parity, parity_rows
from vmaf_jax.export.sidecar import sidecar, training_digest
from vmaf_jax.features.table import FeatureTable
from vmaf_jax.files import atomic_path, check_result_folder, write_text
from vmaf_jax.load import make_student
from vmaf_jax.models import Deployed, Student, Variables, deploy
from vmaf_jax.reporting.card import write_card
from vmaf_jax.reporting.html import write_report
from vmaf_jax.training import Rows, Trained, loso_masks, loso_members, train_members

_ENVIRONMENT = ("jax", "jaxlib", "flax", "optax", "numpy", "onnx", "onnxruntime", "jax2onnx")


@dataclasses.dataclass(frozen=True)
class RunResult:
    """Where a run went and what it found (the content of `metrics.json`)."""

    path: Path
    metrics: dict[str, Any]


def train_run(
    config: Config,
    run_dir: Path,
    *,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> RunResult:
    """Trains, evaluates, exports and verifies; writes the run folder whole or not at all.

    Args:
        config: the run.
        run_dir: the folder, replaced if it exists.
        progress: makes a progress callback for an extraction.
        say: called with each stage, for people.

    Raises:
        InputError: bad data, a bad setting, or a place that cannot be written.
        GateError: parity missed its limit; the run folder is written all the same.
    """
    started = time.perf_counter()
    check_result_folder(run_dir, "metrics.json")
    run_dir = run_dir.absolute()
    extra = {} if progress is None else {"progress": progress}
    say(f"data: {config.data.features or config.data.corpus}")
    table = load_data(config.data, **extra)
    label, target = labels_and_targets(table, config.data)
    student = make_student(config)
    others: dict[str, tuple[DataConfig, FeatureTable]] = {}
    for corpus in config.external:  # before training, so that a missing one costs nothing
        say(f"external corpus: {corpus}")
        data = DataConfig(
            corpus=corpus, teacher=config.data.teacher, feature_set=config.data.feature_set
        )
        others[corpus] = (data, load_data(data, **extra))
    held_out_sources, masks = loso_masks(table.source)
    say(f"training: {len(masks)} folds and the final fit, {config.training.steps} steps")
    trained = _train(config, student, table, target, masks)
    final = trained.member(len(masks) * len(config.training.seeds))
    held_out = _held_out(config, student, trained, table, label, held_out_sources)
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(final)):
        raise InputError("training diverged; lower training.learning_rate.")
    deployed = deploy(student, final)
    external = {
        corpus: _predicted(config, deployed, other, data)
        for corpus, (data, other) in others.items()
    }
    seen = [table.features, *(other.features for _, other in others.values())]
    metrics: dict[str, Any] = loso_metrics(held_out)
    metrics["external"] = {
        corpus: all_metrics(rows.predicted, rows.label) for corpus, rows in external.items()
    }
    if config.data.label == "teacher":
        metrics |= _behaviour(config, student, final, table)
    with atomic_path(run_dir) as folder:
        folder.mkdir()
        write_text(folder / "config.yaml", config.to_yaml())
        held_out.write(folder / "folds.parquet")
        for name, predicted in external.items():
            predicted.write(folder / f"external_{name}.parquet")
        save_checkpoint(folder / "checkpoint", final)
        say("export and parity")
        training = {
            "config_sha256": config.digest(),
            "corpora": {str(table.corpus[0]): table_digest(table)},
            "metrics": {"loso": metrics["loso"]["pooled"], "external": metrics["external"]},
        }
        onnx_path = export_onnx(
            deployed,
            folder / "model.onnx",
            name=config.name,
            feature_set=table.feature_set,
            digest=training_digest(training),
        )
        rows = parity_rows(table.feature_set, seen)
        parity = measure_parity(deployed, OnnxModel(onnx_path), rows, config.parity)
        description = sidecar(
            onnx_path,
            name=config.name,
            student=student,
            feature_set=table.feature_set,
            training=training,
        )
        write_text(folder / "model.json", to_json(description))
        write_text(folder / "parity.json", to_json(parity))
        metrics["parity"] = {key: parity[key] for key in ("max_ulp", "max_abs", "n", "clipped")}
        metrics["timing"] = {
            "compile_s": trained.compile_s,
            "train_s": trained.train_s,
            "total_s": time.perf_counter() - started,
        }
        metrics["environment"] = environment()
        write_text(folder / "metrics.json", to_json(metrics))
        names = [
            f"{source}/{seed}" for seed in config.training.seeds for source in held_out_sources
        ]
        write_text(folder / "log.jsonl", _log(trained, [*names, "all"]))
        write_text(folder / "card.md", write_card(folder))
        write_report(folder / "report.html", config, metrics, held_out, external, trained.losses)
    check_parity(parity)
    return RunResult(run_dir, metrics)


def environment() -> dict[str, Any]:
    """Versions and devices, for `metrics.json`."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "devices": [f"{d.platform}:{d.device_kind}" for d in jax.devices()],
        **{name: metadata.version(name) for name in _ENVIRONMENT},
    }


def _train(
    config: Config,
    student: Student,
    table: FeatureTable,
    target: np.ndarray,
    masks: np.ndarray,
) -> Trained:
    """Every fold, then the final fit on all rows, as members of one program."""
    settings = config.training
    members = loso_members(masks, list(settings.seeds), [settings.temperature])
    rows = Rows(table.features, target)
    asked = None
    if settings.strategy == "teacher_queries":
        teacher = queried_teacher(table, config.data)
        if teacher.transform is not None:
            raise InputError(
                f"teacher {teacher.name!r} applies a score transform, which queries leave out; use "
                f"strategy rows."
            )
        asked = teacher.params()
    return train_members(
        rows, members, asked, student=student, settings=settings, feature_set=table.feature_set
    )


def _held_out(
    config: Config,
    student: Student,
    trained: Trained,
    table: FeatureTable,
    label: np.ndarray,
    sources: list[str],
) -> HeldOut:
    """Each row predicted, once a seed, by the student whose fold left its source out."""
    features = jnp.asarray(table.features, jnp.float32)
    number = {source: k for k, source in enumerate(sources)}
    fold = np.array([number[source] for source in table.source])
    every = jax.jit(jax.vmap(student.predict, in_axes=(0, None)))
    parts = []
    for k, seed in enumerate(config.training.seeds):
        chosen = slice(k * len(sources), (k + 1) * len(sources))
        variables = jax.tree.map(lambda leaf, chosen=chosen: leaf[chosen], trained.variables)
        predicted = np.asarray(every(variables, features))[fold, np.arange(len(table))]
        parts.append(predictions(table, label, predicted, seed))
    return join(parts)


def _predicted(
    config: Config, deployed: Deployed, table: FeatureTable, data: DataConfig
) -> HeldOut:
    label, _ = labels_and_targets(table, data)
    features = jnp.asarray(table.features, jnp.float32)
    predicted = np.asarray(jax.jit(deployed.predict)(deployed.constants, features))
    return predictions(table, label, predicted, config.training.seeds[0])


def _behaviour(
    config: Config, student: Student, variables: Variables, table: FeatureTable
) -> dict[str, Any]:
    """`behaviour` of `metrics.json`; nothing where the teacher cannot be asked."""
    try:
        teacher = queried_teacher(table, config.data)
    except InputError:
        return {}
    predict = jax.jit(student.predict)

    def ours(features: np.ndarray) -> np.ndarray:
        return np.asarray(predict(variables, jnp.asarray(features, jnp.float32)))

    return {"behaviour": behaviour(ours, teacher, table.features, table.feature_set)}


def predictions(
    table: FeatureTable, label: np.ndarray, predicted: np.ndarray, seed: int
) -> HeldOut:
    """A table's rows with what a student of `seed` says about them."""
    return HeldOut(
        source=table.source,
        clip=table.clip,
        index=table.index,
        seed=np.full(len(table), seed, dtype=np.int32),
        label=label,
        predicted=predicted.astype(np.float64),
    )


def _log(trained: Trained, names: list[str]) -> str:
    """One JSON line per logged step: the loss of every member."""
    steps = trained.losses.shape[1]
    logged = sorted({*range(0, steps, max(1, steps // 50)), steps - 1})
    lines = [
        json.dumps(
            {
                "step": step,
                "loss": {n: float(v) for n, v in zip(names, trained.losses[:, step], strict=True)},
            }
        )
        for step in logged
    ]
    return "\n".join(lines) + "\n"
