"""A model against a feature table."""

from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.metrics import all_metrics
from vmaf_jax.features.extract import DEFAULT_TEACHER
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.features.table import FeatureTable


def evaluate_model(model: Any, table: FeatureTable, label: str | None = None) -> dict[str, Any]:
    """Metrics overall and per source.

    Args:
        model: has `name`, `kind` and `feature_set`, and is called with features `[n, d]`.
        table: rows with labels.
        label: a label column, by default the one the model learnt, else `vmaf_v0.6.1`.

    Raises:
        InputError: the table holds other features than the model takes, or lacks the label.
    """
    expected: FeatureSet = model.feature_set
    if table.feature_set != expected:
        raise InputError(
            f"model {model.name!r} takes the feature set {expected.name}, the table holds "
            f"{table.feature_set.name}; extract again with --features {expected.name}."
        )
    name = label or getattr(model, "label", None) or DEFAULT_TEACHER
    true = table.label(name)
    predicted: npt.NDArray[Any] = np.asarray(model(table.features), dtype=np.float64)
    sources = {
        source: all_metrics(predicted[rows], true[rows])
        for source in table.sources
        for rows in [table.source == source]
    }
    return {
        "model": model.name,
        "kind": model.kind,
        "label": name,
        "overall": all_metrics(predicted, true),
        "sources": sources,
    }
