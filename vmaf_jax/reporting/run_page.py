"""`report.html`: one self-contained page about a run, computed from its saved predictions.

The verdict first, then what it rests on: agreement, residuals, errors by source, other corpora,
training, parity, times, machine, limits, settings.
"""

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from vmaf_jax.evaluation.by_source import over_sources, source_errors
from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.evaluation.metrics import all_metrics
from vmaf_jax.reporting import run_figures
from vmaf_jax.reporting.frame import (
    figure,
    notes,
    page,
    point_figure,
    point_set,
    section,
    table,
    tiles,
)
from vmaf_jax.reporting.points import LIMIT, SINGLES, bounded
from vmaf_jax.reporting.run_view import RunView, number_at, part, points
from vmaf_jax.reporting.score_intervals import score_intervals
from vmaf_jax.reporting.svg import text
from vmaf_jax.reporting.verdict import limits, verdict

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
    plots = run_figures.agreement_plot(drawn), run_figures.residual_plot(drawn)
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
            run_figures.agreement(drawn, label),
            note,
            plot=plots[0],
            y="p",
            **common,
        ),
        point_figure(
            f"{name}-residuals",
            f"Error over {label}",
            run_figures.residuals(drawn, label),
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
    whole = over_sources(run.held_out)
    shown = min(len(entries), run_figures.MOST_SOURCES)
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
        figure("by-source", "Worst first", run_figures.sources(entries, whole.rmse), note),
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
    drawn = figure("losses", "Training loss", run_figures.losses(run.curves), note)
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
