"""The command line as people expect it: versions, examples, completion, colours, mistyped names."""

import os
import pty
import re
import shlex
import subprocess
import sys
from importlib import metadata
from typing import Any

import pytest

import vmaf_jax
from tests.support import run_command
from vmaf_jax.cli import main
from vmaf_jax.commands.installation import version_lines
from vmaf_jax.commands.program import EXAMPLES, PLACES, load_command

COMMANDS: Any = {name: load_command(name) for name in PLACES}


def test_version_names_what_matters():
    result = run_command("--version")
    assert result.code == 0
    lines = dict(line.split(" ", 1) for line in result.stdout.splitlines())
    assert result.stdout.splitlines() == version_lines()
    assert lines["vmaf-jax"] == metadata.version("vmaf-jax") == vmaf_jax.__version__
    assert lines["jax"] == metadata.version("jax")
    assert set(lines) >= {"python", "onnxruntime", "numpy", "ffmpeg"}
    assert result.stdout.startswith("vmaf-jax ")


def test_every_command_has_examples():
    assert set(EXAMPLES) == set(COMMANDS) - {"registry"}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_examples_are_in_the_help_and_have_flags_that_exist(name):
    shown = " ".join(run_command(name, "--help").stdout.split())
    flags = {flag for parameter in COMMANDS[name].params for flag in parameter.opts}
    for example in EXAMPLES[name]:
        assert example in shown
        words = shlex.split(example.split(" -- ")[0])  # those after it are ffmpeg's
        assert words[:2] == ["vmaf-jax", name]
        assert {word for word in words if word.startswith("--")} <= flags


def test_the_help_of_score_names_every_option_and_describes_them_where_asked():
    brief, whole = (run_command("score", flag) for flag in ("--help", "--help-all"))
    assert (whole.code, whole.stderr) == (0, "")
    described = "".join(whole.stdout.split())  # however lines are broken
    for parameter in COMMANDS["score"].params:
        if parameter.param_type_name == "option":
            assert parameter.opts[0] in brief.stdout.replace(",", " ").split()
            assert "".join(parameter.help.split()) in described


@pytest.mark.parametrize("name", PLACES)
def test_help_fits_a_screen_and_shows_common_options_first(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    lines = run_command(name, "--help").stdout.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    headings = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings[0] == ("Arguments:" if "Arguments:" in headings else "Options:")
    assert headings.index("Options:") <= 1


@pytest.mark.parametrize(
    ("words", "suggested"),
    [
        (("score", "a", "b", "--model", "tinny"), "tiny"),
        (("score", "a", "b", "--model", "vmaf_v0.6.2"), "vmaf_v0.6.1"),
        (("score", "a", "b", "--teacher", "vmaf_v0.6.1neq"), "vmaf_v0.6.1neg"),
        (("score", "a", "b", "--extra-metrics", "psrn"), "psnr"),
        (("score", "a", "b", "--backend", "libvmav"), "libvmaf"),
        (("extract", "--corpus", "netflx", "--out", "x.parquet"), "netflix"),
        (("extract", "--corpus", "demo", "--features", "vmaf_ne", "--out", "x"), "vmaf_neg"),
        (("bench", "inferrence"), "inference"),
    ],
)
def test_a_mistyped_value_is_answered_with_the_nearest(words, suggested, encodes):
    files = {"a": encodes / "ref.y4m", "b": encodes / "dis.mp4"}
    result = run_command(*(files.get(word, word) for word in words))
    assert (result.code, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.endswith(f"Did you mean {suggested}?\n")


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"mcp", "registry"}))
def test_every_command_has_json(name):
    assert "--json" in {flag for p in COMMANDS[name].params for flag in p.opts}


@pytest.mark.parametrize(
    ("words", "suggested"),
    [(("scor",), "score"), (("registry", "verfy"), "verify"), (("score", "--modle"), "--model")],
)
def test_a_mistyped_name_is_answered_with_the_nearest(words, suggested):
    result = run_command(*words)
    assert result.code == 2
    assert suggested in result.stderr


def program(*words, **environment):
    return [sys.executable, "-m", "vmaf_jax", *words], {**os.environ, **environment}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(shell):
    line, environment = program(_VMAF_JAX_COMPLETE=f"source_{shell}")
    script = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    assert "_VMAF_JAX_COMPLETE" in script.stdout


def test_a_command_is_completed():
    line, environment = program(
        _VMAF_JAX_COMPLETE="complete_bash", COMP_WORDS="vmaf-jax sc", COMP_CWORD="1"
    )
    answer = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["score"]


def on_a_terminal(*words, **environment):
    """What the program writes to a terminal."""
    line, variables = program(*words, **environment)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(line, env=variables, stdout=theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)
    written = b""
    while True:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:  # Linux's end of a terminal
            break
        if not piece:
            break
        written += piece
    os.close(ours)
    process.wait()
    return written.decode()


def test_progress_is_for_terminals(encodes):
    pair = map(str, (encodes / "ref.y4m", encodes / "dis.mp4"))
    words = ("score", *pair, "--start", "1f", "--quiet")  # as no other test measures it
    line, variables = program(*words)
    piped = subprocess.run(line, env=variables, capture_output=True, text=True, check=True)
    assert piped.stderr == ""
    words = (*words[:-3], "--start", "2f", "--quiet")
    shown = on_a_terminal(*words, TERM="xterm-256color", COLUMNS="100")
    assert "frames" in shown
    assert "left" in shown


def test_colours_are_for_terminals_and_no_color_takes_them_away(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    colour = re.compile(r"\x1b\[[\d;]*3[0-7]")
    terminal = {"TERM": "xterm-256color"}
    assert not colour.search(on_a_terminal("--help", **terminal, NO_COLOR="1"))
    assert colour.search(on_a_terminal("--help", **terminal))
    line, variables = program("--help", **terminal)
    piped = subprocess.run(line, env=variables, capture_output=True, text=True, check=True)
    assert "\x1b" not in piped.stdout


def run_within(kib, *words):
    """The program where a process may have so many addresses."""
    line = f"ulimit -v {kib}; exec {shlex.join([sys.executable, '-m', 'vmaf_jax', *words])}"
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("kib", "words"),
    [
        (300_000, ["score", "a.y4m", "b.mp4"]),
        (1_000_000, ["extract", "--corpus", "demo", "--out", "t.parquet"]),
        (2_000_000, ["score", "a.y4m", "b.mp4", "--backend=jax"]),
        (600_000, ["train", "--config", "nano"]),
        (3_000_000, ["export", "--model", "tiny", "--out", "t.onnx"]),
    ],
    ids=lambda value: str(value)[:20],
)
def test_too_little_memory_is_told_before_libraries_end_the_program(kib, words):
    result = run_within(kib, *words)
    assert result.returncode == 2, result.stderr
    assert f"may have {kib // 1024} MiB of addresses (ulimit -v)" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_help_takes_little_memory():
    assert run_within(300_000, "train", "--help").returncode == 0
    assert "no such file" in run_within(1_600_000, "score", "a.y4m", "b.mp4").stderr


@pytest.mark.parametrize(
    "error",
    [
        ImportError("libarrow.so.2600: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes."),
        MemoryError(),
    ],
    ids=repr,
)
def test_memory_that_runs_out_is_told_in_a_line(error, monkeypatch, capsys):
    def fail(*arguments, **settings):
        raise error

    monkeypatch.setattr("vmaf_jax.jobs.ladder.ladder", fail)
    with pytest.raises(SystemExit) as end:
        main(["ladder", "encodes.csv"])
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("vmaf-jax: not enough memory;")
