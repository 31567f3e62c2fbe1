"""`vmaf-jax registry verify`."""

from pathlib import Path
from typing import Annotated

import typer

from vmaf_jax.commands.options import Json


def verify(
    path: Annotated[Path | None, typer.Argument(help="By default that of the shipped.")] = None,
    json_: Json = False,
) -> None:
    """Check digests, sidecars, operators and schema of every model."""
    from vmaf_jax.jobs.registry import verify_registry
    from vmaf_jax.reporting.terminal import show_json, show_lines

    registry = verify_registry(path)
    if json_:
        show_json(registry.model_dump(exclude_none=True))
    else:
        show_lines(f"{e.id}: {e.onnx}, {e.quant_mode}, sound" for e in registry.models)
