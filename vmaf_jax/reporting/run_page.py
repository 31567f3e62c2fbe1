"""`report.html`: one self-contained page about a run, computed from its saved predictions."""

import html
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.evaluation.metrics import METRIC_NAMES, Metrics
from vmaf_jax.evaluation.run_metrics import RunMetrics
from vmaf_jax.reporting import plots
from vmaf_jax.reporting.html import image, number, page, table


def run_page(
    name: str,
    config: str,
    metrics: RunMetrics,
    held_out: HeldOut,
    external: Mapping[str, HeldOut],
    losses: Mapping[str, npt.NDArray[np.float32]],
) -> str:
    """The page of the run `name`, HTML.

    Args:
        config: its configuration as YAML.
        losses: of each member, one value a step.
    """
    pooled, parity = metrics.loso.pooled, metrics.parity
    overall = [["LOSO, pooled", *_figures(pooled)]]
    overall += [
        [f"external: {corpus}", *_figures(entry)] for corpus, entry in metrics.external.items()
    ]
    low, high = pooled.endpoint_rmse.low, pooled.endpoint_rmse.high
    body = [
        "<h2>Agreement with the labels</h2>",
        table(["rows", "n", *METRIC_NAMES], overall),
        f"<p>RMSE over labels in [0, 20]: {number(low.rmse)} (n = {low.n}); in [80, 100]: "
        f"{number(high.rmse)} (n = {high.n}).</p>",
        image(plots.agreement(held_out, "leave-one-source-out"), "held-out agreement"),
    ]
    for corpus, rows in external.items():
        body.append(image(plots.agreement(rows, f"external: {corpus}"), f"agreement on {corpus}"))
    folds = [[fold.source, *_figures(fold)] for fold in metrics.folds]
    body += [
        "<h2>Folds</h2>",
        table(["held-out source", "n", *METRIC_NAMES], folds),
        "<h2>ONNX parity</h2>",
        f"<p>JAX against ONNX Runtime over {parity.n} rows: at most {parity.max_abs:.2e} points, "
        f"at most {parity.max_ulp} ULP from 16 points up; {parity.clipped} clipped rows counted "
        f"apart.</p>",
        "<h2>Training</h2>",
        image(plots.losses(np.stack(list(losses.values()))), "training loss"),
        f"<pre>{html.escape(config)}</pre>",
    ]
    return page(f"vmaf-jax run: {name}", body)


def _figures(metrics: Metrics) -> list[str]:
    return [str(metrics.n), *(number(getattr(metrics, name)) for name in METRIC_NAMES)]
