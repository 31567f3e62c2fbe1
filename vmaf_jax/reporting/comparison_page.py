"""The page that compares runs on the rows that all of them predicted.

Differences are paired: the same rows, each source left out in turn. With
more than two runs p values are adjusted for their number (Holm).
"""

import math
from collections.abc import Mapping, Sequence

import yaml

from vmaf_jax.evaluation.by_source import pooled_errors
from vmaf_jax.evaluation.intervals import LEVEL, Interval, adjust_p_values
from vmaf_jax.evaluation.run_comparison import RunComparison, compare_runs
from vmaf_jax.reporting.page import figure, notes, page, section, table, tiles
from vmaf_jax.reporting.run_view import RunView, number_at, part, points
from vmaf_jax.reporting.score_intervals import intervals_of_runs
from vmaf_jax.reporting.summary import Tile
from vmaf_jax.reporting.svg import Plot, drawing, text, tick_label, ticks

MOST_SOURCES = 40  # drawn
KINDS = 8  # runs that have a mark of their own


def forest(
    entries: Sequence[tuple[str, float, Interval]], axis: str, *, standard: float | None
) -> str:
    """Estimates with their 95 % intervals, a line each; a dashed line at `standard`."""
    ends = [v for _, value, i in entries for v in (value, i.low, i.high) if math.isfinite(v)]
    ends += [] if standard is None else [standard]
    low, high = min(ends), max(ends)
    pad = 0.06 * (high - low) or 1.0
    plot, row = _rows(len(entries), (low - pad, high + pad))
    parts = _axis(plot, axis)
    if standard is not None:
        x = float(plot.px(standard))
        parts.append(f'<path class="equal" d="M{x:.1f} {plot.top}V{plot.height - plot.bottom}"/>')
    for k, (name, value, interval) in enumerate(entries):
        y = plot.top + row * (k + 0.5)
        said = f"{name}: {points(value)}"
        if math.isfinite(interval.high):
            start, end = float(plot.px(interval.low)), float(plot.px(interval.high))
            parts.append(f'<path class="interval" d="M{start:.1f} {y}H{end:.1f}"/>')
            said += f", 95 % {points(interval.low)} to {points(interval.high)}"
        parts.append(
            f"<g><title>{text(said)}</title>{mark(k, float(plot.px(value)), y)}"
            f'<text class="end" x="{plot.left - 8}" y="{y + 4}">{text(name, 20)}</text></g>'
        )
    return drawing(plot.width, plot.height, f"{axis} of {len(entries)} runs", parts)


def by_source(errors: Mapping[str, Sequence[float]], names: Sequence[str]) -> str:
    """RMSE of every run on each source; sources sorted by the first run's."""
    ranked = sorted(errors, key=lambda source: -errors[source][0])[:MOST_SOURCES]
    largest = max(value for source in ranked for value in errors[source])
    plot, row = _rows(len(ranked), (0.0, largest * 1.05 or 1.0))
    parts = _axis(plot, "RMSE (points)")
    for line, source in enumerate(ranked):
        y = plot.top + row * (line + 0.5)
        said = ", ".join(f"{n} {points(v)}" for n, v in zip(names, errors[source], strict=True))
        across = plot.px(list(errors[source]))
        marks = "".join(mark(k, float(x), y) for k, x in enumerate(across))
        parts.append(
            f'<path class="grid" d="M{plot.left} {y}H{plot.width - plot.right}"/>'
            f"<g><title>{text(source)}: {text(said, 600)}</title>{marks}"
            f'<text class="end" x="{plot.left - 8}" y="{y + 4}">{text(source, 20)}</text></g>'
        )
    said = f"RMSE of {len(names)} runs on {len(ranked)} sources"
    return drawing(plot.width, plot.height, said, parts)


def mark(k: int, x: float, y: float) -> str:
    """The sign of the k-th run: told apart by its shape, and by colour."""
    kind, hollow = f"k{k % 4}", " hollow" if k // 4 % 2 else ""
    shape = k % 4
    if shape == 0:
        return f'<circle class="{kind}{hollow}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
    paths = {
        1: f"M{x - 4:.1f} {y - 4:.1f}h8v8h-8z",
        2: f"M{x:.1f} {y - 5.5:.1f}l5 9h-10z",
        3: f"M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z",
    }
    return f'<path class="{kind}{hollow}" d="{paths[shape]}"/>'


def legend(names: Sequence[str]) -> str:
    """The signs of the runs."""
    height = 22 * len(names)
    parts = (
        f'{mark(k, 12.0, 22.0 * k + 11)}<text x="26" y="{22 * k + 15}">{text(name, 50)}</text>'
        for k, name in enumerate(names)
    )
    return drawing(440, height, "The signs of the runs: " + ", ".join(names), parts)


def _rows(n: int, x: tuple[float, float]) -> tuple[Plot, int]:
    row = 20
    return Plot(x, (0.0, 1.0), height=8 + row * n + 44, left=150, top=8, bottom=44), row


def _axis(plot: Plot, name: str) -> list[str]:
    right, floor = plot.width - plot.right, plot.height - plot.bottom
    parts = []
    for value in ticks(*plot.x, about=4):
        x = float(plot.px(value))
        parts.append(f'<path class="grid" d="M{x:.1f} {plot.top}V{floor}"/>')
        parts.append(f'<text class="mid" x="{x:.1f}" y="{floor + 16}">{tick_label(value)}</text>')
    middle = (plot.left + right) / 2
    parts.append(
        f'<text class="mid name" x="{middle:.0f}" y="{plot.height - 8}">{text(name)}</text>'
    )
    return parts


_NAMES = {"rmse": "RMSE", "mae": "MAE", "plcc": "PLCC"}
_MOST_SETTINGS = 60


def comparison_page(runs: Mapping[str, RunView]) -> str:
    """The page that compares runs by name, HTML.

    Raises:
        InputError: they share no held-out rows, or learnt other labels.
    """
    compared = compare_runs({name: run.held_out for name, run in runs.items()})
    names = list(runs)
    adjusted = adjust_p_values([compared.against[name]["rmse"].p_value for name in names[1:]])
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


def _sentence(compared: RunComparison, names: Sequence[str], p_values: Mapping[str, float]) -> str:
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


def _tiles(
    compared: RunComparison, names: Sequence[str], p_values: Mapping[str, float]
) -> list[Tile]:
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


def _warnings(compared: RunComparison, runs: Mapping[str, RunView]) -> list[str]:
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
    compared: RunComparison, names: Sequence[str], p_values: Mapping[str, float]
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


def _sources(compared: RunComparison, names: Sequence[str]) -> list[str]:
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
    figures = {name: pooled_errors(run.held_out) for name, run in runs.items()}
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
