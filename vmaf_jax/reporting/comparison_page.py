"""A page that compares runs on the rows that all of them predicted, the first being the standard.

Differences are paired: the same rows, their sources left out in turn (`evaluation.by_source`). With
more than two runs p values are adjusted for their number (Holm).
"""

import math
from collections.abc import Mapping, Sequence

import yaml

from vmaf_jax.evaluation.by_source import Paired, holm, over_sources, paired
from vmaf_jax.evaluation.intervals import LEVEL, Interval
from vmaf_jax.reporting.comparison_figures import KINDS, MOST_SOURCES, by_source, forest, legend
from vmaf_jax.reporting.frame import figure, notes, page, section, table, tiles
from vmaf_jax.reporting.run_view import RunView, number_at, part, points
from vmaf_jax.reporting.score_intervals import intervals_of_runs
from vmaf_jax.reporting.svg import text
from vmaf_jax.reporting.verdict import Tile

_NAMES = {"rmse": "RMSE", "mae": "MAE", "plcc": "PLCC"}
_MOST_SETTINGS = 60


def comparison_page(runs: Mapping[str, RunView]) -> str:
    """The page that compares runs by name, HTML.

    Raises:
        InputError: they share no held-out rows, or learnt other labels.
    """
    compared = paired({name: run.held_out for name, run in runs.items()})
    names = list(runs)
    adjusted = holm([compared.against[name]["rmse"].p_value for name in names[1:]])
    p_values = dict(zip(names[1:], adjusted, strict=True))
    body = [
        "<h1>Runs compared</h1>\n",
        f'<p class="verdict">{text(_sentence(compared, names, p_values), 1000)}</p>\n',
        tiles(_tiles(compared, names, p_values)),
        notes(_warnings(compared, runs)),
        section("differences", f"Against {names[0]}", _differences(compared, names, p_values)),
        section("by-source", "Source by source", _sources(compared, names)),
        section("alone", "Every run by itself", _alone(runs)),
        section("intervals", "How sure a score is", intervals_of_runs(runs)),
        section("settings", "Settings that differ", _settings(runs)),
    ]
    return page(f"vmaf-jax: {', '.join(names)}", body)


def _significant(p: float) -> bool:
    return not math.isnan(p) and p < 1 - LEVEL


def _sentence(compared: Paired, names: Sequence[str], p_values: Mapping[str, float]) -> str:
    standard = names[0]
    if all(math.isnan(p) for p in p_values.values()):
        return "Fewer than three sources in common: nothing says whether a difference holds."
    better = [n for n in names[1:] if compared.against[n]["rmse"].difference < 0]
    sure = [n for n in p_values if _significant(p_values[n])]
    parts = []
    for words, group in (
        ("less", [n for n in sure if n in better]),
        ("more", [n for n in sure if n not in better]),
    ):
        if group:
            parts.append(
                f"{', '.join(group)} err{'s' if len(group) == 1 else ''} {words} than {standard}"
            )
    if open_ := [n for n in names[1:] if n not in sure]:
        parts.append(f"no difference is shown between {standard} and {', '.join(open_)}")
    return f"Over {compared.n_sources} sources, {'; '.join(parts)}."


def _tiles(compared: Paired, names: Sequence[str], p_values: Mapping[str, float]) -> list[Tile]:
    best = min(names, key=lambda name: compared.figures[name]["rmse"])
    least = points(compared.figures[best]["rmse"])
    sure = sum(_significant(p) for p in p_values.values())
    return [
        Tile("Which errs least?", best, f"RMSE {least} points on the rows in common"),
        Tile(
            "On what?",
            f"{compared.n_sources} sources",
            f"{compared.n:,} held-out rows that all {len(names)} runs predicted",
        ),
        Tile(
            "How sure?",
            f"{sure} of {len(p_values)}",
            f"differences from {names[0]} in RMSE with p < 0.05 (paired, over sources"
            f"{', Holm' if len(p_values) > 1 else ''})",
        ),
    ]


def _warnings(compared: Paired, runs: Mapping[str, RunView]) -> list[str]:
    lines = [
        f"{name}: {line}"
        for name, run in runs.items()
        for line in run.missing
        if not line.startswith("log.jsonl")  # losses are not compared
    ]
    if compared.left_out:
        lines.append(f"{compared.left_out:,} rows are not in every run and were left out.")
    if compared.n_sources < 3:
        lines.append("Fewer than three sources in common: no intervals, no p values.")
    if len(runs) > KINDS:
        lines.append(f"More than {KINDS} runs: their signs repeat.")
    return lines


def _differences(
    compared: Paired, names: Sequence[str], p_values: Mapping[str, float]
) -> list[str]:
    entries = [
        (name, entry["rmse"].difference, entry["rmse"].interval)
        for name, entry in compared.against.items()
    ]
    rows = []
    for name, entry in compared.against.items():
        for key, words in _NAMES.items():
            gap = entry[key]
            p = f"{gap.p_value:.2g}" if math.isfinite(gap.p_value) else "–"
            holds = p_values[name]
            rows.append(
                [
                    f"{name}, {words}",
                    *(f"{v:.5f}" if key == "plcc" else points(v) for v in (gap.first, gap.second)),
                    points(gap.difference),
                    _interval(gap.interval),
                    p,
                    f"{holds:.2g}" if key == "rmse" and math.isfinite(holds) else "",
                ]
            )
    header = ["run", "its", names[0], "difference", "95 %", "p", "p, Holm"]
    note = (
        "RMSE of each run less the first's, paired over sources; left of the dashed line is better."
    )
    svg = forest(entries, "difference in RMSE (points)", standard=0.0)
    drawn = figure("rmse-difference", "Difference in RMSE", svg, note)
    return [
        f'<div class="figures">\n{drawn}</div>\n',
        table(header, rows),
    ]


def _interval(interval: Interval) -> str:
    if not math.isfinite(interval.low):
        return "–"
    return f"{points(interval.low)} to {points(interval.high)}"


def _sources(compared: Paired, names: Sequence[str]) -> list[str]:
    shown = min(len(compared.by_source), MOST_SOURCES)
    note = f"{shown} of {len(compared.by_source)} sources, sorted by the RMSE of {names[0]}."
    svg = by_source(compared.by_source, names)
    rows = [[source, *map(points, errors)] for source, errors in compared.by_source.items()][:300]
    return [
        f'<div class="figures">\n{figure("rmse-by-source", "RMSE by source", svg, note)}',
        f"{figure('legend', 'Signs', legend(names))}</div>\n",
        f"<details><summary>As a table</summary>{table(['source', *names], rows)}</details>",
    ]


def _alone(runs: Mapping[str, RunView]) -> list[str]:
    figures = {name: over_sources(run.held_out) for name, run in runs.items()}
    entries = [(name, entry.rmse, entry.rmse_interval) for name, entry in figures.items()]
    rows = [
        [
            name,
            f"{len(runs[name].held_out.label):,}",
            str(entry.n_sources),
            points(entry.rmse),
            _interval(entry.rmse_interval),
            f"{entry.plcc:.5f}",
            points(number_at(runs[name].parity, "max_abs")),
            points(number_at(part(runs[name].metrics, "timing"), "total_s")),
        ]
        for name, entry in figures.items()
    ]
    header = ["run", "rows", "sources", "RMSE", "95 %", "PLCC", "parity, points", "seconds"]
    note = "Intervals of single runs overlap more than those of differences: rows are the same."
    svg = forest(entries, "RMSE (points)", standard=None)
    return [
        f'<div class="figures">\n{figure("rmse", "RMSE with 95 % intervals", svg, note)}</div>\n',
        table(header, rows),
    ]


def _settings(runs: Mapping[str, RunView]) -> list[str]:
    flat = {name: dict(_flat(run.config)) for name, run in runs.items()}
    keys = sorted({key for entry in flat.values() for key in entry})
    rows = [
        [key, *values]
        for key in keys
        if len(set(values := [flat[name].get(key, "–") for name in runs])) > 1
    ]
    if not rows:
        return ["<p>None that their configurations name.</p>"]
    more = len(rows) - _MOST_SETTINGS
    cut = [f"<p>{more} more differ.</p>"] if more > 0 else []
    return [table(["setting", *runs], rows[:_MOST_SETTINGS]), *cut]


def _flat(value: object, prefix: str = "") -> list[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        return [
            pair
            for k, v in value.items()
            for pair in _flat(v, f"{prefix}.{k}" if prefix else str(k))
        ]
    return [
        (prefix, yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip())
    ]
