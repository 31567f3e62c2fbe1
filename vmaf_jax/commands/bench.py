"""`vmaf-jax bench`."""

from typing import Annotated

import typer

from vmaf_jax.commands.options import Json


def bench(
    what: Annotated[str, typer.Argument(help="One of extract, train, inference, features ...")],
    repeats: Annotated[int | None, typer.Option(min=1, help="Runs of each side.")] = None,
    json_: Json = False,
) -> None:
    """Time ours against the plain way, side by side."""
    from vmaf_jax.benchmarks import run_benchmark
    from vmaf_jax.benchmarks.report import to_lines
    from vmaf_jax.reporting.terminal import show_json

    report = run_benchmark(what, repeats)
    show_json(report) if json_ else print("\n".join(to_lines(report)))
