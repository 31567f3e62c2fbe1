"""The program's commands, each loaded when it is called, and their help as plain text.

Loading all of them takes longer than showing their names, and Rich's help longer than all of them;
its boxes take twice the lines.
"""

import functools
import importlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:  # Typer keeps Click's classes private, in a package that is not in every version
    from typer._click.core import Command as ClickCommand
    from typer._click.core import Context, Parameter
    from typer._click.formatting import HelpFormatter

EXAMPLES: dict[str, tuple[str, ...]] = {  # below the flags in help; a test holds them to these
    "train": (
        "vmaf-jax train --config configs/tiny.yaml",
        "vmaf-jax train --config opinions --set data.features=mine.parquet",
        "vmaf-jax train --config configs/nano.yaml --set data.features=mine.parquet",
        "vmaf-jax train --config configs/nano.yaml --set 'sweep={student.dropout: [0, 0.1]}'",
        "vmaf-jax train --config c.yaml --distributed --processes 2 --process 0",
    ),
    "extract": (
        "vmaf-jax extract --corpus manifest --manifest clips.csv --out mine.parquet",
        "vmaf-jax extract --corpus demo --out demo.parquet --teacher vmaf_v0.6.1 --mean-pool",
    ),
    "import": (
        "vmaf-jax import --logs logs.csv --label-scale 1 5 --out mine.parquet",
        "vmaf-jax import --frames frames.csv --clips clips.csv --out mine.parquet",
    ),
    "init": ("vmaf-jax init mine", "vmaf-jax init rated --for opinions"),
    "evaluate": (
        "vmaf-jax evaluate --model tiny --features mine.parquet",
        "vmaf-jax evaluate --model runs/a --features mine.parquet --label mos --json",
        "vmaf-jax evaluate --model runs/a --against tiny --features mine.parquet --label mos",
    ),
    "score": (
        "vmaf-jax score reference.y4m distorted.mp4",
        "vmaf-jax score reference.y4m encodes/*.mp4 --html page.html",
        "vmaf-jax score reference.y4m distorted.mp4 --fail-below p5=75 --junit limits.xml",
        "vmaf-jax score reference.yuv distorted.yuv --width 1920 --height 1080 --pix-fmt yuv420p",
    ),
    "encode": (
        "vmaf-jax encode source.mp4 --target 93 --out finished.mp4",
        "vmaf-jax encode source.mp4 --target 93 --out finished.mkv --encoder libsvtav1 -- -g 240",
        "vmaf-jax encode source.mp4 --ladder 1080,720,540 --targets 93,85,70 --hls ladder.m3u8",
    ),
    "export": (
        "vmaf-jax export --model tiny --out tiny.onnx",
        "vmaf-jax export --model rbf --format libvmaf --out rbf.json",
    ),
    "select": ("vmaf-jax select --config selection",),
    "ladder": (
        "vmaf-jax ladder encodes.csv --anchor x264 --csv hull.csv --plot curves.png",
        "vmaf-jax ladder encodes.jsonl --json",
    ),
    "calibrate": (
        "vmaf-jax calibrate --features mine.parquet --suggest 3",
        "vmaf-jax calibrate --features mine.parquet --votes rated.csv --out calibrated",
    ),
    "check": (
        "vmaf-jax check mine.parquet",
        "vmaf-jax check mine.parquet --ratings votes.csv --json",
    ),
    "report": ("vmaf-jax report runs/tiny", "vmaf-jax report runs/a runs/b --out compared.html"),
    "compare-backends": ("vmaf-jax compare-backends --corpus demo",),
    "bench": ("vmaf-jax bench inference", "vmaf-jax bench features --repeats 3 --json"),
    "doctor": ("vmaf-jax doctor",),
    "mcp": ("vmaf-jax mcp --allow videos --out results",),
}


def _epilog(command: str) -> str | None:
    """The examples of a command, a line each."""
    lines = EXAMPLES.get(command)
    return (
        None if lines is None else "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))
    )


COMMANDS = {  # in groups; a module of this package, a function of it, and a line for the overview
    "Score": {
        "score": ("score", "score", "Score a video against its reference, or rank several."),
        "encode": ("encode", "encode", "Encode as cheaply as a target score allows."),
        "ladder": ("encode", "ladder", "Compare codecs: rate-quality curves, BD-rate, hulls."),
    },
    "Make a table of features": {
        "extract": ("tables", "extract", "Measure a corpus of pairs."),
        "import": ("tables", "import_features", "Read logs, features and opinion scores."),
        "check": ("tables", "check", "Find clips out of step and labels that are wrong."),
    },
    "Train a model": {
        "init": ("train", "init", "Write a configuration and a list of clips to start from."),
        "train": ("train", "train", "Train, cross-validate, export and verify a model."),
        "select": ("train", "select", "Compare networks and trainings by held-out error."),
        "evaluate": ("train", "evaluate", "Compare one model, or two, with labels."),
        "calibrate": ("train", "calibrate", "Fit a model to a title by a few rated encodes."),
        "report": ("train", "report", "Make the page of a run, or of several compared."),
        "export": ("train", "export", "Write a model for ONNX Runtime, ffmpeg or a browser."),
    },
    "Check and serve": {
        "doctor": ("installation", "doctor", "Say what this machine has and what is missing."),
        "bench": ("installation", "bench", "Time vmaf-jax beside the plain way."),
        "compare-backends": ("installation", "compare_backends", "Compare JAX with libvmaf."),
        "registry": ("installation", "registry", "Check the models that a folder offers."),
        "mcp": ("installation", "mcp", "Serve the commands as MCP tools."),
    },
}
PLACES = {name: place for group in COMMANDS.values() for name, place in group.items()}
HELP_ALL = "vmaf_jax.help_all"  # whether help describes every option, in a context's `meta`
_WIDTH = {"max_content_width": 100}  # columns, where the terminal has them


class Command(TyperCommand):
    """A command whose options are grouped by their `rich_help_panel`, common ones first.

    Where it has the option `--help-all`, `--help` shows the groups by the names of their options.
    """

    def get_params(self, ctx: "Context") -> list[Any]:
        """Returns all parameters, each of which converts its value by `_process_value`."""
        parameters: list[Any] = super().get_params(ctx)
        for parameter in parameters:
            parameter.process_value = functools.partial(_process_value, parameter)
        return parameters

    def format_options(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """Writes arguments, options without a group, then each group."""
        formatter.write_paragraph()
        parameters = self.get_params(ctx)
        brief = any(p.name == "help_all" for p in parameters) and not ctx.meta.get(HELP_ALL)
        _write_parameters(formatter, parameters, ctx, brief=brief)


class Program(TyperGroup):
    """The program: it knows its commands' names, and loads the one that is called."""

    def list_commands(self, ctx: "Context") -> list[str]:
        """Returns the names of all commands."""
        return list(PLACES)

    def get_command(self, ctx: "Context", cmd_name: str) -> "ClickCommand | None":
        """Returns a command, loaded; None where there is none of that name."""
        if cmd_name in PLACES and cmd_name not in self.commands:
            self.commands[cmd_name] = load_command(cmd_name)
        return self.commands.get(cmd_name)

    def resolve_command(
        self, ctx: "Context", args: list[str]
    ) -> "tuple[str | None, ClickCommand | None, list[str]]":
        """Finds the command of the words; an unknown one is answered with the nearest of all."""
        if args[0] not in PLACES:
            self.commands = {name: load_command(name) for name in PLACES}
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """Writes each group of commands, then options."""
        width = max(map(len, PLACES))
        formatter.write_paragraph()
        for title, group in COMMANDS.items():
            lines = [(name.ljust(width), line) for name, (_, _, line) in group.items()]
            _write_section(formatter, title, lines)
        _write_parameters(formatter, self.get_params(ctx), ctx)


def run_program(app: typer.Typer, words: list[str]) -> object:
    """Runs the command that the words name; returns what it or Typer returns.

    A command runs by itself: as part of the program, its help would wait for Pydantic too.
    """
    if words and words[0] in PLACES:
        name = f"vmaf-jax {words[0]}"
        return load_command(words[0])(args=words[1:], prog_name=name, standalone_mode=False)
    return app(args=words, prog_name="vmaf-jax", standalone_mode=False)


def load_command(name: str) -> "ClickCommand":
    """Imports a command, and returns it as Typer runs it."""
    module, attribute, _ = PLACES[name]
    target = getattr(importlib.import_module(f"vmaf_jax.commands.{module}"), attribute)
    if isinstance(target, typer.Typer):  # a group of commands
        return typer.main.get_command(target)
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name, cls=Command, context_settings=_WIDTH, epilog=_epilog(name))(target)
    return typer.main.get_command(app)


def _process_value(parameter: Any, ctx: Any, value: Any) -> Any:
    """Converts a parameter's value: plain ones here, others by Typer, which loads Pydantic."""
    # Typer builds a Pydantic adapter for every value, texts and paths included, and for a `parser`
    # of an option too. Loading Pydantic takes half as long as all that a cached score loads.
    kind = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
    if kind is Path and isinstance(value, str):
        value = Path(value)
    elif kind == list[Path] and value:
        value = [Path(text) for text in value]
    elif value is None and not parameter.required:
        value = () if parameter.multiple or parameter.nargs == -1 else None
    elif kind is not type(value):
        return type(parameter).process_value(parameter, ctx, value)
    return value if parameter.callback is None else parameter.callback(ctx, parameter, value)


def _write_parameters(
    formatter: "HelpFormatter",
    parameters: "Iterable[Parameter]",
    ctx: "Context",
    *,
    brief: bool = False,
) -> None:
    """Writes the help of parameters by group, in the order of the groups' first parameters.

    Args:
        brief: Of groups with a name of their own, write the names of their options alone.
    """
    sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    groups: dict[str, list[str]] = {}
    for parameter in parameters:
        if (record := parameter.get_help_record(ctx)) is not None:
            own = "Arguments" if parameter.param_type_name == "argument" else "Options"
            title = getattr(parameter, "rich_help_panel", None)
            if brief and title:
                groups.setdefault(title, []).append(parameter.opts[0])
            else:
                name = record[0].replace("<list[Path]>", "<path>").replace("<list[str]>", "<str>")
                sections.setdefault(title or own, []).append((name, record[1]))
    for title, lines in sections.items():
        if lines:
            _write_section(formatter, title, lines)
    if groups:
        named = [(title, "  ".join(names)) for title, names in groups.items()]
        _write_section(formatter, "More, which --help-all describes", named)


def _write_section(formatter: "HelpFormatter", title: str, lines: list[tuple[str, str]]) -> None:
    # Click takes colours away where no terminal shows them, but knows no NO_COLOR.
    heading = title if "NO_COLOR" in os.environ else typer.style(title, fg="cyan")
    formatter.write(f"{heading}:\n")
    with formatter.indentation():
        formatter.write_dl(lines)
