"""The command `vmaf-jax mcp`: the jobs as MCP tools."""

from pathlib import Path
from typing import Annotated

import typer


def mcp(
    allow: Annotated[
        list[Path] | None, typer.Option(help="Folder whose files may be read; repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder that results go to.")] = None,
    http: Annotated[bool, typer.Option("--http", help="Serve over HTTP instead.")] = False,
    host: Annotated[str, typer.Option(help="Address to bind; others need a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the HTTP server.")] = 8765,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Calls that run at a time.")
    ] = None,
) -> None:
    """Serve the jobs as MCP tools, on standard input and output."""
    from vmaf_jax.serving.path_policy import make_settings
    from vmaf_jax.serving.transports import serve_http, serve_stdio

    settings = make_settings(allow, out, workers)
    serve_http(settings, host, port) if http else serve_stdio(settings)
