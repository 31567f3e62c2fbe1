"""The page of a search for a target: the curve and its interval, the probes, the finished file."""

import statistics
from pathlib import Path

import numpy as np

from vmaf_jax.evaluation.target_search import Observation, forecast
from vmaf_jax.files import write_text
from vmaf_jax.jobs.encode import Encoding, observe_probes
from vmaf_jax.reporting.page import (
    Plot,
    Tile,
    drawing,
    figure,
    figures,
    header,
    page,
    paragraph,
    section,
    table,
)
from vmaf_jax.scoring.encode_trials import ShotSettings

_MARGIN = 4  # settings that are drawn beyond those tried, in steps of 1
_MOST_SHOTS = 500  # of the table


def write_encode_page(path: Path, found: Encoding) -> None:
    """Writes the page of a search.

    Raises:
        InputError: The page cannot be written.
    """
    write_text(path, encode_page(found))


def encode_page(found: Encoding) -> str:
    """Returns the page of a search as HTML."""
    name = Path(found.reference).name
    body = [
        header(f"{name} to {found.target:g}", found.miss or found.lines()[0], _tiles(found), []),
        section("curve", "What settings give", [_draw_curves(found)]),
        section("whole", "Whole files", [_list_encodes(found)]),
        section("probes", "Probes of segments", [_list_probes(found)]),
    ]
    if found.shots is not None:
        body.append(section("shots", "Settings of shots", _describe_shots(found, found.shots)))
    return page(f"vmaf-jax: {name} to {found.target:g}", body)


def _tiles(found: Encoding) -> list[Tile]:
    done = found.finished
    if done is None:
        return []
    coverage = f"{done.frames_measured} of {found.n_frames} frames measured"
    if done.lower_bound < done.score:
        coverage += f"; at least {done.lower_bound:.2f} at {100 * found.confidence:g} %"
    how = f"{found.preset}, {found.pix_fmt}, {found.height} lines"
    return [
        Tile("What does the file reach?", f"{done.score:.2f}", f"{found.model}; {coverage}"),
        Tile("At which setting?", f"{done.setting:g}", f"{found.encoder}, {how}"),
        Tile("What does it cost?", f"{done.kbps:.0f} kbit/s", f"{found.bytes:,} bytes"),
        Tile("Against the source", f"{-100 * (found.saving or 0):+.3g} %", "bytes, sound included"),
    ]


def _draw_curves(found: Encoding) -> str:
    """Draws scores over settings with the curve and its interval, and over rates."""
    probes = observe_probes(found.probes)
    whole = [Observation(e.setting, e.score, e.error, holds=e.holds) for e in found.encodes]
    tried = [*probes, *whole]
    if not tried:
        return paragraph("Nothing was encoded.")
    view = forecast(found.scale, probes, whole, found.top)
    settings = [entry.setting for entry in tried]
    near = (view.setting >= min(settings) - _MARGIN) & (view.setting <= max(settings) + _MARGIN)
    x, mean = view.setting[near], view.mean[near]
    half = statistics.NormalDist().inv_cdf((1 + found.confidence) / 2) * view.error[near]
    low, high = (np.clip(mean + side * half, 0, found.top) for side in (-1, 1))
    shown = [*low, *high, found.target, *(entry.score for entry in tried)]
    ends = (max(min(shown) - 1, 0), min(max(shown) + 1, found.top + 1))
    plot = Plot(x=(float(x[0]), float(x[-1])), y=ends)
    parts = [plot.axes("setting", "score"), plot.area(x, low, high, "band")]
    parts += [plot.line(x, mean, "final"), plot.line(plot.x, [found.target] * 2, "equal")]
    for probe in probes:
        span = [probe.score - 2 * probe.error, probe.score + 2 * probe.error]
        parts.append(plot.line([probe.setting] * 2, span, "interval"))
    parts.append(plot.dots([p.setting for p in probes], [p.score for p in probes], "dots"))
    parts.append(plot.dots([e.setting for e in whole], [e.score for e in whole], "pick"))
    note = (
        f"Line and area: expected score of a whole file and its {100 * found.confidence:g} % "
        "interval. Strong dots: whole files. Dashed: the target."
    )
    if probes:
        note += " Pale dots: probes of segments, with two standard errors."
    drawn = drawing(plot.width, plot.height, f"Scores over settings. {note}", parts)
    return figures(
        figure("by-setting", "Score over setting", drawn, note), _draw_rates(found, ends)
    )


def _draw_rates(found: Encoding, ends: tuple[float, float]) -> str:
    made = list(found.encodes)
    if found.shots is not None and found.finished is not None:
        made.append(found.finished)
    rates = [*(p.kbps for p in found.probes), *(e.kbps for e in made)]
    plot = Plot(x=(0.0, max(rates) * 1.05), y=ends)
    parts = [plot.axes("kbit/s", "score"), plot.line(plot.x, [found.target] * 2, "equal")]
    parts.append(plot.dots([p.kbps for p in found.probes], [p.score for p in found.probes], "dots"))
    parts.append(plot.dots([e.kbps for e in made], [e.score for e in made], "pick"))
    note = "Strong dots: whole files. Dashed: the target."
    if found.probes:
        note += " Pale dots: segments, which have more key frames, and so a higher rate."
    drawn = drawing(plot.width, plot.height, f"Scores over rates. {note}", parts)
    return figure("by-rate", "Score over rate", drawn, note)


def _list_encodes(found: Encoding) -> str:
    rows = [
        (
            f"{e.setting:g}",
            f"{e.score:.2f}",
            f"{e.lower_bound:.2f}",
            f"{e.frames_measured}",
            f"{e.kbps:.0f}",
            "yes" if e.holds else "no",
            "earlier search" if e.is_cached else f"{e.seconds:.1f} s",
        )
        for e in found.encodes
    ]
    names = ("setting", "score", "at least", "frames", "kbit/s", "holds", "made in")
    return table(names, rows) if rows else paragraph("None was encoded.")


def _list_probes(found: Encoding) -> str:
    rows = [
        (
            f"{p.setting:g}",
            f"{p.score:.2f}",
            f"{p.error:.2f}",
            f"{p.kbps:.0f}",
            "earlier search" if p.is_cached else "this search",
        )
        for p in found.probes
    ]
    names = ("setting", "score", "standard error", "kbit/s", "made by")
    return table(names, rows) if rows else paragraph("The source is short: whole files suffice.")


def _describe_shots(found: Encoding, shots: ShotSettings) -> list[str]:
    seconds = np.array([*shots.first_frames, found.n_frames]) / found.rate
    values = [*shots.settings, shots.settings[-1]]
    plot = Plot(x=(0.0, float(seconds[-1])), y=(min(values) - 1, max(values) + 1))
    x, y = np.repeat(seconds, 2)[1:-1], np.repeat(values[:-1], 2)
    parts = [plot.axes("seconds", "setting"), plot.line(x, y, "final")]
    drawn = drawing(plot.width, plot.height, "Settings of shots over time.", parts)
    rows = zip((f"{t:.2f}" for t in seconds[:-1]), (f"{v:g}" for v in values), strict=False)
    return [
        paragraph(found.lines()[1] if found.finished else "No file was written."),
        figure("by-shot", "Setting over time", drawn),
        table(("from (s)", "setting"), list(rows)[:_MOST_SHOTS]),
    ]
