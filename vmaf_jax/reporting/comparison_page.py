"""The page that compares runs on the rows that all of them predicted.

Differences are paired: the same rows, each source left out in turn. With more than two runs p
values are adjusted for their number (Holm).
"""

import math
from collections.abc import Mapping, Sequence

import yaml

from vmaf_jax.evaluation.cross_validation import pooled_errors
from vmaf_jax.evaluation.intervals import adjust_p_values, is_significant
from vmaf_jax.evaluation.run_metrics import RunComparison, compare_runs
from vmaf_jax.printable import (
    format_count,
    format_fixed,
    format_interval,
    format_p_value,
    format_points,
)
from vmaf_jax.reporting.error_plots import (
    MAX_ROWS,
    N_MARKS,
    Estimate,
    errors_by_source,
    forest,
    legend,
)
from vmaf_jax.reporting.page import (
    Tile,
    details,
    figure,
    figures,
    header,
    page,
    paragraph,
    section,
    table,
)
from vmaf_jax.reporting.run_view import RunView, coverage_section, number_at, object_at

_METRICS = {"rmse": "RMSE", "mae": "MAE", "plcc": "PLCC"}
_MAX_SETTINGS = 60  # of a table; runs of two networks differ in all of theirs
_MAX_SOURCES = 300  # of a table


def comparison_page(runs: Mapping[str, RunView]) -> str:
    """Returns the page that compares runs by name as HTML; the first is the standard.

    Raises:
        InputError: they share no held-out rows, or learnt other labels.
    """
    compared = compare_runs({name: run.held_out for name, run in runs.items()})
    names = list(runs)
    adjusted = adjust_p_values([compared.against[name]["rmse"].p_value for name in names[1:]])
    p_values = dict(zip(names[1:], adjusted, strict=True))
    body = [
        header(
            "Runs compared",
            _sentence(compared, names, p_values),
            _tiles(compared, names, p_values),
            _warnings(compared, runs),
        ),
        section("differences", f"Against {names[0]}", _differences(compared, names, p_values)),
        section("by-source", "Source by source", _by_source(compared, names)),
        section("alone", "Every run by itself", _alone(runs)),
        section("intervals", "Uncertainty of a score", coverage_section(runs)),
        section("settings", "Settings that differ", _settings(runs)),
    ]
    return page(f"vmaf-jax: {', '.join(names)}", body)


def _sentence(compared: RunComparison, names: Sequence[str], p_values: Mapping[str, float]) -> str:
    standard = names[0]
    if all(math.isnan(p) for p in p_values.values()):
        return "Fewer than three sources in common: nothing says whether a difference holds."
    better = [n for n in names[1:] if compared.against[n]["rmse"].difference < 0]
    sure = [n for n in p_values if is_significant(p_values[n])]
    parts = []
    for words, group in (
        ("less", [n for n in sure if n in better]),
        ("more", [n for n in sure if n not in better]),
    ):
        if group:
            parts.append(
                f"{', '.join(group)} err{'s' if len(group) == 1 else ''} {words} than {standard}"
            )
    if undecided := [n for n in names[1:] if n not in sure]:
        parts.append(f"no difference is shown between {standard} and {', '.join(undecided)}")
    return f"Over {format_count(compared.n_sources, 'source')}, {'; '.join(parts)}."


def _tiles(
    compared: RunComparison, names: Sequence[str], p_values: Mapping[str, float]
) -> list[Tile]:
    best = min(names, key=lambda name: compared.figures[name]["rmse"])
    least = format_points(compared.figures[best]["rmse"])
    n_sure = sum(is_significant(p) for p in p_values.values())
    return [
        Tile("Which errs least?", best, f"RMSE {least} points on the rows in common"),
        Tile(
            "On what?",
            format_count(compared.n_sources, "source"),
            f"{format_count(compared.n, 'held-out row', ',')} that all of these runs predicted",
        ),
        Tile(
            "Uncertainty",
            f"{n_sure} of {len(p_values)}",
            f"differences from {names[0]} in RMSE with p < 0.05 (paired, over sources"
            f"{', Holm' if len(p_values) > 1 else ''})",
        ),
    ]


def _warnings(compared: RunComparison, runs: Mapping[str, RunView]) -> list[str]:
    lines = [
        f"{name}: {line}"
        for name, run in runs.items()
        for line in run.missing
        if not line.startswith("log.jsonl")  # losses are not compared
    ]
    if compared.left_out:
        lines.append(
            f"Left out, since not every run has them: "
            f"{format_count(compared.left_out, 'row', ',')}."
        )
    if compared.n_sources < 3:
        lines.append("Fewer than three sources in common: no intervals, no p values.")
    if len(runs) > N_MARKS:
        lines.append(f"More than {N_MARKS} runs: their marks repeat.")
    return lines


def _differences(
    compared: RunComparison, names: Sequence[str], p_values: Mapping[str, float]
) -> list[str]:
    rows = []
    for name, entry in compared.against.items():
        for key, words in _METRICS.items():
            gap = entry[key]
            both = [
                format_fixed(value, 5) if key == "plcc" else format_points(value)
                for value in (gap.first, gap.second)
            ]
            rows.append(
                [
                    f"{name}, {words}",
                    *both,
                    format_points(gap.difference),
                    format_interval(gap.interval),
                    format_p_value(gap.p_value),
                    format_p_value(p_values[name]) if key == "rmse" else "",
                ]
            )
    estimates = [
        Estimate(name, entry["rmse"].difference, entry["rmse"].interval, mark=k)
        for k, (name, entry) in enumerate(compared.against.items(), 1)
    ]
    svg = forest(estimates, "difference in RMSE (points)", reference=0.0)
    note = (
        "RMSE of each run less the first's, paired over sources; left of the dashed line is better."
    )
    columns = ["run, figure", "of the run", f"of {names[0]}", "difference", "95 %", "p", "p, Holm"]
    return [
        figures(figure("rmse-difference", "Difference in RMSE", svg, note)),
        table(columns, rows),
    ]


def _by_source(compared: RunComparison, names: Sequence[str]) -> list[str]:
    n_sources = len(compared.by_source)
    note = f"{min(n_sources, MAX_ROWS)} of {n_sources} sources, sorted by the RMSE of {names[0]}."
    svg = errors_by_source(compared.by_source, names)
    rows = [[source, *map(format_points, errors)] for source, errors in compared.by_source.items()]
    return [
        figures(
            figure("rmse-by-source", "RMSE by source", svg, note),
            figure("legend", "Marks", legend(names)),
        ),
        details("As a table", table(["source", *names], rows[:_MAX_SOURCES])),
    ]


def _alone(runs: Mapping[str, RunView]) -> list[str]:
    errors = {name: pooled_errors(run.held_out) for name, run in runs.items()}
    rows = [
        [
            name,
            f"{len(runs[name].held_out.label):,}",
            str(entry.n_sources),
            format_points(entry.rmse),
            format_interval(entry.rmse_interval),
            format_fixed(entry.plcc, 5),
            format_points(number_at(runs[name].parity, "max_abs")),
            format_points(number_at(object_at(runs[name].metrics, "timing"), "total_s")),
        ]
        for name, entry in errors.items()
    ]
    estimates = [
        Estimate(name, entry.rmse, entry.rmse_interval, mark=k)
        for k, (name, entry) in enumerate(errors.items())
    ]
    svg = forest(estimates, "RMSE (points)")
    note = "Intervals of single runs overlap more than those of differences: rows are the same."
    columns = ["run", "rows", "sources", "RMSE", "95 %", "PLCC", "parity, points", "seconds"]
    return [figures(figure("rmse", "RMSE with 95 % intervals", svg, note)), table(columns, rows)]


def _settings(runs: Mapping[str, RunView]) -> list[str]:
    by_run = {name: dict(_flatten(run.config)) for name, run in runs.items()}
    keys = sorted({key for settings in by_run.values() for key in settings})
    rows = [
        [key, *values]
        for key in keys
        if len(set(values := [by_run[name].get(key, "–") for name in runs])) > 1
    ]
    if not rows:
        return [paragraph("None that their configurations name.")]
    more = len(rows) - _MAX_SETTINGS
    cut = [paragraph(f"{more} more differ.")] if more > 0 else []
    return [table(["setting", *runs], rows[:_MAX_SETTINGS]), *cut]


def _flatten(value: object, prefix: str = "") -> list[tuple[str, str]]:
    """Returns settings with their dotted keys, values as YAML."""
    if isinstance(value, Mapping) and value:
        return [
            pair
            for key, inner in value.items()
            for pair in _flatten(inner, f"{prefix}.{key}" if prefix else str(key))
        ]
    shown = yaml.safe_dump(value, default_flow_style=True)
    return [(prefix, shown.removesuffix("\n...\n").strip())]
