"""The command `vmaf-jax bench`: times of this program beside the plain way."""

from typing import Annotated

import typer

from vmaf_jax.commands.options import Json, Labeller
from vmaf_jax.errors import InputError


def bench(
    what: Annotated[str, typer.Argument(help="One of extract, train, inference, features.")],
    repeats: Annotated[int | None, typer.Option(min=1, help="Runs of each side.")] = None,
    features: Annotated[str | None, typer.Option(help="train: the recipe on this table.")] = None,
    hidden: Annotated[str, typer.Option(help="With it: units of the hidden layers.")] = "64,32,16",
    epochs: Annotated[int, typer.Option(min=1, help="With it: visits of every row.")] = 90,
    batch: Annotated[int, typer.Option(min=1, help="With it: rows of a step.")] = 256,
    seeds: Annotated[int, typer.Option(min=1, help="With it: cross-validations.")] = 5,
    teacher: Labeller = None,
    json_: Json = False,
) -> None:
    """Time vmaf-jax and the plain way side by side; or train a known recipe on a table."""
    from vmaf_jax.benchmarks import run_benchmark
    from vmaf_jax.benchmarks.timing import Figures, to_lines
    from vmaf_jax.reporting.terminal import Terminal, show_json, show_lines
    from vmaf_jax.teacher.model_file import DEFAULT_TEACHER

    figures: Figures
    if features is not None and what != "train":
        raise InputError(f"bench {what}: takes no --features; leave it out, or name train.")
    with Terminal() as terminal:
        terminal.stage(f"bench {what}")
        if features is None:
            figures = run_benchmark(what, repeats)
        else:
            from vmaf_jax.environment import prepare_training

            prepare_training()
            from vmaf_jax.benchmarks.recipe import bench_recipe

            recipe = bench_recipe(
                features,
                hidden=_parse_widths(hidden),
                epochs=epochs,
                batch=batch,
                seeds=seeds,
                label=teacher or DEFAULT_TEACHER,
            )
            figures = vars(recipe)
    show_json(figures) if json_ else show_lines(to_lines(figures))


def _parse_widths(text: str) -> tuple[int, ...]:
    """Parses the units of hidden layers, such as `64,32,16`."""
    words = text.split(",")
    if not all(word.strip().isdecimal() and 1 <= int(word) <= 4096 for word in words):
        raise InputError(f"--hidden {text}: expected whole numbers from 1 to 4096, as 64,32,16.")
    return tuple(int(word) for word in words)
