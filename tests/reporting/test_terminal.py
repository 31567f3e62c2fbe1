"""What people see of strangers' names: as they stand, escaped, and never cut."""

import ast
import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.support import run_command
from vmaf_jax.printable import PrintableFormatter, printable
from vmaf_jax.reporting import plots
from vmaf_jax.reporting.terminal import Terminal, show_json, show_lines, show_rows

HOSTILE = "a\x1b[2J\x1b]0;title\x07[bold]b[/bold]:bomb:\x9b31m\x7f\u202ecod.mp4\n\rc\u2028\udc80"
SHOWN = r"a\x1b[2J\x1b]0;title\x07[bold]b[/bold]:bomb:\x9b31m\x7f\u202ecod.mp4\n\rc\u2028\udc80"


def test_what_is_escaped_and_what_is_not():
    assert printable(HOSTILE) == SHOWN
    for name in ("plain", "影片 一.mp4", "Grüße [x] $y$", "e\u0301", "👩\u200d🚀", "\u3000"):
        assert printable(name) == name
    assert printable("a\tb\x1b", keep="\t") == "a\tb\\x1b"


def test_every_control_character_is_escaped():
    codes = [*range(32), *range(127, 160), 0x61C, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
    for code in (*codes, 0x200E, 0x200F, 0x2028, 0x2029, 0xFEFF, 0xE0001, 0xD800):
        assert printable(chr(code)).startswith("\\"), hex(code)


def test_tables_lines_and_json_show_names_as_they_are(capsys):
    show_rows(("name", HOSTILE), [[HOSTILE, "[red]1[/red]"]], title=HOSTILE)
    out = capsys.readouterr().out
    assert out.count(SHOWN) == 3
    assert "[red]1[/red]" in out
    show_lines([HOSTILE])
    assert capsys.readouterr().out == SHOWN + "\n"
    show_json({"name": HOSTILE})
    out = capsys.readouterr().out
    assert json.loads(out) == {"name": HOSTILE}
    assert out.rstrip("\n").isascii()
    assert out.rstrip("\n").isprintable()


def test_lines_of_a_job_and_log_records_are_escaped(capsys):
    with Terminal() as terminal:
        terminal.say(HOSTILE)
        terminal.stage(HOSTILE)
    assert capsys.readouterr().err == SHOWN + "\n"
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PrintableFormatter("%(message)s"))
    handler.emit(logging.LogRecord("x", logging.WARNING, "", 0, "%s", ("a\x1b[2J",), None))
    assert stream.getvalue() == "a\\x1b[2J\n"


@pytest.mark.parametrize(
    "words",
    [
        ["ladder", "x\x1b[2J[bold].csv"],
        ["score", "x\x1b[2J[bold].y4m", "b.mp4"],
        ["score", "a.y4m", "b.mp4", "--x\x1b[2J[bold]"],
        ["x\x1b[2J[bold]"],
        ["evaluate", "--model", "x\x1b[2J[bold]", "--features", "f.parquet"],
        ["ladder", "https://x\x1b[2J[bold]/e.csv"],
    ],
)
def test_error_lines_show_words_escaped(words):
    finished = run_command(*words)
    assert finished.code == 2
    assert "\x1b" not in finished.stderr
    assert r"x\x1b[2J[bold]" in finished.stderr


def test_a_table_in_a_pipe_is_as_wide_as_its_names(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    name = "/a/long/path/" + "x" * 300 + ".mp4"
    show_rows(("name", *map(str, range(12))), [[name, *["12345.678"] * 12]])
    out = capsys.readouterr().out
    assert name in out
    assert out.count("12345.678") == 12
    assert "…" not in out


def test_a_table_on_a_narrow_terminal_wraps_and_cuts_nothing():
    script = (
        "from vmaf_jax.reporting.terminal import show_rows\n"
        "show_rows(('name', 'score'), [['x' * 90 + '.mp4', '12.345']])"
    )
    master, slave = pty.openpty()
    environment = os.environ | {"COLUMNS": "40", "TERM": "xterm"}
    subprocess.run([sys.executable, "-c", script], stdout=slave, check=True, env=environment)
    os.close(slave)
    out = re.sub(r"\x1b\[[0-9;]*m", "", os.read(master, 65536).decode())
    os.close(master)
    assert out.count("x") == 90
    assert "…" not in out
    assert max(map(len, out.splitlines())) <= 40


def test_texts_of_plots_are_drawn_as_they_stand(caplog):
    scores = {"影片": np.array([1.0, 2.0]), "_x": np.ones(2), r"$\frac$": np.ones(2)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = plots.plot_scores(scores, "a\x1b[2J$x$影")
        assert image == plots.plot_scores(scores, "a\x1b[2J$x$影")
    assert image.startswith(b"\x89PNG")
    assert caplog.records == []  # as of fonts that cannot be found


def test_ticks_of_a_logarithmic_axis_stay_formulas():
    figure = Figure()
    axis = figure.subplots()
    axis.plot([1, 10, 100], [1, 2, 3], label="$x$")
    axis.set(xscale="log", title="$x$")
    axis.legend()
    plots.png(figure)
    assert all(tick.get_parse_math() for tick in axis.get_xticklabels(minor=False))
    assert not axis.title.get_parse_math()
    assert not axis.get_legend().get_texts()[0].get_parse_math()


def test_text_is_shown_at_one_place():
    """Elsewhere nothing prints, and nothing needs Rich's escapes."""
    allowed = {"printable", "terminal", "cli", "onnxruntime_worker", "vmaf_torch_worker"}
    for path in Path("vmaf_jax").rglob("*.py"):
        tree = ast.parse(path.read_text())
        modules = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        assert "rich.markup" not in modules, path
        assert path.stem.startswith("terminal") or "rich.console" not in modules, path
        if path.stem not in allowed | {"doctor", "transports"}:
            calls = [n.func for n in ast.walk(tree) if isinstance(n, ast.Call)]
            names = {f.id for f in calls if isinstance(f, ast.Name)}
            assert "print" not in names, path
