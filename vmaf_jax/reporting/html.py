"""`report.html`: one self-contained page about a run, computed from its saved predictions."""

import base64
import html
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.config import Config
from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.files import write_text
from vmaf_jax.reporting import plots

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
img { max-width: 100% } pre { background: #f6f6f6; padding: .8rem; overflow-x: auto }
"""


def number(value: Any, digits: int = 4) -> str:
    """A figure for people; a dash where it is undefined."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


def table(header: list[str], rows: list[list[str]]) -> str:
    """An HTML table; the cells are escaped."""

    def line(tag: str, cells: list[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

    return f"<table>{line('th', header)}{''.join(line('td', row) for row in rows)}</table>"


def image(png: bytes, alt: str) -> str:
    """A picture inside the page."""
    data = base64.b64encode(png).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'


def page(title: str, body: list[str]) -> str:
    """A whole page."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{html.escape(title)}</h1>{''.join(body)}</html>\n"
    )


def write_report(
    path: Path,
    config: Config,
    metrics: Mapping[str, Any],
    held_out: HeldOut,
    external: Mapping[str, HeldOut],
    losses: npt.NDArray[np.floating[Any]],
) -> None:
    """Writes the page for one run."""
    names = ["plcc", "srocc", "krocc", "rmse", "mae", "max_abs"]
    pooled = metrics["loso"]["pooled"]
    overall = [["LOSO, pooled", str(pooled["n"]), *(number(pooled[name]) for name in names)]]
    for corpus, entry in metrics["external"].items():
        overall.append([f"external: {corpus}", str(entry["n"]), *(number(entry[n]) for n in names)])
    folds = [
        [fold["source"], str(fold["n"]), *(number(fold[name]) for name in names)]
        for fold in metrics["folds"]
    ]
    ends = pooled["endpoint_rmse"]
    parity = metrics["parity"]
    body = [
        "<h2>Agreement with the labels</h2>",
        table(["rows", "n", *names], overall),
        f"<p>RMSE over labels in [0, 20]: {number(ends['low']['rmse'])} (n = {ends['low']['n']}); "
        f"in [80, 100]: {number(ends['high']['rmse'])} (n = {ends['high']['n']}).</p>",
        image(plots.agreement(held_out, "leave-one-source-out"), "held-out agreement"),
    ]
    for corpus, rows in external.items():
        body.append(image(plots.agreement(rows, f"external: {corpus}"), f"agreement on {corpus}"))
    body += [
        "<h2>Folds</h2>",
        table(["held-out source", "n", *names], folds),
        "<h2>ONNX parity</h2>",
        f"<p>JAX against ONNX Runtime over {parity['n']} rows: at most {parity['max_abs']:.2e} "
        f"points, at most {parity['max_ulp']} ULP from 16 points up; {parity['clipped']} clipped "
        f"rows counted apart.</p>",
        "<h2>Training</h2>",
        image(plots.losses(losses), "training loss"),
        f"<pre>{html.escape(config.to_yaml())}</pre>",
    ]
    write_text(path, page(f"vmaf-jax run: {config.name}", body))
