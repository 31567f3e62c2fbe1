"""The page of a run, `report.html`, computed from its saved predictions.

The verdict comes first, then what it rests on: agreement, residuals, errors by source, other
corpora, training, parity, times, machine, limits, settings.
"""

import datetime
import warnings
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.cross_validation import HeldOut, pooled_errors, source_errors
from vmaf_jax.evaluation.metrics import all_metrics
from vmaf_jax.evaluation.run_metrics import CASES
from vmaf_jax.printable import UNDEFINED, format_count, format_fixed, format_interval, format_points
from vmaf_jax.reporting.error_plots import (
    MAX_DOTS,
    MAX_ROWS,
    N_LARGEST,
    Estimate,
    draw_agreement,
    draw_residuals,
    forest,
    make_scatter,
    scatter_data,
    scatter_figure,
)
from vmaf_jax.reporting.page import (
    Plot,
    bullets,
    details,
    drawing,
    figure,
    figures,
    page,
    paragraph,
    section,
    table,
    text,
)
from vmaf_jax.reporting.run_view import (
    Curves,
    RunView,
    coverage_section,
    list_limits,
    number_at,
    object_at,
    run_header,
)

Floats = npt.NDArray[np.float64]
_MAX_ROWS = 300  # of a table
_MAX_MEMBERS = 200  # whose losses are lines of their own


def run_page(run: RunView) -> str:
    """Returns the page of a run as HTML."""
    body = [
        run_header(run),
        section("held-out", "Sources it never saw", _agreement("held-out", run.held_out, run)),
        section("sources", "Error by source", _errors_by_source(run)),
        section("intervals", "Uncertainty of a score", coverage_section({run.name: run})),
    ]
    for k, (name, rows) in enumerate(run.external.items()):
        parts = _agreement(f"external-{k}", rows, run)
        body.append(section(f"section-external-{k}", f"Another corpus: {name}", parts))
    metrics = run.metrics
    body += [
        section("training", "Training", [_training(run)]),
        section("parity", "The exported file against JAX", _parity(run.parity)),
        section("outside", "Outside the data", [_outside(object_at(metrics, "behaviour"))]),
        section("times", "Times", [_times(object_at(metrics, "timing"))]),
        section("machine", "Machine and versions", [_machine(object_at(metrics, "environment"))]),
        section("limits", "What these figures do not say", [bullets(list_limits(run))]),
        section("settings", "Settings", [_settings(run.config_text)]),
    ]
    return page(f"vmaf-jax run: {run.name}", body)


def _agreement(name: str, rows: HeldOut, run: RunView) -> list[str]:
    scatter, label = make_scatter(rows), run.label_words
    metrics = all_metrics(rows.predicted, rows.label)
    low, high = metrics.endpoint_rmse.low, metrics.endpoint_rmse.high
    columns = ["n", "PLCC", "SROCC", "KROCC", "RMSE", "MAE", "largest", "RMSE 0–20", "RMSE 80–100"]
    cells = [
        f"{metrics.n:,}",
        format_fixed(metrics.plcc, 5),
        format_fixed(metrics.srocc, 5),
        format_fixed(metrics.krocc, 5),
        format_points(metrics.rmse),
        format_points(metrics.mae),
        format_points(metrics.max_abs),
        f"{format_points(low.rmse)} (n = {low.n:,})",
        f"{format_points(high.rmse)} (n = {high.n:,})",
    ]
    note = f"{scatter.n:,} rows."
    if scatter.has_cells:
        note = (
            f"{scatter.n:,} rows, more than {MAX_DOTS:,}: all are counted in cells, darker where "
            f"there are more (by logarithm), and the {N_LARGEST} largest errors are drawn as dots."
        )
    index = "frame" if np.unique(rows.index).size > 1 else "frames pooled"
    plot, svg = draw_agreement(scatter, label)
    agreement = scatter_figure(
        f"{name}-agreement",
        f"Student against {label}",
        plot,
        svg,
        f"{note} The three largest errors are ringed and numbered.",
        scatter=name,
        y="p",
        index=index,
    )
    plot, svg = draw_residuals(scatter, label)
    residuals = scatter_figure(
        f"{name}-residuals",
        f"Error over {label}",
        plot,
        svg,
        "The ends of the scale, 0–20 and 80–100, are hatched, with the RMSE of their rows.",
        scatter=name,
        y="e",
        index=index,
    )
    return [
        table(columns, [cells]),
        scatter_data(name, scatter),
        figures(agreement, residuals),
        _worst_rows(rows),
    ]


def _worst_rows(rows: HeldOut, count: int = 10) -> str:
    error = rows.predicted - rows.label
    chosen = np.argsort(-np.abs(error), kind="stable")[:count]
    columns = ["worst rows", "clip", "frame", "seed", "label", "student", "error"]
    lines = [
        [
            f"{rank}. {rows.source[k]}",
            str(rows.clip[k]),
            str(rows.index[k]),
            str(rows.seed[k]),
            f"{rows.label[k]:.3f}",
            f"{rows.predicted[k]:.3f}",
            f"{error[k]:+.3f}",
        ]
        for rank, k in enumerate(chosen.tolist(), 1)
    ]
    return details(f"The {len(lines)} worst rows", table(columns, lines))


def _errors_by_source(run: RunView) -> list[str]:
    entries = source_errors(run.held_out)
    rmse = pooled_errors(run.held_out).rmse
    drawn = [
        Estimate(
            entry.source, entry.rmse, entry.interval, f"; {format_count(entry.n_clips, 'clip')}"
        )
        for entry in entries[:MAX_ROWS]
    ]
    together = run.metrics.get("held_out_together")
    folds = f" They were held out in {len(together)} folds." if isinstance(together, list) else ""
    cut = len(drawn) < len(entries)
    of_all = f" The {len(drawn)} worst of {len(entries)} are drawn." if cut else ""
    note = (
        f"RMSE of each source held out, 95 % interval over its clips; dashed: of all rows, "
        f"{format_points(rmse)}. A source with fewer than three clips has no interval."
        f"{folds}{of_all}"
    )
    svg = forest(drawn, "RMSE (points)", reference=rmse, from_zero=True)
    columns = ["source", "clips", "rows", "RMSE", "95 %", "bias", "largest"]
    rows = [
        [
            entry.source,
            str(entry.n_clips),
            f"{entry.n:,}",
            format_points(entry.rmse),
            format_interval(entry.interval),
            format_points(entry.bias),
            format_points(entry.max_abs),
        ]
        for entry in entries[:_MAX_ROWS]
    ]
    more = len(entries) - len(rows)
    further = paragraph(f"{more} more sources are in folds.parquet.") if more else ""
    return [
        figures(figure("by-source", "Worst first", svg, note)),
        details("As a table", table(columns, rows) + further),
    ]


def _training(run: RunView) -> str:
    if run.curves is None:
        return paragraph("The losses of this training were not logged.")
    note = (
        f"Thin: each of {len(run.curves.members) - 1} folds; shaded: from the least to the most; "
        f"dashed: their median; solid: the final fit on all sources. {len(run.curves.steps)} "
        f"logged steps."
    )
    return figures(figure("losses", "Training loss", draw_losses(run.curves), note))


def draw_losses(curves: Curves) -> str:
    """Draws training losses over the steps by their logarithm; the final fit is the heaviest."""
    values = np.where(curves.losses > 0, curves.losses, np.nan)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's on steps without any loss
        logs = np.log10(values)
        folds = logs[:-1]
        bottom = np.nanmin(folds, 0, initial=np.inf)
        middle = np.nanmedian(folds, 0)
        top = np.nanmax(folds, 0, initial=-np.inf)
        low, high = float(np.nanmin(logs)), float(np.nanmax(logs))
    pad = max(0.05 * (high - low), 0.05)  # a loss that never changes has a range of 0
    last = float(max(curves.steps[-1], 1))
    plot = Plot((0.0, last), (low - pad, high + pad), log_y=True)
    parts = [plot.axes("step", "training loss")]
    steps = curves.steps.astype(np.float64)
    finite = np.isfinite(middle)
    if finite.any():
        parts.append(plot.area(steps[finite], bottom[finite], top[finite], "range"))
        if len(folds) <= _MAX_MEMBERS:
            parts += [_loss_line(plot, steps, line, "member") for line in folds]
        parts.append(plot.line(steps[finite], middle[finite], "median"))
    parts.append(_loss_line(plot, steps, logs[-1], "final"))
    described = (
        f"Training loss of {len(folds)} folds and the final fit over {int(last) + 1} steps; "
        f"the final fit ends at {format_points(float(curves.losses[-1, -1]))}."
    )
    return drawing(plot.width, plot.height, described, parts)


def _loss_line(plot: Plot, steps: Floats, values: Floats, kind: str) -> str:
    finite = np.isfinite(values)
    return plot.line(steps[finite], values[finite], kind) if finite.sum() > 1 else ""


def _parity(parity: Mapping[str, object]) -> list[str]:
    n, clipped = number_at(parity, "n"), number_at(parity, "clipped")
    distance, ulp = number_at(parity, "max_abs"), number_at(parity, "max_ulp")
    if n is None or distance is None:
        return [paragraph("Parity was not recorded.")]
    apart = "" if clipped is None else f" {clipped:,.0f} clipped rows count apart."
    lines = [
        paragraph(
            f"Of the deployed form, JAX against ONNX Runtime over {n:,.0f} rows: at most "
            f"{format_points(distance)} points, at most {format_fixed(ulp, 0)} ULP from 16 points "
            f"up.{apart}"
        )
    ]
    octaves = parity.get("octaves")
    if isinstance(octaves, list) and octaves:
        rows = [
            [
                f"{_figure_at(entry, 'from')} – {_figure_at(entry, 'to')}",
                *(_figure_at(entry, key) for key in ("n", "max_ulp", "mean_ulp", "max_abs")),
            ]
            for entry in octaves[:20]
            if isinstance(entry, dict)
        ]
        columns = ["scores", "rows", "max ULP", "mean ULP", "max points"]
        lines.append(details("By score", table(columns, rows)))
    return lines


def _outside(cases: Mapping[str, object]) -> str:
    if not cases:
        return paragraph("No teacher could be asked outside the data.")
    rows = [
        [
            CASES.get(name, name),
            *(_figure_at(object_at(cases, name), key) for key in ("n", "rmse", "max_abs")),
        ]
        for name in cases
    ]
    return table(["case", "rows", "RMSE", "largest"], rows)


def _figure_at(document: Mapping[str, object], key: str) -> str:
    """Formats the number under a key: counts as such, others as points."""
    value = number_at(document, key)
    if value is None:
        return UNDEFINED
    return f"{value:,.0f}" if value == int(value) else format_points(value)


def _times(timing: Mapping[str, object]) -> str:
    names = {"compile_s": "compiling", "train_s": "training", "total_s": "all of it"}
    rows = [
        [
            words,
            f"{seconds:.1f} s" if seconds < 600 else str(datetime.timedelta(seconds=int(seconds))),
        ]
        for key, words in names.items()
        if (seconds := number_at(timing, key)) is not None
    ]
    return table(["stage", "time"], rows) if rows else paragraph("Times were not recorded.")


def _machine(environment: Mapping[str, object]) -> str:
    rows = [
        [str(key), ", ".join(map(str, value)) if isinstance(value, list) else str(value)]
        for key, value in list(environment.items())[:_MAX_ROWS]
    ]
    return table(["", ""], rows) if rows else paragraph("The machine was not recorded.")


def _settings(config: str) -> str:
    lines = "\n".join(text(line, 500) for line in config.splitlines()[:2000])
    return details("config.yaml", f"<pre>{lines}</pre>")
