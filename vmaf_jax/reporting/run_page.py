"""The page of a run, `report.html`, computed from its saved predictions.

The verdict first, then what it rests on: agreement, residuals, errors by source, other corpora,
training, parity, times, machine, limits, settings.
"""

import datetime
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.by_source import SourceError, pooled_errors, source_errors
from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.evaluation.metrics import HIGH_END, LOW_END, all_metrics
from vmaf_jax.reporting.page import (
    figure,
    notes,
    page,
    point_figure,
    point_set,
    section,
    table,
    tiles,
)
from vmaf_jax.reporting.run_view import Curves, RunView, number_at, part, points
from vmaf_jax.reporting.score_intervals import score_intervals
from vmaf_jax.reporting.summary import limits, verdict
from vmaf_jax.reporting.svg import (
    HATCH,
    LIMIT,
    SINGLES,
    Plot,
    Points,
    bounded,
    cells,
    drawing,
    text,
    tick_label,
    ticks,
)

_MOST_ROWS = 300  # of a table
_BEHAVIOUR = {
    "identical": "identical pictures, motion2 from 0 to 30",
    "still": "the training clips with their motion set to 0",
    "wider_box": "random features in a box 20 % wider than the training rows",
}


def run_page(run: RunView) -> str:
    """The page of a run, HTML."""
    judged = verdict(run)
    body = [
        f"<h1>{text(run.name)}</h1>\n",
        f'<p class="verdict">{text(judged.sentence, 1000)}</p>\n',
        tiles(judged.tiles),
        notes([*judged.warnings, *run.missing]),
        section("held-out", "Sources it never saw", _agreement("held-out", run.held_out, run)),
        section("sources", "Error by source", _by_source(run)),
        section("intervals", "How sure a score is", score_intervals(run)),
    ]
    for k, (name, rows) in enumerate(run.external.items()):
        parts = _agreement(f"external-{k}", rows, run)
        body.append(section(f"section-external-{k}", f"Another corpus: {name}", parts))
    body += [
        section("training", "Training", _training(run)),
        section("parity", "The exported file against JAX", _parity(run.parity)),
        section("outside", "Outside the data", _outside(part(run.metrics, "behaviour"))),
        section("times", "Times", _times(part(run.metrics, "timing"))),
        section("machine", "Machine and versions", _machine(part(run.metrics, "environment"))),
        section("limits", "What these figures do not say", _list(limits(run))),
        section("settings", "Settings", [_settings(run.config_text)]),
    ]
    return page(f"vmaf-jax run: {run.name}", body)


def _agreement(name: str, rows: HeldOut, run: RunView) -> list[str]:
    drawn, label = bounded(rows), run.label_words
    metrics = all_metrics(rows.predicted, rows.label)
    low, high = metrics.endpoint_rmse.low, metrics.endpoint_rmse.high
    index = "frame" if np.unique(rows.index).size > 1 else "frames pooled"
    worst = "The three largest errors are ringed and numbered."
    note = f"{drawn.n:,} rows. {worst}"
    if drawn.counted:
        note = (
            f"{drawn.n:,} rows, more than {LIMIT:,}: all are counted in cells, darker where there "
            f"are more (by logarithm), and the {SINGLES} largest errors are drawn as dots. {worst}"
        )
    common = {"of": name, "index": index}
    plots = agreement_plot(drawn), residual_plot(drawn)
    names = ["n", "PLCC", "SROCC", "KROCC", "RMSE", "MAE", "largest", "RMSE 0–20", "RMSE 80–100"]
    return [
        table(
            names,
            [
                [
                    f"{metrics.n:,}",
                    *(f"{value:.5f}" for value in (metrics.plcc, metrics.srocc, metrics.krocc)),
                    *(points(value) for value in (metrics.rmse, metrics.mae, metrics.max_abs)),
                    f"{points(low.rmse)} (n = {low.n:,})",
                    f"{points(high.rmse)} (n = {high.n:,})",
                ]
            ],
        ),
        point_set(name, drawn),
        '<div class="figures">\n',
        point_figure(
            f"{name}-agreement",
            f"Student against {label}",
            agreement(drawn, label),
            note,
            plot=plots[0],
            y="p",
            **common,
        ),
        point_figure(
            f"{name}-residuals",
            f"Error over {label}",
            residuals(drawn, label),
            "The ends of the scale, 0–20 and 80–100, are hatched, with the RMSE of their rows.",
            plot=plots[1],
            y="e",
            **common,
        ),
        "</div>\n",
        _worst(rows),
    ]


def _worst(rows: HeldOut, count: int = 10) -> str:
    error = rows.predicted - rows.label
    chosen = np.argsort(-np.abs(error), kind="stable")[:count]
    header = ["worst rows", "clip", "frame", "seed", "label", "student", "error"]
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
    return (
        f"<details><summary>The {len(lines)} worst rows</summary>{table(header, lines)}</details>"
    )


def _by_source(run: RunView) -> list[str]:
    entries = source_errors(run.held_out)
    whole = pooled_errors(run.held_out)
    shown = min(len(entries), MOST_SOURCES)
    together = run.metrics.get("held_out_together")
    folds = f" They were held out in {len(together)} folds." if isinstance(together, list) else ""
    of_all = "" if shown == len(entries) else f" The {shown} worst of {len(entries)} are drawn."
    note = (
        f"RMSE of each source held out, 95 % interval over its clips; dashed: of all rows, "
        f"{points(whole.rmse)}. A source with fewer than three clips has no interval."
        f"{folds}{of_all}"
    )
    header = ["source", "clips", "rows", "RMSE", "95 %", "bias", "largest"]
    rows = [
        [
            entry.source,
            str(entry.n_clips),
            f"{entry.n:,}",
            points(entry.rmse),
            f"{points(entry.interval.low)} to {points(entry.interval.high)}",
            points(entry.bias),
            points(entry.max_abs),
        ]
        for entry in entries[:_MOST_ROWS]
    ]
    more = len(entries) - len(rows)
    cut = f"<p>{more} more sources are in folds.parquet.</p>" if more else ""
    return [
        '<div class="figures">\n',
        figure("by-source", "Worst first", sources(entries, whole.rmse), note),
        "</div>\n",
        f"<details><summary>As a table</summary>{table(header, rows)}{cut}</details>",
    ]


def _training(run: RunView) -> list[str]:
    if run.curves is None:
        return ["<p>The losses of this training were not logged.</p>"]
    n = len(run.curves.members) - 1
    note = (
        f"Thin: each of {n} folds; shaded: from the least to the most; dashed: their median; "
        f"solid: the final fit on all sources. {len(run.curves.steps)} logged steps."
    )
    drawn = figure("losses", "Training loss", losses(run.curves), note)
    return ['<div class="figures">\n', drawn, "</div>\n"]


def _parity(parity: Mapping[str, Any]) -> list[str]:
    n, clipped = number_at(parity, "n"), number_at(parity, "clipped")
    distance, ulp = number_at(parity, "max_abs"), number_at(parity, "max_ulp")
    if n is None or distance is None:
        return ["<p>Parity was not recorded.</p>"]
    lines = [
        f"<p>Of the deployed form, JAX against ONNX Runtime over {n:,.0f} rows: at most "
        f"{points(distance)} points, at most {'–' if ulp is None else f'{ulp:.0f}'} ULP from 16 "
        f"points up. {'' if clipped is None else f'{clipped:,.0f} clipped rows count apart.'}</p>\n"
    ]
    octaves = parity.get("octaves")
    if isinstance(octaves, list) and octaves:
        rows = [
            [
                f"{_figure(entry, 'from')} – {_figure(entry, 'to')}",
                *(_figure(entry, key) for key in ("n", "max_ulp", "mean_ulp", "max_abs")),
            ]
            for entry in octaves[:20]
            if isinstance(entry, dict)
        ]
        header = ["scores", "rows", "max ULP", "mean ULP", "max points"]
        lines.append(f"<details><summary>By score</summary>{table(header, rows)}</details>")
    return lines


def _outside(cases: Mapping[str, Any]) -> list[str]:
    if not cases:
        return ["<p>No teacher could be asked outside the data.</p>"]
    rows = [
        [_BEHAVIOUR.get(name, name), *(_figure(part(cases, name), k) for k in keys)]
        for name in cases
        for keys in [("n", "rmse", "max_abs")]
    ]
    return [table(["case", "rows", "RMSE", "largest"], rows)]


def _figure(document: Mapping[str, Any], key: str) -> str:
    value = number_at(document, key)
    return "–" if value is None else f"{value:,.0f}" if value == int(value) else points(value)


def _times(timing: Mapping[str, Any]) -> list[str]:
    names = {"compile_s": "compiling", "train_s": "training", "total_s": "all of it"}
    rows = [
        [
            words,
            f"{seconds:.1f} s" if seconds < 600 else str(datetime.timedelta(seconds=int(seconds))),
        ]
        for key, words in names.items()
        if (seconds := number_at(timing, key)) is not None
    ]
    return [table(["stage", "time"], rows)] if rows else ["<p>Times were not recorded.</p>"]


def _machine(environment: Mapping[str, Any]) -> list[str]:
    rows = [
        [str(key), ", ".join(map(str, value)) if isinstance(value, list) else str(value)]
        for key, value in list(environment.items())[:_MOST_ROWS]
    ]
    return [table(["", ""], rows)] if rows else ["<p>The machine was not recorded.</p>"]


def _list(lines: Iterable[str]) -> list[str]:
    return ["<ul>", *(f"<li>{text(line, 1000)}</li>\n" for line in lines), "</ul>"]


def _settings(config: str) -> str:
    return f"<details><summary>config.yaml</summary><pre>{_lines(config)}</pre></details>"


def _lines(config: str) -> str:
    return "\n".join(text(line, 500) for line in config.splitlines()[:2000])


Floats = npt.NDArray[np.float64]
MOST_SOURCES = 40  # drawn; the table has more
_MOST_MEMBERS = 200  # drawn as lines of their own
_WORST = 3  # rows that are numbered in a drawing


def agreement_plot(drawn: Points) -> Plot:
    """The frame of predicted against true scores."""
    return Plot((0.0, 100.0), (0.0, 100.0))


def agreement(drawn: Points, label: str) -> str:
    """Predicted against true scores, and where they would be equal."""
    plot = agreement_plot(drawn)
    parts = [plot.axes(f"{label} (points)", "student (points)")]
    parts.append(plot.line([0, 100], [0, 100], "equal"))
    parts += _marks(plot, drawn, drawn.label + drawn.error, drawn.rows.predicted)
    said = f"Predicted against true scores of {drawn.n:,} rows; equal scores lie on the diagonal."
    return drawing(plot.width, plot.height, said, parts)


def residual_plot(drawn: Points) -> Plot:
    """The frame of errors against true scores, as far up as down."""
    reach = float(np.max(np.abs(drawn.error))) * 1.12 or 1.0
    return Plot((0.0, 100.0), (-reach, reach))


def residuals(drawn: Points, label: str) -> str:
    """The error against the true score, with both ends of the scale shaded."""
    plot = residual_plot(drawn)
    parts = [HATCH]
    for low, high in (LOW_END, HIGH_END):
        inside = (drawn.label >= low) & (drawn.label <= high)
        rmse = math.sqrt(float(np.mean(np.square(drawn.error[inside])))) if inside.any() else None
        parts.append(plot.band(low, high, f"RMSE {points(rmse)}"))
    parts.append(plot.axes(f"{label} (points)", "student less label"))
    parts.append(plot.line([0, 100], [0, 0], "equal"))
    parts += _marks(plot, drawn, drawn.error, drawn.rows.predicted - drawn.rows.label)
    said = (
        f"Errors of {drawn.n:,} rows against the true score; scores up to 20 and from 80 are "
        f"shaded. The largest error is {points(float(np.max(np.abs(drawn.error))))} points."
    )
    return drawing(plot.width, plot.height, said, parts)


def _marks(plot: Plot, drawn: Points, every: Floats, single: Floats) -> list[str]:
    """Cells where rows are many, dots, and the worst rows ringed and numbered."""
    rows = drawn.rows
    parts = [cells(plot, drawn.label, every)] if drawn.counted else []
    parts.append(plot.dots(rows.label, single, "dots"))
    error = np.abs(rows.predicted - rows.label)
    for rank, k in enumerate(np.argsort(-error, kind="stable")[:_WORST].tolist(), 1):
        x, y = float(plot.px(rows.label[k])), float(plot.py(single[k]))
        beside = (x - 9, "end") if x > plot.width - 40 else (x + 9, "start")
        parts.append(f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="6"/>')
        parts.append(
            f'<text class="{beside[1]} strong" x="{beside[0]:.1f}" y="{y:.1f}">{rank}</text>'
        )
    return parts


def sources(entries: Sequence[SourceError], whole: float) -> str:
    """RMSE by source with its interval, the largest first; the line is that of all rows."""
    shown = entries[:MOST_SOURCES]
    largest = max([entry.rmse for entry in shown] + [whole])
    ends = [entry.interval.high for entry in shown if math.isfinite(entry.interval.high)]
    reach = min(max([largest, *ends]), 2 * largest) * 1.05 or 1.0
    row, top, bottom, left = 19, 8, 44, 150
    height = top + row * len(shown) + bottom
    plot = Plot((0.0, reach), (0.0, 1.0), height=height, left=left, top=top, bottom=bottom)
    right, floor = plot.width - plot.right, height - bottom
    parts = []
    for value in ticks(0.0, reach):
        x = float(plot.px(value))
        parts.append(f'<path class="grid" d="M{x:.1f} {top}V{floor}"/>')
        parts.append(f'<text class="mid" x="{x:.1f}" y="{floor + 16}">{tick_label(value)}</text>')
    x = float(plot.px(whole))
    parts.append(f'<path class="equal" d="M{x:.1f} {top}V{floor}"/>')
    for k, entry in enumerate(shown):
        y = top + row * (k + 0.5)
        x = float(plot.px(entry.rmse))
        interval, between = entry.interval, ""
        if math.isfinite(interval.high):
            start, end = float(plot.px(interval.low)), float(plot.px(interval.high))
            cut = end > right
            parts.append(f'<path class="interval" d="M{start:.1f} {y}H{min(end, right):.1f}"/>')
            if cut:
                parts.append(f'<text class="end small" x="{right}" y="{y - 3}">›</text>')
            between = f", 95 % {points(interval.low)} to {points(interval.high)}"
        label = f"{entry.source}: RMSE {points(entry.rmse)}{between}; {entry.n_clips} clips"
        parts.append(
            f'<g><title>{text(label)}</title><circle class="dot" cx="{x:.1f}" cy="{y}" r="4"/>'
            f'<text class="end" x="{left - 8}" y="{y + 4}">{text(entry.source, 20)}</text></g>'
        )
    parts.append(
        f'<text class="mid name" x="{(left + right) / 2:.0f}" y="{height - 8}">RMSE (points)</text>'
    )
    said = f"RMSE of {len(shown)} sources with 95 % intervals, from the worst to the best."
    return drawing(plot.width, height, said, parts)


def losses(curves: Curves) -> str:
    """Training losses over the steps, by their logarithm; the final fit is drawn heavier."""
    values = np.where(curves.losses > 0, curves.losses, np.nan)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # steps without any loss
        logs = np.log10(values)
        low, high = float(np.nanmin(logs)), float(np.nanmax(logs))
        bottom, middle, top = (
            np.nanmin(logs[:-1], 0, initial=np.inf),
            np.nanmedian(logs[:-1], 0),
            np.nanmax(logs[:-1], 0, initial=-np.inf),
        )
    pad = max(0.05 * (high - low), 0.05)
    last = float(max(curves.steps[-1], 1))
    plot = Plot((0.0, last), (low - pad, high + pad), log_y=True)
    parts = [plot.axes("step", "training loss")]
    steps = curves.steps.astype(np.float64)
    sound = np.isfinite(middle)
    if sound.any():
        parts.append(plot.area(steps[sound], bottom[sound], top[sound], "range"))
        if len(logs) - 1 <= _MOST_MEMBERS:
            parts += [_curve(plot, steps, line, "member") for line in logs[:-1]]
        parts.append(plot.line(steps[sound], middle[sound], "median"))
    parts.append(_curve(plot, steps, logs[-1], "final"))
    said = (
        f"Training loss of {len(logs) - 1} folds and the final fit over {int(last) + 1} steps; "
        f"the final fit ends at {points(float(curves.losses[-1, -1]))}."
    )
    return drawing(plot.width, plot.height, said, parts)


def _curve(plot: Plot, steps: Floats, values: Floats, kind: str) -> str:
    sound = np.isfinite(values)
    return plot.line(steps[sound], values[sound], kind) if sound.sum() > 1 else ""
