"""How a feature table shows itself: as pandas has it, and in a notebook, as a drawing and rows."""

import abc
import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vmaf_jax.errors import InputError

_ROWS = 5  # of the table that a notebook shows
_MOST = 400  # points of the curve
_WIDTH, _HEIGHT = 440, 90


def to_pandas(arrow: pa.Table) -> Any:
    """An Arrow table as a pandas data frame.

    Raises:
        InputError: pandas is not installed.
    """
    try:
        return arrow.to_pandas()
    except ImportError as error:
        raise InputError("pandas is not installed; pip install pandas.") from error


class TableView(abc.ABC):
    """Views of what `to_arrow` gives."""

    @abc.abstractmethod
    def to_arrow(self) -> pa.Table:
        """The rows as Arrow."""

    def to_pandas(self) -> Any:
        """The rows as a pandas data frame.

        Raises:
            InputError: pandas is not installed.
        """
        return to_pandas(self.to_arrow())

    def _repr_html_(self) -> str:
        return table_html(self.to_arrow())


def table_html(arrow: pa.Table) -> str:
    """How many rows, clips and sources; each label over the rows; the first rows."""
    keys = [arrow[name].to_pylist() for name in ("corpus", "source", "clip")]
    n_clips, n_sources = len(set(zip(*keys, strict=True))), len(set(keys[1]))
    names = arrow.column_names
    counted = "n_frames" if "n_frames" in names else "frame"
    after = names.index(counted) + 1
    title = f"{arrow.num_rows} rows, {n_clips} clips, {n_sources} sources"
    curves = [
        _curve(arrow[name].to_numpy(), name)
        for name in names[after:]
        if name == "mos" or name.startswith("vmaf")
    ]
    rows = [[_cell(value) for value in row.values()] for row in arrow.slice(0, _ROWS).to_pylist()]
    more = f"<p>and {arrow.num_rows - _ROWS} more</p>" if arrow.num_rows > _ROWS else ""
    return f"<div><b>{title}</b>{''.join(curves)}{_rows_html(names, rows)}{more}</div>"


def _curve(values: npt.NDArray[np.float64], name: str) -> str:
    """Values over the rows, from 0 to 100; of many the lowest of every few."""
    starts = np.arange(0, len(values), -(-len(values) // _MOST))
    lowest = np.clip(np.minimum.reduceat(values, starts), 0, 100)
    x = starts / max(1, starts[-1]) * _WIDTH
    points = " ".join(
        f"{a:.1f},{_HEIGHT * (1 - b / 100):.1f}" for a, b in zip(x, lowest, strict=True)
    )
    label = f"{_text(name)} over the rows, 0 to 100, mean {values.mean():.2f}"
    return (
        f'<figure><svg role="img" aria-label="{label}" viewBox="0 -2 {_WIDTH} {_HEIGHT + 4}" '
        f'width="{_WIDTH}"><polyline fill="none" stroke="currentColor" points="{points}"/></svg>'
        f"<figcaption>{label}</figcaption></figure>"
    )


def _rows_html(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else _text(str(value))


def _text(value: str) -> str:
    """Escaped, and without characters that hide or turn others."""
    return html.escape("".join(c if c.isprintable() else "\ufffd" for c in value[:200]))
