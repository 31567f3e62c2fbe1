"""Text and progress at a terminal: results go to standard output, everything else to error.

Texts of strangers are shown as they stand, by `printable`, and never as Rich's markup. Rich is
loaded where there is a terminal, for the bars.
"""

import functools
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vmaf_jax.files import to_json
from vmaf_jax.printable import format_count, printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from vmaf_jax.tables.dataset import TableSummary


class Terminal:
    """Progress of a job on standard error: stages as lines; on a terminal, bars with the time left.

    The bars disappear at the end of the `with` block.
    """

    def __init__(self) -> None:
        self._is_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._stage: TaskID | None = None

    @functools.cached_property
    def _bars(self) -> "Progress":
        """The bars, from the first one on."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[about]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        bars.start()
        return bars

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if "_bars" in vars(self):
            self._bars.stop()
            del self._bars

    def say(self, text: str) -> None:
        """Shows a line."""
        show_lines([text], on_error=True)

    def stage(self, name: str) -> None:
        """Shows the elapsed time of a stage whose length is unknown, in place of the last stage."""
        if not self._is_terminal:
            return
        if self._stage is not None:
            self._bars.remove_task(self._stage)
        self._stage = self._bars.add_task(printable(name), total=None, about="")

    def steps(self, name: str, total: Callable[[], int | None]) -> Callable[[int], None] | None:
        """Shows a bar for `total()` pieces of work; returns None where there is no terminal."""
        if not self._is_terminal:
            return None
        task = self._bars.add_task(printable(name), total=total(), about="")

        def on_step(count: int) -> None:
            self._bars.update(task, advance=count)

        return on_step

    def clips(self, clips: Sequence[object]) -> Callable[[int], None]:
        """Shows a bar for the extraction of clips, with frames per second and the time left."""
        if not self._is_terminal:
            return lambda frames: None
        task = self._bars.add_task("extract", total=len(clips), about="")
        started, done, total = time.monotonic(), 0, 0

        def on_clip(frames: int) -> None:
            nonlocal done, total
            done, total = done + 1, total + frames
            fps = total / max(time.monotonic() - started, 1e-9)
            about = f"{done} of {format_count(len(clips), 'clip')}, {fps:.0f} frames/s"
            self._bars.update(task, advance=1, about=about)

        return on_clip


def show_json(value: object) -> None:
    """Shows one JSON document on one line, and nothing else."""
    # JSON leaves DEL unescaped, which terminals act on.
    sys.stdout.write(json.dumps(json.loads(to_json(value))).replace("\x7f", "\\u007f") + "\n")


def show_lines(lines: Iterable[str], *, on_error: bool = False) -> None:
    """Shows lines on standard output or error; those of a stream that is closed are lost."""
    stream = sys.stderr if on_error else sys.stdout
    for line in lines if stream is not None else ():
        print(printable(line, keep="\t"), file=stream)


def show_summary(out: Path, summary: "TableSummary") -> None:
    """Shows in one line which feature table was written."""
    counts = {"row": summary.rows, "clip": summary.n_clips, "source": len(summary.sources)}
    words = ", ".join(format_count(n, noun) for noun, n in counts.items())
    show_lines([f"{out}: {words}"])
