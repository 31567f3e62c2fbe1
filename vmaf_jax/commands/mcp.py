"""The command `vmaf-jax mcp`: the jobs as MCP tools."""

from pathlib import Path
from typing import Annotated

import typer


def mcp(
    allow: Annotated[
        list[Path] | None, typer.Option(help="Folder to read below, repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write below.")] = None,
    http: Annotated[bool, typer.Option("--http", help="Streamable HTTP instead of stdio.")] = False,
    host: Annotated[str, typer.Option(help="Address to bind; others need a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of HTTP.")] = 8765,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Calls side by side.")] = None,
) -> None:
    """Serve the jobs as MCP tools, on standard input and output."""
    from vmaf_jax.serving.settings import make_settings
    from vmaf_jax.serving.transports import serve_http, serve_stdio

    settings = make_settings(allow, out, workers)
    serve_http(settings, host, port) if http else serve_stdio(settings)
