"""Options that several commands share, with their help, panel and the values a shell completes."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from vmaf_jax.video.comparison import Option

RAW, MEASURING = "Raw YUV files", "How it is measured"  # panels
AUTO, PHONE, V1 = "auto", "phone", "v1"  # names of models that `scoring.model` gives a meaning


def complete(*values: str) -> Callable[[str], list[str]]:
    """Returns the completion, in a shell, of an option that takes one of `values`."""

    def completion(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return completion


def expand_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command an option for each field of its parameters that are dataclasses.

    Typer reads the signature that this sets. A field is annotated with an `Option`, or as options
    of commands are; the command itself gets the dataclass, made of the values of its options.
    """
    parameters: list[inspect.Parameter] = []
    settings: dict[str, Any] = {}  # kinds of dataclasses, by the parameter's name
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        if dataclasses.is_dataclass(parameter.annotation):
            settings[parameter.name] = parameter.annotation
            parameters += _list_options(parameter.annotation)
        else:
            parameters.append(parameter.replace(kind=parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def run(**values: Any) -> None:
        for name, kind in settings.items():
            values[name] = kind(**{f.name: values.pop(f.name) for f in dataclasses.fields(kind)})
        command(**values)

    run.__dict__["__signature__"] = inspect.Signature(parameters)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _list_options(kind: Any) -> Iterator[inspect.Parameter]:
    """Yields an option for each field of a dataclass."""
    hints = get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        annotation, (described, *_) = hints[field.name], hints[field.name].__metadata__
        if isinstance(described, Option):
            value = annotation.__origin__
            annotation = Annotated[
                str | None if str in get_args(value) else value,  # texts stand for numbers too
                typer.Option(
                    f"--{field.name.replace('_', '-')}",
                    help=described.help,
                    rich_help_panel=described.group,
                    autocompletion=complete(*described.choices) if described.choices else None,
                ),
            ]
        yield inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=annotation
        )


def complete_teacher(incomplete: str) -> list[str]:
    """Returns the names of VMAF's models that go on as `incomplete` does."""
    from vmaf_jax.teacher.model_file import known_teachers

    return complete(*known_teachers())(incomplete)


def complete_model(incomplete: str) -> list[str]:
    """Returns names of shipped models and of VMAF's own that go on as `incomplete` does."""
    from vmaf_jax.runs.locate import checkpoints

    shipped = sorted(path.parent.name for path in checkpoints().glob("*/model.onnx"))
    return [*complete(*shipped)(incomplete), *complete_teacher(incomplete)]


def complete_scored_model(incomplete: str) -> list[str]:
    """Returns what `score --model` takes that goes on as `incomplete` does."""
    return [*complete(AUTO, PHONE, V1)(incomplete), *complete_model(incomplete)]


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
ConfigFile = Annotated[
    Path, typer.Option("--config", help="A YAML file, or a shipped one by name: opinions.")
]
DataRoot = Annotated[Path | None, typer.Option(help="Folder of the netflix corpus.")]
Manifest = Annotated[Path | None, typer.Option(help="The list of pairs: CSV, JSON Lines, Parquet.")]
Backend = Annotated[
    str,
    typer.Option(help="What measures: libvmaf, or jax.", autocompletion=complete("libvmaf", "jax")),
]
ModelName = Annotated[
    str,
    typer.Option(
        help="Shipped name, run folder, .onnx or libvmaf .json.", autocompletion=complete_model
    ),
]
Label = Annotated[str | None, typer.Option(help="Label column, such as mos.")]
Labeller = Annotated[
    str | None, typer.Option(help="Label column of this teacher.", autocompletion=complete_teacher)
]
VoteScale = Annotated[
    tuple[float, float] | None,
    typer.Option("--label-scale", metavar="LO HI", help="The worst and best vote, such as 1 5."),
]
SaveEvery = Annotated[
    float | None,
    typer.Option(
        min=0, help="Seconds between saved states; an ended training goes on from the last."
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace an earlier result in that folder.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: key=value; repeatable.")
]
Quantize = Annotated[str | None, typer.Option(help="dynamic or static: an 8-bit file beside it.")]
Teachers = Annotated[
    list[str] | None,
    typer.Option(
        help="A model whose scores to add: name or JSON file; repeatable.",
        autocompletion=complete_teacher,
    ),
]
PictureSize = Annotated[
    str | None,
    typer.Option("--size", metavar="WxH", help="Size of the pictures, for --format pixels."),
]
Samples = Annotated[
    str, typer.Option(help="Type of the pictures, for --format pixels: float32 or uint8.")
]
Engine = Annotated[
    str,
    typer.Option(
        help="local, or ray: over a cluster.",
        rich_help_panel=MEASURING,
        autocompletion=complete("local", "ray"),
    ),
]
Address = Annotated[
    str | None,
    typer.Option(help="Address of the Ray cluster: HOST:PORT or auto.", rich_help_panel=MEASURING),
]
Provider = Annotated[
    str | None,
    typer.Option(
        help="Execution provider of ONNX Runtime, for --backend onnx: CPU, CUDA ...",
        rich_help_panel=MEASURING,
        autocompletion=complete("CPU", "CUDA"),
    ),
]
