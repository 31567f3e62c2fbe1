"""Writes docs/reference.md from the code: every command, setting and public Python name.

python tools/reference.py
"""

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pydantic
import typer

import vmaf_jax
from vmaf_jax.cli import app
from vmaf_jax.commands.program import EXAMPLES
from vmaf_jax.files import write_text
from vmaf_jax.runs.config import Config

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"

_TITLE = """# Reference

Written from the code by `python tools/reference.py`; a test holds it to the code.
"""


def render_reference(app: typer.Typer) -> str:
    """Returns the page, Markdown."""
    program: Any = typer.main.get_command(app)
    lines = [_TITLE, "## Commands", ""]
    for name, command in sorted(_commands(program)):
        lines += _command(name, command)
    lines += [
        "## Settings of a run",
        "",
        "Keys of a `--config` file and of `--set`. A setting that is not written has its default.",
        "",
        "| key | default | what |",
        "| --- | --- | --- |",
        *_settings(Config),
        "",
        "## Python",
        "",
        "| name | what |",
        "| --- | --- |",
    ]
    names = {n: getattr(vmaf_jax, n) for n in sorted(vmaf_jax.__all__) if not n.startswith("_")}
    lines += [f"| `vmaf_jax.{name}` | {_first_sentence(value)} |" for name, value in names.items()]
    for name, value in names.items():
        if inspect.isfunction(value):
            lines += _function(name, value)
    return "\n".join(lines) + "\n"


def _function(name: str, function: Callable[..., Any]) -> list[str]:
    """Renders a function's signature, without annotations, and its docstring."""
    given = inspect.signature(function).parameters.values()
    parameters = [p.replace(annotation=p.empty, default=_shown(p.default)) for p in given]
    signature = f"{name}{inspect.Signature(parameters)}"
    shown = textwrap.wrap(signature, 96, subsequent_indent="    ", break_on_hyphens=False)
    text = inspect.getdoc(function) or ""
    return ["", f"### `vmaf_jax.{name}`", "", "```text", *shown, "", text, "```"]


class _Instance:
    """A default that is an object, shown by its type and name; its fields would fill the page."""

    def __init__(self, value: object) -> None:
        own_name = getattr(value, "name", "")
        self.text = f"{type(value).__name__}({own_name!r})" if own_name else "..."

    def __repr__(self) -> str:
        return self.text


def _shown(default: Any) -> Any:
    is_object = dataclasses.is_dataclass(default) or " object at 0x" in repr(default)
    return _Instance(default) if is_object and not inspect.isclass(default) else default


def _commands(group: Any, before: str = "") -> Iterable[tuple[str, Any]]:
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "commands"):
            yield from _commands(command, f"{before}{name} ")
        else:
            yield before + name, command


def _command(name: str, command: Any) -> list[str]:
    lines = [f"### `vmaf-jax {name}`", "", _cell(command.help or ""), ""]
    lines += ["| flag | default | what |", "| --- | --- | --- |"]
    for parameter in command.params:
        if parameter.name == "help":
            continue
        is_flag = bool(parameter.opts[0].startswith("-"))
        shown = ", ".join(parameter.opts) if is_flag else str(parameter.name).upper()
        many = " ..." if getattr(parameter, "multiple", False) or parameter.nargs == -1 else ""
        required = "required" if parameter.required else _default(parameter.default)
        lines.append(f"| `{shown}`{many} | {required} | {_cell(parameter.help or '')} |")
    examples = [f"    {example}" for example in EXAMPLES.get(name, ())]
    return [*lines, "", *examples, *([""] if examples else [])]


def _settings(model: type[pydantic.BaseModel], before: str = "") -> list[str]:
    described = _attributes(model.__doc__ or "")
    lines = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if inspect.isclass(kind) and issubclass(kind, pydantic.BaseModel):
            lines += _settings(kind, f"{before}{name}.")
            continue
        default = (
            "required"
            if field.is_required()
            else _default(field.get_default(call_default_factory=True))
        )
        lines.append(f"| `{before}{name}` | {default} | {_cell(described.get(name, ''))} |")
    return lines


def _attributes(docstring: str) -> dict[str, str]:
    """Parses a docstring's `Attributes:`, by name; several names may share a line."""
    text = inspect.cleandoc(docstring).partition("Attributes:")[2]
    entries: dict[str, str] = {}
    for entry in re.split(r"\n(?=    \S)", text):
        names, _, words = " ".join(entry.split()).partition(": ")
        entries |= dict.fromkeys(re.split(r",\s*", names), words)
    return entries


def _default(value: Any) -> str:
    if value is None or value is False or callable(value) or value in ((), {}):
        return ""
    return f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _first_sentence(value: Any) -> str:
    """Returns the first sentence of a name's docstring; for a plain value, of its type's."""
    plain = not (inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value))
    if plain and not hasattr(value, "__wrapped__"):
        words = (inspect.getdoc(type(value)) or "").split(".")[0]
        return _cell(f"a `{type(value).__name__}`: {words}")
    return _cell((inspect.getdoc(value) or "").split("\n\n")[0])


if __name__ == "__main__":
    write_text(PAGE, render_reference(app))
